"""Files of `torch.save` as the authors' code wrote them, read without PyTorch: values come back, payloads never run."""

from functools import partial

import numpy as np
import pytest
import torch
from archives import overlapping, rewritten, sentence, written, zipped
from authors import Runs, kernel, torch_bytes

from files.reading import reading
from released.storages import read_torch

LEGACY = pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])


def read(path):
    with reading(path, "a file of torch.save") as stream:
        return read_torch(stream)


refusal = partial(sentence, read)


@pytest.fixture
def file(tmp_path):
    """Writes bytes to a file and gives its path."""
    return partial(written, tmp_path / "file")


@LEGACY
def test_values_arrays_and_tensors_of_every_layout_come_back(file, legacy):
    whole = torch.arange(24.0).reshape(2, 3, 4)
    stored = {
        "transposed": whole.permute(2, 0, 1),
        "part": whole[1:, ::2],
        "last": whole.flatten()[-1:],
        "scalar": torch.tensor(3),
        "empty": torch.empty(0, 3),
        "half": whole.half(),
        "double": whole.double(),
        "bytes": whole.byte(),
        "parameter": torch.nn.Parameter(whole),
    }
    found = read(file(torch_bytes({**stored, "kernel": kernel()}, legacy)))
    for name, tensor in stored.items():
        assert found[name].dtype == tensor.detach().numpy().dtype
        np.testing.assert_array_equal(found[name], tensor.detach().numpy())
    np.testing.assert_array_equal(found["kernel"]["ckpt"], kernel()["ckpt"])


@LEGACY
def test_payloads_are_not_run(file, tmp_path, legacy):
    path = file(torch_bytes({**kernel(), "radius": Runs(tmp_path / "ran")}, legacy))
    assert "system', which was not run" in refusal(path)
    assert not (tmp_path / "ran").exists()
    torch.load(path, weights_only=False)
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("value", [torch.ones(2, dtype=torch.bfloat16), torch.ones(2).to_sparse()])
def test_more_than_plain_arrays_is_refused_by_name(file, value):
    assert refusal(file(torch_bytes({"a": value}))).startswith("names 'torch")


@pytest.mark.parametrize(
    "old, new, words",
    [
        (b"QK\x00K\x04\x85", b"QK\x00K\x05\x85", "larger than its storage"),
        (b"QK\x00K\x04\x85", b"QK\x01K\x04\x85", "larger than its storage"),
        (b"QK\x00K\x04\x85", b"QK\x00J\xff\xff\xff\xff\x85", "proper shape"),
        (b"K\x04\x85q\x08K\x01\x85", b"K\x05\x85q\x08K\x00\x85", "larger than its storage"),
        (b"K\x04\x85q\x08K\x01\x85", b"K\x04\x85q\x08J\xff\xff\xff\xff\x85", "proper shape"),
        (b"cpuq\x06K\x04", b"cpuq\x06K\x05", "not as large as it claims"),
        (b"cpuq\x06K\x04", b"cpuq\x06J\xff\xff\xff\xff", "in an unknown way"),
        (b"ctorch\nFloatStorage", b"ctorch\nDoubleStorage", "not as large as it claims"),
    ],
    ids=["shape", "offset", "negative", "stride 0", "negative stride", "count", "negative count", "type"],
)
def test_a_tensor_stays_in_its_storage(file, old, new, words):
    data = torch_bytes({"a": torch.arange(4.0)})
    assert data.count(old) == 1
    changed = rewritten(data, lambda name, part: part.replace(old, new))
    assert words in refusal(file(changed))


def test_a_legacy_storage_is_as_large_as_it_claims(file):
    data = torch_bytes({"a": torch.arange(4.0)}, legacy=True)
    claim = b"cpuq\x06K\x04"
    assert data.count(claim) == 1
    path = file(data.replace(claim, b"cpuq\x06\x8a\x05\x00\x00\x00\x00\x01"))
    assert refusal(path, memory=1 << 20) == "claims more numbers than it holds: not loaded"
    # One number of four is left, which NumPy would gladly spread over all of them.
    assert refusal(file(data[:-12])) == "is cut off"


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "damaged"),
        (b"\x80\x02K\x01.K\x02.", "not a file of torch.save"),
        (b"\x80\x02" + b"N" * 9, "is cut off|exhausted"),
    ],
)
def test_other_files(file, data, words):
    assert any(word in refusal(file(data)) for word in words.split("|"))


def test_zip_files_that_torch_never_writes(file, tmp_path):
    pickled = b"\x80\x02}."
    assert "not one of torch.save" in refusal(zipped(tmp_path / "a", {"a/data": pickled}))
    assert "not one of torch.save" in refusal(zipped(tmp_path / "b", {"a/data.pkl": pickled, "b/data.pkl": pickled}))
    assert "big-endian" in refusal(zipped(tmp_path / "c", {"a/data.pkl": pickled, "a/byteorder": b"big"}))
    assert "compressed" in refusal(zipped(tmp_path / "d", {"a/data.pkl": pickled + bytes(1 << 24)}, 8))
    path = zipped(tmp_path / "e", {"a/data.pkl": pickled, "a/byteorder": b"little", "a/x.y": bytes(5000)})
    assert read(path) == {}
    assert "not loaded" in refusal(file(overlapping(path.read_bytes())))
