"""The repeated integral field F: what every field answers, whatever it is made of.

D^n F = f in the filtered axes, with n = order + 1 (Nsampi et al. 2023, section 4.2). A field answers two
questions: F at points, and F through one stencil per axis on a tensor grid; each field in its cheapest way.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kernels.sparse import LARGEST_DIM, LARGEST_ORDER, checked_axes
from models.polynomial import PolynomialPart
from models.stencil import Stencil

KINDS = ("separable", "siren", "mlp")
FACTORS = ("swish", "sine", "spline")
CORES = ("cp", "tucker")
# Entries of a configuration that each kind of layers reads.
LAYER_ENTRIES = {
    "swish": ("num_channels", "num_layers", "pe", "norm_exp"),
    "sine": ("num_channels", "num_layers", "omega_0"),
    "spline": ("knots", "reach"),
}

# Hears the share of the work that is done.
Progress = Callable[[float], None]


@dataclass(frozen=True)
class FieldConfig:
    """Everything that fixes a field's shape; raises ValueError for values no field can have.

    tables [d]: rows of a lookup table that replaces the factor of an axis that is not filtered (0: no table);
    ranks [d]: functions per axis of a separable field (one number for all with the 'cp' core); widths [d]: of the
    networks of every axis, where they are not all num_channels wide; knots [d]:
    coefficients per axis of 'spline' factors, which lie on [-1 - reach_j, 1 + reach_j] (reach [d], domain units).
    """

    kind: str
    dim: int
    channels: int
    axes: tuple[int, ...]
    order: int
    num_channels: int = 128
    num_layers: int = 2
    pe: int = 7
    norm_exp: float = 1.0
    omega_0: float = 15.0
    factor: str = "swish"
    core: str = "cp"
    ranks: tuple[int, ...] = ()
    tables: tuple[int, ...] = ()
    widths: tuple[int, ...] = ()
    knots: tuple[int, ...] = ()
    reach: tuple[float, ...] = ()
    poly_degree: int = 2

    def __post_init__(self) -> None:
        for name, allowed in (("kind", KINDS), ("factor", FACTORS), ("core", CORES)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        bounds = {"dim": (1, LARGEST_DIM), "channels": (1, 4096), "order": (0, LARGEST_ORDER), "pe": (0, 24)}
        bounds |= {"num_channels": (1, 8192), "num_layers": (1, 64), "poly_degree": (0, 8)}
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"{name} must be a whole number from {low} to {high}, not {value!r}")
        checked_axes(self.axes, self.dim)
        if not 1e-3 <= self.omega_0 <= 1000 or not 0 <= self.norm_exp <= 10:
            raise ValueError(f"omega_0 {self.omega_0} or norm_exp {self.norm_exp} is out of range")
        for name, low, high in (("ranks", 1, 8192), ("widths", 1, 8192), ("tables", 0, 1 << 24), ("knots", 0, 1 << 24)):
            values = getattr(self, name)
            if values and (len(values) != self.dim or not all(isinstance(v, int) and low <= v <= high for v in values)):
                raise ValueError(f"{name} must be {self.dim} whole numbers from {low} to {high}, not {values}")
        if self.core == "cp" and len(set(self.ranks)) > 1:
            raise ValueError(f"the 'cp' core has one rank for all axes, not {self.ranks}; use the 'tucker' core")
        if any(rows and axis in self.axes for axis, rows in enumerate(self.tables)):
            raise ValueError("only axes that are not filtered can be tables")
        if self.kind == "separable" and self.factor == "spline":
            pairs = zip(self.knots, self.tables or (0,) * self.dim, strict=False)
            if not self.knots or any(knots < 4 and not rows for knots, rows in pairs):
                raise ValueError("spline factors need four knots or more in every axis without a table")
            if len(self.reach) != self.dim or not all(0 <= value <= 100 for value in self.reach):
                raise ValueError(f"the reach of spline factors must be {self.dim} numbers from 0 to 100")

    @property
    def n(self) -> tuple[int, ...]:
        """Integrations per axis: order + 1 in filtered axes, 0 in the others."""
        return tuple(self.order + 1 if axis in self.axes else 0 for axis in range(self.dim))

    def width(self, axis: int) -> int:
        """Features of the network of one axis."""
        return self.widths[axis] if self.widths else self.num_channels

    @property
    def layers(self) -> str:
        """What the field is made of, a key of LAYER_ENTRIES."""
        return {"siren": "sine", "mlp": "swish"}.get(self.kind, self.factor)

    def differences(self, other: "FieldConfig") -> list[str]:
        """Entries in which the weights of `other` stand for another function than the same weights of this field."""
        read = ["kind", "dim", "channels", "axes", "order", "poly_degree", *LAYER_ENTRIES[self.layers]]
        if self.kind == "separable":
            read += ["factor", "core", "ranks", "tables", "widths"]
        return [name for name in read if getattr(self, name) != getattr(other, name)]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "FieldConfig":
        """The inverse of `to_dict`; raises ValueError for unknown or ill-typed entries."""
        try:
            return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
        except TypeError as error:
            raise ValueError(f"this is not a field's configuration: {error}") from None


class Field(nn.Module):
    """A repeated integral field: a network part, given by subclasses, plus a polynomial part.

    Subclasses define `network_points` (points [N, d] -> [N, c]), `network_grid` (stencils -> [M_1, ..., M_d, c])
    and `rescale`; `factored` says that a tensor grid costs them its axes, not its points, `smooth` that F may be
    read between samples of it.
    """

    factored = False
    smooth = True

    def __init__(self, config: FieldConfig) -> None:
        super().__init__()
        self.config = config
        self.polynomial = PolynomialPart(config.n, config.poly_degree, config.channels)

    @property
    def dtype(self) -> torch.dtype:
        """The precision the networks work in."""
        return self.polynomial.coefficients.dtype

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.polynomial.coefficients.device

    def forward(self, points: Tensor) -> Tensor:
        """F at points [N, d] in domain units -> [N, c], float64 (differences of large numbers follow)."""
        return self.network_points(points.to(self.dtype)).double() + self.polynomial(points)

    def grid(self, stencils: Sequence[Stencil]) -> Tensor:
        """F through one stencil per axis -> [M_1, ..., M_d, c]."""
        return self.network_grid(stencils) + self.polynomial.grid(stencils)

    def grid_sum(self, terms: Sequence[Sequence[Stencil]], block: int, progress: Progress | None = None) -> Tensor:
        """The sum of `grid` over several lists of stencils, a network seeing at most about `block` points at once."""
        total = self.grid(terms[0])
        for stencils in terms[1:]:
            total = total + self.grid(stencils)
        return total

    def tabulated(self, bounds: Sequence[tuple[float, float]], counts: Sequence[int]) -> "Field":
        """A field that answers the same from values at counts [d] even steps over bounds [d], where it can; or itself.

        For very many scattered queries with factors that are dear to ask.
        """
        return self

    def queries(self, stencils: Sequence[Stencil]) -> int:
        """Network evaluations that `grid` costs: points of the tensor grid of nodes."""
        total = 1
        for stencil in stencils:
            total *= len(stencil.nodes)
        return total

    def scattered(self, nodes: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
        """Tensor-product kernels of N points of their own: nodes and weights [N, K_j] per axis -> [N, c], float64."""
        points, products = nodes[0][..., None], weights[0]
        for node, weight in zip(nodes[1:], weights[1:], strict=True):
            k, m = points.shape[1], node.shape[1]
            pairs = [points[:, :, None].expand(-1, -1, m, -1), node[:, None, :, None].expand(-1, k, -1, -1)]
            points = torch.cat(pairs, dim=-1).flatten(1, 2)
            products = (products[:, :, None] * weight[:, None, :]).flatten(1)
        return self.sum_diracs(points, products)

    def sum_diracs(self, points: Tensor, weights: Tensor) -> Tensor:
        """sum_k w_k F(points_k): points [N, K, d], weights [N, K] or [K] -> [N, c], float64."""
        values = self(points.flatten(0, 1)).unflatten(0, points.shape[:2])
        return (values * weights.double()[..., None]).sum(dim=1)

    def network_points(self, points: Tensor) -> Tensor:
        """The network part at points [N, d] -> [N, c]."""
        raise NotImplementedError

    def network_grid(self, stencils: Sequence[Stencil]) -> Tensor:
        """The network part through one stencil per axis -> [M_1, ..., M_d, c]."""
        raise NotImplementedError

    def rescale(self, stencils: Sequence[Stencil], size: Tensor) -> None:
        """Scale the last layer so that the network part, seen through `stencils`, has rms `size` [c]."""
        raise NotImplementedError
