"""Fewer ranks for smooth kernels: what a Gaussian no longer shows of a separable field need not be multiplied.

A Gaussian of covariance Sigma >= sigma^2 I is the one of sigma^2 I followed by another, which averages: the factors
seen through the first, in orthonormal columns, bound what any of them shows, and their core is truncated axis by axis
(higher-order singular values, De Lathauwer et al. 2000).
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from kernels.library import gaussian
from models.separable import SeparableField
from models.tables import FactorTable, Table

# Decibels below the accuracy asked for that the truncation may leave.
HEADROOM = 10.0
# Singular values below this share of the largest are rounding.
ROUNDING = 1e-10
# Common knots make Gaussians nearly: what is left of high frequencies must be among the ranks, or it is read as others.
SAFE = 0.6
# Deviations within a factor of 2^(1 / LEVELS) share a truncation.
LEVELS = 4


def compressed(
    field: SeparableField, reach: Sequence[float], dtype: torch.dtype, sigma: float, accuracy: float
) -> tuple[list[Table], Tensor]:
    """Tables of `dtype` over [-reach_j, reach_j] and a core for Gaussians whose deviation is at least `sigma` in every
    direction (domain units), to `accuracy` dB of a signal of peak 1; kept."""
    level = 2.0 ** (math.floor(LEVELS * math.log2(SAFE * sigma)) / LEVELS)
    place = (tuple(reach), level, accuracy)
    maps, core = field.kept(("compression", *place), lambda: _truncation(field, reach, level, accuracy + HEADROOM))

    def make() -> list[Table]:
        found: list[Table] = []
        for table, columns in zip(field.tables(dtype, reach), maps, strict=True):
            assert isinstance(table, FactorTable)
            found.append(replace(table, coefficients=(table.coefficients.double() @ columns).to(dtype)))
        return found

    return field.kept(("compressed tables", dtype, *place), make), core


@torch.no_grad()
def _truncation(
    field: SeparableField, reach: Sequence[float], sigma: float, decibels: float
) -> tuple[list[Tensor], Tensor]:
    """Maps [R_j, r_j] of the factors and the core [r_1, ..., r_d, c], float64, seen through the Gaussian of `sigma`."""
    kernel = gaussian(sigma=sigma).sparse(field.config.order, 1)
    t, w = (torch.tensor(values, device=field.device) for values in (kernel.positions[:, 0], kernel.weights))
    seen = []
    for axis, table in enumerate(field.tables(torch.float64, reach)):
        extent = reach[axis] - float(kernel.radius[0])
        x = torch.linspace(-extent, extent, math.ceil(4 * extent / sigma) + 1, dtype=torch.float64, device=field.device)
        seen.append(table.combined(x[:, None] - t, w.expand(len(x), -1)))
    return truncation(seen, field.core, decibels)


@torch.no_grad()
def truncation(seen: Sequence[Tensor], core: Tensor, decibels: float) -> tuple[list[Tensor], Tensor]:
    """Maps [R_j, r_j] to fewer columns and the core [r_1, ..., r_d, c] that joins them, float64, so that what factors
    show of a signal of peak 1, `seen` [X_j, R_j], joined by a core, changes by a root mean square of so many dB."""
    maps, core, count = [], core.detach().double(), 1
    for axis, rows_seen in enumerate(seen):
        _, values, rows = torch.linalg.svd(torch.linalg.qr(rows_seen, mode="r").R, full_matrices=False)
        shown = values > ROUNDING * values[0]
        maps.append(rows[shown].mT / values[shown])
        core, count = _along(core, axis, values[shown, None] * rows[shown]), count * len(rows_seen)
    allowed = 10 ** (-decibels / 20) * math.sqrt(count * core.shape[-1] / len(maps))
    for axis, columns in enumerate(maps):
        vectors, values, _ = torch.linalg.svd(core.movedim(axis, 0).flatten(1), full_matrices=False)
        rest = values.square().flip(0).cumsum(0).flip(0).sqrt()
        vectors = vectors[:, : max(1, int((rest > allowed).sum()))]
        maps[axis], core = columns @ vectors, _along(core, axis, vectors.mT)
    return maps, core


def _along(core: Tensor, axis: int, matrix: Tensor) -> Tensor:
    """`matrix` [S, R] applied to one axis of the core."""
    return torch.tensordot(matrix, core, dims=([1], [axis])).movedim(0, axis)
