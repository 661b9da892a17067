"""Supervision by automatic differentiation: D^n F against the signal f itself, as AutoInt trains.

No ground truth is convolved and no query is differenced, but every step differentiates the network n times
per filtered axis and once more for its weights (Lindell et al. 2021).
"""

from collections.abc import Callable

import numpy as np
import torch
from scipy.interpolate import RegularGridInterpolator
from torch import Tensor

from models.field import Field
from signals.ground_truth import pads_for
from signals.signal import Signal, coordinates
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
    """Random points of [-1 - m, 1 + m]^d where D^n F is compared with the signal itself."""

    def __init__(
        self, targets: LatticeTargets, signal: Signal, margin: float, boundary: str, batch: int, loss: str
    ) -> None:
        super().__init__(targets, batch, loss, count=1)
        pads = pads_for(margin, signal.shape, signal.axes)
        axes = [coordinates(n, pad) for n, pad in zip(signal.shape, pads, strict=True)]
        self.batch = batch
        self.low = torch.tensor([x[0] for x in axes], dtype=torch.float64)
        self.high = torch.tensor([x[-1] for x in axes], dtype=torch.float64)
        self.sample = RegularGridInterpolator(axes, signal.padded(pads, boundary))

    def loss(self, field: Field, generator: torch.Generator) -> Loss:
        uniform = torch.rand(self.batch, len(self.low), dtype=torch.float64, generator=generator)
        points = self.low + uniform * (self.high - self.low)
        truth = torch.as_tensor(np.asarray(self.sample(points.numpy())), device=field.device)
        points = points.to(field.device)
        wanted = truth - derivative(field.polynomial, field.config.n)(points)
        residual = derivative(field.network_points, field.config.n)(points.to(field.dtype)) - wanted.to(field.dtype)
        rms = residual.detach().square().mean().sqrt()
        return Loss(self.criterion(residual), [rms], self.batch, self.batch)
