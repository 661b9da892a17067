"""Stencils: what one axis of a tensor grid asks of a field.

A stencil samples the axis at `nodes` [N] and combines the samples into M results along that axis. Points,
n-th differences and whole convolutions along an axis are stencils; training, filtering on a grid and the
exact integral field all ask the same question: a stencil per axis -> values [M_1, ..., M_d, c].
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.interpolation import NEIGHBOURS, interpolation, scatter


@dataclass(frozen=True, eq=False)
class Points:
    """Plain samples at `nodes` [N], for an axis that is not filtered."""

    nodes: Tensor
    local = True

    def combine(self, values: Tensor, axis: int) -> Tensor:
        """`values` as they are."""
        return values


@dataclass(frozen=True, eq=False)
class Differences:
    """n-th differences at spacing h on P lattices of L results each: the minimal kernel, shared by neighbours.

    `first` [P] holds the centre of each lattice's first result; results are ordered lattice by lattice.
    One query serves n + 1 results (Heckbert 1986); nodes [P (L + n)].
    """

    first: Tensor
    n: int
    spacing: float
    count: int
    local = True

    @property
    def nodes(self) -> Tensor:
        """Positions [P (L + n)] in domain units."""
        steps = torch.arange(self.count + self.n, dtype=self.first.dtype, device=self.first.device) - self.n / 2
        return (self.first[:, None] + self.spacing * steps).reshape(-1)

    def combine(self, values: Tensor, axis: int) -> Tensor:
        """Differences along `axis`, [..., P (L + n), ...] -> [..., P L, ...]."""
        lattices = values.unflatten(axis, (len(self.first), self.count + self.n))
        for _ in range(self.n):
            lattices = lattices.diff(dim=axis + 1)
        return lattices.flatten(axis, axis + 1) / self.spacing**self.n


@dataclass(frozen=True, eq=False)
class Weighted:
    """Results that are linear combinations of samples at shared `nodes` [N]: a matrix [M, N]."""

    nodes: Tensor
    matrix: Tensor
    local = False

    def combine(self, values: Tensor, axis: int) -> Tensor:
        """The matrix applied along `axis`, in its own float64: large weights cancel here."""
        product = torch.tensordot(self.matrix, values.to(self.matrix.dtype), dims=([1], [axis]))
        return product.movedim(0, axis)


Stencil = Points | Differences | Weighted


def direct_stencil(x: Tensor, positions: np.ndarray, weights: np.ndarray) -> Weighted:
    """The 1-D kernel (positions [K], weights [K]) at points x [M], one query for each of the M K pairs."""
    # Copies: a kernel's arrays are read-only, which torch warns about.
    t = torch.tensor(positions, dtype=torch.float64, device=x.device)
    w = torch.tensor(weights, dtype=torch.float64, device=x.device)
    matrix = torch.kron(torch.eye(len(x), dtype=torch.float64, device=x.device), w[None])
    return Weighted((x[:, None] - t).reshape(-1), matrix)


def shared_stencils(x: Tensor, positions: np.ndarray, weights: Sequence[np.ndarray], nodes: int) -> list[Weighted]:
    """1-D kernels (positions [K], weights [K] each) at points x [M] from at most `nodes` queries they all share.

    Every x - t_k is read off an even lattice by Lagrange interpolation of degree 7, which keeps the moment
    laws; the queries no longer grow with the number of Diracs.
    """
    targets = x.detach().double()[:, None] - torch.tensor(positions, dtype=torch.float64, device=x.device)
    low, high = float(targets.min()), float(targets.max())
    nodes = max(int(nodes), 2 * NEIGHBOURS)
    step = max(high - low, 1e-9) / (nodes - NEIGHBOURS)
    start = low - step * (NEIGHBOURS // 2 - 0.5)
    lattice = start + step * torch.arange(nodes, dtype=torch.float64, device=x.device)
    first, local = interpolation((targets - start) / step, nodes)
    weighed = [local * torch.tensor(w, dtype=torch.float64, device=x.device)[:, None] for w in weights]
    return [Weighted(lattice, scatter(first, each, nodes)) for each in weighed]
