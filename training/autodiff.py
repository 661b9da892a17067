"""Supervision by automatic differentiation: D^n F against the signal f itself, as AutoInt trains.

No ground truth is convolved and no query is differenced, but every step differentiates the network n times
per filtered axis and once more for its weights (Lindell et al. 2021).
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from models.field import Field
from models.interpolation import bspline, gather_grid
from signals.signal import Signal, spacing
from training.lattice import LatticeTargets
from training.objective import LatticeObjective, Loss


def derivative(function: Callable[[Tensor], Tensor], n: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    """The function points [N, d] -> [N, c] differentiated n_j times along every axis j, by nested forward mode."""
    for axis, times in enumerate(n):
        for _ in range(times):
            function = _along(function, axis)
    return function


def _along(function: Callable[[Tensor], Tensor], axis: int) -> Callable[[Tensor], Tensor]:
    def differentiated(points: Tensor) -> Tensor:
        direction = torch.zeros_like(points)
        direction[:, axis] = 1.0
        return torch.func.jvp(function, (points,), (direction,))[1]

    return differentiated


class LinearSampler:
    """The signal, float64 on a device, as a function of points: multilinear between samples, up to `reach` [d] domain
    units beyond [-1, 1]; axes that are not filtered are asked at their samples."""

    def __init__(self, signal: Signal, boundary: str, reach: Sequence[float], device: torch.device) -> None:
        # One more than is asked for: what lies beyond the last sample by rounding has a neighbour, too.
        pads = [math.ceil(r / spacing(n) - 1e-9) + 1 if axis in signal.axes else 0
                for axis, (r, n) in enumerate(zip(reach, signal.shape, strict=True))]  # fmt: skip
        self.values = torch.as_tensor(signal.padded(pads, boundary), dtype=torch.float64, device=device)
        self.steps = [spacing(n) for n in signal.shape]
        self.starts = [-1.0 - pad * step for pad, step in zip(pads, self.steps, strict=True)]

    def __call__(self, points: Tensor) -> Tensor:
        """Points [N, d] -> [N, c]."""
        axes = zip(points.T, self.starts, self.steps, self.values.shape[:-1], strict=True)
        taps = (bspline((x - start) / step, min(1, count - 1), count) for x, start, step, count in axes)
        return gather_grid(self.values, taps)


class AutodiffObjective(LatticeObjective):
    """Random points of `bounds` [d, 2] (domain units) where D^n F is compared with the signal itself.

    Axes that are not filtered are asked at their samples.
    """

    def __init__(
        self, targets: LatticeTargets, signal: Signal, bounds: np.ndarray, boundary: str, batch: int, loss: str
    ) -> None:
        super().__init__(targets, batch, loss, count=1)
        device = targets.values.device
        self.sample = LinearSampler(signal, boundary, (bounds[:, 1] - 1).tolist(), device)
        self.start, end = (torch.as_tensor(side, device=device) for side in bounds.T)
        self.extent = end - self.start
        self.steps = {axis: spacing(n) for axis, n in enumerate(signal.shape) if axis not in signal.axes}

    def draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Random points [N, d] (float64) and the signal [N, c] there."""
        size = (self.batch, len(self.start))
        uniform = torch.rand(size, dtype=torch.float64, generator=generator, device=self.start.device)
        points = self.start + uniform * self.extent
        for axis, step in self.steps.items():
            points[:, axis] = ((points[:, axis] + 1) / step).round() * step - 1
        return points, self.sample(points)

    def loss(self, field: Field, generator: torch.Generator) -> Loss:
        points, truth = self.draw(generator)
        wanted = truth - derivative(field.polynomial, field.config.n)(points)
        residual = derivative(field.network_points, field.config.n)(points.to(field.dtype)) - wanted.to(field.dtype)
        return self.measured([residual], self.batch)
