"""How a field filters: its settings, the kernel made fit for it, and the precision that one requires."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kernels import SparseKernel, outer
from kernels.library import Kernel
from kernels.target import Target
from kernels.width import THINNEST, relative_width
from models.convolution import TOLERANCE, KernelError, check_kernel, check_reach
from models.field import Field, Notify, Progress
from models.precision import estimate_noise
from signals.masks import own_channels
from signals.signal import coordinates


def silent(_: str) -> None:
    """Drops a message."""


def python_warning(text: str) -> None:
    """Hands warnings to Python's `warnings`, and drops other messages."""
    if text.startswith("warning: "):
        warnings.warn(text.removeprefix("warning: "), stacklevel=2)


@dataclass(frozen=True)
class Settings:
    """How a field filters: see `Field.filter`. Raises ValueError for a precision that does not exist."""

    precision: str = "auto"
    accuracy: float = 60.0
    tolerance: float = TOLERANCE
    block: int = 1 << 16
    progress: Progress | None = None
    notify: Notify = silent

    def __post_init__(self) -> None:
        object.__setattr__(self, "precision", str(self.precision))
        if self.precision not in ("auto", "32", "64"):
            raise ValueError(f"the precision must be auto, 32 or 64, not {self.precision}")
        for name, least in (("accuracy", -math.inf), ("tolerance", 0.0), ("block", 1.0)):
            value = getattr(self, name)
            if not isinstance(value, int | float | np.number) or not value >= least:
                bound = f" of {least:g} or more" if math.isfinite(least) else ""
                raise ValueError(f"the {name} must be a number{bound}, not {value!r}")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Settings":
        """Those of `Field.filter` that are given (not None); warnings are Python's where nobody is notified. Raises
        TypeError for an unknown one."""
        if unknown := set(options) - {field.name for field in fields(cls)}:
            raise TypeError(f"filter has no option {', '.join(sorted(unknown))}: see help(Field.filter)")
        return cls(**{"notify": python_warning, **{k: value for k, value in options.items() if value is not None}})


def sparse_kernel(field: Field, kernel: Kernel | SparseKernel) -> SparseKernel:
    """`kernel` with the order, dimension and axes of the field: fitted, or multiplied over all filtered axes if 1-D.

    Raises KernelError for a sparse kernel of another order or other axes, TypeError for what is no kernel.
    """
    config = field.config
    if isinstance(kernel, Kernel):
        return field.sparse(kernel)
    if not isinstance(kernel, SparseKernel):
        what = getattr(kernel, "__name__", type(kernel).__name__)
        raise TypeError(f"the kernel must be one like nfconv.gaussian(sigma=0.05) or a SparseKernel, not {what}")
    if kernel.dim == 1:
        kernel = reduce(outer, [kernel] * len(config.axes))
    if kernel.dim == len(config.axes) < config.dim:
        kernel = kernel.embedded(config.axes, config.dim)
    check_kernel(field, kernel)
    return kernel


def check_radius(field: Field, radius: Sequence[float], notify: Notify, outside: Sequence[float] = ()) -> None:
    """As `check_reach`, but only warn for the authors' fields, which have no margin."""
    try:
        check_reach(field, radius, outside)
    except KernelError as error:
        if not field.origin.released:
            raise
        notify(f"warning: the authors trained no margin, so the result is wrong near the border ({error})")


def prepared(field: Field, kernel: SparseKernel, least: float, most: float, settings: Settings) -> Field:
    """The field in the precision that `kernel`, scaled from `least` to `most`, requires; raises KernelError where the
    kernel reaches beyond the margin, and warns of what the field was not trained for."""
    notify = settings.notify
    check_radius(field, (most * kernel.radius).tolist(), notify)
    small = warn_of_small(field, (least * kernel.radius).tolist(), notify)
    # Measuring takes longer than filtering may, so only for those who ask to be notified.
    if not small and notify not in (silent, python_warning):
        warn_of_thin(field, kernel.scaled(least), notify)
    return in_precision(field, kernel.scaled(least), settings)


