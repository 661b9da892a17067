"""Products of one factor per axis, summed through a core [R_1, ..., R_d, c], in the core's dtype."""

from collections.abc import Iterable

import torch
from torch import Tensor


def on_grid(core: Tensor, factors: Iterable[Tensor]) -> Tensor:
    """Factors [M_j, R_j] of every axis -> [M_1, ..., M_d, c] on their tensor grid."""
    for factor in factors:
        # Contracting the leading axis and appending the result keeps the axes in order.
        core = torch.tensordot(core, factor.to(core.dtype), dims=([0], [1]))
    return core.movedim(0, -1)


def at_points(core: Tensor, factors: Iterable[Tensor]) -> Tensor:
    """Factors [N, R_j] of N points -> [N, c]."""
    first, *others = factors
    total = torch.tensordot(first.to(core.dtype), core, dims=1)
    for factor in others:
        total = torch.einsum("nr...,nr->n...", total, factor.to(core.dtype))
    return total
