"""What a kernel is asked for by name: its parameters, its number of Diracs, and the sparse kernel they lead to.

Lengths are in domain units (the signal spans [-1, 1]). A kernel is fitted once for its shape, at unit size, and
stretched: another size of it costs nothing.
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar

from kernels.fit import fit_kernel
from kernels.knots import Notify, silent
from kernels.minimal import minimal_kernel
from kernels.sparse import SparseKernel
from kernels.target import Target

# Beyond this many per axis a kernel is too fine for any field; its fit is then coarser than asked.
MOST_DIRACS = 193
# Width of a box's edges, as a share of its half size, by order: each order differentiates once more, within float64.
STEEP = (0.01, 0.01, 0.03, 0.06)
# What parameters of a kind may be: far beyond all use, and near enough that powers of them stay numbers.
RANGES = {"length": (1e-6, 1e6), "frequency": (1e-6, 1e6), "ratio": (1e-6, 1e3), "number": (-1e6, 1e6)}
TYPES = {"path": str, "coordinate": int}
# Lengths of one kernel may differ this many times, and a wave have this many cycles under its Gaussian.
LARGEST_RATIO = 1e3
REQUIRED = inspect.Parameter.empty
Stretched = TypeVar("Stretched", SparseKernel, Target)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel, as its annotation says: `kind` is a key of RANGES, coordinate or path; `span` what
    sliders show of one without a unit: least, most, step."""

    kind: str
    help: str
    span: tuple[float, float, float] | None = None
    default: Any = REQUIRED

    @property
    def type(self) -> type:
        """The Python type of its value on a command line."""
        return TYPES.get(self.kind, float)

    def checked(self, name: str, value: Any) -> Any:
        """The value as its type; raises ValueError where it is of another type or out of range."""
        try:
            value = self.type(value)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"{name} must be a {self.kind}, not {value!r}") from None
        least, most = RANGES.get(self.kind, (value, value))
        if not least <= value <= most:
            positive = "" if self.kind == "number" else "positive, and "
            raise ValueError(f"{name} must be {positive}from {least:g} to {most:g}, not {value}")
        return value


@dataclass(frozen=True, eq=False)
class KernelType:
    """An entry of the library: the exact kernel `shape(dim, **parameters)` and what fitting it needs to know.

    `parameters`: the first length is the kernel's size; a coordinate of the domain is replaced by its place among the
    filtered axes, which its default already is; `diracs`: the usual number per axis for orders 0, 1 and 2;
    `details(values)`: additional ones at order 1; `axes`: the fewest and most filtered axes; `steep`: it has edges that
    need close Diracs; `degree`: that of the B-spline it is, if it is one; `differentiates`: how many times, as a k-th
    derivative at size s is 1 / s^k stronger.
    """

    name: str
    shape: Callable[..., Target]
    parameters: Mapping[str, Parameter]
    diracs: tuple[int, ...] = ()
    details: Callable[[Mapping[str, Any]], float] | None = None
    axes: tuple[int, int] = (1, 3)
    steep: bool = False
    degree: int | None = None
    differentiates: int = 0

    def count(self, order: int, values: Mapping[str, Any]) -> int:
        """The usual number of Diracs per axis; orders above 2 take one more for each degree."""
        if self.steep:
            return 2 * (order + 1)
        count = self.diracs[min(order, 2)] + max(0, order - 2)
        if self.details is None:
            return count
        more = (4.0, 1.0, 0.7)[min(order, 2)] * self.details(values)
        return min(MOST_DIRACS, count + 2 * round(more / 2))

    def scaled(self, values: Mapping[str, Any], scale: float) -> dict[str, Any]:
        """The parameters of the kernel `scale` times as large, rounded so that equal shapes compare equal."""
        scaled = dict(values)
        for name in self.names(*RANGES):
            factor = {"length": scale, "frequency": 1.0 / scale}.get(self.parameters[name].kind, 1.0)
            scaled[name] = float(f"{values[name] * factor:.12g}")
        return scaled

    def names(self, *kinds: str) -> list[str]:
        """The names of the parameters of these kinds."""
        return [name for name, parameter in self.parameters.items() if parameter.kind in kinds]


KERNELS: dict[str, KernelType] = {}


