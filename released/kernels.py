"""Kernels of the authors' release: one axis, order 1, half size 1, weights that break the moment conditions a little.

a dictionary by `torch.save`: ckpt (weights [K]), ctrl_pts (positions [K]), radius, n_ctrl_pts
"""

from pathlib import Path

import numpy as np

from files import ArchiveError
from files.reading import reading
from kernels.moments import corrected_weights, moment_equations
from kernels.sparse import LARGEST_TOLERANCE, SparseKernel
from released.entries import Entries, numbers
from released.storages import read_torch

ORDER = 1
MOST_DIRACS = 1 << 20


def read_kernel(path: str | Path, corrected: bool) -> tuple[SparseKernel, float]:
    """The released kernel at `path` in units of its half size, and the relative moment defect of its stored weights.

    `corrected`: with the nearest weights that meet the moment conditions. The authors' fields expect the stored ones:
    corrected ones change their results by up to 0.04 of full range. Raises FileNotFoundError or ArchiveError.
    """
    with reading(path, "a released kernel") as stream:
        entries = Entries(read_torch(stream), ("ckpt", "ctrl_pts", "radius", "n_ctrl_pts"))
        weights, points = (numbers(entries.found[key], key).squeeze() for key in ("ckpt", "ctrl_pts"))
        count = entries.whole("n_ctrl_pts", MOST_DIRACS)
        if weights.shape != (count,) or points.shape != (count,):
            raise ArchiveError(f"has n_ctrl_pts {count}, but ckpt {weights.shape} and ctrl_pts {points.shape}")
        # They sum w_i F(x + t_i) with positions as stored, whatever radius the file names.
        positions = -points[:, None]
        defect = float(np.abs(moment_equations(positions, ORDER, (0,)) @ weights).max() / np.abs(weights).sum())
        if not defect <= LARGEST_TOLERANCE:
            raise ArchiveError(f"has weights whose moments are off by {defect:.1g} (relative): it is not a kernel")
        if corrected:
            return SparseKernel(positions, corrected_weights(positions, weights, ORDER, (0,)), ORDER, (0,)), defect
        return SparseKernel(positions, weights, ORDER, (0,), LARGEST_TOLERANCE), defect
