"""What fixes a field: its shape (FieldConfig) and what it was trained on (Origin), its training kernel above all."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from kernels.sparse import LARGEST_DIM, LARGEST_ORDER, checked_axes
from signals.ground_truth import GroundTruth, check_half_size
from signals.metadata import Metadata
from signals.signal import boundary_rules

KINDS = ("separable", "siren", "mlp")
FACTORS = ("swish", "sine", "spline")
# Entries of a configuration that each kind of layers reads.
LAYER_ENTRIES = {
    "swish": ("num_channels", "num_layers", "pe", "norm_exp"),
    "sine": ("num_channels", "num_layers", "omega_0"),
    "spline": ("knots", "reach"),
}
# What networks of all coordinates are made of; separable fields have the layers of their factors.
POINTWISE_LAYERS = {"siren": "sine", "mlp": "swish"}
LARGEST_SIDE = 1 << 24
# Domain units; a signal of one sample has 2 of them for each sample of its margin.
LARGEST_MARGIN = 1e6


def layers_of(kind: str, factor: str) -> str:
    """What a field of this kind, with these factors where it is separable, is made of: a key of LAYER_ENTRIES."""
    return POINTWISE_LAYERS.get(kind, factor)


@dataclass(frozen=True)
class FieldConfig:
    """Everything that fixes a field's shape; raises ValueError for values no field can have.

    tables [d]: rows of a lookup table that replaces the factor of an axis that is not filtered (0: no table);
    ranks [d]: functions per axis of a separable field; widths [d]: of the networks of every axis, where they are not
    all num_channels wide; split: the first layers of a network of all coordinates that see one coordinate each, before
    one that multiplies and others (0: none); knots [d]: coefficients per axis of 'spline' factors, which lie on
    [-1 - reach_j, 1 + reach_j] (reach [d], domain units); bias: whether the last layer of a network has one.
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
    split: int = 0
    factor: str = "swish"
    ranks: tuple[int, ...] = ()
    tables: tuple[int, ...] = ()
    widths: tuple[int, ...] = ()
    knots: tuple[int, ...] = ()
    reach: tuple[float, ...] = ()
    poly_degree: int = 2
    bias: bool = False

    def __post_init__(self) -> None:
        for name, allowed in (("kind", KINDS), ("factor", FACTORS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        bounds = {"dim": (1, LARGEST_DIM), "channels": (1, 4096), "order": (0, LARGEST_ORDER), "pe": (0, 24)}
        bounds |= {"num_channels": (1, 8192), "num_layers": (1, 64), "poly_degree": (0, 8), "bias": (0, 1)}
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
        # One layer multiplies, and one at least is shared.
        if type(self.split) is not int or not (self.split == 0 or 0 < self.split < self.num_layers):
            raise ValueError(f"split must be a whole number from 0 to num_layers - 1, not {self.split!r}")
        if self.kind == "separable":
            self._check_factors()

    def _check_factors(self) -> None:
        if not self.ranks:
            raise ValueError("a separable field requires ranks, one for every axis")
        if any(rows and axis in self.axes for axis, rows in enumerate(self.tables)):
            raise ValueError("only axes that are not filtered can be tables")
        if self.factor == "spline":
            pairs = zip(self.knots, self.tables or (0,) * self.dim, strict=False)
            if not self.knots or any(knots < 4 and not rows for knots, rows in pairs):
                raise ValueError("spline factors require four knots or more in every axis without a table")
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
        return layers_of(self.kind, self.factor)

    def differences(self, other: "FieldConfig") -> list[str]:
        """Entries in which the weights of `other` stand for another function than the same weights of this field."""
        read = ["kind", "dim", "channels", "axes", "order", "poly_degree", "bias", *LAYER_ENTRIES[self.layers]]
        if self.kind == "separable":
            read += ["factor", "ranks", "tables", "widths"]
        else:
            read.append("split")
        return [name for name in read if getattr(self, name) != getattr(other, name)]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "FieldConfig":
        """The inverse of `to_dict`; raises ValueError for unknown or ill-typed entries."""
        try:
            plain: dict[str, Any] = {
                n: tuple(value) if isinstance(value, list) else value for n, value in values.items()
            }
            return cls(**plain)
        except TypeError as error:
            raise ValueError(f"this is not a field's configuration: {error}") from None


@dataclass(frozen=True)
class Origin:
    """What a field was trained on: the minimal kernel's half size per filtered axis, the margin beyond [-1, 1] (domain
    units), the boundary rule, the signal's own shape, modality, name and metadata, and the ground truth's digest.

    `psnr` is the measured quality: half size in units of the training kernel's -> dB. `released` fields are of the
    authors, who trained no margin. Raises ValueError for facts that no ground truth has.
    """

    half_size: tuple[float, ...]
    margin: float
    boundary: str
    shape: tuple[int, ...]
    modality: str = ""
    source: str = "signal"
    digest: str = ""
    metadata: Metadata = Metadata()  # noqa: RUF009  # frozen
    released: bool = False
    psnr: Mapping[float, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_half_size(self.half_size, range(len(self.half_size)))
        if type(self.margin) not in (int, float) or not 0 <= self.margin <= LARGEST_MARGIN:
            raise ValueError(f"the margin {self.margin!r} is out of range")
        if not self.shape or not all(type(n) is int and 1 <= n <= LARGEST_SIDE for n in self.shape):
            raise ValueError(f"no signal has the shape {self.shape!r}")
        texts = (self.modality, self.source, self.digest)
        if not all(isinstance(text, str) for text in (*texts, self.boundary)):
            raise ValueError("its boundary rule, modality, source or digest is unknown")
        boundary_rules(self.boundary, range(len(self.half_size)), len(self.half_size))

    @classmethod
    def of(cls, truth: GroundTruth, covered: float | None = None) -> "Origin":
        """The facts of a ground truth; `covered` is how much of its margin was trained on (default: all of it)."""
        margin = truth.margin if covered is None else max(0.0, min(covered, truth.margin))
        facts = (truth.half_size, margin, truth.boundary, truth.shape, truth.modality, truth.source)
        return cls(*facts, truth.digest, truth.metadata)
