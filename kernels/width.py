"""How fine a kernel is: its cutoff, and its width across its thinnest direction beside that of a training kernel.

Fineness along a direction is the frequency below which half of the kernel's energy lies. Radii per axis miss what is
thin at an angle, second moments what swings (a Gabor kernel, a difference of Gaussians).
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy.fft import next_fast_len, rfftn
from scipy.optimize import brentq

from kernels.minimal import minimal_kernel_1d
from kernels.separate import grid_density, weight_grid
from kernels.sparse import SparseKernel
from kernels.target import Target

# Cells per half size of the training kernel, and the fewest and most cells along an axis, by dimension.
CELLS_PER_SIZE = 8
CELLS = {1: (64, 8192), 2: (64, 1024), 3: (32, 64)}
# Frequencies as close as this share of one cycle per half size.
FREQUENCY_STEP = 0.03
MOST_FREQUENCIES = {1: 1 << 16, 2: 2048, 3: 1 << 12}
# A Gaussian of the training kernel's radius has 0.78 of its width; from less than this share on, fields lose most.
THINNEST = 0.6
# Values of ramps that scattered Diracs may cost.
LARGEST_WORK = 1 << 26
# Samples of a 1-D kernel whose cutoff is looked for.
SAMPLES = 1 << 13

Sampled = Callable[[Sequence[np.ndarray]], np.ndarray]


def relative_width(kernel: SparseKernel | Target, order: int, half_size: Sequence[float]) -> float:
    """The width of `kernel` across its thinnest direction, as a share of the minimal kernel's of `order` and
    `half_size` (domain units, one per filtered axis); infinite where it would cost too much to compute."""
    sampled: Sampled
    if isinstance(kernel, SparseKernel):
        if weight_grid(kernel) is None and len(kernel) * CELLS[2][0] ** 2 > LARGEST_WORK:
            return math.inf
        radius, sampled = kernel.radius[list(kernel.axes)], lambda grid: grid_density(kernel, grid)
    else:
        radius, sampled = np.array(kernel.radius), kernel.on_grid
    sizes = np.asarray(half_size, dtype=np.float64)
    training = minimal_kernel_1d(order, 1.0)
    wanted = _finest(lambda grid: grid_density(training, grid), np.ones(1), np.ones(1))
    finest = _finest(sampled, radius / sizes, sizes)
    return wanted / finest if finest else math.inf


def cutoff(target: Target) -> float:
    """The frequency, in cycles per domain unit, that a 1-D kernel passes with -3 dB (half the power of a constant).

    Raises ValueError for a kernel that keeps no constants, such as a derivative.
    """
    radius = target.radius[0]
    x = radius * ((np.arange(SAMPLES) + 0.5) / SAMPLES * 2 - 1)
    values = target.on_grid([x * (1 - 1e-12)])
    if abs(values.sum()) < 0.01 * np.abs(values).sum():
        raise ValueError("a kernel whose mass is 0 has no cutoff: give its size in another unit than Hz")

    def excess(frequency: float) -> float:
        return float(np.abs(np.exp(-2j * np.pi * frequency * x) @ values / values.sum())) - math.sqrt(0.5)

    steps = 0.02 / radius * np.arange(1, 4096)
    first = next(step for step in steps if excess(step) < 0)
    return float(brentq(excess, first - steps[0], first, xtol=1e-13 / radius))


def profile(kernel: SparseKernel, axis: int) -> Target:
    """A kernel along one of its filtered axes, integrated over the others: what waves along that axis meet."""
    weights = kernel.weights.copy()
    for other in kernel.axes:
        if other != axis:
            weights *= (-kernel.positions[:, other]) ** kernel.n / math.factorial(kernel.n)
    line = SparseKernel(kernel.positions[:, [axis]], weights, kernel.order, (0,), kernel.tolerance).merged()
    return Target(line.density, (float(line.radius[0]),))


def _finest(sampled: Sampled, radius: np.ndarray, sizes: np.ndarray) -> float:
    """The largest over all directions of the median frequency, in cycles per half size; `radius` in half sizes."""
    dim = len(radius)
    fewest, most = CELLS[dim]
    counts = [int(np.clip(math.ceil(2 * CELLS_PER_SIZE * r), fewest, most)) for r in radius]
    cells = 2 * radius / counts
    # Middles of cells: none lies on the edge of the support.
    lines = [cell * (np.arange(n) + 0.5 - n / 2) for cell, n in zip(cells, counts, strict=True)]
    values = sampled([line * size for line, size in zip(lines, sizes, strict=True)])
    if dim != 2:
        return max(_median_along(values, axis, cells[axis]) for axis in range(dim))
    padded = [_padded(n, cell, 2) for n, cell in zip(counts, cells, strict=True)]
    energy = np.abs(rfftn(values, padded)) ** 2
    energy[:, 1:] *= 2
    step = 1 / (np.array(padded) * cells)
    first = np.fft.fftfreq(padded[0], cells[0])[:, None]
    second = np.fft.rfftfreq(padded[1], cells[1])

    def along(angle: float) -> float:
        c, s = math.cos(angle), math.sin(angle)
        return _median(np.abs(c * first + s * second).ravel(), energy.ravel(), max(abs(c) * step[0], abs(s) * step[1]))

    best = max((math.radians(angle) for angle in range(0, 180, 15)), key=along)
    return max(along(best + math.radians(turn)) for turn in range(-8, 9))


def _padded(count: int, cell: float, dim: int) -> int:
    """Samples along an axis, zeros included, so that frequencies are close."""
    wanted = max(2 * count, math.ceil(1 / (FREQUENCY_STEP * cell)))
    return int(next_fast_len(min(wanted, max(MOST_FREQUENCIES[dim], 2 * count)), real=True))


def _median_along(values: np.ndarray, axis: int, cell: float) -> float:
    """The median frequency along one axis, the energy of all lines added up (Parseval's theorem)."""
    lines = np.moveaxis(values, axis, -1).reshape(-1, values.shape[axis])
    padded = _padded(lines.shape[1], cell, values.ndim)
    energy = np.zeros(padded // 2 + 1)
    for line in lines:
        energy += np.abs(np.fft.rfft(line, padded)) ** 2
    energy[1:] *= 2
    return _median(np.fft.rfftfreq(padded, cell), energy, 1 / (padded * cell))


def _median(frequencies: np.ndarray, energy: np.ndarray, step: float) -> float:
    """The frequency below which half of the energy lies, each sample's spread over one `step`; 0 without energy."""
    found = np.cumsum(np.bincount((frequencies / step + 0.5).astype(np.intp), energy))
    if not found[-1]:
        return 0.0
    edges = step * np.maximum(np.arange(len(found) + 1) - 0.5, 0.0)
    return float(np.interp(0.5 * found[-1], np.concatenate([[0.0], found]), edges))
