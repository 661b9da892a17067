"""The authors' files: built here from their description, read back, and refused when they are not what they say."""

import base64
import io
import os
import pickle
import pickletools
import random
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from files import ArchiveError
from files.authors import read_checkpoint, read_ground_truth, read_kernel, state_shapes
from files.torchfiles import read_torch

# numpy.save of {'res': jax.numpy.arange(6.).reshape(2, 3), 'size': 0.05, 'samples': 50}, as written by
# JAX 0.4.30 with NumPy 1.26.4 and by JAX 0.12.0 with NumPy 2.5.5.
JAX_FILES = {
    "numpy 1": base64.b64decode(
        "k05VTVBZAQB2AHsnZGVzY3InOiAnfE8nLCAnZm9ydHJhbl9vcmRlcic6IEZhbHNlLCAnc2hhcGUnOiAoKSwgfSAgICAgICAgICAg"
        "ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAqAA2NudW1weS5jb3JlLm11bHRpYXJy"
        "YXkKX3JlY29uc3RydWN0CnEAY251bXB5Cm5kYXJyYXkKcQFLAIVxAkMBYnEDh3EEUnEFKEsBKWNudW1weQpkdHlwZQpxBlgCAAAA"
        "TzhxB4mIh3EIUnEJKEsDWAEAAAB8cQpOTk5K/////0r/////Sz90cQtiiV1xDH1xDShYAwAAAHJlc3EOY2pheC5fc3JjLmFycmF5"
        "Cl9yZWNvbnN0cnVjdF9hcnJheQpxDyhoAGgBSwCFcRBoA4dxEShLAUsCSwOGcRJoBlgCAAAAZjRxE4mIh3EUUnEVKEsDWAEAAAA8"
        "cRZOTk5K/////0r/////SwB0cRdiiUMYAAAAAAAAgD8AAABAAABAQAAAgEAAAKBAcRh0cRl9cRooWAkAAAB3ZWFrX3R5cGVxG4lY"
        "CwAAAG5hbWVkX3NoYXBlcRx9cR11dHEeUnEfWAQAAABzaXplcSBHP6mZmZmZmZpYBwAAAHNhbXBsZXNxIUsydWF0cSJiLg=="
    ),
    "numpy 2": base64.b64decode(
        "k05VTVBZAQB2AHsnZGVzY3InOiAnfE8nLCAnZm9ydHJhbl9vcmRlcic6IEZhbHNlLCAnc2hhcGUnOiAoKSwgfSAgICAgICAgICAg"
        "ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAqABJVCAQAAAAAAAIwWbnVtcHkuX2Nv"
        "cmUubXVsdGlhcnJheZSMDF9yZWNvbnN0cnVjdJSTlIwFbnVtcHmUjAduZGFycmF5lJOUSwCFlEMBYpSHlFKUKEsBKWgDjAVkdHlw"
        "ZZSTlIwCTziUiYiHlFKUKEsDjAF8lE5OTkr/////Sv////9LP3SUYoldlH2UKIwDcmVzlIwOamF4Ll9zcmMuYXJyYXmUjBJfcmVj"
        "b25zdHJ1Y3RfYXJyYXmUk5QoaAJoBUsAhZRoB4eUKEsBSwJLA4aUaAuMAmY0lImIh5RSlChLA4wBPJROTk5K/////0r/////SwB0"
        "lGKJQxgAAAAAAACAPwAAAEAAAEBAAACAQAAAoECUdJR9lIwJd2Vha190eXBllIlzdJRSlIwEc2l6ZZRHP6mZmZmZmZqMB3NhbXBs"
        "ZXOUSzJ1YXSUYi4="
    ),
}
FACTS = {
    "input": 2,
    "output": 3,
    "channels": 8,
    "layers": 1,
    "pe": True,
    "encodings": 4,
    "normalize_pe": True,
    "include_input": True,
    "activation": "swish",
}


