"""The authors' files with something else in them: never run, never larger than they are, refused in one sentence."""

import io
import pickle
import pickletools
import random
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from released import JAX_FILES, Runs, checkpoint, kernel, npy_bytes, rewritten, sentence, torch_bytes, written

from files import ArchiveError
from files.authors import read_checkpoint, read_ground_truth, read_kernel
from files.torchfiles import read_torch


@pytest.fixture
def file(tmp_path):
    """Writes bytes to a file and gives its path."""
    return partial(written, tmp_path / "file")


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
    path = written(tmp_path / "mutated", data)
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
