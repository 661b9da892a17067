"""Files of a few kilobytes that claim gigabytes: refused by what their headers say, before anything is unpacked."""

import time
import tracemalloc
import warnings

import numpy as np
import pytest
from archives import npy_with, refusal, zipped
from builders import exact_truth, noise_signal

from files import ArchiveError
from files.archive import digest_of
from kernels import SparseKernel, minimal_kernel
from kernels.sparse import LARGEST_SIZE
from signals.ground_truth import BOUNDS, GroundTruth

MANY = 1 << 25
MANY_AXES = (2,) * 24
TRUTH_BOMBS = {
    "axes": np.zeros(MANY, np.int8),
    "pads": np.zeros(MANY, np.int8),
    "order": np.zeros(MANY_AXES, np.int8),
    "half_size": np.zeros(MANY_AXES, np.int8),
    "boundary": np.zeros(MANY_AXES, np.int8),
    "method": np.zeros(MANY_AXES, "U1"),
    "samples": np.zeros(MANY_AXES, np.int8),
    "seed": np.zeros(MANY_AXES, np.int8),
    "modality": np.zeros((), f"U{MANY // 4}"),
    "source": np.zeros((), f"U{MANY // 4}"),
    "meta": np.array('{"a":[' + "[]," * (MANY // 12) + "1]}"),
    "digest": np.zeros(MANY_AXES, np.int8),
}
KERNEL_BOMBS = {
    "positions": np.zeros((MANY, 1), np.int8),
    "weights": np.zeros(MANY, np.int8),
    "order": np.zeros(MANY_AXES, np.int8),
    "axes": np.zeros(MANY, np.int8),
}
TRUTH = (GroundTruth.load, lambda path: exact_truth(noise_signal((5, 5))).save(path))
KERNEL = (SparseKernel.load, minimal_kernel(1, 0.1, 2).save)
CASES = [(*TRUTH, name, value) for name, value in TRUTH_BOMBS.items()]
CASES += [(*KERNEL, name, value) for name, value in KERNEL_BOMBS.items()]


def repacked(path, changes):
    """The archive at `path` compressed, with `changes` to its arrays and a digest that fits."""
    with np.load(path) as stored:
        arrays = dict(stored)
    del arrays["digest"]
    arrays |= {name: value for name, value in changes.items() if name != "digest"}
    np.savez_compressed(path, digest=changes.get("digest", np.array(digest_of(arrays))), **arrays)
    return path


@pytest.mark.parametrize(("load", "save", "name", "value"), CASES, ids=[f"{c[0].__qualname__}-{c[2]}" for c in CASES])
def test_a_bomb_is_refused_before_it_goes_off(tmp_path, load, save, name, value):
    path = repacked(save(tmp_path / "file.npz"), {name: value})
    assert path.stat().st_size < 1 << 18
    start = time.process_time()
    tracemalloc.start()
    with pytest.raises(ArchiveError, match=f"claims that its '{name}'") as caught:
        load(path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()
    assert time.process_time() - start < 0.5
    assert len(str(caught.value)) < len(str(path)) + 200


def test_as_many_facts_as_are_lawful_are_read_in_no_time(tmp_path):
    words = '{"a":[' + "[]," * (int(BOUNDS["meta"].most) // 3 - 10) + "1]}"
    path = repacked(exact_truth(noise_signal((5, 5))).save(tmp_path / "truth.npz"), {"meta": np.array(words)})
    start = time.process_time()
    assert len(GroundTruth.load(path).meta["a"]) > 1e6
    assert time.process_time() - start < 5


def test_more_facts_than_can_be_read_again_are_not_written(tmp_path):
    signal = noise_signal((5, 5))
    truth = exact_truth(signal)
    object.__setattr__(truth, "meta", {"hierarchy": "x" * int(BOUNDS["meta"].most)})
    with pytest.raises(ValueError, match="facts"):
        truth.save(tmp_path / "truth.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dim", [1, 3, 8])
def test_the_largest_kernel_is_judged_in_seconds(tmp_path, dim):
    count = LARGEST_SIZE // dim
    positions = np.zeros((count, dim))
    positions[:] = (np.arange(count) % 7)[:, None]
    arrays = {"positions": positions, "weights": np.ones(count), "axes": np.arange(dim), "order": np.array(1)}
    path = repacked(minimal_kernel(1, 0.1).save(tmp_path / "kernel.npz"), arrays)
    start = time.process_time()
    with pytest.raises(ArchiveError, match="moment laws"):
        SparseKernel.load(path)
    assert time.process_time() - start < 8


@pytest.mark.parametrize("shape", [(LARGEST_SIZE + 1, 1), (LARGEST_SIZE // 2 + 1, 2), (2, 9)])
def test_more_diracs_or_coordinates_than_any_kernel_has_are_refused(shape):
    with pytest.raises(ValueError, match="fewer"):
        SparseKernel(np.zeros(shape), np.zeros(shape[0]), 1, (0,))


@pytest.mark.parametrize("name", ["positions", "weights", "axes", "order"])
@pytest.mark.parametrize("kind", [complex, str, bytes])
def test_kernels_of_anything_but_numbers_are_refused(tmp_path, name, kind):
    path = minimal_kernel(1, 0.1).save(tmp_path / "kernel.npz")
    with np.load(path) as stored:
        path = repacked(path, {name: stored[name].astype(kind)})
    with pytest.raises(ArchiveError, match=name):
        SparseKernel.load(path)


@pytest.mark.parametrize("shape", ["(1if 0 else 2,)", "('\\+',)"])
def test_odd_headers_say_nothing_to_the_terminal(tmp_path, shape):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"
    path = zipped(tmp_path / "file.npz", {"values.npy": npy_with(header, bytes(8))})
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        refusal(path)
    assert not told
