"""Factors of a separable field: U_j, functions x [N] -> [N, R] of one coordinate (always asked in domain units).

Each is a fixed or trained set of features phi(x) [N, H] times heads [H, R]: 1-D networks, splines integrated
exactly, and tables for axes that are not filtered.
"""

import torch
from torch import Tensor, nn

from models.config import FieldConfig
from models.interpolation import bspline, gather, scatter
from models.networks import SineNetwork, SwishNetwork

# u is a cubic spline: smooth enough that its n-fold integral differs from f's by the knots' distance to the fourth.
SPLINE_DEGREE = 3


class Factor(nn.Module):
    """U: x [N] -> [N, R]."""

    def __init__(self, rank: int) -> None:
        super().__init__()
        self.rank = rank

    def features(self, x: Tensor) -> Tensor:
        """phi: x [N] -> [N, H], what the heads combine."""
        raise NotImplementedError

    def set_heads(self, heads: Tensor) -> None:
        """Take heads [H, R], so that U = phi @ heads."""
        raise NotImplementedError


class NetworkFactor(Factor):
    """U, a 1-D network of swish or sine layers."""

    def __init__(self, config: FieldConfig, axis: int, rank: int) -> None:
        super().__init__(rank)
        width, layers = config.width(axis), config.num_layers
        if config.factor == "sine":
            self.network: nn.Module = SineNetwork(1, width, layers, config.omega_0)
        else:
            self.network = SwishNetwork(1, width, layers, config.pe, config.norm_exp)
        self.head = nn.Linear(width, rank, bias=False)

    def features(self, x: Tensor) -> Tensor:
        return self.network(x[:, None].to(self.head.weight.dtype))

    def set_heads(self, heads: Tensor) -> None:
        self.head.weight.copy_(heads.T)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class SplineFactor(Factor):
    """U, the n-fold integral of a cubic spline u with B coefficients on [-1 - reach, 1 + reach]: exact and local.

    Integrating a spline on even knots sums its coefficients up, so U is a spline of degree 3 + n on the same knots
    (de Boor 1978, chapter X). Sums lose digits: they and what is read off them are float64.
    """

    def __init__(self, n: int, knots: int, reach: float, rank: int) -> None:
        super().__init__(rank)
        self.n, self.degree = n, SPLINE_DEGREE + n
        self.start = -1.0 - reach
        self.step = 2.0 * (1.0 + reach) / (knots - SPLINE_DEGREE)
        self.coefficients = nn.Parameter(torch.randn(knots, rank))

    def _local(self, x: Tensor) -> tuple[Tensor, Tensor]:
        place = (x.double() - self.start) / self.step
        return bspline(place[..., None] if x.ndim == 1 else place, self.degree, len(self.coefficients) + self.n)

    def _integrated(self, coefficients: Tensor) -> Tensor:
        """Coefficients [B, R] of u -> those [B + n, R] of U, whose first n integration constants are 0."""
        sums = coefficients.double()
        for _ in range(self.n):
            sums = sums.cumsum(dim=0) * self.step
        return torch.cat([sums.new_zeros(self.n, sums.shape[1]), sums])

    def features(self, x: Tensor) -> Tensor:
        rows = scatter(*self._local(x), len(self.coefficients) + self.n)
        eye = torch.eye(len(self.coefficients), dtype=torch.float64, device=x.device)
        return rows @ self._integrated(eye)

    def set_heads(self, heads: Tensor) -> None:
        self.coefficients.copy_(heads)

    def forward(self, x: Tensor) -> Tensor:
        return gather(self._integrated(self.coefficients), *self._local(x))


class TableFactor(Factor):
    """U read off a table with a row per sample of [-1, 1], linearly in between; for axes that are not filtered."""

    def __init__(self, rows: int, rank: int) -> None:
        super().__init__(rank)
        self.rows = nn.Parameter(torch.randn(rows, rank))

    def set_heads(self, heads: Tensor) -> None:
        self.rows.copy_(heads)

    def forward(self, x: Tensor) -> Tensor:
        last = len(self.rows) - 1
        place = ((x.to(self.rows.dtype) + 1) / 2 * last).clamp(0, last)
        low = place.floor().long()
        part = (place - low)[:, None]
        return self.rows[low] * (1 - part) + self.rows[(low + 1).clamp(max=last)] * part


def build_factor(config: FieldConfig, axis: int, rank: int) -> Factor:
    """The factor of one axis: a table where the configuration has rows for it, else what `config.factor` says."""
    if config.tables and config.tables[axis]:
        return TableFactor(config.tables[axis], rank)
    if config.factor == "spline":
        return SplineFactor(config.n[axis], config.knots[axis], config.reach[axis], rank)
    return NetworkFactor(config, axis, rank)
