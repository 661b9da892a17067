"""Whole-signal quality at the training kernel and at 2, 4, 8, ... times its size.

The truth at the larger sizes comes from the ground truth itself: the B-spline of half size 2 s is the binomial
average of B-splines of half size s, so no signal is needed and every modality is validated alike.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kernels import minimal_kernel
from kernels.minimal import knot_spacing
from models.convolution import convolve_grid
from models.field import Field
from models.interpolation import interpolation, scatter
from signals.ground_truth import GroundTruth
from signals.signal import coordinates, spacing

LARGEST_GRID = 1 << 18


@dataclass(frozen=True)
class Level:
    """The truth for the minimal kernel of `half_size`: values [M_1, ..., M_d, c] on the validation grid."""

    half_size: float
    truth: np.ndarray


class Validation:
    """Predictions against truth on the signal's own grid, thinned evenly where that is very large.

    `whole` axes, which number things rather than measure them, are never thinned.
    """

    def __init__(self, truth: GroundTruth, count: int, whole: Sequence[int] = ()) -> None:
        self.truth = truth
        excess = math.prod(truth.shape) / LARGEST_GRID
        thin = max(1, math.ceil(excess ** (1 / max(truth.dim - len(whole), 1))))
        thinned = [axis not in whole and n > 4 * thin for axis, n in enumerate(truth.shape)]
        self.grid = [coordinates(n)[:: thin if able else 1] for n, able in zip(truth.shape, thinned, strict=True)]
        self.levels = [level for k in range(count) if (level := self._level(2**k)) is not None]

    def _level(self, factor: int) -> Level | None:
        """The truth at `factor` times the training kernel, or None where the margin does not hold it."""
        n, h = self.truth.order + 1, knot_spacing(self.truth.order, self.truth.half_size)
        comb = np.ones(1)
        for k in range(int(math.log2(factor))):
            step = np.zeros(2**k + 1)
            step[[0, -1]] = 0.5
            for _ in range(n):
                comb = np.convolve(comb, step)
        positions = h * (np.arange(len(comb)) - (len(comb) - 1) / 2)
        if positions[-1] > self.truth.margin + 1e-9:
            return None
        values = self.truth.values
        for axis, x in enumerate(self.grid):
            samples = self.truth.coordinates(axis)
            offsets, weights = (positions, comb) if axis in self.truth.axes else (np.zeros(1), np.ones(1))
            place = (x[:, None] - offsets - samples[0]) / spacing(self.truth.shape[axis])
            first, local = interpolation(torch.as_tensor(place), len(samples))
            matrix = scatter(first, local * torch.as_tensor(weights)[:, None], len(samples)).numpy()
            values = np.moveaxis(np.tensordot(matrix, values, axes=(1, axis)), 0, axis)
        return Level(self.truth.half_size * factor, values)

    def predict(self, field: Field, half_size: float) -> np.ndarray:
        """The field filtered by the minimal kernel of `half_size` on the validation grid."""
        kernel = minimal_kernel(self.truth.order, half_size, self.truth.dim, self.truth.axes)
        grid: list[Tensor] = [torch.as_tensor(x) for x in self.grid]
        return convolve_grid(field, kernel, grid, self.truth.half_size).cpu().numpy()

    def measure(self, field: Field) -> dict[float, float]:
        """PSNR in dB (peak 1) for every half size."""
        return {level.half_size: psnr(self.predict(field, level.half_size), level.truth) for level in self.levels}


def psnr(values: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB for a peak of 1."""
    return float(-10 * np.log10(max(float(np.mean((values - truth) ** 2)), 1e-30)))
