"""One filtering run: the field's arithmetic, the output grid, and the convolution in slabs that fit."""

from collections.abc import Sequence

import numpy as np
import torch

from filtering.choice import Say
from kernels import SparseKernel
from models.checkpoint import Origin
from models.convolution import KernelError, check_reach, convolve_grid
from models.field import Field, Progress
from models.memory import in_smaller_blocks
from models.precision import estimate_noise
from models.separable import SeparableField
from signals.signal import coordinates

# Output values that are held at once; more are filtered slab by slab along an axis that is not filtered.
SLAB = 1 << 24


def check_fineness(kernel: SparseKernel, half_size: float, say: Say) -> None:
    """Warn where a kernel asks for details finer than the training kernel of `half_size` (domain units) shows."""
    narrowest = float(kernel.radius[list(kernel.axes)].min())
    if narrowest < half_size * (1 - 1e-6):
        say(
            f"warning: this kernel's smallest radius is {narrowest:.3g}, below the training kernel's {half_size:.3g}: "
            "details that fine are not in the field"
        )


def check_border(kernel: SparseKernel, origin: Origin, say: Say) -> None:
    """Refuse a kernel that reaches beyond the field's margin; warn where the authors trained none."""
    try:
        check_reach(kernel, origin.margin, origin.half_size)
    except KernelError as error:
        if not origin.released:
            raise
        say(f"warning: the authors' fields have no margin, so a border of {kernel.radius.max():.3g} is wrong "
                   "where this kernel reaches over it; the interior is right")  # fmt: skip
        say(f"({error})")


def in_precision(field: Field, kernel: SparseKernel, precision: str, accuracy: float, say: Say) -> Field:
    """The field in the arithmetic that `precision` names; 'auto' takes float64 where float32 misses `accuracy` dB."""
    if isinstance(field, SeparableField):
        # Its queries are one-dimensional: float64 costs nothing to speak of.
        return field.double()
    if precision != "auto":
        return field.double() if precision == "64" else field.float()
    noise = estimate_noise(field, kernel)
    reachable = -20 * float(np.log10(max(noise, 1e-30)))
    if reachable >= accuracy:
        return field.float()
    say(f"float32 would limit this kernel to {reachable:.0f} dB (rounding noise {noise:.1e}): using float64")
    return field.double()


def filter_signal(
    field: Field,
    kernel: SparseKernel,
    shape: Sequence[int],
    half_size: float,
    block: int,
    say: Say,
    progress: Progress | None = None,
) -> np.ndarray:
    """The filtered signal on the regular grid of `shape` over [-1, 1]^d, [M_1, ..., M_d, c], float32.

    A network sees `block` points at once, fewer where memory does not suffice; `say` hears of that, and
    `progress` of the share done.
    """

    def filtered(part: Sequence[torch.Tensor]) -> np.ndarray:
        def work(size: int) -> np.ndarray:
            return convolve_grid(field, kernel, part, half_size, size, told).float().cpu().numpy()

        # A separable field is asked for whole axes, whatever the block.
        return work(block) if field.factored else in_smaller_blocks(work, block, say)

    grid = [torch.as_tensor(coordinates(size)) for size in shape]
    free = [axis for axis in range(len(shape)) if axis not in kernel.axes]
    count = int(np.prod(shape)) * field.config.channels
    told = progress
    if count <= SLAB or not free:
        return filtered(grid)
    told = None
    rows = max(1, SLAB * shape[free[0]] // count)
    result = np.empty((*shape, field.config.channels), dtype=np.float32)
    for start in range(0, shape[free[0]], rows):
        part = list(grid)
        part[free[0]] = grid[free[0]][start : start + rows]
        where = (slice(None),) * free[0] + (slice(start, start + rows),)
        result[where] = filtered(part)
        if progress:
            progress(min(1.0, (start + rows) / shape[free[0]]))
    return result
