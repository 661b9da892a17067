"""Kernels that are sums of products, read from factor tables: one product for all points, whatever the kernel.

Along axis j a kernel has B one-dimensional kernels of common knots t_j, W_j [B, K]; a pairing c joins them:

    (f * g)(x) = sum_ab c_ab  A_1a . C . A_2b,     A_jb = sum_k W_jbk U_j(x_j - s_j t_jk) / s_j^n

A product has B = 1, a sum of B products no pairing (the diagonal), a Gaussian of any covariance a pairing per point.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from kernels import SparseKernel
from kernels.separate import Term
from models.tables import Table

if TYPE_CHECKING:
    from models.separable import SeparableField

# Numbers of an intermediate product that are held at once.
LARGEST_PRODUCT = 1 << 23
LARGEST_GRID_PRODUCT = 1 << 24


@dataclass(frozen=True, eq=False)
class Bundle:
    """Knots [K_j] and weights [B, K_j] (float64) of the one-dimensional kernels of every axis.

    An axis that is not filtered has the knot 0 with the weight 1, and B = 1.
    """

    positions: list[Tensor]
    weights: list[Tensor]

    @classmethod
    def of_terms(cls, kernel: SparseKernel, terms: Sequence[Term], device: torch.device) -> "Bundle":
        """A kernel that is a sum of products; all its terms have their Diracs at the same coordinates."""
        one = torch.ones(1, dtype=torch.float64, device=device)
        positions, weights = [0 * one] * kernel.dim, [one[None]] * kernel.dim
        for index, axis in enumerate(kernel.axes):
            positions[axis] = torch.tensor(terms[0][index][0], device=device)
            weights[axis] = torch.tensor(np.stack([term[index][1] for term in terms]), device=device)
        return cls(positions, weights)

    @property
    def size(self) -> int:
        """B."""
        return max(len(weights) for weights in self.weights)

    def moments(self, axis: int, degree: int) -> Tensor:
        """sum_k W_bk t_k^j of the kernels of one axis, [B, degree + 1]."""
        return self.weights[axis] @ self.positions[axis][:, None] ** torch.arange(
            degree + 1, device=self.positions[0].device
        )


def filter_bundle(
    field: "SeparableField",
    tables: Sequence[Table],
    core: Tensor,
    bundle: Bundle,
    x: Tensor,
    scale: Tensor,
    pairing: Tensor | None = None,
) -> Tensor:
    """The filtered signal at points x [N, d], the kernels stretched by `scale` [N, d] -> [N, c], float64.

    The `core` [R_1, ..., R_d, c] joins the columns of the tables: the field's, or one of fewer ranks.
    `pairing` [N, B, B] (two axes) or [N, B, B, B] (three) joins the kernels of the axes; None sums products.
    Differentiable in x, scale and pairing.
    """
    largest = bundle.size * max(core[0].numel(), max(len(t) for t in bundle.positions) * max(core.shape[:-1]))
    moments = [bundle.moments(axis, n + field.config.poly_degree) for axis, n in enumerate(field.config.n)]
    results = []
    for part in torch.arange(len(x), device=x.device).split(max(1, LARGEST_PRODUCT // largest)):
        paired = None if pairing is None else pairing[part]
        factors, powers = [], []
        for axis, table in enumerate(tables):
            # Points in order ask for rows in order, which are then in the processor's cache.
            order = x[part, axis].detach().argsort()
            nodes = (x[part, axis, None] - scale[part, axis, None] * bundle.positions[axis])[order]
            size = scale[part, axis, None, None][order] ** field.config.n[axis]
            factors.append(seen_through(table, nodes, bundle.weights[axis], size)[order.argsort()])
            powers.append(field.polynomial.seen(axis, x[part, axis], scale[part, axis], moments[axis]))
        results.append(
            couple(factors, core.to(factors[0].dtype), paired)
            + couple(powers, field.polynomial.coefficients.double(), paired)
        )
    return torch.cat(results) if results else x.new_zeros(0, field.config.channels)


def seen_through(table: Table, nodes: Tensor, weights: Tensor, size: Tensor) -> Tensor:
    """A [N, B, R]: the factor in a table seen through kernels of weights [B, K] at nodes [N, K]."""
    if len(weights) == 1:
        return table.combined(nodes, weights / size[:, 0])[:, None]
    return weights.to(table.dtype) @ table.read(nodes) / size.to(table.dtype)


def filter_bundle_grid(
    field: "SeparableField", tables: Sequence[Table], bundle: Bundle, coordinates: Sequence[Tensor]
) -> Tensor:
    """The filtered signal on the tensor grid of `coordinates` [M_j] -> [M_1, ..., M_d, c].

    Every axis is read once for all terms; the first axis sums over terms and ranks in one product.
    """
    seen = []
    for axis, (table, x) in enumerate(zip(tables, coordinates, strict=True)):
        one, moments = torch.ones_like(x), bundle.moments(axis, field.config.n[axis] + field.config.poly_degree)
        values = seen_through(table, x[:, None] - bundle.positions[axis], bundle.weights[axis], one[:, None, None])
        seen.append(torch.cat([values, field.polynomial.seen(axis, x, one, moments).to(values)], dim=-1))
    return contract_grid(seen, field.kept(("whole core", seen[0].dtype), lambda: whole_core(field, seen[0].dtype)))


def whole_core(field: "SeparableField", dtype: torch.dtype) -> Tensor:
    """The core of factors followed by that of the polynomial part, [R_1 + p, ..., R_d + p, c]."""
    degrees = field.config.poly_degree + 1
    shape = [rank + degrees for rank in field.config.ranks]
    core = torch.zeros(*shape, field.config.channels, dtype=dtype, device=field.device)
    core[tuple(slice(rank) for rank in field.config.ranks)] = field.core.to(core)
    core[tuple(slice(rank, None) for rank in field.config.ranks)] = field.polynomial.coefficients.to(core)
    return core


def contract_grid(factors: Sequence[Tensor], core: Tensor) -> Tensor:
    """sum_b of factors [M_j, B_j, R_j] x core [R_1, ..., R_d, c] -> [M_1, ..., M_d, c]."""
    size, shape = max(factor.shape[1] for factor in factors), [len(factor) for factor in factors]
    first = factors[0].expand(-1, size, -1)
    per_term = core.shape[0] * math.prod(shape[1:]) * core.shape[-1]
    total: Tensor | None = None
    count = max(1, LARGEST_GRID_PRODUCT // per_term)
    for start in range(0, size, count):
        part, rest = slice(start, start + count), []
        for b in range(size)[part]:
            # [R_1, c, M_2, ..., M_d]
            values = core
            for factor in factors[1:]:
                values = torch.tensordot(values, factor[:, min(b, factor.shape[1] - 1)], dims=([1], [1]))
            rest.append(values.flatten(1))
        stacked, seen = (rest[0] if len(rest) == 1 else torch.cat(rest)), first[:, part].flatten(1)
        total = seen @ stacked if total is None else total.addmm_(seen, stacked)
    assert total is not None
    return total.view(shape[0], core.shape[-1], *shape[1:]).movedim(1, -1)


def couple(factors: Sequence[Tensor], core: Tensor, pairing: Tensor | None) -> Tensor:
    """sum of pairing x factors [N, B_j, R_j] x core [R_1, ..., R_d, c] -> [N, c], float64."""
    first, *others = factors
    core = core.movedim(-1, 1)
    # [N, B, c, R_2, ..., R_d], by one large product.
    seen = (first.flatten(0, 1) @ core.flatten(1)).view(*first.shape[:2], *core.shape[1:])
    if pairing is None:
        for factor in others:
            seen = torch.einsum("nbcr...,nbr->nbc...", seen, factor)
        return seen.sum(dim=1).double()
    joined = pairing.to(first.dtype)
    if len(others) == 1:
        return (seen * (joined @ others[0])[:, :, None]).sum(dim=(1, 3)).double()
    joined = torch.einsum("nabe,ner,nbq->naqr", joined, others[1], others[0])
    return (seen * joined[:, :, None]).sum(dim=(1, 3, 4)).double()