@dataclass(frozen=True)
class Kernel:
    """A kernel of the library with its parameters, lengths in domain units; hashable.

    Parameters that are None are not given. `count` Diracs per axis (one number or one per axis) or a relative L2
    `error` replace the usual count; `stretch` makes it so many times as long along every filtered axis (pixels of other
    sides than domain units). Raises ValueError for an unknown name, and for parameters that the kernel does not
    have or that are out of range; a missing one raises where the kernel is used.
    """

    name: str
    parameters: Any = ()
    count: int | tuple[int, ...] | None = None
    error: float | None = None
    stretch: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.name not in KERNELS:
            raise ValueError(f"there is no kernel called {self.name!r}; the library has {', '.join(KERNELS)}")
        given = {key: value for key, value in dict(self.parameters).items() if value is not None}
        known = self.type.parameters
        strange = [key for key in given if key not in known]
        if strange:
            raise ValueError(f"{self.name} has no parameter {strange[0]!r}; it takes {', '.join(known)}")
        values = {}
        for key, parameter in known.items():
            if key in given or (parameter.default is not REQUIRED and parameter.kind != "coordinate"):
                values[key] = parameter.checked(key, given.get(key, parameter.default))
        sizes = {key: values[key] for key in self.type.names("length") if key in values}
        sizes |= {key: 1.0 / values[key] for key in self.type.names("frequency") if key in values}
        if sizes and max(sizes.values()) > LARGEST_RATIO * min(sizes.values()):
            raise ValueError(f"the sizes that {' and '.join(sizes)} give differ more than {LARGEST_RATIO:g} times")
        object.__setattr__(self, "parameters", tuple(values.items()))

    @property
    def type(self) -> KernelType:
        """Its entry in the library."""
        return KERNELS[self.name]

    def target(self, dim: int = 1, axes: Sequence[int] | None = None) -> Target:
        """The exact kernel that `sparse` approximates, in the coordinates of its filtered axes alone.

        Raises ValueError for missing parameters, parameters that contradict each other, and axes it does not fit.
        """
        axes = tuple(range(dim)) if axes is None else tuple(axes)
        values = self._values(axes)
        return self._stretched(self.type.shape(len(axes), **values), values)

    def sparse(
        self, order: int, dim: int = 1, axes: Sequence[int] | None = None, notify: Notify = silent
    ) -> SparseKernel:
        """Its Diracs for `order`, acting in `axes` (default: all) of a `dim`-dimensional domain.

        `notify` receives what a fit tries. Raises ValueError as `target` and `fit_kernel` do.
        """
        axes = tuple(range(dim)) if axes is None else tuple(axes)
        values = self._values(axes)
        if values.get("degree", self.type.degree) == order and self.count is None and self.error is None:
            return minimal_kernel(order, values["half_size"], dim, axes).scaled(self.stretch or 1.0)
        size = values[self.type.names("length")[0]]
        unit = Kernel(self.name, self.type.scaled(values, 1.0 / size), self.count, self.error)
        # A picture may change while the process runs, so its fit is not kept.
        fit = _fitted.__wrapped__ if self.type.names("path") else _fitted
        kernel = fit(unit, order, len(axes), notify)
        kernel = kernel.scaled(size).times(size**-self.type.differentiates)
        return self._stretched(kernel, values).embedded(axes, dim)

    def _stretched(self, kernel: Stretched, values: Mapping[str, Any]) -> Stretched:
        """The kernel stretched as asked, a derivative being one along its own axis as before."""
        if self.stretch is None:
            return kernel
        along = [self.stretch[values[key]] for key in self.type.names("coordinate")]
        return kernel.scaled(self.stretch).times(math.prod(along) ** -self.type.differentiates)

    def _values(self, axes: tuple[int, ...]) -> dict[str, Any]:
        """All parameters for these filtered axes, a coordinate as its place among them."""
        values = dict(self.parameters)
        for key, parameter in self.type.parameters.items():
            if key not in values and parameter.default is REQUIRED:
                raise ValueError(f"{self.name} needs {key} ({parameter.help})")
        fewest, most = self.type.axes
        if not fewest <= len(axes) <= most:
            wanted = f"{fewest}" if fewest == most else f"{fewest} to {most}"
            raise ValueError(f"{self.name} needs {wanted} filtered axes, and there are {len(axes)}")
        for key in self.type.names("coordinate"):
            axis = values.get(key, axes[self.type.parameters[key].default])
            if axis not in axes:
                raise ValueError(f"axis {axis} is not among the filtered axes {axes}")
            values[key] = axes.index(axis)
        return values


@lru_cache(maxsize=128)
def _fitted(unit: Kernel, order: int, dim: int, notify: Notify) -> SparseKernel:
    """The fit of a kernel at unit size in all of `dim` axes, kept for the life of the process."""
    count, entry = unit.count, unit.type
    if count is None and unit.error is None:
        count = entry.count(order, dict(unit.parameters))
    gap = STEEP[min(order, 3)] if entry.steep else None
    return fit_kernel(unit.target(dim), order, count, unit.error, gap, notify=notify)


def kernel(**facts: Any) -> Callable[[Callable[..., Target]], Callable[..., Kernel]]:
    """Enter a function (dim, parameters) -> exact kernel into the library; called, it then gives a `Kernel`.

    Every parameter is annotated with its kind and help (Annotated[float, Parameter(...)]); one without a default is
    required. `facts` are those of KernelType.
    """

    def enter(shape: Callable[..., Target]) -> Callable[..., Kernel]:
        parameters = {}
        for name, found in list(inspect.signature(shape).parameters.items())[1:]:
            parameters[name] = replace(found.annotation.__metadata__[0], default=found.default)
        entry = KERNELS[shape.__name__] = KernelType(shape.__name__, shape, parameters, **facts)

        def request(*, count: Any = None, error: float | None = None, **values: Any) -> Kernel:
            return Kernel(entry.name, values, count, error)

        request.__name__ = request.__qualname__ = shape.__name__
        request.__doc__ = shape.__doc__
        # Notebooks complete the parameters' names.
        keyword = inspect.Parameter.KEYWORD_ONLY
        own = [inspect.Parameter(name, keyword, default=p.default) for name, p in parameters.items()]
        shared = [inspect.Parameter(name, keyword, default=None) for name in ("count", "error")]
        request.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
        return request

    return enter


def parameters() -> dict[str, tuple[Parameter, list[str]]]:
    """Every parameter of the library by name, with the names of the kernels that take it."""
    found: dict[str, tuple[Parameter, list[str]]] = {}
    for entry in KERNELS.values():
        for name, parameter in entry.parameters.items():
            found.setdefault(name, (parameter, []))[1].append(entry.name)
    return found
