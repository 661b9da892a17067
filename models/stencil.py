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

from models.interpolation import NEIGHBOURS, gather, interpolation, scatter

# Entries of a matrix up to which it is made: 32 MB.
LARGEST_MATRIX = 1 << 22


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
class Direct:
    """A kernel of K Diracs at each of M points, with M K samples of its own: offsets t [K], weights w [K]."""

    x: Tensor
    t: Tensor
    w: Tensor
    local = False

    @property
    def nodes(self) -> Tensor:
        """Positions x - t [M K] in domain units."""
        return (self.x[:, None] - self.t).reshape(-1)

    def combine(self, values: Tensor, axis: int) -> Tensor:
        """Weighted sums along `axis`, in float64: large weights cancel here."""
        split = values.unflatten(axis, (len(self.x), len(self.t))).to(self.w.dtype)
        return torch.tensordot(split, self.w, dims=([axis % values.ndim + 1], [0]))


@dataclass(frozen=True, eq=False)
class Shared:
    """M results from samples at N shared `nodes`: of each, taps [M, K, W] weigh samples first [M, K] + 0..W-1."""

    nodes: Tensor
    first: Tensor
    taps: Tensor
    local = False

    def combine(self, values: Tensor, axis: int) -> Tensor:
        """Weighted sums along `axis`, in float64; by a matrix [M, N], or one by one where that would be too large."""
        moved = values.movedim(axis, 0).to(self.taps.dtype)
        flat = moved.flatten(1) if moved.ndim > 1 else moved[:, None]
        if len(self.first) * len(self.nodes) <= LARGEST_MATRIX:
            result = scatter(self.first, self.taps, len(self.nodes)) @ flat
        else:
            result = gather(flat, self.first, self.taps)
        return result.reshape(-1, *moved.shape[1:]).movedim(0, axis)


Stencil = Points | Differences | Direct | Shared


def direct_stencil(x: Tensor, positions: np.ndarray, weights: np.ndarray) -> Direct:
    """The 1-D kernel (positions [K], weights [K]) at points x [M], one query for each of the M K pairs."""
    # Copies: a kernel's arrays are read-only, which torch warns about.
    t, w = (torch.tensor(array, dtype=torch.float64, device=x.device) for array in (positions, weights))
    return Direct(x, t, w)


def shared_stencils(x: Tensor, positions: np.ndarray, weights: Sequence[np.ndarray], nodes: int) -> list[Shared]:
    """1-D kernels (positions [K], weights [K] each) at points x [M] from at most `nodes` queries they all share.

    Every x - t_k is read off an even lattice by Lagrange interpolation of degree 7, which keeps the moment
    conditions; the queries no longer grow with the number of Diracs.
    """
    targets = x.detach().double()[:, None] - torch.tensor(positions, dtype=torch.float64, device=x.device)
    low, high = float(targets.min()), float(targets.max())
    nodes = max(int(nodes), 2 * NEIGHBOURS)
    step = max(high - low, 1e-9) / (nodes - NEIGHBOURS)
    start = low - step * (NEIGHBOURS // 2 - 0.5)
    lattice = start + step * torch.arange(nodes, dtype=torch.float64, device=x.device)
    first, local = interpolation((targets - start) / step, nodes)
    kernels = torch.tensor(np.stack(weights), dtype=torch.float64, device=x.device)
    return [Shared(lattice, first, local * w[:, None]) for w in kernels]
