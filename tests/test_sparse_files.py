"""Files of sparse kernels: they come back as they were saved, and damaged or foreign ones are refused."""

import numpy as np
import pytest

from files import ArchiveError
from kernels import SparseKernel, minimal_kernel

TENT = minimal_kernel(1, 0.2)


def test_save_and_load_round_trip(tmp_path):
    kernel = minimal_kernel(2, (0.1, 0.3), dim=3, axes=(0, 2))
    path = kernel.save(tmp_path / "deep" / "kernel.npz")
    found = SparseKernel.load(path)
    np.testing.assert_array_equal(found.positions, kernel.positions)
    np.testing.assert_array_equal(found.weights, kernel.weights)
    assert (found.order, found.axes) == (kernel.order, kernel.axes)
    with np.load(path) as arrays:
        assert {"positions", "weights", "order", "axes"} <= set(arrays)


def test_damaged_missing_and_foreign_files_are_refused(tmp_path):
    path = TENT.save(tmp_path / "kernel.npz")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArchiveError):
        SparseKernel.load(path)
    path.write_bytes(whole.replace(TENT.weights.tobytes(), (2 * TENT.weights).tobytes()))
    with pytest.raises(ArchiveError):
        SparseKernel.load(path)
    path.write_bytes(b"not a kernel")
    with pytest.raises(ArchiveError):
        SparseKernel.load(path)
    with pytest.raises(FileNotFoundError):
        SparseKernel.load(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", positions=TENT.positions, weights=TENT.weights)
    with pytest.raises(ArchiveError, match="order"):
        SparseKernel.load(tmp_path / "other.npz")
    np.savez(tmp_path / "wrong.npz", positions=TENT.positions, weights=np.ones(3), order=1, axes=[0])
    with pytest.raises(ArchiveError, match="moment conditions"):
        SparseKernel.load(tmp_path / "wrong.npz")


def test_allowed_defects_are_saved_but_no_file_may_ask_for_any(tmp_path):
    for defect, tolerance in ((1e-2, 0.02), (0.1, 0.2)):
        kernel = SparseKernel(TENT.positions, TENT.weights * [1, 1, 1 + 4 * defect], 1, (0,), tolerance)
        path = kernel.save(tmp_path / "defect.npz")
        if tolerance == 0.02:
            assert SparseKernel.load(path).tolerance == 0.02
    # Relative to sum |w|, the last is off by 0.09: less than the largest a file may ask for, 0.1.
    assert SparseKernel.load(path).tolerance == 0.1
    np.savez(path, positions=TENT.positions, weights=TENT.weights * [1, 1, 2], order=1, axes=[0], tolerance=np.inf)
    with pytest.raises(ArchiveError, match="moment conditions"):
        SparseKernel.load(path)