def warn_of_small(field: Field, radius: Sequence[float], notify: Notify) -> bool:
    """Whether kernels of `radius` [d] are smaller than the training kernel along an axis, which is then notified."""
    for axis, half_size in zip(field.config.axes, field.origin.half_size, strict=True):
        if radius[axis] < half_size * (1 - 1e-6):
            notify(f"warning: the kernel's radius of {radius[axis]:.3g} is below the training kernel's "
                   f"{half_size:.3g}: the field does not hold details that fine")  # fmt: skip
            return True
    return False


def warn_of_thin(field: Field, kernel: SparseKernel | Target, notify: Notify) -> bool:
    """Whether a kernel is much thinner across some direction than the training kernel, which is then notified."""
    width = relative_width(kernel, field.config.order, field.origin.half_size)
    if width >= THINNEST:
        return False
    notify(f"warning: across its thinnest direction the kernel is {width:.2g} times as wide as the training kernel "
           f"(half size {min(field.origin.half_size):.3g}): the field does not hold details that fine")  # fmt: skip
    return True


def in_precision(field: Field, kernel: SparseKernel, settings: Settings) -> Field:
    """The field in the arithmetic that is asked for; 'auto' takes float64 where float32 misses the accuracy."""
    precision = settings.precision
    # Queries of a separable field are one-dimensional: float64 costs next to nothing.
    if precision == "auto" and not field.factored:
        reachable = -20 * math.log10(max(estimate_noise(field, kernel), 1e-30))
        precision = "32" if reachable >= settings.accuracy else "64"
        if precision == "64":
            settings.notify(f"float32 would limit this kernel to {reachable:.0f} dB by rounding: using float64")
    return field.in_dtype(torch.float32 if precision == "32" and not field.factored else torch.float64)


def regular_grid(shape: Sequence[int], dim: int) -> list[Tensor]:
    """Positions [M_j] along every axis of the regular grid of `shape` over [-1, 1]^dim; raises ValueError."""
    if np.ndim(shape) != 1 or len(shape) != dim or not all(isinstance(n, int | np.integer) and n > 0 for n in shape):
        raise ValueError(f"the shape {shape} must have {dim} positive numbers, whole and one for every axis")
    return [torch.as_tensor(coordinates(n)) for n in shape]


def scale_on_grid(field: Field, scale: Any, shape: Sequence[int]) -> Any:
    """A scale for outputs on a grid: one for all of them, a number or one per filtered axis [a], as it is; others as a
    map [M_1, ..., M_d, 1 or a]. Raises ValueError."""
    axes = len(field.config.axes)
    if scale is None or np.shape(scale) in ((), (1,), (axes,)):
        return scale
    factors = np.asarray(scale, dtype=np.float64)
    factors = factors[..., None] if factors.shape == tuple(shape) else factors
    if factors.shape[:-1] != tuple(shape) or factors.shape[-1] not in (1, axes):
        raise ValueError(f"the scale {np.shape(scale)} must be a map of the output's shape {tuple(shape)}")
    return factors


def check_out(field: Field, out: Any, shape: Sequence[int], share: bool) -> tuple[int, ...]:
    """What a result on the grid of `shape` has, [M_1, ..., M_d, c]; raises ValueError for an `out`, where there is one,
    that does not hold it as it is."""
    known = field.origin.metadata.known
    wanted = (*shape, own_channels(field.config.channels, known) + bool(share and known))
    found, kind = getattr(out, "shape", wanted), str(getattr(out, "dtype", "float32"))
    if tuple(found) != wanted or "float" not in kind or isinstance(out, list):
        given = "a list" if isinstance(out, list) else f"{kind} {list(found)}"
        raise ValueError(f"out must be an array of floats {list(wanted)}, not {given}")
    return wanted


def grid_points(shape: Sequence[int]) -> Tensor:
    """All points [N, d] of the regular grid of `shape` over [-1, 1]^d."""
    return points_of(regular_grid(shape, len(shape)))


def points_of(grid: Sequence[Tensor]) -> Tensor:
    """All points [N, d] of the grid of positions [M_j] along every axis."""
    return torch.cartesian_prod(*grid).reshape(-1, len(grid))
