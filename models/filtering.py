"""A field filters, on a grid or at points: with which Diracs, in which precision and in which blocks."""

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kernels import SparseKernel, outer
from kernels.library import Kernel
from kernels.target import Target
from kernels.width import THINNEST, relative_width
from models.convolution import KernelError, check_kernel, check_reach, convolve_grid, convolve_points
from models.field import Field, Notify, Progress
from models.memory import in_smaller_blocks
from models.precision import estimate_noise
from signals.signal import coordinates

# Output values that are held at once; more are filtered slab by slab along an axis that is not filtered.
SLAB = 1 << 24


def silent(_: str) -> None:
    """Drops a message."""


def sparse_kernel(field: Field, kernel: Kernel | SparseKernel) -> SparseKernel:
    """`kernel` with the order, dimension and axes of the field: fitted, or multiplied over all filtered axes if 1-D.

    Raises KernelError for a sparse kernel of another order or other axes.
    """
    config = field.config
    if isinstance(kernel, Kernel):
        return kernel.sparse(config.order, config.dim, config.axes)
    if kernel.dim == 1:
        kernel = reduce(outer, [kernel] * len(config.axes))
    if kernel.dim == len(config.axes) < config.dim:
        kernel = kernel.embedded(config.axes, config.dim)
    check_kernel(field, kernel)
    return kernel


def prepared(
    field: Field, kernel: SparseKernel, least: float, most: float, precision: str, accuracy: float, notify: Notify
) -> Field:
    """The field in the precision that `kernel`, scaled from `least` to `most`, requires; raises KernelError where the
    kernel reaches beyond the margin, and warns of what the field was not trained for."""
    try:
        check_reach(field, kernel.scaled(most))
    except KernelError as error:
        if not field.origin.released:
            raise
        notify(f"warning: the authors trained no margin, so the result is wrong near the border ({error})")
    for axis, half_size in zip(kernel.axes, field.origin.half_size, strict=True):
        radius = least * float(kernel.radius[axis])
        if radius < half_size * (1 - 1e-6):
            notify(f"warning: the kernel's radius of {radius:.3g} is below the training kernel's {half_size:.3g}: "
                   "the field does not hold details that fine")  # fmt: skip
            break
    else:
        # Measuring takes longer than filtering may, so only where somebody reads it.
        if notify is not silent:
            warn_of_thin(field, kernel.scaled(least), notify)
    return in_precision(field, kernel.scaled(least), precision, accuracy, notify)


def warn_of_thin(field: Field, kernel: SparseKernel | Target, notify: Notify) -> bool:
    """Whether a kernel is much thinner across some direction than the training kernel, which is then notified."""
    width = relative_width(kernel, field.config.order, field.origin.half_size)
    if width >= THINNEST:
        return False
    notify(f"warning: across its thinnest direction the kernel is {width:.2g} times as wide as the training kernel "
           f"(half size {min(field.origin.half_size):.3g}): the field does not hold details that fine")  # fmt: skip
    return True


def in_precision(field: Field, kernel: SparseKernel, precision: str, accuracy: float, notify: Notify) -> Field:
    """The field in the arithmetic that `precision` names; 'auto' takes float64 where float32 misses `accuracy` dB."""
    if precision not in ("auto", "32", "64"):
        raise ValueError(f"the precision must be auto, 32 or 64, not {precision!r}")
    # Queries of a separable field are one-dimensional: float64 costs next to nothing.
    if precision == "auto" and not field.factored:
        reachable = -20 * math.log10(max(estimate_noise(field, kernel), 1e-30))
        precision = "32" if reachable >= accuracy else "64"
        if precision == "64":
            notify(f"float32 would limit this kernel to {reachable:.0f} dB by rounding: using float64")
    dtype = torch.float32 if precision == "32" and not field.factored else torch.float64
    return field.in_dtype(dtype)


