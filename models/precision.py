"""Rounding noise of a sparse convolution: differences of large numbers, multiplied by large weights.

Independent rounding errors of rms e per query become e sqrt(sum_i w_i^2) in the result.
"""

import copy
import math

import numpy as np
import torch
from torch import Tensor

from kernels import SparseKernel
from models.field import Field

PROBES = 256


def query_error(field: Field, points: Tensor) -> float:
    """rms difference of F between float32 and float64 at `points` [N, d], over all channels.

    The slowly varying part of the difference cancels in a convolution as F's own slow part does, so only
    what differs between close points is counted.
    """
    single, double = copy.deepcopy(field).float(), copy.deepcopy(field).double()
    shift = torch.full_like(points, 1e-4)
    with torch.no_grad():
        error = single.network_points(points.float()).double() - double.network_points(points)
        beside = single.network_points((points + shift).float()).double() - double.network_points(points + shift)
    return float((error - beside).square().mean().sqrt() / math.sqrt(2))


def estimate_noise(field: Field, kernel: SparseKernel) -> float:
    """rms rounding noise that filtering with `kernel` in float32 costs, in units of the signal."""
    generator = torch.Generator().manual_seed(0)
    points = 2 * torch.rand(PROBES, field.config.dim, dtype=torch.float64, generator=generator) - 1
    return query_error(field, points.to(field.device)) * float(np.linalg.norm(kernel.weights))