class Runs:
    """Touches `path` when unpickled by a reader that trusts its file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch '{self.path}'",)


def network(facts: dict) -> torch.nn.Module:
    """Linear layers named as in the release, in a module of their own."""
    shapes = state_shapes(facts)
    widths = [shapes[f"net.net.{i}.0.weight"] for i in range(facts["layers"] + 2)]
    layers = [torch.nn.Sequential(torch.nn.Linear(before, after)) for after, before in widths]
    inner, outer = torch.nn.Module(), torch.nn.Module()
    inner.net = torch.nn.Sequential(*layers)
    outer.net = inner
    return outer


def checkpoint(**changes) -> dict:
    """A checkpoint after a step of Adam, with `changes` to its facts."""
    facts = {**FACTS, **changes}
    model = network(facts)
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    sum(parameter.sum() for parameter in model.parameters()).backward()
    optimiser.step()
    return {**facts, "ckpt": model.state_dict(), "epoch": 1000, "optim": optimiser.state_dict()}


def kernel(count: int = 13) -> dict:
    positions = np.linspace(-1, 1, count)
    return {"ckpt": np.cos(positions), "radius": 1.0, "n_ctrl_pts": count, "ctrl_pts": positions}


def torch_bytes(value, legacy: bool = False) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


def npy_bytes(value) -> bytes:
    stream = io.BytesIO()
    np.save(stream, value, allow_pickle=True)
    return stream.getvalue()


@pytest.fixture
def file(tmp_path):
    """Writes bytes to a file and gives its path."""

    def write(data: bytes) -> Path:
        path = tmp_path / "file"
        path.write_bytes(data)
        return path

    return write


# ---- what they hold comes back -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", JAX_FILES)
def test_ground_truth_with_a_jax_array(file, name):
    values, size, samples = read_ground_truth(file(JAX_FILES[name]))
    np.testing.assert_array_equal(values, np.arange(6, dtype=np.float32).reshape(2, 3))
    assert values.dtype == np.float32 and (size, samples) == (0.05, 50)
    assert "jax" not in sys.modules


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.uint8])
@pytest.mark.parametrize("shape", [(5, 4, 3), (2, 3, 4, 1), (7,)])
def test_ground_truth_with_a_numpy_array(file, shape, dtype):
    res = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    found = {"res": res, "size": np.float64(0.1), "samples": np.int64(9), "more": "ignored"}
    values, size, samples = read_ground_truth(file(npy_bytes(found)))
    np.testing.assert_array_equal(values, res)
    assert values.dtype == (np.float64 if dtype == np.float64 else np.float32)
    assert (type(size), size) == (float, 0.1) and (type(samples), samples) == (int, 9)


@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
def test_ground_truth_of_either_numpy(file, core):
    data = npy_bytes({"res": np.ones((2, 2)), "size": 1.0, "samples": 1})
    for old in (b"numpy._core", b"numpy.core"):
        module, renamed = old + b".multiarray", core.encode() + b".multiarray"
        for short in (b"\x8c", b"X"):
            size = "B" if short == b"\x8c" else "<I"
            data = data.replace(
                short + struct.pack(size, len(module)) + module, short + struct.pack(size, len(renamed)) + renamed
            )
        data = data.replace(b"c" + module + b"\n", b"c" + renamed + b"\n")
    assert core.encode() + b".multiarray" in data
    assert read_ground_truth(file(data))[0].shape == (2, 2)


@pytest.mark.parametrize("legacy", [False, True])
def test_kernel(file, legacy):
    stored = kernel()
    positions, weights, radius = read_kernel(file(torch_bytes(stored, legacy)))
    np.testing.assert_array_equal(positions, stored["ctrl_pts"])
    np.testing.assert_array_equal(weights, stored["ckpt"])
    assert radius == 1.0


@pytest.mark.parametrize("legacy", [False, True])
def test_kernel_of_tensors_and_columns(file, legacy):
    stored = kernel()
    stored["ckpt"] = torch.from_numpy(stored["ckpt"])[:, None]
    stored["n_ctrl_pts"] = np.int32(13)
    positions, weights, _ = read_kernel(file(torch_bytes(stored, legacy)))
    assert positions.shape == weights.shape == (13,)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"normalize_pe": False, "encodings": 0},
        {"activation": "sine"},
        {"pe": False},
        {"include_input": False, "input": 3, "output": 1, "layers": 4},
    ],
)
def test_checkpoint(file, changes, legacy):
    stored = checkpoint(**changes)
    facts, state = read_checkpoint(file(torch_bytes(stored, legacy)))
    assert facts == {**FACTS, **changes, "epoch": 1000}
    assert list(state) == list(stored["ckpt"])
    for name, tensor in stored["ckpt"].items():
        np.testing.assert_array_equal(state[name], tensor.numpy())
        assert state[name].dtype == np.float32 and state[name].flags.writeable and state[name].flags.c_contiguous


def test_checkpoint_of_several_gpus_of_double_precision_without_an_epoch(file):
    stored = checkpoint()
    stored["ckpt"] = {f"module.{name}": tensor.double() for name, tensor in stored["ckpt"].items()}
    del stored["epoch"], stored["optim"]
    facts, state = read_checkpoint(file(torch_bytes(stored)))
    assert facts["epoch"] == 0 and state["net.net.0.0.weight"].dtype == np.float64


@pytest.mark.parametrize("legacy", [False, True])
def test_tensors_of_every_layout(file, legacy):
    whole = torch.arange(24.0).reshape(2, 3, 4)
    stored = {
        "transposed": whole.permute(2, 0, 1),
        "part": whole[1:, ::2],
        "expanded": torch.ones(1).expand(1, 1),
        "scalar": torch.tensor(3),
        "empty": torch.empty(0, 3),
        "half": whole.half(),
        "parameter": torch.nn.Parameter(whole),
    }
    found = read_torch(file(torch_bytes(stored, legacy)))
    for name, tensor in stored.items():
        np.testing.assert_array_equal(found[name], tensor.detach().numpy())


# ---- what they may not hold ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("read", [read_kernel, read_checkpoint, read_torch])
def test_payloads_in_torch_files_are_not_run(file, tmp_path, read, legacy):
    for stored in (kernel(), checkpoint()):
        path = file(torch_bytes({**stored, "radius": Runs(tmp_path / "ran")}, legacy))
        with pytest.raises(ArchiveError, match="system"):
            read(path)
    assert not (tmp_path / "ran").exists()


def test_payloads_in_npy_files_are_not_run(file, tmp_path):
    path = file(npy_bytes({"res": Runs(tmp_path / "ran"), "size": 1.0, "samples": 1}))
    with pytest.raises(ArchiveError, match="system"):
        read_ground_truth(path)
    assert not (tmp_path / "ran").exists()
    # The same file does run where it is trusted, so the line above can fail.
    code = "import numpy, sys; numpy.load(sys.argv[1], allow_pickle=True)"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert (tmp_path / "ran").exists()


def sentence(read, path: Path) -> str:
    with pytest.raises(ArchiveError) as caught:
        read(path)
    text = str(caught.value)
    assert str(path) in text and "\n" not in text and len(text) < 400
    return text


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"res": [[1.0]]}, "res"),
        ({"res": np.zeros((0, 3))}, "shape"),
        ({"res": np.zeros((1,) * 6)}, "shape"),
        ({"res": np.array([np.nan])}, "NaN"),
        ({"res": np.array([1j])}, "res"),
        ({"res": np.array([None])}, "objects"),
        ({"res": np.array(["a"])}, "U1"),
        ({"size": -1.0}, "size"),
        ({"size": float("nan")}, "size"),
        ({"size": "0.05"}, "size"),
        ({"size": 10**400}, "size"),
        ({"samples": 0}, "samples"),
        ({"samples": 1.5}, "samples"),
        ({"samples": None}, "samples"),
    ],
)
def test_ground_truths_that_make_no_sense(file, change, word):
    good = {"res": np.ones((2, 2)), "size": 1.0, "samples": 1}
    assert word in sentence(read_ground_truth, file(npy_bytes({**good, **change})))


def test_ground_truths_of_another_kind(file):
    assert "not the dictionary" in sentence(read_ground_truth, file(npy_bytes(np.ones(3))))
    assert "lacks size" in sentence(read_ground_truth, file(npy_bytes({"res": np.ones(3)})))
    holder = np.empty((), object)
    holder[()] = [1, 2]
    assert "holds a list" in sentence(read_ground_truth, file(npy_bytes(holder)))
    assert "damaged" in sentence(read_ground_truth, file(b""))
    assert "damaged" in sentence(read_ground_truth, file(torch_bytes(kernel())))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"n_ctrl_pts": 12}, "n_ctrl_pts"),
        ({"n_ctrl_pts": -1}, "n_ctrl_pts"),
        ({"ckpt": np.ones((13, 2))}, "ckpt"),
        ({"ckpt": [1.0] * 13}, "ckpt"),
        ({"ctrl_pts": np.full(13, np.inf)}, "ctrl_pts"),
        ({"radius": 0.0}, "radius"),
        ({"radius": np.ones(2)}, "radius"),
    ],
)
def test_kernels_that_make_no_sense(file, change, word):
    assert word in sentence(read_kernel, file(torch_bytes({**kernel(), **change})))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"layers": 2}, "net.net.3.0.bias"),
        ({"layers": 10**9}, "layers"),
        ({"channels": 9}, "asks for"),
        ({"encodings": 5}, "asks for"),
        ({"encodings": -1}, "encodings"),
        ({"include_input": False}, "asks for"),
        ({"pe": 7}, "pe"),
        ({"activation": "gelu"}, "activation"),
        ({"activation": ["swish"]}, "activation"),
        ({"input": None}, "input"),
        ({"ckpt": None}, "ckpt"),
        ({"ckpt": {}}, "lacks"),
        ({"ckpt": {1: 2}}, "ckpt"),
        ({"epoch": "x"}, "epoch"),
    ],
)
def test_checkpoints_that_make_no_sense(file, change, word):
    assert word in sentence(read_checkpoint, file(torch_bytes({**checkpoint(), **change})))


def test_checkpoints_with_other_layers(file):
    for name, value in [("net.net.0.0.bias", torch.ones(2)), ("net.net.0.0.weight", 3), ("pe.more", torch.ones(2))]:
        stored = checkpoint()
        stored["ckpt"][name] = value
        assert name in sentence(read_checkpoint, file(torch_bytes(stored)))
    stored = checkpoint()
    stored["ckpt"]["net.net.0.0.bias"][0] = float("nan")
    assert "NaN" in sentence(read_checkpoint, file(torch_bytes(stored)))


@pytest.mark.parametrize("read", [read_kernel, read_checkpoint, read_ground_truth])
def test_files_that_are_not_there(tmp_path, read):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(FileNotFoundError):
            read(path)


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, np.ones(3), torch.ones(3), "text", None])
def test_torch_files_of_another_kind(file, value):
    path = file(torch_bytes(value))
    sentence(read_kernel, path)
    sentence(read_checkpoint, path)


@pytest.mark.parametrize(
    "value", [torch.ones(2, dtype=torch.bfloat16), torch.ones(2).to_sparse(), torch.nn.Linear(2, 2)]
)
def test_torch_files_with_more_than_plain_arrays(file, value):
    assert "names '" in sentence(read_torch, file(torch_bytes({"a": value})))


# ---- bombs ---------------------------------------------------------------------------------------------------------


def rewritten(data: bytes, change) -> bytes:
    """The zip file with its entries passed through `change(name, bytes) -> bytes`."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w") as new:
        for entry in old.infolist():
            new.writestr(entry.filename, change(entry.filename, old.read(entry)))
    return stream.getvalue()


