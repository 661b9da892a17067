"""What training minimises: the lattice loss of any field, on random batches of the residual pyramid."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from models.field import Field
from models.stencil import Stencil
from training.lattice import Batch, LatticeTargets
from training.pyramid import LOSSES, levels


@dataclass(frozen=True)
class Loss:
    """One step's loss, the rms residual of every pyramid level, and what it cost."""

    total: Tensor
    rms: list[Tensor]
    points: int
    queries: int


class Objective(Protocol):
    """A way to supervise a field: made ready once, asked for a loss every step, finished before a field is used."""

    targets: LatticeTargets

    def prepare(self, field: Field, generator: torch.Generator) -> None:
        """Start the field at the right size."""

    def loss(self, field: Field, generator: torch.Generator) -> Loss:
        """The loss of one step."""

    def finish(self, field: Field) -> None:
        """Set what is solved for rather than descended on; called before the field is saved or shown."""


class LatticeObjective:
    """Random lattices: D^n F against the ground truth at the training kernel and at 2, 4, 8, ... times its size.

    `batch` is the number of supervised points aimed at, `count` the pyramid's levels.
    """

    def __init__(self, targets: LatticeTargets, batch: int, loss: str, count: int) -> None:
        self.targets = targets
        self.criterion = LOSSES[loss]
        self.count = count
        self.n = [axis.n for axis in targets.axes]
        self.shape = batch_shape(targets, batch)

    def prepare(self, field: Field, generator: torch.Generator) -> None:
        fit_polynomial(field, self.targets)
        batch = self.targets.draw(generator, self.shape)
        with torch.no_grad():
            rest = batch.values - field.polynomial.grid(batch.stencils)
            field.rescale(batch.stencils, rest.flatten(0, -2).square().mean(dim=0).sqrt())

    def loss(self, field: Field, generator: torch.Generator) -> Loss:
        batch = self.targets.draw(generator, self.shape)
        pyramid = self.residuals(field, batch)
        total = sum(self.criterion(residual) for residual in pyramid)
        rms = [residual.detach().square().mean().sqrt() for residual in pyramid]
        return Loss(total, rms, batch.points, field.queries(batch.stencils))

    def residuals(self, field: Field, batch: Batch) -> list[Tensor]:
        """Prediction minus truth at every level of the pyramid."""
        return levels(field.grid(batch.stencils) - batch.values, batch.lattices, self.n, self.count)

    def finish(self, field: Field) -> None:
        """Nothing is left to solve for."""


class PointObjective(LatticeObjective):
    """Independent points with all their Diracs queried one by one, as the authors train: no lattice, no pyramid."""

    def __init__(self, targets: LatticeTargets, batch: int, loss: str) -> None:
        super().__init__(targets, batch, loss, count=1)
        self.batch = batch

    def loss(self, field: Field, generator: torch.Generator) -> Loss:
        points, values = self.targets.draw_points(generator, self.batch)
        nodes, weights = point_stencils(self.targets, points)
        residual = field.scattered(nodes, weights) - values
        queries = self.batch * math.prod(node.shape[1] for node in nodes)
        rms = residual.detach().square().mean().sqrt()
        return Loss(self.criterion(residual), [rms], self.batch, queries)


def point_stencils(targets: LatticeTargets, points: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Nodes and weights [N, K_j] per axis of the minimal kernel at `points` [N, d]."""
    nodes, weights = [], []
    for index, axis in enumerate(targets.axes):
        positions, values = targets.diracs(axis)
        nodes.append(points[:, index, None] - positions)
        weights.append(values.expand(len(points), -1))
    return nodes, weights


def batch_shape(targets: LatticeTargets, batch: int) -> list[tuple[int, int]]:
    """(P_j, L_j) per axis for about `batch` points: whole lattices, more phases or shorter stretches as needed."""
    lengths = [axis.length for axis in targets.axes]
    total = math.prod(lengths)
    if total > batch:
        # Shorter in every axis alike, but never too short for one coarser level.
        shrink = (batch / total) ** (1 / len(lengths))
        return [
            (1, max(min(length, 3 * axis.n + 1), round(length * shrink)))
            for axis, length in zip(targets.axes, lengths, strict=True)
        ]
    filtered = [axis for axis in targets.axes if axis.n]
    phases = max(1, round((batch / total) ** (1 / len(filtered))))
    return [(min(phases, axis.phases), axis.length) for axis in targets.axes]


@torch.no_grad()
def fit_polynomial(field: Field, targets: LatticeTargets) -> None:
    """Set the polynomial part to the least-squares fit of the ground truth: D^n P carries the slow part exactly."""
    total = targets.values.double()
    for axis, stencil in enumerate(targets.stencils()):
        basis = stencil.combine(field.polynomial.basis(stencil.nodes, axis), 0)
        order = targets.order_of(axis)
        total = torch.tensordot(total, torch.linalg.pinv(basis[order]), dims=([0], [1]))
    field.polynomial.coefficients.copy_(total.movedim(0, -1))


def polynomial_values(field: Field, targets: LatticeTargets) -> Tensor:
    """D^n P at all resampled points, in the order of `targets.values`."""
    stencils: list[Stencil] = targets.stencils()
    values = field.polynomial.grid(stencils)
    for axis in range(len(stencils)):
        values = values.index_select(axis, targets.order_of(axis))
    return values
