"""The kernels that a command line asks for, in the units it asks in."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

import nfconv
from evaluation.destination import Destination
from files.inputs import warn
from kernels.library import KERNELS, Kernel, parameters
from kernels.sparse import SparseKernel
from kernels.width import cutoff, profile
from modalities.measured import units_of
from models import Field
from models.filtering import sparse_kernel
from signals.units import Ruler, Units, has_unit

SHIPPED_KERNELS = Path(__file__).resolve().parents[1] / "trained_models" / "kernels"


class Request(NamedTuple):
    """Where one result goes and which kernel makes it: a saved one ("": the minimal one), its size as --kernel_scale
    has it (1 / half size, or with a unit the half size), or as --filters has it."""

    folder: Path
    path: str = ""
    scale: str | None = None
    half_size: str | None = None


def numbers(text: str, count: int, what: str) -> list[float]:
    """One positive number, or `count` of them with commas in between, as `count` numbers; raises ValueError."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, count) or not all(np.isfinite(v) and v > 0 for v in values):
        raise ValueError(f"{what} must be one positive number or {count} of them with commas, not {text!r}")
    return values * count if len(values) == 1 else values


def field_units(field: Field) -> Units:
    """The units of the signal that a field was trained on; those of the authors' are not known."""
    units = units_of(field.origin.metadata, field.origin.shape, field.config.axes)
    return Units([Ruler({})] * len(units.rulers), units.names, warn) if field.origin.released else units


def derivative_unit(field: Field, kernel: Kernel | SparseKernel) -> str | None:
    """What derivatives are taken by, in a sentence; None for kernels that do not differentiate."""
    if not isinstance(kernel, Kernel) or not kernel.type.differentiates:
        return None
    units = field_units(field)
    own = []
    for ruler, name in zip(units.rulers, units.names, strict=True):
        if ruler.units:
            unit = "s" if "s" in ruler.units else next(iter(ruler.units))
            own.append(f"{1 / ruler.units[unit]:.6g} {unit} along {name}")
    power = "" if kernel.type.differentiates == 1 else " squared"
    return f"derivatives are per domain unit{power}" + (f"; a domain unit is {', '.join(own)}" if own else "")


def named_kernel(named: Mapping[str, Any], units: Units) -> Kernel | None:
    """The kernel that --kernel and its parameters (text, with units) ask for; None without a name. Raises ValueError.

    Sizes that differ along the axes, as those of pixels do, stretch it.
    """
    given = {name: str(named[name]) for name in parameters() if named.get(name) is not None}
    kernel = named.get("kernel")
    if kernel is None:
        if given:
            raise ValueError(f"--{next(iter(given))} describes a kernel: name one with --kernel")
        return None
    known = {name: KERNELS[kernel].parameters[name].kind for name in given if name in KERNELS[kernel].parameters}
    plain = {name: text for name, text in given.items() if known.get(name) not in ("length", "frequency")}
    sizes = {}
    for name, text in given.items():
        if known.get(name) == "length":
            sizes[name] = np.array(units.lengths(text, f"--{name}", _cutoff_of(kernel, name, given)))
        elif known.get(name) == "frequency":
            sizes[name] = 1 / np.array(units.frequencies(text, f"--{name}"))
    ratios = [size / size[0] for size in sizes.values()]
    if any(not np.allclose(ratio, ratios[0], rtol=1e-9) for ratio in ratios):
        raise ValueError(f"{' and '.join(f'--{name}' for name in sizes)} stretch {kernel} differently along the axes: "
                         "give them in one unit")  # fmt: skip
    first = {name: float(size[0] if known[name] == "length" else 1 / size[0]) for name, size in sizes.items()}
    stretch = tuple(ratios[0].tolist()) if ratios and not np.allclose(ratios[0], 1, rtol=1e-12) else None
    return Kernel(kernel, plain | first, stretch=stretch)


def _cutoff_of(kernel: str, name: str, given: Mapping[str, str]) -> Callable[[int], float]:
    """The cutoff along any axis of a kernel of the library whose length `name` is 1."""

    def found(_: int) -> float:
        entry = KERNELS[kernel]
        if len(entry.names("length", "frequency")) > 1 or entry.axes[0] > 1:
            raise ValueError(f"{kernel} has no cutoff along one axis: give --{name} in another unit than Hz")
        return cutoff(Kernel(kernel, {**given, name: 1.0}).target(1))

    return found


def choose_kernel(field: Field, request: Request, named: Mapping[str, Any], weights: str) -> Kernel | SparseKernel:
    """The kernel that --kernel and its parameters, or a request, ask for.

    Saved kernels (and the minimal one of half size 1, when nothing is asked) get 1 / scale of their size, one number or
    one per filtered axis, the half size, or the training kernel's size. Raises ValueError.
    """
    units, config = field_units(field), field.config
    _, path, scale, half_size = request
    kernel = named_kernel(named, units)
    if kernel is not None:
        if path or scale or half_size:
            raise ValueError("--kernel has its size in its own parameters: leave --kernel_path and --kernel_scale out")
        return kernel
    saved = nfconv.minimal_kernel(config.order, 1.0)
    if path:
        if weights == "auto":
            weights = "stored" if field.origin.released else "corrected"
        saved = nfconv.load_kernel(path, weights, click.echo)
    saved = sparse_kernel(field, saved)
    if half_size or (scale and has_unit(scale)):
        what = "the half size in --filters" if half_size else "--kernel_scale"
        sizes = units.lengths(half_size or scale or "", what, lambda axis: cutoff(profile(saved, config.axes[axis])))
    elif scale:
        sizes = [1.0 / value for value in numbers(scale, len(config.axes), "--kernel_scale")]
    else:
        sizes = list(field.origin.half_size)
    return saved.scaled(sizes)


def requests(save_path: Path, kernel_path: str, kernel_scale: str | None, filters: str | None) -> list[Request]:
    """Every filter that is asked for: one, or those of --filters; raises ValueError."""
    if filters is None:
        return [Request(save_path, kernel_path, kernel_scale)]
    if kernel_path or kernel_scale:
        raise ValueError("--filters names kernels and sizes: leave --kernel_path and --kernel_scale out")
    found = []
    for entry in filters.split(","):
        name, _, size = entry.strip().rpartition(":")
        if not has_unit(size):
            numbers(size, 1, "the half size in --filters")
        path = "" if name in ("", "tent") else str(SHIPPED_KERNELS / name) if Path(name).name == name else name
        found.append(Request(save_path / f"{Path(name or 'tent').stem}_{size}", path, half_size=size))
    if Destination(save_path).alone:
        raise ValueError(f"--filters writes several results: name a folder, not {save_path.name}")
    if len({request.folder for request in found}) < len(found):
        raise ValueError("--filters puts two results in one folder: rename a kernel, or leave one out")
    return found
