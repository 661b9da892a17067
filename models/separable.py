"""The separable field: F(x) = sum_r C_r prod_j U_j,r_j(x_j) + P(x), U_j the factors of axis j, C a dense core.

Differences act on each factor before the product, so weights of size 1 / h^n never meet as 1 / h^(n d): float32
suffices where rounding in a network of all coordinates exceeds the signal. A grid costs its axes, not its points.
"""

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from models.config import FieldConfig, Origin
from models.factors import Factor, build_factor
from models.field import Field
from models.products import at_points, on_grid
from models.stencil import Stencil
from models.tables import Table, UnfilteredTable, tabulate


class SeparableField(Field):
    """Products of 1-D factors, summed through a dense core [R_1, ..., R_d, c]; see the module's formula."""

    factored = True

    def __init__(self, config: FieldConfig, origin: Origin) -> None:
        super().__init__(config, origin)
        self.factors = nn.ModuleList(build_factor(config, axis, rank) for axis, rank in enumerate(config.ranks))
        self.core = nn.Parameter(torch.randn(*config.ranks, config.channels) / math.sqrt(math.prod(config.ranks)))

    @property
    def axis_factors(self) -> list[Factor]:
        """U_1, ..., U_d."""
        return [factor for factor in self.factors if isinstance(factor, Factor)]

    def network_grid(self, stencils: Sequence[Stencil]) -> Tensor:
        return on_grid(self.core, [s.combine(u(s.nodes), 0) for u, s in zip(self.axis_factors, stencils, strict=True)])

    def network_points(self, points: Tensor) -> Tensor:
        return at_points(self.core, [u(points[:, axis]) for axis, u in enumerate(self.axis_factors)])

    def tables(self, dtype: torch.dtype, reach: Sequence[float]) -> list[Table]:
        """The factors over [-reach_j, reach_j] (domain units) as tables, quintic splines in float64 and cubic ones in
        float32; kept."""

        def make(axis: int) -> Table:
            factor, n = self.axis_factors[axis], self.config.n[axis]
            if not n:
                return UnfilteredTable(factor, dtype)
            return tabulate(factor, n, reach[axis], self.h[axis], 5 if dtype == torch.float64 else 3, dtype)

        keys = [("table", axis, dtype, reach[axis]) for axis in range(self.config.dim)]
        return [self.kept(key, partial(make, axis)) for axis, key in enumerate(keys)]