def filter_grid(
    field: Field,
    kernel: Kernel | SparseKernel,
    shape: Sequence[int],
    scale: Any = None,
    precision: str = "auto",
    accuracy: float = 60.0,
    block: int = 1 << 16,
    progress: Progress | None = None,
    notify: Notify | None = None,
) -> np.ndarray:
    """The filtered signal on the regular grid of `shape`, [M_1, ..., M_d, c] float32; see Field.filter."""
    if len(shape) != field.config.dim or min(shape) < 1:
        raise ValueError(f"the shape {tuple(shape)} must have {field.config.dim} positive numbers, one for every axis")
    found = sparse_kernel(field, kernel)
    if scale is not None and np.ndim(scale) > 1:
        factors = np.asarray(scale, dtype=np.float64)
        if factors.shape[:-1] != tuple(shape):
            raise ValueError(f"the scale {factors.shape} must be a map of the output's shape {tuple(shape)}")
        points = grid_points(shape)
        values = filter_at(
            field, found, points, factors.reshape(len(points), -1), precision, accuracy, block, progress, notify
        )
        return values.float().cpu().numpy().reshape(*shape, -1)
    if scale is not None:
        found = found.scaled(scale)
    say = notify or silent
    field = prepared(field, found, 1.0, 1.0, precision, accuracy, say)
    return _filter_slabs(field, found, [torch.as_tensor(coordinates(n)) for n in shape], block, progress, say)


def _filter_slabs(
    field: Field, kernel: SparseKernel, grid: list[Tensor], block: int, progress: Progress | None, notify: Notify
) -> np.ndarray:
    """The convolution on the tensor grid, slab by slab along an axis that is not filtered where it is large."""

    def filtered(part: Sequence[Tensor], progress: Progress | None) -> np.ndarray:
        def work(size: int) -> np.ndarray:
            return convolve_grid(field, kernel, part, size, progress).float().cpu().numpy()

        # A separable field is asked for whole axes, whatever the block.
        return work(block) if field.factored else in_smaller_blocks(work, block, notify)

    shape = [len(x) for x in grid]
    free = next((axis for axis in range(len(shape)) if axis not in kernel.axes), None)
    count = math.prod(shape) * field.config.channels
    if count <= SLAB or free is None:
        return filtered(grid, progress)
    rows = max(1, SLAB * shape[free] // count)
    result = np.empty((*shape, field.config.channels), dtype=np.float32)
    for start in range(0, shape[free], rows):
        part = [x[start : start + rows] if axis == free else x for axis, x in enumerate(grid)]
        result[(slice(None),) * free + (slice(start, start + rows),)] = filtered(part, None)
        if progress:
            progress(min(1.0, (start + rows) / shape[free]))
    return result


def filter_at(
    field: Field,
    kernel: Kernel | SparseKernel,
    at: Any,
    scale: Any = None,
    precision: str = "auto",
    accuracy: float = 60.0,
    block: int = 1 << 16,
    progress: Progress | None = None,
    notify: Notify | None = None,
) -> Any:
    """The filtered signal at points [N, d] -> [N, c], an array for an array and a tensor for a tensor."""
    points = torch.as_tensor(at)
    if points.ndim != 2 or points.shape[1] != field.config.dim:
        raise ValueError(f"points must be [N, {field.config.dim}], not {list(points.shape)}")
    found, least, most, factors = sparse_kernel(field, kernel), 1.0, 1.0, None
    if scale is not None:
        factors = torch.as_tensor(scale).double()
        try:
            factors = factors.expand(len(points), len(found.axes))
        except RuntimeError:
            wanted = f"a number, [{len(found.axes)}], [{len(points)}, 1] or [{len(points)}, {len(found.axes)}]"
            raise ValueError(f"the scale must be {wanted}, not {list(factors.shape)}") from None
        least, most = float(factors.min()), float(factors.max())
        if not 0 < least <= most < math.inf:
            raise ValueError(f"the scale must be positive and finite, not from {least:g} to {most:g}")
    notify = notify or silent
    field = prepared(field, found, least, most, precision, accuracy, notify)

    def work(size: int) -> Tensor:
        return convolve_points(field, found, points, factors, size, progress)

    values = in_smaller_blocks(work, block, notify)
    kind = points.dtype if points.is_floating_point() else torch.float64
    values = values.to(points.device, kind)
    return values if isinstance(at, Tensor) else values.numpy()


def grid_points(shape: Sequence[int]) -> Tensor:
    """All points [N, d] of the regular grid of `shape` over [-1, 1]^d."""
    return torch.cartesian_prod(*[torch.as_tensor(coordinates(n)) for n in shape]).reshape(-1, len(shape))