def test_a_tensor_stays_in_its_storage(file):
    data = torch_bytes({"a": torch.arange(4.0)})
    shape = b"K\x04\x85"
    assert shape in data
    for large in (b"J\xff\xff\xff\x7f\x85", b"K\x05\x85", b"J\xff\xff\xff\xff\x85"):
        path = file(rewritten(data, lambda name, old, large=large: old.replace(shape, large)))
        assert "tensor" in sentence(read_torch, path)
    path = file(rewritten(data, lambda name, old: old.replace(b"QK\x00", b"QK\x01")))
    assert "tensor" in sentence(read_torch, path)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_storage_is_as_large_as_it_claims(file, legacy):
    data = torch_bytes({"a": torch.arange(4.0)}, legacy)
    claim = b"cpuq\x06K\x04"
    assert data.count(claim) == 1
    large = data.replace(claim, b"cpuq\x06\x8a\x05\x00\x00\x00\x00\x01")
    if not legacy:
        large = rewritten(data, lambda name, old: old.replace(claim, b"cpuq\x06\x8a\x05\x00\x00\x00\x00\x01"))
    tracemalloc.start()
    sentence(read_torch, file(large))
    assert tracemalloc.get_traced_memory()[1] < 1 << 24
    tracemalloc.stop()


def test_values_that_are_not_there_are_not_made_up(file):
    """One number of four is left, which NumPy would gladly spread over all of them."""
    assert "cut off" in sentence(read_torch, file(torch_bytes({"a": torch.arange(4.0)}, legacy=True)[:-12]))


