"""Pickles made to harm: refused in one sentence, in little time and memory."""

import pickle
import pickletools
import random
import struct
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pickled import BLANK, EIGHT, STATE, array, dtype, integer, read, text

from files.pickles import MOST_INSTRUCTIONS, PickleError

PROTOCOLS = range(6)
HOSTILE = {
    "objects": array(integer(1) + b"\x85", dtype("O8", "|", 63), b"]Na"),
    "objects from bytes": array(integer(1) + b"\x85", dtype("O8", "|", 63), EIGHT),
    "objects 0-d from bytes": array(b")", dtype("O8", "|", 63), EIGHT),
    "objects 0-d of two": array(b")", dtype("O8", "|", 63), b"](NNe"),
    "object scalar": b"cnumpy.core.multiarray\nscalar\n" + dtype("O8", "|", 63) + b"N\x86R",
    "object buffer": b"cnumpy.core.numeric\n_frombuffer\n("
    + EIGHT
    + dtype("O8", "|")
    + b"K\x01\x85"
    + text("C")
    + b"tR",
    "records": b"cnumpy\ndtype\n" + text("V16") + b"\x89\x88\x87R",
    "text": b"cnumpy\ndtype\n" + text("U9999999999") + b"\x89\x88\x87R",
    "commas": b"cnumpy\ndtype\n" + text("f8,O") + b"\x89\x88\x87R",
    "shape of names": b"cnumpy\ndtype\n" + text("(99999,99999)f8") + b"\x89\x88\x87R",
    "type from a list": b"cnumpy\ndtype\n]\x89\x88\x87R",
    "type from a number": b"cnumpy\ndtype\nK\x01\x89\x88\x87R",
    "fields": b"cnumpy\ndtype\n" + text("f8") + b"\x89\x88\x87R(K\x03" + text("<") + b"N)}K\x08K\x01K\x00tb",
    "subarray": b"cnumpy\ndtype\n" + text("f8") + b"\x89\x88\x87R(K\x03" + text("<") + b")NNK\x08K\x01K\x00tb",
    "too large": array(integer(1 << 40) + b"\x85", dtype("f8"), EIGHT),
    "overflowing": array(integer(1 << 47) * 2 + b"\x86", dtype("f8"), EIGHT),
    "overflowing emptily": array(integer(0) + integer(1 << 47) * 2 + b"\x87", dtype("f8"), b"C\x00"),
    "negative": array(integer(-1) * 2 + b"\x86", dtype("f8"), EIGHT),
    "true sides": array(b"\x88\x85", dtype("f8"), EIGHT),
    "many axes": array(b"(" + integer(1) * 65 + b"t", dtype("f8"), EIGHT),
    "list as a shape": array(b"]", dtype("f8"), EIGHT),
    "data as text": array(integer(1) + b"\x85", dtype("f8"), text("12345678")),
    "data as a list": array(integer(1) + b"\x85", dtype("f8"), b"]K\x01a"),
    "no type": array(integer(1) + b"\x85", b"N", EIGHT),
    "a name as a type": array(integer(1) + b"\x85", b"cnumpy\ndtype\n", EIGHT),
    "state twice": array(integer(1) + b"\x85", dtype("f8"), EIGHT) + STATE,
    "state of a finished array": b"cnumpy.core.numeric\n_frombuffer\n("
    + EIGHT
    + dtype("f8")
    + b"K\x01\x85"
    + text("C")
    + b"tR"
    + STATE,
    "state of a list": b"]}b",
    "state of a name": b"cnumpy\nndarray\n}b",
    "state of a number": b"K\x01}b",
    "not the first shape": b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x01\x85C\x01b\x87R",
    "not an ndarray": b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\nK\x00\x85C\x01b\x87R",
    "calls a type": b"cnumpy\nndarray\n)R",
    "calls a list": b"])R",
    "calls a text": text("system") + b")R",
    "arguments as a list": b"cnumpy\ndtype\n]R",
    "bytes of a size": b"c__builtin__\nbytes\nJ\xff\xff\xff\x7f\x85R",
    "other encoding": b"c_codecs\nencode\n" + text("x") + text("zlib") + b"\x86R",
    "jax with another function": b"cjax._src.array\n_reconstruct_array\n(cnumpy\ndtype\n)}}tR",
    "jax without a state": b"cjax._src.array\n_reconstruct_array\n(cnumpy.core.multiarray\n_reconstruct\n)N}tR",
    "name of a number": b"K\x01K\x02\x93",
    "items of a list": b"]K\x01K\x02s",
    "appended to a dictionary": b"}K\x01a",
    "added to a list": b"](K\x01\x90",
    "odd items": b"}(K\x01u",
    "list as a key": b"}]Ns",
    "tuple as a key": b"})Ns",
    "huge key": b"}\x8b\x09\x00\x00\x00" + b"\xff" * 8 + b"\x01Ns",
    "huge memo": b"Np99999999999999999999\n",
    "negative memo": b"Np-1\n",
    "unknown memo": b"h\x07",
    "persistent": text("x") + b"Q",
    "no mark": b"t",
    "empty": b"",
    "bytes not there": b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",
    "text not there": b"X\xff\xff\xff\x7f",
    "long not there": b"\x8b\xff\xff\xff\x7f",
    "digits": b"I" + b"9" * 5000 + b"\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused_in_one_line(name):
    with pytest.raises(PickleError) as caught:
        read(HOSTILE[name] + b".")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize("name", ["too large", "data as text", "data as a list", "objects from bytes"])
def test_arrays_are_measured_before_numpy_sees_them(name):
    with pytest.raises(PickleError, match=r"as large as it claims|objects"):
        read(HOSTILE[name] + b".")


def test_flags_of_a_pickled_type_are_not_believed():
    """NumPy would take flag 63 as 'these numbers are pointers' and follow them."""
    found = read(array(integer(1) + b"\x85", dtype("f8", "<", 63), b"C\x08" + b"\xff" * 8) + b".")
    assert found.dtype == np.float64 and not found.dtype.hasobject and np.isnan(found[0])


@pytest.mark.parametrize("data", [b"]\x94h\x00a", b"K\x01"])
def test_a_list_may_hold_itself(data):
    read(data + b".")


def test_one_block_of_bytes_is_not_many_arrays():
    block = b"B" + struct.pack("<I", 1 << 20) + bytes(1 << 20) + b"q\x00"
    kind = dtype("u1", "|") + b"q\x01"
    one = array(integer(1 << 20) + b"\x85", b"h\x01", b"h\x00")
    bomb = block + kind + one * 500 + b"."
    tracemalloc.start()
    with pytest.raises(PickleError, match="bomb"):
        read(bomb)
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


def test_laughter_is_finite():
    """Each list holds the last one twice: 2^5000 values for whoever looks at them all."""
    data = b"]\x94" + b"".join(
        b"](j" + struct.pack("<I", n) * 1 + b"j" + struct.pack("<I", n) + b"e\x94" for n in range(5000)
    )
    start = time.monotonic()
    read(data + b".")
    with pytest.raises(PickleError):
        read(data + b"\x85R.")
    with pytest.raises(PickleError):
        read(b"cnumpy\ndtype\n" + data + b"\x89\x88\x87R.")
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("layer", [b"\x85", b"]", b"}"])
def test_depth_does_not_matter(layer):
    deep = {b"\x85": b"N" + b"\x85" * 100_000, b"]": b"]" * 2 + b"a"}.get(layer)
    if layer == b"]":
        deep = b"]" * 90_000 + b"a" * 89_999
    if layer == b"}":
        deep = (b"}K\x01" * 60_000) + b"Ns" + b"s" * 59_999
    read(deep + b".")
    with pytest.raises(PickleError):
        read(b"}" + deep + b"Ns.")


def test_instructions_are_counted():
    with pytest.raises(PickleError, match="instructions"):
        read(b"N0" * MOST_INSTRUCTIONS + b"N.")


def test_a_megabyte_takes_seconds_at_most():
    crowded = b"}(" + b"".join(integer(n << 20) + b"N" for n in range(80_000)) + b"u."
    start = time.monotonic()
    with pytest.raises(PickleError, match="keys"):
        read(crowded)
    assert time.monotonic() - start < 10


WHOLE = pickle.dumps({"res": np.arange(4.0), "size": np.float64(0.5), "list": [(1, "a"), {2: b"b"}]}, 2)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_cut_off_anywhere(protocol):
    data = pickle.dumps({"res": np.arange(4.0) if protocol > 1 else [1.5], "size": 2}, protocol)
    for length in range(len(data)):
        with pytest.raises(PickleError):
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


@settings(max_examples=2000, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32))
def test_mutated_pickles_end_in_a_value_or_one_sentence(number):
    source = random.Random(number)
    data = bytearray(WHOLE)
    for _ in range(source.randint(1, 5)):
        position = source.randrange(len(data))
        data[position : position + source.randint(0, 3)] = source.choice((source.randbytes(2), source.choice(CODES)))
    check(bytes(data))


@settings(max_examples=2000, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32))
def test_arbitrary_programs_end_in_a_value_or_one_sentence(number):
    source = random.Random(number)
    parts = [source.choice((source.choice(CODES), source.choice(FRAGMENTS), source.randbytes(1))) for _ in range(40)]
    check(b"".join(parts[: source.randint(1, 40)]) + b".")


def check(data: bytes) -> None:
    try:
        read(data)
    except PickleError as error:
        assert "\n" not in str(error)
