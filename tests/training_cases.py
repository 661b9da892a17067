"""Ground truths of several kinds, and their lattices, that the tests of training share."""

import torch
from builders import exact_truth, smooth_signal

from kernels import SparseKernel, minimal_kernel
from signals.ground_truth import GroundTruth
from training.lattice import LatticeTargets

CPU = torch.device("cpu")
TRUTHS = {
    "2-D": lambda: exact_truth(smooth_signal((40, 31), 3), 1, 0.2, 0.3),
    "grey, order 2": lambda: exact_truth(smooth_signal((33, 40), 1), 2, 0.3, 0.25),
    "1-D, order 0": lambda: exact_truth(smooth_signal((90,), 2), 0, 0.1, 0.3),
    "3-D, order 0": lambda: exact_truth(smooth_signal((14, 12, 13), 1), 0, 0.3, 0.2),
    "time alone": lambda: exact_truth(smooth_signal((30, 5, 4), 3, axes=(0,)), 1, 0.2, 0.3),
}


def targets_of(truth: GroundTruth) -> LatticeTargets:
    """Lattices of a ground truth in float64."""
    return LatticeTargets(truth, CPU, torch.float64)


def generator(seed: int = 0) -> torch.Generator:
    """A generator of its own seed."""
    return torch.Generator().manual_seed(seed)


def training_kernel(truth: GroundTruth) -> SparseKernel:
    """The minimal kernel a ground truth was made with."""
    return minimal_kernel(truth.order, truth.half_size, truth.dim, truth.axes)
