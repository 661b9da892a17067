"""Pickles that are no files of the authors': refused in one line, in little time and memory."""

import pickle
import pickletools
import random
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pickled import BLANK, DAMAGE, EIGHT, ONE, STATE, array, dtype, integer, read, text

from files import ArchiveError
from released.arrays import LARGEST_PRODUCT, MOST_AXES, is_shape
from released.pickles import INSTRUCTIONS, MOST_INSTRUCTIONS, MOST_KEYS

PROTOCOLS = (2, 3, 4)


REFUSED = sorted({op.name for op in pickletools.opcodes} - set(INSTRUCTIONS) - {"STOP"})


def test_instructions_that_make_objects_are_not_known():
    assert {"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID", "NEXT_BUFFER"} <= set(REFUSED)


@pytest.mark.parametrize("instruction", REFUSED)
def test_other_instructions_are_refused(instruction):
    code = next(op.code for op in pickletools.opcodes if op.name == instruction).encode("latin1")
    line = b"'1'\n" if instruction == "STRING" else b"1\n"
    with pytest.raises(DAMAGE, match=f"uses {instruction} |not enough data|truncated|expected"):
        read(b"]]" + code + line + b"2\n" + b"\x00" * 8 + b".")


JAX = b"cjax._src.array\n_reconstruct_array\n"


