"""What training minimises: the lattice loss of any network, on random batches of the residual pyramid."""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from models.field import Field
from training.lattice import Batch, LatticeTargets, fit_polynomial
from training.pyramid import LOSSES, levels


@dataclass(frozen=True)
class Loss:
    """One step's loss, the rms residual of every pyramid level, and the number of supervised points."""

    total: Tensor
    rms: list[Tensor]
    points: int


class Objective(Protocol):
    """A way to supervise a field: prepared once, asked for a loss every step, finished before a field is used."""

    targets: LatticeTargets

    def prepare(self, field: Any, generator: torch.Generator) -> None:
        """Start the field at the right size."""

    def loss(self, field: Any, generator: torch.Generator) -> Loss:
        """The loss of one step."""

    def finish(self, field: Any) -> None:
        """Set what is solved for rather than descended on; called before the field is saved or shown."""


class LatticeObjective:
    """Random lattices: D^n F against the ground truth at the training kernel and at 2, 4, 8, ... times its size.

    `batch` is the number of supervised points aimed at, `count` the pyramid's levels.
    """

    def __init__(self, targets: LatticeTargets, batch: int, loss: str, count: int) -> None:
        self.targets = targets
        self.batch = batch
        self.criterion = LOSSES[loss]
        self.count = count
        self.shape = batch_shape(targets, batch)

    def prepare(self, field: Field, generator: torch.Generator) -> None:
        fit_polynomial(self.targets, field.polynomial)
        batch = self.targets.draw(generator, self.shape)
        with torch.no_grad():
            rest = batch.values - field.polynomial.grid(batch.stencils)
            field.rescale(batch.stencils, rest.flatten(0, -2).square().mean(dim=0).sqrt())

    def loss(self, field: Field, generator: torch.Generator) -> Loss:
        batch = self.targets.draw(generator, self.shape)
        return self.measured(self.residuals(field, batch), batch.points)

    def residuals(self, field: Field, batch: Batch) -> list[Tensor]:
        """Prediction minus truth at every level of the pyramid."""
        n = [axis.n for axis in self.targets.axes]
        return levels(field.grid(batch.stencils) - batch.values, batch.lattices, n, self.count)

    def measured(self, residuals: list[Tensor], points: int) -> Loss:
        """The loss of `residuals`, one tensor per level."""
        total = torch.stack([self.criterion(residual) for residual in residuals]).sum()
        return Loss(total, [residual.detach().square().mean().sqrt() for residual in residuals], points)

    def finish(self, field: Field) -> None:
        """Nothing is left to solve for."""


class PointObjective(LatticeObjective):
    """Independent points with all their Diracs queried one by one, as the authors train: no lattice, no pyramid."""

    def __init__(self, targets: LatticeTargets, batch: int, loss: str) -> None:
        super().__init__(targets, batch, loss, count=1)
        kernel, device = targets.kernel, targets.values.device
        self.positions, self.weights = (torch.tensor(a, device=device) for a in (kernel.positions, kernel.weights))

    def loss(self, field: Field, generator: torch.Generator) -> Loss:
        points, values = self.targets.draw_points(generator, self.batch)
        return self.measured([field.sum_diracs(points[:, None] - self.positions, self.weights) - values], self.batch)


def batch_shape(targets: LatticeTargets, batch: int) -> list[tuple[int, int]]:
    """(P_j, L_j) per axis for about `batch` points: whole lattices, more phases or shorter stretches as needed."""
    total = math.prod(axis.length for axis in targets.axes)
    if total > batch:
        # Shorter in every axis alike, but never too short for one coarser level.
        shrink = (batch / total) ** (1 / len(targets.axes))
        return [(1, max(min(axis.length, 3 * axis.n + 1), round(axis.length * shrink))) for axis in targets.axes]
    filtered = sum(axis.n > 0 for axis in targets.axes)
    phases = max(1, round((batch / total) ** (1 / filtered)))
    return [(min(phases, axis.phases), axis.length) for axis in targets.axes]
