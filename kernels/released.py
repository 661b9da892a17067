"""Kernels of the authors' release: one axis, order 1, half size 1, weights that break the moment laws a little."""

from pathlib import Path

import numpy as np

from files.authors import read_kernel
from kernels.laws import lawful_weights, moment_equations
from kernels.sparse import SparseKernel

ORDER = 1


def load_released(path: str | Path) -> tuple[SparseKernel, float]:
    """The released kernel at `path` with the nearest lawful weights, and how far off the stored ones were.

    How far is the largest moment that should vanish, relative to sum |w| r^k.

    The authors sum w_i F(x + t_i), so their positions come with the opposite sign; lengths in units of the
    kernel's half size. Raises FileNotFoundError or ArchiveError.
    """
    # The authors scale the positions as stored, whatever radius the file names.
    positions, weights, _ = read_kernel(path)
    positions = -positions[:, None]
    defect = float(np.abs(moment_equations(positions, ORDER, (0,)) @ weights).max() / np.abs(weights).sum())
    return SparseKernel(positions, lawful_weights(positions, weights, ORDER, (0,)), ORDER, (0,)), defect
