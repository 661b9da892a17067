"""Pickles of the authors' files: arrays come back, and nothing a file says is run, in little time and memory."""

import pickle
import subprocess
import sys
import types

import numpy as np
import pytest
from pickled import read, text

from files import ArchiveError

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
