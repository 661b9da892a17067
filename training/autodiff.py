"""Supervision by automatic differentiation: D^n F against the signal f itself, as AutoInt trains.

No ground truth is convolved and no query is differenced, but every step differentiates the network n times
per filtered axis and once more for its weights (Lindell et al. 2021).
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from models.field import Field
from signals.monte_carlo import grid_sampler
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


class AutodiffObjective(LatticeObjective):
    """Random points of `bounds` [d, 2] (domain units) where D^n F is compared with the signal itself.

    Axes that are not filtered are asked at their samples.
    """

    def __init__(
        self, targets: LatticeTargets, signal: Signal, bounds: np.ndarray, boundary: str, batch: int, loss: str
    ) -> None:
        super().__init__(targets, batch, loss, count=1)
        self.sample = grid_sampler(signal, boundary, (bounds[:, 1] - 1).tolist(), np)
        device = targets.values.device
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
        return points, torch.as_tensor(self.sample(points.cpu().numpy()), device=points.device)

    def loss(self, field: Field, generator: torch.Generator) -> Loss:
        points, truth = self.draw(generator)
        wanted = truth - derivative(field.polynomial, field.config.n)(points)
        residual = derivative(field.network_points, field.config.n)(points.to(field.dtype)) - wanted.to(field.dtype)
        return self.measured([residual], self.batch)