HOSTILE = {
    "objects": (array(ONE, dtype("O8", "|", 63), b"]Na"), "Python objects"),
    "objects from bytes": (array(b")", dtype("O8", "|", 63), EIGHT), "Python objects"),
    "two objects": (array(b")", dtype("O8", "|", 63), b"](NNe"), "Python objects"),
    "object scalar": (b"cnumpy.core.multiarray\nscalar\n" + dtype("O8", "|", 63) + b"N\x86R", "Python objects"),
    "records": (b"cnumpy\ndtype\n" + text("V16") + b"\x89\x88\x87R", "'V16', not of plain"),
    "shape in a type": (b"cnumpy\ndtype\n" + text("(99999,99999)f8") + b"\x89\x88\x87R", "not of plain numbers"),
    "type from a list": (b"cnumpy\ndtype\n]\x89\x88\x87R", "'list', not of plain"),
    "fields": (b"cnumpy\ndtype\n" + text("f8") + b"\x89\x88\x87R(K\x03" + text("<") + b"N)}K\x08tb", "records"),
    "short type state": (
        b"cnumpy\ndtype\n" + text("f8") + b"\x89\x88\x87R(K\x03" + text("<") + b"NNtb",
        "unknown state",
    ),
    "byte order": (dtype("f8", "x"), "unknown state"),
    "too large": (array(integer(1 << 40) + b"\x85", dtype("f8"), EIGHT), "as large as it claims"),
    "overflowing": (array(integer(1 << 47) * 2 + b"\x86", dtype("f8"), EIGHT), "proper shape"),
    "negative": (array(integer(-1) * 2 + b"\x86", dtype("f8"), EIGHT), "proper shape"),
    "true side": (array(b"\x88\x85", dtype("f8"), EIGHT), "proper shape"),
    "list as a shape": (array(b"]", dtype("f8"), EIGHT), "proper shape"),
    "data as text": (array(ONE, dtype("f8"), text("12345678")), "as large as it claims"),
    "no type": (array(ONE, b"N", EIGHT), "Python objects"),
    "short state": (BLANK + b"(K\x01" + ONE + dtype("f8") + b"\x89tb", "unknown state"),
    "state twice": (array(ONE, dtype("f8"), EIGHT) + STATE, "state of a ndarray"),
    "state of a list": (b"]}b", "state of a list"),
    "not the first shape": (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x01\x85C\x01b\x87R",
        "of its own",
    ),
    "not an ndarray": (b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\nK\x00\x85C\x01b\x87R", "of its own"),
    "calls a type": (b"cnumpy\nndarray\n)R", "calls 'numpy.ndarray'"),
    "calls a list": (b"])R", "calls 'list'"),
    "arguments as a list": (b"cnumpy\ndtype\n]R", "calls 'numpy.dtype'"),
    "bytes of a size": (b"c__builtin__\nbytes\nJ\xff\xff\xff\x7f\x85R", "argument"),
    "other encoding": (b"c_codecs\nencode\n" + text("x") + text("zlib") + b"\x86R", "not bytes"),
    "jax of a type": (JAX + b"(cnumpy\ndtype\n)}}tR", "not made of a NumPy array"),
    "name of a number": (b"K\x01K\x02\x93", "names '\\?'"),
    "items of a list": (b"]K\x01K\x02s", "not a dictionary"),
    "appended to a dictionary": (b"}K\x01a", "not a list"),
    "odd items": (b"}(K\x01u", "shorter|argument"),
    "tuple as a key": (b"})Ns", "key that is a tuple"),
    "huge key": (b"}\x8b\x09\x00\x00\x00" + b"\xff" * 8 + b"\x01Ns", "key that is a int"),
    "unknown memo": (b"h\x07", "7"),
    "persistent": (text("x") + b"Q", "outside itself"),
    "no mark": (b"t", "pop"),
    "empty": (b"", "pop"),
    "bytes not there": (b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f", "expected"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused_in_one_line(name):
    data, words = HOSTILE[name]
    with pytest.raises(DAMAGE, match=words) as caught:
        read(data + b".")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_shapes_that_fit_are_known_by_their_product():
    assert is_shape(()) and is_shape((0, LARGEST_PRODUCT - 1)) and is_shape((1,) * MOST_AXES)
    assert not is_shape((0, LARGEST_PRODUCT)) and not is_shape((1,) * (MOST_AXES + 1)) and not is_shape([1])


def test_flags_of_a_pickled_type_are_ignored():
    """NumPy would take flag 63 as 'these numbers are pointers' and follow them."""
    found = read(array(ONE, dtype("f8", "<", 63), b"C\x08" + b"\xff" * 8) + b".")
    assert found.dtype == np.float64 and not found.dtype.hasobject and np.isnan(found[0])


def test_one_block_of_bytes_is_not_many_arrays():
    block = b"B" + struct.pack("<I", 1 << 20) + bytes(1 << 20) + b"q\x00"
    one = array(integer(1 << 20) + b"\x85", b"h\x01", b"h\x00")
    bomb = block + dtype("u1", "|") + b"q\x01" + one * 500 + b"."
    tracemalloc.start()
    with pytest.raises(ArchiveError, match="claims more numbers than it holds"):
        read(bomb)
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


def test_the_budget_of_arrays_is_exact():
    two = b"(" + array(ONE, dtype("f8"), EIGHT) * 2 + b"t."
    assert len(read(two, budget=16)) == 2
    with pytest.raises(ArchiveError, match="claims more"):
        read(two, budget=15)


def test_lists_that_hold_the_last_one_twice_are_never_walked():
    """2^5000 values for whoever looks at them all, or prints them."""
    data = b"]\x94" + b"".join(
        b"](j" + struct.pack("<I", n) + b"j" + struct.pack("<I", n) + b"e\x94" for n in range(5000)
    )
    read(data + b".")
    for use in (data + b"\x85R.", b"cnumpy\ndtype\n" + data + b"\x89\x88\x87R.", b"}" + data + b"Ns."):
        with pytest.raises(ArchiveError):
            read(use)


@pytest.mark.parametrize("deep", [b"N" + b"\x85" * 100_000, b"]" * 90_000 + b"a" * 89_999])
def test_depth_does_not_matter(deep):
    read(deep + b".")
    with pytest.raises(ArchiveError, match="key that is a"):
        read(b"}" + deep + b"Ns.")


def test_instructions_and_keys_are_counted():
    read(b"]" + b"}" * (MOST_INSTRUCTIONS - 1) + b".")
    with pytest.raises(ArchiveError, match=f"more than {MOST_INSTRUCTIONS} instructions"):
        read(b"]" + b"}" * MOST_INSTRUCTIONS + b".")
    keys = b"".join(integer(n << 20) + b"N" for n in range(MOST_KEYS + 1))
    assert len(read(b"}(" + keys[: -len(integer(0) + b"N")] + b"u.")) == MOST_KEYS
    with pytest.raises(ArchiveError, match=f"more than {MOST_KEYS} keys"):
        read(b"}(" + keys + b"u.")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pickles_that_are_cut_off(protocol):
    data = pickle.dumps({"res": np.arange(4.0), "size": 2}, protocol)
    for length in range(len(data)):
        with pytest.raises(DAMAGE):
            read(data[:length])


CODES = [op.code.encode("latin1") for op in pickletools.opcodes]


FRAGMENTS = [
    BLANK,
    dtype("f8"),
    EIGHT,
    b"K\x01\x85",
    b"\x89",
    text("a"),
    b"cnumpy\ndtype\n",
    b"h\x00",
    b"\x94",
    b"K\x02",
]


WHOLE = pickle.dumps({"res": np.arange(4.0), "size": np.float64(0.5), "list": [(1, "a"), {2: b"b"}]}, 2)


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@pytest.mark.parametrize("mutate", [True, False], ids=["mutated", "arbitrary"])
@settings(max_examples=800, deadline=None, derandomize=True)
@given(number=st.integers(0, 1 << 32))
def test_any_bytes_end_in_a_value_or_one_sentence(mutate, number):
    source = random.Random(number)
    if mutate:
        data = bytearray(WHOLE)
        for _ in range(source.randint(1, 5)):
            place = source.randrange(len(data))
            data[place : place + source.randint(0, 3)] = source.choice((source.randbytes(2), source.choice(CODES)))
    else:
        parts = [
            source.choice((source.choice(CODES), source.choice(FRAGMENTS), source.randbytes(1))) for _ in range(40)
        ]
        data = bytearray(b"".join(parts[: source.randint(1, 40)]) + b".")
    try:
        read(bytes(data))
    except DAMAGE as error:
        assert not isinstance(error, ArchiveError) or "\n" not in str(error)