def test_compressed_torch_files_are_refused(file):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"N." + bytes(1 << 24))
    assert "which torch.save never does" in sentence(read_torch, file(stream.getvalue()))


def test_overlapping_entries_are_refused(file):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps({}, 2))
        archive.writestr("a/data/x", bytes(5000))
    data = stream.getvalue()
    start = data.index(b"PK\x01\x02")
    directory, end = data[start:-22], bytearray(data[-22:])
    entry = directory[directory.rindex(b"PK\x01\x02") :]
    entries = directory + b"".join(entry.replace(b"/x", bytes([47, letter])) for letter in b"abcdefghij")
    struct.pack_into("<HHI", end, 8, 12, 12, len(entries))
    assert read_torch(file(data)) == {}
    assert "bomb" in sentence(read_torch, file(data[:start] + entries + end))


# ---- fuzz ----------------------------------------------------------------------------------------------------------

SMALL = {key: value for key, value in checkpoint().items() if key != "optim"}
SEEDS = {
    "ground truth": (
        read_ground_truth,
        [npy_bytes({"res": np.ones((2, 2)), "size": 1.0, "samples": 3}), *JAX_FILES.values()],
    ),
    "kernel": (read_kernel, [torch_bytes(kernel(3)), torch_bytes(kernel(3), legacy=True)]),
    "checkpoint": (read_checkpoint, [torch_bytes(SMALL), torch_bytes(SMALL, legacy=True)]),
}


