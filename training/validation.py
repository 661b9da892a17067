"""Whole-signal quality at the training kernel and at 2, 4, 8, ... times its size.

The truth at the larger sizes comes from the ground truth itself: the B-spline of half size 2 s is the binomial
average of B-splines of half size s, so no signal is needed and every modality is validated alike.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from kernels import SparseKernel, minimal_kernel
from modalities import MODALITIES
from models.convolution import convolve_grid
from models.field import Field
from models.filtering import Settings, in_precision
from models.interpolation import interpolation, scatter
from signals.exact import slabs
from signals.ground_truth import GroundTruth
from signals.measures import psnr
from signals.signal import coordinates, spacing

LARGEST_GRID = 1 << 18
# dB to which rounding is kept below what users see, as in `Field.filter`.
ACCURACY = 60.0


@dataclass(frozen=True)
class ValidationLevel:
    """`kernel`, `factor` times the training kernel, and the truth [M_1, ..., M_d, c] for it on the validation grid."""

    factor: float
    kernel: SparseKernel
    truth: np.ndarray


class Validation:
    """Predictions against truth for `count` levels at most, on the signal's own grid, thinned evenly where that is very
    large, but not along axes that number pieces."""

    def __init__(self, truth: GroundTruth, count: int) -> None:
        modality = MODALITIES.get(truth.modality)
        whole = modality.counted_axes if modality else ()
        excess = math.prod(truth.shape) / LARGEST_GRID
        thin = max(1, math.ceil(excess ** (1 / max(truth.dim - len(whole), 1))))
        thinned = [axis not in whole and n > 4 * thin for axis, n in enumerate(truth.shape)]
        self.steps = [thin if able else 1 for able in thinned]
        self.grid = [coordinates(n)[::step] for n, step in zip(truth.shape, self.steps, strict=True)]
        self.levels = [self._level(truth, 2**k) for k in range(count) if margin_holds(truth, 2**k)]

    def _level(self, truth: GroundTruth, factor: int) -> ValidationLevel:
        values = truth.values
        for axis, step in enumerate(self.steps):
            if axis not in truth.axes or factor == 1:
                first, last = truth.pads[axis], values.shape[axis] - truth.pads[axis]
                values = values[(slice(None),) * axis + (slice(first, last, step),)]
        if factor > 1:
            for axis in truth.axes:
                values = self._widened(values, truth, axis, factor)
        sizes = [factor * size for size in truth.half_size]
        return ValidationLevel(float(factor), minimal_kernel(truth.order, sizes, truth.dim, truth.axes), values)

    def _widened(self, values: np.ndarray, truth: GroundTruth, axis: int, factor: int) -> np.ndarray:
        """`values` along one axis seen through `factor` times the training kernel, at the grid's places, in float64."""
        steps, weights = binomial_average(truth.order + 1, factor)
        samples = truth.coordinates(axis)
        place = (self.grid[axis][:, None] - steps * truth.h[axis] - samples[0]) / spacing(truth.shape[axis])
        first, local = interpolation(torch.as_tensor(place), len(samples))
        matrix = scatter(first, local * torch.as_tensor(weights)[:, None], len(samples)).numpy()
        shape = [len(place) if other == axis else n for other, n in enumerate(values.shape)]
        result = np.empty(shape)
        across = max((other for other in range(values.ndim) if other != axis), key=lambda other: values.shape[other])
        for part in slabs(values.shape, across):
            rows = (slice(None),) * across + (part,)
            result[rows] = np.moveaxis(np.tensordot(matrix, values[rows], axes=(1, axis)), 0, axis)
        return result

    def predict(self, field: Field, level: ValidationLevel, last: bool = False) -> np.ndarray:
        """The field filtered by the level's kernel on the validation grid; at `last` as precisely as users filter."""
        if last:
            field = in_precision(field, level.kernel, Settings(accuracy=ACCURACY))
        return convolve_grid(field, level.kernel, [torch.as_tensor(x) for x in self.grid]).cpu().numpy()

    def measure(self, field: Field) -> dict[float, float]:
        """PSNR in dB for every half size, in units of the training kernel's."""
        return {level.factor: psnr(self.predict(field, level, last=True), level.truth) for level in self.levels}


def binomial_average(n: int, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Shifts (in steps h) and weights of the minimal kernels that add up to one `factor` = 2^k times as large."""
    weights = np.ones(1)
    for k in range(factor.bit_length() - 1):
        step = np.zeros(2**k + 1)
        step[[0, -1]] = 0.5
        for _ in range(n):
            weights = np.convolve(weights, step)
    return np.arange(len(weights)) - (len(weights) - 1) / 2, weights


def margin_holds(truth: GroundTruth, factor: int) -> bool:
    """Whether the margin holds the shifted kernels of one `factor` times the training kernel."""
    shift = (truth.order + 1) * (factor - 1) / 2
    return all(shift * h <= truth.margin + 1e-9 for h in truth.h.values())


def finished(field: Field, measure: Callable[[Field], dict[float, float]]) -> Field:
    """`field` as its final file stores it, in float32, ready to answer, with the quality that `measure` finds."""
    field = field.float().requires_grad_(False).eval()
    field.origin = replace(field.origin, psnr=measure(field))
    return field
