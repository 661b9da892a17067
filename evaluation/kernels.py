"""The kernels that a command line asks for, in the units it asks in."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

import nfconv
from files import load_array
from files.inputs import warn
from kernels.library import KERNELS, Kernel, kernel_from_options, parameters
from kernels.sparse import SparseKernel
from kernels.width import cutoff, profile
from modalities import find
from modalities.measured import units_of
from models import Field
from models.convolution import check_reach
from models.filtering import sparse_kernel
from models.varying import CovarianceFilter, Filter, turned_covariances
from signals.units import Ruler, Units, has_unit

# Kernels that are blended by angle.
ANGLES = 12
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


def read_map(path: Path, dim: int, axes: int) -> np.ndarray:
    """A map in [0, 1], [M_1, ..., M_d, 1 or `axes`]: a picture's lightness, or an `.npy` array; raises ValueError."""
    if path.suffix == ".npy":
        values = load_array(path).astype(np.float64)
        values = values[..., None] if values.ndim == dim else values
    else:
        values = find("image").load(path).values[..., :3].mean(axis=-1, keepdims=True)
    if values.ndim != dim + 1 or values.shape[-1] not in (1, axes) or values.size == 0:
        raise ValueError(f"{path} has shape {values.shape}: a map requires {dim} axes, and 1 or {axes} channels")
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"{path} must hold finite numbers from 0 to 1: scale it first")
    return values


def covariances_of(values: np.ndarray, axes: int, what: str) -> np.ndarray:
    """Covariances [..., axes, axes] from those, or from their variances and then covariances along the last axis,
    (0, 1), (0, 2), (1, 2); raises ValueError for other shapes, which `what` names."""
    values = np.array(values, dtype=np.float64)
    if values.shape[-2:] == (axes, axes) and values.ndim != 2:
        return values
    upper = [*((i, i) for i in range(axes)), *((i, j) for i in range(axes) for j in range(i + 1, axes))]
    if values.shape[-1:] != (len(upper),):
        raise ValueError(f"{what} has shape {values.shape}: covariances are [..., {axes}, {axes}], or "
                         f"[..., {len(upper)}] of {axes} variances and then covariances")  # fmt: skip
    full = np.empty((*values.shape[:-1], axes, axes))
    for index, (i, j) in enumerate(upper):
        full[..., i, j] = full[..., j, i] = values[..., index]
    return full


def field_units(field: Field) -> Units:
    """The units of the signal that a field was trained on; those of the authors' are not known."""
    units = units_of(field.origin.metadata, field.origin.shape, field.config.axes)
    return Units([Ruler({})] * len(units.rulers), units.names, warn) if field.origin.released else units


def named_kernel(named: Mapping[str, Any], units: Units) -> Kernel | None:
    """The kernel that --kernel and its parameters (text, with units) ask for; None without a name. Raises ValueError.

    Sizes that differ along the axes, as those of pixels do, stretch it.
    """
    given = {name: str(named[name]) for name in parameters() if named.get(name) is not None}
    kernel = named.get("kernel")
    if kernel is None:
        kernel_from_options(named)
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


def choose_kernel(
    field: Field,
    path: str,
    scale: str | None,
    named: Mapping[str, Any],
    weights: str,
    half_size: str | None = None,
) -> Kernel | SparseKernel:
    """The kernel that --kernel and its parameters, or --kernel_path and --kernel_scale, or --filters, ask for.

    Saved kernels (and the minimal one of half size 1, when nothing is asked) get 1 / `scale` of their size, one number
    or one per filtered axis, the `half_size`, or the training kernel's size. Raises ValueError.
    """
    units, config = field_units(field), field.config
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


def make_filter(
    field: Field, kernel: Kernel | SparseKernel, scale_map: Path | None, scale_range: str, angle_map: Path | None,
    angles: int | None, covariance_map: Path | None = None, accuracy: float = 60.0,
) -> Filter | CovarianceFilter:  # fmt: skip
    """One kernel, one of varying size (--scale_map), several of varying angle (--angle_map), or Gaussians of a
    covariance each (--covariance_map, or an angle each); raises ValueError."""
    config = field.config
    if sum(path is not None for path in (scale_map, angle_map, covariance_map)) > 1:
        raise ValueError("--scale_map, --angle_map and --covariance_map do not go together: choose one")
    if covariance_map:
        return covariance_filter(field, covariance_map, accuracy)
    if angle_map:
        given = dict(kernel.parameters) if isinstance(kernel, Kernel) else {}
        if not isinstance(kernel, Kernel) or "angle" not in kernel.type.parameters or given.get("angle"):
            raise ValueError("--angle_map turns a --kernel that has an angle: name one, and give no --angle of its own")
        values = read_map(angle_map, config.dim, 1)
        if (
            kernel.name == "anisotropic"
            and angles is None
            and (gaussian := turned_gaussian(field, kernel, values, accuracy))
        ):
            return gaussian
        count = angles or ANGLES
        turned = [replace(kernel, parameters={**given, "angle": 180.0 * k / count}) for k in range(count)]
        return Filter(tuple(sparse_kernel(field, k) for k in turned), angles=values)
    found = sparse_kernel(field, kernel)
    if scale_map is None:
        return Filter((found,))
    least, most = numbers(scale_range, 2, "--scale_range")
    values = read_map(scale_map, config.dim, len(config.axes))
    return Filter((found,), factors=least + (most - least) * values)


def covariance_filter(field: Field, path: Path, accuracy: float) -> Filter | CovarianceFilter:
    """Gaussians of the covariances in an `.npy` map, [M_1, ..., M_d, a, a] or with variances and then covariances along
    one axis; raises ValueError."""
    config, axes = field.config, len(field.config.axes)
    values = covariances_of(load_array(path), axes, str(path))
    if values.ndim != config.dim + 2 or values.size == 0:
        raise ValueError(f"{path} has {values.ndim - 2} axes before those of its covariances, the field {config.dim}")
    if axes == 1:
        sizes = np.sqrt(np.maximum(values[..., 0], 0))
        return Filter((sparse_kernel(field, nfconv.gaussian(sigma=1.0)),), factors=sizes)
    if axes != config.dim or axes > 3:
        raise ValueError(f"a covariance requires one to three axes, all filtered, not {axes} of {config.dim}")
    return CovarianceFilter(values, config.order, accuracy)


def turned_gaussian(field: Field, kernel: Kernel, angles: np.ndarray, accuracy: float) -> CovarianceFilter | None:
    """The Gaussian of `kernel` turned by a map of angles; None, with a warning, where the field or the tables of
    Gaussians do not allow it."""
    if field.config.dim != 2:
        return None
    kernel.target(2)  # raises ValueError for missing parameters
    values = dict(kernel.parameters)
    stretch = kernel.stretch or (1.0, 1.0)
    try:
        sigmas = turned_covariances(angles[..., 0], values["sigma"], values["sigma_across"], stretch)
        found = CovarianceFilter(sigmas, field.config.order, accuracy)
        if not field.origin.released:
            check_reach(field, found.radius.tolist())
    except ValueError as error:
        warn(f"blending {ANGLES} kernels that are cut at 3 sigma instead of turning the Gaussian, as {error}")
        return None
    return found


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
    if len({request.folder for request in found}) < len(found):
        raise ValueError("--filters puts two results in one folder: rename a kernel, or leave one out")
    return found