@pytest.mark.parametrize("kind", SEEDS)
def test_cut_off_anywhere(file, kind):
    read, seeds = SEEDS[kind]
    for data in seeds:
        for length in range(0, len(data), 1 + len(data) // 500):
            file(b"").unlink()
            sentence(read, file(data[:length]))


def mutated(data: bytes, source: random.Random) -> bytes:
    """`data` with a few bytes overwritten, inserted or deleted, and now and then cut off."""
    changed = bytearray(data)
    for _ in range(source.choice((1, 1, 1, 2, 4))):
        position = source.randrange(len(changed) + 1)
        new = source.choice((source.randbytes(source.randint(1, 4)), source.choice(INSTRUCTIONS)))
        kept = source.choice((position, position + len(new), position + source.randint(0, 9)))
        changed[position:kept] = new
    return bytes(changed[: source.randrange(len(changed)) if source.random() < 0.05 else None])


INSTRUCTIONS = [op.code.encode("latin1") for op in pickletools.opcodes]


@pytest.mark.parametrize("kind", SEEDS)
@settings(
    max_examples=2000, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(number=st.integers(0, 1 << 32))
def test_mutated_files_end_in_values_or_one_sentence(tmp_path, kind, number):
    source = random.Random(number)
    read, seeds = SEEDS[kind]
    data = source.choice(seeds)
    if data.startswith(b"PK") and number % 4:
        # Past the zip file's own checksums, at the pickle within.
        data = rewritten(data, lambda name, old: mutated(old, source) if name.endswith("data.pkl") else old)
    else:
        data = mutated(data, source)
    path = tmp_path / "mutated"
    # A new file each time: writing over one makes some file systems wait for the disk.
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    try:
        read(path)
    except ArchiveError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    assert [entry.name for entry in tmp_path.iterdir()] == ["mutated"]


def test_pickle_is_what_these_files_are():
    """The tests above speak of pickles; this one notices if PyTorch stops writing them."""
    with zipfile.ZipFile(io.BytesIO(torch_bytes(kernel()))) as archive:
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        assert pickle.loads(archive.read(name))["n_ctrl_pts"] == 13
