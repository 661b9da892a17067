"""The pickle machine: arrays come back, and nothing a file says is run, whatever it says."""

import pickle
import pickletools
import subprocess
import sys
import types

import numpy as np
import pytest
from pickled import read, text

from files.pickles import INSTRUCTIONS, PickleError

PROTOCOLS = range(6)
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
        for module in ("multiarray", "numeric"):
            before, after = f"{old}.{module}".encode(), f"{core}.{module}".encode()
            data = data.replace(b"\x8c" + bytes([len(before)]) + before, b"\x8c" + bytes([len(after)]) + after)
            data = data.replace(b"c" + before + b"\n", b"c" + after + b"\n")
    return data


@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
@pytest.mark.parametrize("protocol", PROTOCOLS[2:])
@pytest.mark.parametrize("name", VALUES)
def test_arrays_come_back(name, protocol, core):
    array = VALUES[name]
    data = with_core(pickle.dumps({"a": array, "again": array}, protocol), core)
    found = read(data)
    assert found["a"] is found["again"]
    assert found["a"].dtype.newbyteorder("=") == array.dtype.newbyteorder("=") and found["a"].shape == array.shape
    np.testing.assert_array_equal(found["a"], array)


@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
@pytest.mark.parametrize("protocol", PROTOCOLS[2:])
def test_numpy_scalars_come_back(protocol, core):
    found = read(with_core(pickle.dumps([np.float32(0.25), np.int64(7)], protocol), core))
    assert found == [0.25, 7]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_containers_come_back(protocol):
    value = {"a": [1, -2, 1 << 70, 2.5, None, True], "b": (), "c": ("x", ("y",)), 3: "ü\n", "d": {"e": {}}}
    assert read(pickle.dumps(value, protocol)) == value


def test_sets_come_back():
    assert read(pickle.dumps({"a", 1}, 4)) == {"a", 1}


@pytest.mark.parametrize("protocol", PROTOCOLS[2:])
@pytest.mark.parametrize(
    ("module", "name"),
    [("jax._src.array", "_reconstruct_array"), ("jax._src.device_array", "reconstruct_device_array")],
)
@pytest.mark.parametrize("facts", [{"weak_type": False, "named_shape": {}}, {"weak_type": True}])
def test_jax_arrays_come_back_without_jax(monkeypatch, module, name, facts, protocol):
    array = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    data = pickle_like_jax(monkeypatch, array, module, name, facts, protocol)
    assert "jax" not in sys.modules
    np.testing.assert_array_equal(read(data), array)


def pickle_like_jax(monkeypatch, array, module, name, facts, protocol):
    """What JAX's arrays pickle as: the parts of NumPy's pickle, handed to a function of JAX's."""

    def rebuild(*_):
        raise AssertionError("the file's function was called")

    rebuild.__module__, rebuild.__qualname__ = module, name

    class Array:
        def __reduce__(self):
            function, arguments, state = array.__reduce__()
            return rebuild, (function, arguments, state, facts)

    with monkeypatch.context() as patch:
        parts = module.split(".")
        for count in range(1, len(parts) + 1):
            patch.setitem(sys.modules, ".".join(parts[:count]), types.ModuleType(parts[count - 1]))
        setattr(sys.modules[module], name, rebuild)
        return pickle.dumps(Array(), protocol)


NAMES = [
    "os system",
    "posix system",
    "nt system",
    "subprocess Popen",
    "builtins eval",
    "builtins exec",
    "builtins getattr",
    "builtins __import__",
    "__builtin__ eval",
    "builtins bytearray",
    "numpy load",
    "numpy fromfile",
    "numpy memmap",
    "numpy core.multiarray.fromfile",
    "numpy.core.multiarray fromstring",
    "numpy.testing._private.utils runstring",
    "numpy matrix",
    "numpy.ma.core _mareconstruct",
    "functools partial",
    "operator attrgetter",
    "importlib import_module",
    "copyreg _reconstructor",
    "copyreg __newobj__",
    "pickle loads",
    "torch load",
    "torch.storage _load_from_bytes",
    "torch._utils _rebuild_tensor_v2",
    "jax._src.array ArrayImpl",
    "collections OrderedDict.fromkeys",
    "files.arrays Arrays",
    "numpy.ndarray __init__",
    "_codecs lookup",
]


def by_text(name: str, argument: str) -> bytes:
    module, function = name.split(" ")
    return f"c{module}\n{function}\n".encode() + call(argument)


def by_stack(name: str, argument: str) -> bytes:
    texts = b"".join(b"\x8c" + bytes([len(part)]) + part.encode() for part in name.split(" "))
    return b"\x80\x04" + texts + b"\x93" + call(argument)


def by_instance(name: str, argument: str) -> bytes:
    module, function = name.split(" ")
    return b"(" + text(argument) + f"i{module}\n{function}\n".encode() + b"."


def call(argument: str) -> bytes:
    return text(argument) + b"\x85R."


@pytest.mark.parametrize("spelling", [by_text, by_stack, by_instance])
@pytest.mark.parametrize("name", NAMES)
def test_names_are_refused_by_name_and_never_run(tmp_path, name, spelling):
    canary = tmp_path / "ran"
    with pytest.raises(PickleError, match=name.split(" ")[1].replace(".", r"\.")):
        read(spelling(name, f"touch {canary}"))
    assert not canary.exists()


def test_the_canary_can_sing(tmp_path):
    """The same bytes do run where pickles are trusted, so the tests above can fail."""
    path = tmp_path / "bad.pickle"
    path.write_bytes(by_text("os system", f"touch {tmp_path / 'ran'}"))
    code = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert (tmp_path / "ran").exists()


UNADMITTED = sorted({op.name for op in pickletools.opcodes} - set(INSTRUCTIONS) - {"STOP"})


def test_instructions_that_make_objects_are_not_admitted():
    making = {"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID", "NEXT_BUFFER"}
    assert making <= set(UNADMITTED)


@pytest.mark.parametrize("instruction", UNADMITTED)
def test_unadmitted_instructions_are_refused(instruction):
    code = next(op.code for op in pickletools.opcodes if op.name == instruction)
    with pytest.raises(PickleError):
        read(b"]]" + code.encode("latin1") + b"'1'\n2\n" + b"\x00" * 8 + b".")
