"""Minimal kernels: the B-splines that a repeated integral field is trained through.

A B-spline of order p and half size s has its n + 1 = p + 2 knots h = 2 s / n apart, and its n-th
derivative is the n-th difference: t_k = -s + k h, w_k = (-1)^k C(n, k) / h^n (Heckbert 1986, section 4).
"""

import math
from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np

from kernels.sparse import LARGEST_SCALE, SparseKernel, checked_order, outer


def knot_spacing(order: int, half_size: float) -> float:
    """h = 2 s / n, the distance between the Diracs of a minimal kernel, in domain units."""
    return 2.0 * half_size / (order + 1)


def minimal_knots(order: int, half_size: float) -> np.ndarray:
    """Where the Diracs of a minimal kernel are, [order + 2], in domain units."""
    return -half_size + knot_spacing(order, half_size) * np.arange(order + 2)


def difference_weights(n: int, spacing: float) -> np.ndarray:
    """The n-th backward difference (-1)^k C(n, k) / h^n, k = 0..n, as weights [n + 1]."""
    return np.array([(-1) ** k * math.comb(n, k) for k in range(n + 1)]) / spacing**n


def minimal_kernel_1d(order: int, half_size: float) -> SparseKernel:
    """The 1-D minimal kernel of polynomial degree `order` on [-half_size, half_size], of unit mass."""
    order = checked_order(order)
    if not 1 / LARGEST_SCALE <= half_size <= LARGEST_SCALE:
        raise ValueError(
            f"half size must be positive, from {1 / LARGEST_SCALE:g} to {LARGEST_SCALE:g}, not {half_size}"
        )
    weights = difference_weights(order + 1, knot_spacing(order, half_size))
    return SparseKernel(minimal_knots(order, half_size)[:, None], weights, order, (0,))


def minimal_kernel(
    order: int, half_size: float | Sequence[float], dim: int = 1, axes: Sequence[int] | None = None
) -> SparseKernel:
    """The minimal kernel of `order` in `axes` (default: all) of a `dim`-dimensional domain.

    `half_size` in domain units, one number or one per filtered axis. Raises ValueError for an order
    outside 0..8 or a half size that is not positive (Nsampi et al. 2023, section 4.2).
    """
    axes = tuple(range(dim)) if axes is None else tuple(axes)
    sizes = np.broadcast_to(np.asarray(half_size, dtype=np.float64), (len(axes),))
    product = reduce(outer, [minimal_kernel_1d(order, float(size)) for size in sizes])
    return product.embedded(axes, dim)


def bspline(order: int, half_size: float) -> Callable[[np.ndarray], np.ndarray]:
    """The density of the 1-D minimal kernel by SciPy's B-splines, of unit mass; 0 outside [-half_size, half_size]."""
    from scipy.interpolate import BSpline

    basis, h = BSpline.basis_element(minimal_knots(order, half_size), extrapolate=False), knot_spacing(order, half_size)
    # SciPy answers NaN outside.
    return lambda t: np.nan_to_num(basis(t)) / h
