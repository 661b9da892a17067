"""Pickles of the authors' files: arrays come back, and nothing a file says is run, in little time and memory."""

import pickle
import pickletools
import random
import struct
import subprocess
import sys
import tracemalloc
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pickled import BLANK, DAMAGE, EIGHT, ONE, STATE, array, dtype, integer, read, text

from files import ArchiveError
from released.arrays import LARGEST_PRODUCT, MOST_AXES, is_shape
from released.pickles import INSTRUCTIONS, MOST_INSTRUCTIONS, MOST_KEYS

PROTOCOLS = (2, 3, 4)
VALUES = {
    "float32": np.arange(6, dtype=np.float32).reshape(2, 3),
    "big-endian": np.arange(4, dtype=">f8"),
    "fortran": np.asfortranarray(np.arange(12, dtype=np.int16).reshape(3, 4)),
    "scalar array": np.array(2.5),
    "empty": np.empty((0, 3)),
    "complex": np.array([1 + 2j]),
    "bool": np.array([True, False]),
}


def with_core(data: bytes, core: str) -> bytes:
    """The pickle as the other NumPy would have written it (`numpy.core` or `numpy._core`)."""
    for old in ("numpy._core", "numpy.core"):
        before, after = f"{old}.multiarray".encode(), f"{core}.multiarray".encode()
        data = data.replace(b"\x8c" + bytes([len(before)]) + before, b"\x8c" + bytes([len(after)]) + after)
        data = data.replace(b"c" + before + b"\n", b"c" + after + b"\n")
    return data


@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", VALUES)
def test_arrays_come_back(name, protocol, core):
    value = VALUES[name]
    found = read(with_core(pickle.dumps({"a": value, "again": value}, protocol), core))
    assert found["a"] is found["again"]
    assert found["a"].dtype.newbyteorder("=") == value.dtype.newbyteorder("=") and found["a"].shape == value.shape
    np.testing.assert_array_equal(found["a"], value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_scalars_and_containers_come_back(protocol):
    value = {"a": [1, -2, 300, 1 << 70, 2.5, None, True, False], "b": (), "c": ("x", ("y",)), 3: "ü\n", "d": {"e": {}}}
    value |= {b"bytes": (1, 2, 3), "f": (1, 2, 3, 4), "g": [], 1.5: b"", None: "x" * 300, "h": [7]}
    assert read(pickle.dumps(value, protocol)) == value
    assert read(pickle.dumps([np.float32(0.25), np.int64(7)], protocol)) == [0.25, 7]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("module", "name"),
    [("jax._src.array", "_reconstruct_array"), ("jax._src.device_array", "reconstruct_device_array")],
)
def test_jax_arrays_come_back_without_jax(monkeypatch, module, name, protocol):
    value = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    data = pickle_like_jax(monkeypatch, value, module, name, protocol)
    np.testing.assert_array_equal(read(data), value)
    assert "jax" not in sys.modules


def pickle_like_jax(monkeypatch, value, module, name, protocol):
    """What JAX's arrays pickle as: the parts of NumPy's pickle, handed to a function of JAX's."""

    def rebuild(*_):
        raise AssertionError("the file's function was called")

    rebuild.__module__, rebuild.__qualname__ = module, name

    class Array:
        def __reduce__(self):
            function, arguments, state = value.__reduce__()
            return rebuild, (function, arguments, state, {"weak_type": False, "named_shape": {}})

    with monkeypatch.context() as patch:
        parts = module.split(".")
        for count in range(1, len(parts) + 1):
            patch.setitem(sys.modules, ".".join(parts[:count]), types.ModuleType(parts[count - 1]))
        setattr(sys.modules[module], name, rebuild)
        return pickle.dumps(Array(), protocol)


# One name of each way to code: a shell, a builtin, an attribute, a reader of files, a factory, our own module.
NAMES = [
    "os system",
    "builtins eval",
    "builtins bytearray",
    "numpy core.multiarray.fromfile",
    "numpy.core.numeric _frombuffer",
    "collections OrderedDict.fromkeys",
    "torch._utils _rebuild_tensor_v2",
    "released.arrays Arrays",
]


def by_text(name: str, argument: str) -> bytes:
    module, function = name.split(" ")
    return f"c{module}\n{function}\n".encode() + text(argument) + b"\x85R."


def by_stack(name: str, argument: str) -> bytes:
    texts = b"".join(b"\x8c" + bytes([len(part)]) + part.encode() for part in name.split(" "))
    return b"\x80\x04" + texts + b"\x93" + text(argument) + b"\x85R."


@pytest.mark.parametrize("spelling", [by_text, by_stack])
@pytest.mark.parametrize("name", NAMES)
def test_names_are_refused_by_name_and_never_run(tmp_path, name, spelling):
    words = f"names '{name.replace(' ', '.')}', which was not run: only arrays and plain containers are read"
    with pytest.raises(ArchiveError, match=f"^{words}$"):
        read(spelling(name, f"touch {tmp_path / 'ran'}"))
    assert not (tmp_path / "ran").exists()


def test_the_same_pickle_runs_where_it_is_trusted(tmp_path):
    path = tmp_path / "bad.pickle"
    path.write_bytes(by_text("os system", f"touch {tmp_path / 'ran'}"))
    code = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert (tmp_path / "ran").exists()


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
