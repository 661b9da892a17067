"""Supervision by automatic differentiation: D^n F against the signal f itself, as AutoInt trains.

No ground truth is convolved and no query is differenced, but every step differentiates the network n times
per filtered axis and once more for its weights (Lindell et al. 2021).
"""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from models.field import Field
from signals.ground_truth import pads_for
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


def multilinear(values: Tensor, places: Tensor) -> Tensor:
    """Values [N_1, ..., N_d, c] of a grid at `places` [N, d], in samples from its first one, -> [N, c]."""
    total = torch.zeros(len(places), values.shape[-1], dtype=values.dtype, device=values.device)
    for corner in itertools.product((0, 1), repeat=places.shape[1]):
        weight, index = torch.ones_like(places[:, 0]), []
        for place, beyond, count in zip(places.unbind(dim=1), corner, values.shape, strict=False):
            low = place.floor().clamp(0, max(count - 2, 0))
            weight = weight * (place - low if beyond else 1 - (place - low))
            index.append((low.long() + beyond).clamp(max=count - 1))
        total += weight[:, None].to(total.dtype) * values[tuple(index)]
    return total


class AutodiffObjective(LatticeObjective):
    """Random points of [-1 - m, 1 + m]^d where D^n F is compared with the signal itself."""

    def __init__(
        self, targets: LatticeTargets, signal: Signal, margin: float, boundary: str, batch: int, loss: str
    ) -> None:
        super().__init__(targets, batch, loss, count=1)
        self.batch = batch
        pads = pads_for(margin, signal.shape, signal.axes)
        device = targets.values.device
        self.values = torch.as_tensor(signal.padded(pads, boundary), device=device)
        self.last = torch.tensor(self.values.shape[:-1], device=device) - 1
        self.step = torch.tensor([spacing(n) for n in signal.shape], dtype=torch.float64, device=device)
        self.start = -1.0 - self.step * torch.tensor(pads, device=device)

    def loss(self, field: Field, generator: torch.Generator) -> Loss:
        size = (self.batch, len(self.last))
        uniform = torch.rand(size, dtype=torch.float64, generator=generator, device=self.values.device)
        places = uniform * self.last
        truth, points = multilinear(self.values, places), self.start + places * self.step
        wanted = truth - derivative(field.polynomial, field.config.n)(points)
        residual = derivative(field.network_points, field.config.n)(points.to(field.dtype)) - wanted.to(field.dtype)
        rms = residual.detach().square().mean().sqrt()
        return Loss(self.criterion(residual), [rms], self.batch, self.batch)
