"""The authors' files: built from their description, read back, and refused when they make no sense."""

import struct
import sys
from functools import partial

import numpy as np
import pytest
import torch
from released import FACTS, JAX_FILES, checkpoint, kernel, npy_bytes, sentence, torch_bytes, written

from files.authors import read_checkpoint, read_ground_truth, read_kernel
from files.torchfiles import read_torch


@pytest.fixture
def file(tmp_path):
    """Writes bytes to a file and gives its path."""
    return partial(written, tmp_path / "file")


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
    assert facts == {**FACTS, **changes}
    assert list(state) == list(stored["ckpt"])
    for name, tensor in stored["ckpt"].items():
        np.testing.assert_array_equal(state[name], tensor.numpy())
        assert state[name].dtype == np.float32 and state[name].flags.writeable and state[name].flags.c_contiguous


def test_checkpoint_of_several_gpus_of_double_precision_without_an_epoch(file):
    stored = checkpoint()
    stored["ckpt"] = {f"module.{name}": tensor.double() for name, tensor in stored["ckpt"].items()}
    del stored["epoch"], stored["optim"]
    _, state = read_checkpoint(file(torch_bytes(stored)))
    assert state["net.net.0.0.weight"].dtype == np.float64


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
