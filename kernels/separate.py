"""Kernels on tensor grids as short sums of outer products, so that each axis is differenced on its own.

W   weights [K_1, ..., K_d] on the tensor grid of the distinct coordinates of the Diracs
Y   the same kernel in orthonormal splines: the norm of Y is the L2 norm of the kernel
E_j [K_j, S_j] takes the orthonormal splines of axis j to Dirac weights, W = E_1 x ... x E_d Y
"""

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from kernels.leastsquares import along_all
from kernels.sparse import MOMENT_TOLERANCE, SparseKernel, ramp
from kernels.splines import SplineBasis

# A grid far emptier or larger than this costs more than the Diracs that lie on it.
LARGEST_GRID = 1 << 22
LARGEST_GRID_PER_DIRAC = 64
SAME_COORDINATE = 1e-9
# Share of the largest weight that rounding changes others by.
SAME_PRODUCT = 1e-14

Term = tuple[tuple[np.ndarray, np.ndarray], ...]


def tensor_terms(kernel: SparseKernel, tolerance: float = 1e-12) -> list[Term] | None:
    """The kernel as a sum of outer products, each term one (positions [K_j], weights [K_j]) per filtered axis.

    The terms come largest first and add up to the kernel within `tolerance`, relative in the L2 norm of
    the kernel (or within what rounding of the weights does to it, where that is more); each meets the
    moment conditions by itself. An outer product gives one term. None for Diracs that do not lie on a small
    enough tensor grid. Kernels that break the moment conditions are split by their weights as they are.
    """
    if len(kernel.axes) == 1:
        return [((kernel.positions[:, kernel.axes[0]], kernel.weights),)]
    gridded = weight_grid(kernel)
    if gridded is None:
        return None
    coordinates, weights = gridded
    if (lines := outer_lines(weights, SAME_PRODUCT)) is not None:
        return [tuple(zip(coordinates, lines, strict=True))]
    if kernel.tolerance > MOMENT_TOLERANCE:
        found = list(_rank_one_terms(weights))
        least = tolerance * max(size for size, _ in found)
        identities = [np.eye(len(t)) for t in coordinates]
        return [_weighted_term(size, vectors, coordinates, identities) for size, vectors in found if size > least]
    bases = [SplineBasis(t, kernel.order) for t in coordinates]
    factors = [np.linalg.cholesky(basis.gram) for basis in bases]
    core = _core(weights, bases, factors)
    jitter = np.finfo(np.float64).eps * np.random.default_rng(0).standard_normal(weights.shape)
    noise = np.linalg.norm(_core(weights * jitter, bases, factors))
    terms = sorted(_rank_one_terms(core), key=lambda term: -term[0])
    sizes = np.array([size for size, _ in terms])
    tails = np.sqrt(np.cumsum(sizes[::-1] ** 2)[::-1])
    kept = max(1, int((tails > max(tolerance * np.linalg.norm(sizes), 10 * noise)).sum()))
    # E: the Dirac weights of the orthonormal splines.
    expansions = [
        solve_triangular(factor, basis.differences.T, lower=True).T
        for basis, factor in zip(bases, factors, strict=True)
    ]
    return [_weighted_term(size, vectors, coordinates, expansions) for size, vectors in terms[:kept]]


def outer_lines(values: np.ndarray, tolerance: float) -> list[np.ndarray] | None:
    """The vectors whose outer product `values` [K_1, ..., K_d] are but for a share `tolerance` of the largest of them;
    None where there are none.

    Most kernels are products, and this is much faster than to find out by their singular vectors.
    """
    top = np.unravel_index(np.argmax(np.abs(values)), values.shape)
    peak = values[top]
    lines = []
    for axis in range(values.ndim):
        index: tuple[Any, ...] = (*top[:axis], slice(None), *top[axis + 1 :])
        lines.append(values[index] / (peak if axis else 1.0))
    rest = np.abs(reduce(np.multiply.outer, lines) - values).max()
    return lines if rest <= tolerance * abs(peak) else None


