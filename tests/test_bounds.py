"""Kernels and ground truths at the limits of size: small files that claim much, and numbers near overflow."""

import resource

import numpy as np
import pytest
from archives import sentence
from builders import exact_truth, noise_signal

from kernels import SparseKernel, minimal_kernel, outer
from kernels.sparse import LARGEST_DIM, LARGEST_SIZE, LARGEST_TOLERANCE, checked_axes, checked_order
from signals.ground_truth import LARGEST_FACT, GroundTruth

MANY = 1 << 25
KERNEL = (SparseKernel.load, minimal_kernel(1, 0.1, 2).save)
TRUTH = (GroundTruth.load, lambda path: exact_truth(noise_signal((5, 5))).save(path))


def repacked(path, changes):
    """The archive at `path` compressed, with `changes` to its arrays and no checksum."""
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files if name != "checksum"}
    np.savez_compressed(path, **(arrays | changes))
    return path


@pytest.mark.parametrize(
    ("loader", "name", "value", "words"),
    [
        (KERNEL, "positions", np.zeros((LARGEST_SIZE + 1, 1), np.int8), f"claims more than {LARGEST_SIZE} numbers"),
        (KERNEL, "axes", np.zeros(MANY, np.int8), f"claims more than {LARGEST_SIZE} numbers"),
        (TRUTH, "axes", np.zeros(LARGEST_DIM + 1, np.int8), "claims more facts"),
        (TRUTH, "pads", np.zeros(MANY, np.int8), "claims more facts"),
        (TRUTH, "meta", np.array('{"a":[' + "[]," * (LARGEST_FACT // 12) + "1]}"), "claims more facts"),
    ],
)
def test_small_files_that_claim_much_are_refused_in_little_memory(tmp_path, loader, name, value, words):
    load, save = loader
    path = repacked(save(tmp_path / "file.npz"), {name: value})
    assert path.stat().st_size < 1 << 17
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert words in sentence(load, path, memory=4 * value.nbytes + (1 << 22))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes


@pytest.mark.parametrize("dim", [1, 8])
def test_the_largest_kernel_is_checked(tmp_path, dim):
    count = LARGEST_SIZE // dim
    positions = np.zeros((count, dim))
    positions[:] = (np.arange(count) % 7)[:, None]
    arrays = {"positions": positions, "weights": np.ones(count), "axes": np.arange(dim)}
    path = repacked(minimal_kernel(1, 0.1).save(tmp_path / "kernel.npz"), arrays)
    assert "moment conditions" in sentence(SparseKernel.load, path, memory=1 << 31)


@pytest.mark.parametrize("tolerance", [1e9, np.nan])
def test_files_do_not_ask_for_any_tolerance(tmp_path, tolerance):
    tent = minimal_kernel(1, 0.1)
    path = SparseKernel(tent.positions, tent.weights * [1, 1, 1.01], 1, (0,), 0.05).save(tmp_path / "kernel.npz")
    assert SparseKernel.load(path).tolerance == 0.05
    assert SparseKernel.load(repacked(path, {"tolerance": np.array(tolerance)})).tolerance == LARGEST_TOLERANCE
    weights = tent.weights * [1, 1, 2]
    assert "moment conditions" in sentence(SparseKernel.load, repacked(path, {"weights": weights}))


@pytest.mark.parametrize("shape", [(LARGEST_SIZE + 1, 1), (LARGEST_SIZE // 2 + 1, 2), (2, LARGEST_DIM + 1)])
def test_more_diracs_or_coordinates_than_any_kernel_has_are_refused(shape):
    with pytest.raises(ValueError, match="fewer"):
        SparseKernel(np.zeros(shape), np.zeros(shape[0]), 1, (0,))


@pytest.mark.filterwarnings("error")
def test_kernels_too_strong_to_be_added_up_are_refused():
    strong = minimal_kernel(0, 0.1).times(1e200)
    for make in (lambda: outer(strong, strong), lambda: strong.times(1e100).scaled(1e-9), lambda: strong.times(1e108)):
        with pytest.raises(ValueError, match=r"finite|too large"):
            make()
    with pytest.raises(ValueError, match="too large"):
        SparseKernel(np.array([[-1e200], [1e200]]), np.array([1e200, -1e200]), 0, (0,))


@pytest.mark.parametrize("axes", [(), (0, 0), (1, 0), (2,), (-1,), (0.0,), (None,), "0", np.array([0.5])])
def test_axes_that_do_not_fit_are_refused(axes):
    with pytest.raises(ValueError, match=r"filtered axes .* do not fit 2 coordinates"):
        checked_axes(axes, 2)


def test_axes_and_orders_come_back_as_whole_numbers():
    assert checked_axes(np.array([0, 2]), 3) == (0, 2)
    assert [type(axis) for axis in checked_axes(np.array([0, 2]), 3)] == [int, int]
    assert checked_order(np.float64(2.0)) == 2 and type(checked_order(np.int64(8))) is int
    for order in (-1, 9, 1.5, float("nan"), 10**400):
        with pytest.raises(ValueError, match="order must be a whole number from 0 to 8"):
            checked_order(order)
