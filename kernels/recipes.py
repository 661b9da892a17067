"""The recipes of the library: for every kernel its formula, parameters, axes and usual number of Diracs."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from kernels import pictures, shapes
from kernels.target import Target

REQUIRED = None
# The default of `axis`: whichever filtered axis comes first.
FIRST = -1
# Beyond this many per axis a kernel is too fine for any field; its fit is then coarser than asked.
MOST_DIRACS = 193
# Of the half size: how steep the edge of a box is made. Each order differentiates it once more, and float64 ends.
STEEP = (0.01, 0.01, 0.03, 0.06)
# What parameters of a kind may be: far beyond all use, and near enough that powers of them stay numbers.
RANGES = {"length": (1e-6, 1e6), "frequency": (1e-6, 1e6), "ratio": (1e-6, 1e3), "number": (-1e6, 1e6)}
# Lengths of one kernel may differ this many times, and a wave have this many cycles under its Gaussian.
LARGEST_RATIO = 1e3


@dataclass(frozen=True)
class Parameter:
    """One parameter of the library's kernels: `kind` is a key of RANGES, coordinate or path."""

    kind: str
    help: str

    @property
    def type(self) -> type:
        """The Python type of its value on a command line."""
        return {"path": str, "coordinate": int}.get(self.kind, float)

    def checked(self, name: str, value: Any) -> Any:
        """The value as its type, or ValueError where it cannot be one or is out of range."""
        try:
            value = self.type(value)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"{name} must be a {self.kind}, not {value!r}") from None
        least, most = RANGES.get(self.kind, (value, value))
        if not least <= value <= most:
            positive = "positive, and " if least > 0 else ""
            raise ValueError(f"{name} must be {positive}from {least:g} to {most:g}, not {value}")
        return value


PARAMETERS: Mapping[str, Parameter] = MappingProxyType(
    {
        "sigma": Parameter("length", "standard deviation in domain units"),
        "sigma_across": Parameter("length", "standard deviation across the angle in domain units"),
        "half_size": Parameter("length", "half the kernel's size in domain units"),
        "radius": Parameter("length", "radius of the kernel in domain units"),
        "length": Parameter("length", "length of the line in domain units"),
        "thickness": Parameter("length", "thickness of the line or ring in domain units"),
        "frequency": Parameter("frequency", "cycles per domain unit, of which the signal spans two"),
        "ratio": Parameter("ratio", "the wider sigma over the narrower one"),
        "angle": Parameter("number", "degrees counter-clockwise from the direction of the columns"),
        "lobes": Parameter("number", "lobes of the sinc to either side"),
        "degree": Parameter("number", "polynomial degree of the B-spline"),
        "axis": Parameter("coordinate", "coordinate that the derivative is taken in"),
        "kernel_image": Parameter("path", "picture of the kernel"),
    }
)

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Recipe:
    """How a kernel is made.

    `shape` gives the exact kernel in d axes; `parameters` their defaults (None: required), the first
    length is the kernel's size; `axes` the fewest and most filtered axes; `count(order, values)` its usual
    Diracs per axis; `steep` kernels have edges to be fitted by close Diracs; `degree` is that of the B-spline
    it is, if it is one; `differentiates` the times it does, as a k-th derivative at size s is 1 / s^k stronger.
    """

    shape: Callable[..., Target]
    parameters: Mapping[str, Any]
    count: Callable[[int, Values], int]
    axes: tuple[int, int] = (1, 3)
    steep: bool = False
    degree: int | None = None
    differentiates: int = 0

    def smallest_gap(self, order: int) -> float | None:
        """The smallest distance between Diracs that its fit may use, None for the usual one."""
        return STEEP[min(order, len(STEEP) - 1)] if self.steep else None

    def degree_of(self, values: Values) -> int | None:
        """The degree of the B-spline that this kernel is, None where it is none."""
        return int(values["degree"]) if "degree" in values else self.degree

    def check_sizes(self, values: Values) -> None:
        """Refuse (ValueError) lengths, or a length and a period, that are too far apart to be of one kernel."""
        kinds = {name: PARAMETERS[name].kind for name in values}
        sizes = {name: value for name, value in values.items() if kinds[name] == "length"}
        sizes |= {name: 1.0 / value for name, value in values.items() if kinds[name] == "frequency"}
        if max(sizes.values()) > LARGEST_RATIO * min(sizes.values()):
            raise ValueError(f"the sizes that {' and '.join(sizes)} give differ more than {LARGEST_RATIO:g} times")

    def unit(self, values: Values) -> tuple[float, tuple[tuple[str, float], ...]]:
        """The kernel's size and the rest of its values at size 1, rounded so that equal shapes compare equal."""
        kinds = {name: PARAMETERS[name].kind for name in values}
        size = next(values[name] for name in values if kinds[name] == "length")
        shape = dict(values)
        for name, kind in kinds.items():
            if kind in RANGES:
                scale = {"length": 1.0 / size, "frequency": size}.get(kind, 1.0)
                shape[name] = float(f"{values[name] * scale:.12g}")
        return size, tuple(shape.items())


