"""Kernels by name: what each is called, what it needs, and how many Diracs it gets unless told otherwise.

Lengths are in domain units (the signal spans [-1, 1]). A kernel is fitted once for its shape, at unit
size, and stretched: another size of it costs nothing.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from kernels.fit import fit_kernel
from kernels.knots import Report, no_report
from kernels.minimal import minimal_kernel
from kernels.recipes import FIRST, PARAMETERS, RECIPES, Recipe
from kernels.separate import grid_density
from kernels.sparse import SparseKernel
from kernels.target import Target


def recipe(name: str) -> Recipe:
    """The recipe of a kernel; raises ValueError for a name the library does not have."""
    if name not in RECIPES:
        raise ValueError(f"there is no kernel called {name!r}; the library has {', '.join(RECIPES)}")
    return RECIPES[name]


def build(
    name: str,
    order: int,
    dim: int = 1,
    axes: Sequence[int] | None = None,
    count: int | None = None,
    error: float | None = None,
    report: Report = no_report,
    **parameters: Any,
) -> SparseKernel:
    """The library's kernel `name` of `order`, acting in `axes` (default: all) of a `dim`-dimensional domain.

    Parameters are those of its recipe, lengths in domain units. `count` Diracs per axis or a relative L2
    `error` replace the recipe's own count; `report` is told what a fit tries. Raises
    ValueError with one sentence for anything wrong.
    """
    axes = tuple(range(dim)) if axes is None else tuple(axes)
    chosen = recipe(name)
    values = _checked(name, chosen, parameters, axes)
    if chosen.degree_of(values) == order and count is None and error is None:
        return minimal_kernel(order, values["half_size"], dim, axes)
    size, shape = chosen.unit(values)
    # A picture may change while the process lives, so its fit is not kept.
    fit = _unit_kernel.__wrapped__ if "kernel_image" in values else _unit_kernel
    kernel = fit(name, order, len(axes), count, error, shape, report)
    return kernel.scaled(size).times(size**-chosen.differentiates).embedded(axes, dim)


def target(name: str, dim: int, axes: Sequence[int] | None = None, **parameters: Any) -> Target:
    """The exact kernel `name` that `build` approximates, in the coordinates of its filtered axes alone.

    Raises ValueError as `build` does.
    """
    axes = tuple(range(dim)) if axes is None else tuple(axes)
    chosen = recipe(name)
    return chosen.shape(len(axes), **_checked(name, chosen, parameters, axes))


def from_options(
    options: Mapping[str, Any], order: int, dim: int, axes: Sequence[int] | None = None
) -> SparseKernel | None:
    """The kernel that command-line options ask for, `kernel` (its name) and its parameters; None without a name.

    Options that are None were not given. Raises ValueError for parameters without a name, missing ones,
    and ones that the kernel does not have.
    """
    given = {name: options[name] for name in PARAMETERS if options.get(name) is not None}
    name = options.get("kernel")
    if name is None:
        if given:
            raise ValueError(f"--{next(iter(given))} describes a kernel: name one with --kernel")
        return None
    return build(name, order, dim, axes, **given)


def is_signed(kernel: SparseKernel) -> bool:
    """Whether a kernel, and its output, is to be shown around 0: its mass is below a quarter of that of |g|."""
    coordinates = [np.linspace(-r, r, 65) * (1 - 1e-9) for r in kernel.radius[list(kernel.axes)]]
    cell = np.prod([x[1] - x[0] for x in coordinates])
    return abs(kernel.mass) < 0.25 * float(np.abs(grid_density(kernel, coordinates)).sum() * cell)


def _checked(name: str, chosen: Recipe, parameters: Mapping[str, Any], axes: tuple[int, ...]) -> dict[str, Any]:
    """All parameters of a recipe with their defaults, or ValueError with one clear sentence."""
    strange = [key for key in parameters if key not in chosen.parameters]
    if strange:
        needs = ", ".join(chosen.parameters)
        raise ValueError(f"{name} has no parameter {strange[0]!r}; it takes {needs}")
    values = {**chosen.parameters, **{key: value for key, value in parameters.items() if value is not None}}
    missing = [key for key, value in values.items() if value is None]
    if missing:
        raise ValueError(f"{name} needs {missing[0]} ({PARAMETERS[missing[0]].help})")
    fewest, most = chosen.axes
    if not fewest <= len(axes) <= most:
        wanted = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        raise ValueError(f"{name} needs {wanted} filtered axes, and there are {len(axes)}")
    values = {key: PARAMETERS[key].checked(key, value) for key, value in values.items()}
    chosen.check_sizes(values)
    if parameters.get("axis") is None and values.get("axis") == FIRST:
        values["axis"] = axes[0]
    if "axis" in values:
        if values["axis"] not in axes:
            raise ValueError(f"axis {values['axis']} is not among the filtered axes {axes}")
        values["axis"] = axes.index(values["axis"])
    return values


@lru_cache(maxsize=128)
def _unit_kernel(
    name: str,
    order: int,
    axes: int,
    count: int | None,
    error: float | None,
    shape: tuple[tuple[str, Any], ...],
    report: Report,
) -> SparseKernel:
    """The fit of a kernel at unit size, kept for the life of the process."""
    chosen, values = RECIPES[name], dict(shape)
    wanted = chosen.count(order, values) if count is None and error is None else count
    return fit_kernel(chosen.shape(axes, **values), order, wanted, error, chosen.smallest_gap(order), report=report)
