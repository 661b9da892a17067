"""Exact convolution of a grid signal, read as multilinear interpolation, with a kernel.

The signal is f(x) = sum_i f_i hat((x - x_i) / delta) with samples delta apart, so (f * g)(x_i) is a short
FIR filter whose taps are the values of hat * g at whole multiples of delta:

    (f * g)(x_i) = sum_j f_(i-j) phi(j delta),     phi(y) = integral hat(u / delta) g(y - u) du

Between the knots of g and the grid the integrand is a polynomial, so Gauss-Legendre quadrature of each
piece has no error but rounding (ramps to the power p + 2 give the same taps, with cancellation).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.ndimage import convolve1d

from kernels import SparseKernel
from kernels.minimal import bspline, minimal_knots
from kernels.separate import tensor_terms, weight_grid
from kernels.sparse import ramp
from kernels.target import Target
from signals.legendre import hat_rule, shared
from signals.signal import Signal, spacing

Density = Callable[[np.ndarray], np.ndarray]
# Float64 values in memory at once, and the fewest rows of a slab as a multiple of the reach of its filter.
SLAB = 1 << 22
LEAST_REACHES = 4
# Enough nodes for degree 23, far above hat times any kernel of order <= 8, and for smooth targets.
NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(12)
# Twice as many points change taps by less than this share of the largest; or this many points are reached.
TAP_ACCURACY = 1e-5
MOST_POINTS = 1 << 23
# Pieces in which a smooth 1-D kernel is integrated, whatever the samples' spacing.
PIECES = 64


def fir_taps(density: Density, radius: float, step: float, knots: Any = ()) -> np.ndarray:
    """Taps [2 r + 1] of hat * g at whole multiples of `step`, for a 1-D density g on [-radius, radius].

    `step` is the sample spacing in domain units; g is smooth between `knots` (Nsampi et al. 2023, eq. 3;
    Heckbert 1986).
    """
    reach = int(np.ceil(radius / step - 1e-9)) + 1
    offsets = np.arange(-reach, reach + 1)
    cuts = np.concatenate([offsets * step, np.asarray(knots, dtype=np.float64), [-radius, radius]])
    cuts = np.unique(cuts[np.abs(cuts) <= radius * (1 + 1e-12)])
    half = np.diff(cuts)[:, None] / 2
    t = (cuts[:-1, None] + half) + half * NODES
    mass = (half * NODE_WEIGHTS * density(t.ravel()).reshape(t.shape)).ravel()
    # Each node's mass is shared between the two samples around it: that is what multiplying by hat means.
    place = t.ravel() / step + reach
    left = np.clip(np.floor(place).astype(int), 0, 2 * reach - 1)
    part = place - left
    return np.bincount(left, mass * (1 - part), len(offsets)) + np.bincount(left + 1, mass * part, len(offsets))


def minimal_taps(order: int, half_size: float, step: float) -> np.ndarray:
    """Taps [2 r + 1] of hat * B-spline of `order` and `half_size`, samples `step` apart (domain units)."""
    return fir_taps(bspline(order, half_size), half_size, step, minimal_knots(order, half_size))


def kernel_taps(positions: np.ndarray, weights: np.ndarray, order: int, step: float) -> np.ndarray:
    """Taps [2 r + 1] of hat * g for the 1-D kernel whose n-th derivative is the given Diracs."""
    factor = SparseKernel(positions[:, None], weights, order, (0,))
    return fir_taps(lambda t: factor.density(t[:, None]), float(factor.radius[0]), step, positions)


def sparse_taps(kernel: SparseKernel, steps: Sequence[float]) -> np.ndarray:
    """Taps [2 r_1 + 1, ...] of hat * g over the filtered axes of a sparse kernel that is no product.

    hat * ramp^p is a second difference of ramp^(p + 2), so the taps follow from the Diracs alone; `steps` are
    the sample spacings of those axes, in domain units.
    """
    gridded = weight_grid(kernel)
    positions = kernel.positions[:, list(kernel.axes)].T if gridded is None else gridded[0]
    bends = [bent_hats(t, kernel.order, step) for t, step in zip(positions, steps, strict=True)]
    if gridded is None:
        return _sum_products(kernel.weights, bends)
    values = gridded[1]
    for axis, factor in enumerate(bends):
        values = np.moveaxis(np.tensordot(factor, values, axes=(1, axis)), 0, axis)
    return values


def bent_hats(t: np.ndarray, order: int, step: float) -> np.ndarray:
    """hat * ramp^p / p! of Diracs at t [K], at the whole multiples of `step` that they reach, [2 r + 1, K]."""
    reach = int(np.ceil(np.abs(t).max() / step - 1e-9)) + 1
    y = step * np.arange(-reach, reach + 1)[:, None] - t
    return (ramp(y + step, order + 2) - 2 * ramp(y, order + 2) + ramp(y - step, order + 2)) / step


def _sum_products(weights: np.ndarray, factors: Sequence[np.ndarray]) -> np.ndarray:
    """sum_k w_k of the outer products of the columns k of `factors` [M_j, K] -> [M_1, ..., M_d]."""
    if len(factors) == 2:
        return (factors[0] * weights) @ factors[1].T
    return np.stack([_sum_products(weights * row, factors[1:]) for row in factors[0]])


def target_taps(target: Target, steps: Sequence[float], nodes: int = 4) -> np.ndarray:
    """Taps of hat * g for an exact kernel that is no product, by `nodes` Gauss points per grid cell and axis."""
    reach = [int(np.ceil(r / s - 1e-9)) + 1 for r, s in zip(target.radius, steps, strict=True)]
    u, share = hat_rule(nodes)
    values = target.on_grid([s * (np.arange(-m, m)[:, None] + u).ravel() for m, s in zip(reach, steps, strict=True)])
    for axis, step in enumerate(steps):
        values = shared(values, axis, step * share)
    return values


def refined_taps(target: Target, steps: Sequence[float]) -> np.ndarray:
    """`target_taps` with as many points as a kernel thinner than a cell, or with edges inside of one, requires."""
    nodes, taps = 4, target_taps(target, steps, 4)
    while True:
        nodes *= 2
        if np.prod(nodes * (2 * np.array(target.radius) / steps + 4)) > MOST_POINTS:
            return taps
        taps, coarse = target_taps(target, steps, nodes), taps
        if np.abs(taps - coarse).max() <= TAP_ACCURACY * np.abs(taps).max():
            return taps


def overlap_add(values: np.ndarray, taps: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """`values` convolved along `axes` with long `taps` of as many axes, where all taps fall on samples."""
    from scipy.signal import oaconvolve  # slow to import, and short filters do without

    shape = [1] * values.ndim
    for axis, size in zip(axes, taps.shape, strict=True):
        shape[axis] = size
    return oaconvolve(values, taps.reshape(shape), mode="valid", axes=tuple(axes))


def convolve_axis(values: np.ndarray, taps: np.ndarray, axis: int) -> np.ndarray:
    """`values` filtered along one axis, only where all taps fall on samples (2 r fewer results)."""
    reach = len(taps) // 2
    length = values.shape[axis]
    if len(taps) > 64:
        return overlap_add(values, taps, [axis])
    full = convolve1d(values, taps, axis=axis, mode="constant")
    return full.take(np.arange(reach, length - reach), axis=axis)


def convolve_signal(
    signal: Signal,
    taps: Sequence[np.ndarray],
    axes: Sequence[int],
    boundary: str,
    pads: Sequence[int] | None = None,
    dtype: np.dtype | type = np.float64,
    out: Any = None,
) -> np.ndarray:
    """Signal filtered by one FIR filter per axis of `axes`, on its grid with `pads` more samples a side (none: 0).

    Returns [N_1 + 2 pads_1, ..., N_d + 2 pads_d, c] in `dtype`, or assigned to `out`; the work itself is in float64
    slabs along an axis that is not filtered, else along the first with the rows that its filter reaches.
    """
    reach = [0] * signal.dim
    for axis, filter_taps in zip(axes, taps, strict=True):
        reach[axis] = len(filter_taps) // 2
    pads = pads or (0,) * signal.dim
    rows = signal.padded_rows([p + r for p, r in zip(pads, reach, strict=True)], boundary)
    shape = [len(index) - 2 * r for index, r in zip(rows, reach, strict=True)]
    result = np.empty((*shape, signal.channels), dtype) if out is None else out
    along = next((axis for axis in range(signal.dim) if axis not in axes), 0)
    for part in slabs(result.shape, along, least=LEAST_REACHES * reach[along]):
        asked = [index[part.start : part.stop + 2 * reach[along]] if axis == along else index
                 for axis, index in enumerate(rows)]  # fmt: skip
        slab = signal.taken(asked).astype(np.float64)
        for axis, filter_taps in zip(axes, taps, strict=True):
            slab = convolve_axis(slab, filter_taps, axis)
        result[(slice(None),) * along + (part,)] = slab
    return result


def slabs(shape: Sequence[int], axis: int, least: int = 1) -> list[slice]:
    """Stretches of `axis` of an array of `shape` that hold about SLAB values each, `least` of its rows or more."""
    rows = max(1, least, SLAB * shape[axis] // max(1, math.prod(shape)))
    return [slice(start, min(start + rows, shape[axis])) for start in range(0, shape[axis], rows)]


def convolve_signal_nd(signal: Signal, taps: np.ndarray, axes: Sequence[int], boundary: str) -> np.ndarray:
    """Signal filtered on its grid by a d-dimensional FIR filter `taps` over `axes` that is no product of 1-D ones."""
    reach = [0] * signal.dim
    for axis, size in zip(axes, taps.shape, strict=True):
        reach[axis] = size // 2
    return overlap_add(signal.padded(reach, boundary).astype(np.float64), taps, axes)


def minimal_convolution(
    signal: Signal,
    order: int,
    half_size: Sequence[float],
    boundary: str = "clamp",
    pads: Sequence[int] | None = None,
    dtype: np.dtype | type = np.float64,
) -> np.ndarray:
    """Exact convolution with the minimal kernel of `order` and `half_size` per filtered axis (Nsampi et al. 2023)."""
    steps = [spacing(signal.shape[axis]) for axis in signal.axes]
    taps = [minimal_taps(order, s, step) for s, step in zip(half_size, steps, strict=True)]
    return convolve_signal(signal, taps, signal.axes, boundary, pads, dtype)


def kernel_convolution(signal: Signal, kernel: SparseKernel, boundary: str = "clamp", out: Any = None) -> np.ndarray:
    """Exact convolution with any sparse kernel on the signal's own grid, [N_1, ..., N_d, c], float64.

    Products are filtered axis by axis, and assigned to `out` slab by slab; others by one d-dimensional filter.
    """
    steps = [spacing(signal.shape[axis]) for axis in kernel.axes]
    terms = tensor_terms(kernel)
    if terms is None or len(terms) > 1:
        return convolve_signal_nd(signal, sparse_taps(kernel, steps), kernel.axes, boundary)
    taps = [kernel_taps(t, w, kernel.order, step) for (t, w), step in zip(terms[0], steps, strict=True)]
    return convolve_signal(signal, taps, kernel.axes, boundary, out=out)


def target_convolution(signal: Signal, target: Target, boundary: str = "clamp", out: Any = None) -> np.ndarray:
    """Convolution with an exact kernel, not a sparse one, on the signal's own grid, [N_1, ..., N_d, c], float64.

    Separable targets are integrated axis by axis, and assigned to `out`; others by Gauss points in every grid cell (a
    sharp edge inside a cell costs accuracy there), as many as are needed.
    """
    steps = [spacing(signal.shape[axis]) for axis in signal.axes]
    factors = [target] if target.dim == 1 else target.factors()
    if factors is None:
        return convolve_signal_nd(signal, refined_taps(target, steps), signal.axes, boundary)

    def taps_of(factor: Target, step: float) -> np.ndarray:
        radius = factor.radius[0]
        knots = np.linspace(-radius, radius, PIECES + 1)
        return fir_taps(lambda t: factor.density(t[:, None]), radius, step, knots)

    lines = [taps_of(factor, step) for factor, step in zip(factors, steps, strict=True)]
    return convolve_signal(signal, lines, signal.axes, boundary, out=out)