def weight_grid(kernel: SparseKernel) -> tuple[list[np.ndarray], np.ndarray] | None:
    """The distinct coordinates [K_j] of each filtered axis and the weights [K_1, ..., K_d] on their grid.

    None where that grid is too large, or too empty to be worth it.
    """
    coordinates, places = [], []
    for axis in kernel.axes:
        t = kernel.positions[:, axis]
        order = np.argsort(t, kind="stable")
        starts = np.diff(t[order], prepend=-np.inf) > SAME_COORDINATE * kernel.radius[axis]
        place = np.empty(len(t), dtype=np.intp)
        place[order] = np.cumsum(starts) - 1
        coordinates.append(t[order][starts])
        places.append(place)
    shape = tuple(len(t) for t in coordinates)
    if np.prod(shape, dtype=np.float64) > min(LARGEST_GRID, LARGEST_GRID_PER_DIRAC * len(kernel)):
        return None
    weights = np.zeros(shape)
    np.add.at(weights, tuple(places), kernel.weights)
    return coordinates, weights


def is_signed(kernel: SparseKernel) -> bool:
    """Whether a kernel, and its output, is to be shown around 0: its mass is below a quarter of that of |g|."""
    coordinates = [np.linspace(-r, r, 65) * (1 - 1e-9) for r in kernel.radius[list(kernel.axes)]]
    cell = np.prod([x[1] - x[0] for x in coordinates])
    return abs(kernel.mass) < 0.25 * float(np.abs(grid_density(kernel, coordinates)).sum() * cell)


def grid_density(kernel: SparseKernel, coordinates: Sequence[np.ndarray]) -> np.ndarray:
    """The kernel on the tensor grid of `coordinates`, one array [M_j] per filtered axis, by a ramp matrix per axis."""
    gridded = weight_grid(kernel)
    if gridded is None:
        points = np.zeros((*map(len, coordinates), kernel.dim))
        points[..., list(kernel.axes)] = np.stack(np.meshgrid(*coordinates, indexing="ij"), axis=-1)
        return kernel.density(points.reshape(-1, kernel.dim)).reshape(points.shape[:-1])
    ramps = [ramp(np.asarray(x)[:, None] - t, kernel.order) for x, t in zip(coordinates, gridded[0], strict=True)]
    return along_all(ramps, gridded[1])


def _core(weights: np.ndarray, bases: list[SplineBasis], factors: list[np.ndarray]) -> np.ndarray:
    """Y: the kernel's coefficients in orthonormal splines, given the Cholesky factors of their Gram matrices."""
    core = weights
    for axis, (basis, factor) in enumerate(zip(bases, factors, strict=True)):
        coefficients = basis.coefficients(np.moveaxis(core, axis, 0))
        core = np.moveaxis(np.tensordot(factor.T, coefficients, axes=1), 0, axis)
    return core


def _weighted_term(
    size: float, vectors: list[np.ndarray], coordinates: list[np.ndarray], expansions: list[np.ndarray]
) -> Term:
    """One term as positions and weights per axis, its size shared evenly by the axes."""
    share = size ** (1 / len(vectors))
    return tuple((t, share * (E @ y)) for t, E, y in zip(coordinates, expansions, vectors, strict=True))


def _rank_one_terms(tensor: np.ndarray) -> Iterator[tuple[float, list[np.ndarray]]]:
    """Pairs (size, unit vectors, one per axis) that add up to `tensor`: an SVD of each axis against the rest.

    All terms are orthogonal to each other, so dropping some costs the root of the sum of their squared sizes.
    """
    if tensor.ndim == 1:
        size = float(np.linalg.norm(tensor))
        yield size, [tensor / (size or 1.0)]
        return
    left, sizes, right = np.linalg.svd(tensor.reshape(len(tensor), -1), full_matrices=False)
    for column, size, row in zip(left.T, sizes, right, strict=True):
        if size > np.finfo(np.float64).eps * sizes[0]:
            for inner, vectors in _rank_one_terms(row.reshape(tensor.shape[1:])):
                yield float(size * inner), [column, *vectors]
