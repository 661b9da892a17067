"""Stencils: what one axis of a tensor grid asks of a field.

A stencil samples the axis at `nodes` [N] and combines the samples into M results along that axis. Points,
n-th differences and whole convolutions along an axis are stencils; training, filtering on a grid and the
exact integral field all ask the same question: a stencil per axis -> values [M_1, ..., M_d, c].
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kernels.minimal import difference_weights

# Lagrange interpolation of degree 7 keeps the moments of every order the library knows.
NEIGHBOURS = 8


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


def shared_stencil(x: Tensor, positions: np.ndarray, weights: np.ndarray, nodes: int) -> Weighted:
    """The 1-D kernel (positions [K], weights [K]) at points x [M] from at most `nodes` queries they all share.

    Every x - t_k is read off an even lattice by Lagrange interpolation of degree 7, which keeps the moment
    laws; the queries no longer grow with the number of Diracs.
    """
    return shared_stencils(x, positions, [weights], nodes)[0]


def shared_stencils(x: Tensor, positions: np.ndarray, weights: Sequence[np.ndarray], nodes: int) -> list[Weighted]:
    """`shared_stencil` for several kernels with the same positions, which then have the same nodes."""
    targets = (x.detach().cpu().numpy()[:, None] - positions).astype(np.float64)
    low, high = targets.min(), targets.max()
    nodes = max(int(nodes), 2 * NEIGHBOURS)
    step = max(high - low, 1e-9) / (nodes - NEIGHBOURS)
    start = low - step * (NEIGHBOURS // 2 - 0.5)
    lattice = torch.as_tensor(start + step * np.arange(nodes), dtype=torch.float64, device=x.device)
    first, coefficients = interpolation(targets, start, step, nodes)
    matrices = [_scattered(first, coefficients * w[:, None], nodes) for w in weights]
    return [Weighted(lattice, torch.as_tensor(matrix, device=x.device)) for matrix in matrices]


def interpolation_matrix(targets: np.ndarray, weights: np.ndarray, start: float, step: float, count: int) -> np.ndarray:
    """Matrix [M, count] that takes samples at start + step i to sum_k weights_k f(targets [M, K]), by interpolation.

    Targets beyond the samples get the value of the nearest one.
    """
    first, coefficients = interpolation(targets, start, step, count)
    return _scattered(first, coefficients * weights[:, None], count)


def interpolation(targets: np.ndarray, start: float, step: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """For every target [M, K] the first of its neighbours among samples start + step i, and their weights [M, K, W]."""
    width = min(NEIGHBOURS, count)
    place = np.clip((targets - start) / step, 0, count - 1)
    first = np.clip(np.floor(place).astype(int) - (width // 2 - 1), 0, count - width)
    return first, lagrange(place - first, width)


def _scattered(first: np.ndarray, coefficients: np.ndarray, count: int) -> np.ndarray:
    """Matrix [M, count] with coefficients [M, K, W] added up at columns first [M, K] + 0..W-1."""
    rows = count * np.arange(len(first))[:, None, None]
    index = rows + first[..., None] + np.arange(coefficients.shape[-1])
    return np.bincount(index.ravel(), coefficients.ravel(), len(first) * count).reshape(-1, count)


def lagrange(place: np.ndarray, width: int) -> np.ndarray:
    """Weights [..., width] with which samples at 0, 1, ..., width - 1 give the value at `place` [...]."""
    gaps = place[..., None] - np.arange(width)
    weights = np.ones_like(gaps)
    # Products of all gaps but one: those before it times those after it.
    np.cumprod(gaps[..., :-1], axis=-1, out=weights[..., 1:])
    after = np.cumprod(gaps[..., :0:-1], axis=-1)[..., ::-1]
    weights[..., :-1] *= after
    return weights / [math.prod(k - o for o in range(width) if o != k) for k in range(width)]


def noise_gain(stencil: Stencil) -> float:
    """sqrt(sum w^2) of one result: how much independent errors of the samples grow."""
    match stencil:
        case Differences():
            return float(np.sqrt(np.sum(difference_weights(stencil.n, stencil.spacing) ** 2)))
        case Weighted():
            return float(stencil.matrix.square().sum(dim=1).max().sqrt())
        case _:
            return 1.0