def _smooth(first: int, second: int, third: int) -> Callable[[int, Values], int]:
    """Counts for orders 0, 1 and 2; higher orders take as many as order 2 and one more for each degree."""
    return lambda order, values: (first, second, third)[order] if order < 3 else third + order - 2


def _by_fineness(fineness: Callable[[Values], float], base: Callable[[int, Values], int], share: float):
    """Counts that grow with the details there are along an axis, `share` of a Dirac for each at order 1."""

    def count(order: int, values: Values) -> int:
        more = share * (4.0, 1.0, 0.7)[min(order, 2)] * fineness(values)
        return min(MOST_DIRACS, base(order, values) + 2 * round(more / 2))

    return count


def _line_fineness(values: Values) -> float:
    sigma = values["thickness"] / shapes.FWHM_PER_SIGMA
    return 0.0 if values["angle"] % 90 == 0 else values["length"] / sigma


def _ellipse_fineness(values: Values) -> float:
    sizes = sorted((values["sigma"], values["sigma_across"]))
    return 0.0 if values["angle"] % 90 == 0 else sizes[1] / sizes[0] - 1.0


def _edges(order: int, values: Values) -> int:
    """A box of higher order has two steep edges, each n Diracs."""
    return 2 * (order + 1)


SPLINE = _smooth(32, 13, 12)
RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "box": Recipe(partial(shapes.spline, degree=0), {"half_size": REQUIRED}, _edges, steep=True, degree=0),
        "tent": Recipe(partial(shapes.spline, degree=1), {"half_size": REQUIRED}, SPLINE, degree=1),
        "quadratic": Recipe(partial(shapes.spline, degree=2), {"half_size": REQUIRED}, SPLINE, degree=2),
        "cubic": Recipe(partial(shapes.spline, degree=3), {"half_size": REQUIRED}, SPLINE, degree=3),
        "bspline": Recipe(shapes.spline, {"half_size": REQUIRED, "degree": REQUIRED}, SPLINE),
        "gaussian": Recipe(shapes.gaussian, {"sigma": REQUIRED}, _smooth(32, 13, 10)),
        "dog": Recipe(
            shapes.difference_of_gaussians, {"sigma": REQUIRED, "ratio": 1.6},
            _by_fineness(lambda values: 5 * math.log(values["ratio"] / 1.6), _smooth(48, 17, 14), 1.0),
        ),
        "derivative": Recipe(
            shapes.derivative, {"sigma": REQUIRED, "axis": FIRST}, _smooth(40, 14, 12), differentiates=1,
        ),
        "second_derivative": Recipe(
            shapes.second, {"sigma": REQUIRED, "axis": FIRST}, _smooth(40, 15, 12), differentiates=2,
        ),
        "log": Recipe(shapes.laplacian, {"sigma": REQUIRED}, _smooth(40, 15, 12), differentiates=2),
        "disk": Recipe(shapes.disk, {"radius": REQUIRED}, _smooth(161, 113, 97), axes=(2, 2)),
        "ring": Recipe(
            shapes.ring, {"radius": REQUIRED, "thickness": REQUIRED}, _smooth(193, 161, 129), axes=(2, 2),
        ),
        "gabor": Recipe(
            shapes.gabor, {"sigma": REQUIRED, "frequency": REQUIRED, "angle": 0.0},
            _by_fineness(lambda values: 6 * values["sigma"] * values["frequency"], _smooth(32, 13, 12), 4.0),
            axes=(1, 2),
        ),
        "lanczos": Recipe(
            shapes.lanczos, {"radius": REQUIRED, "lobes": 3},
            _by_fineness(lambda values: values["lobes"], _smooth(16, 5, 4), 4.0),
        ),
        "motion": Recipe(
            shapes.motion, {"length": REQUIRED, "thickness": REQUIRED, "angle": 0.0},
            _by_fineness(_line_fineness, _smooth(40, 17, 16), 0.35), axes=(2, 2),
        ),
        "anisotropic": Recipe(
            shapes.anisotropic, {"sigma": REQUIRED, "sigma_across": REQUIRED, "angle": 0.0},
            _by_fineness(_ellipse_fineness, _smooth(32, 13, 12), 1.6), axes=(2, 2),
        ),
        "image": Recipe(
            pictures.picture, {"kernel_image": REQUIRED, "radius": REQUIRED}, _smooth(129, 81, 65), axes=(2, 2),
        ),
    }
)  # fmt: skip
