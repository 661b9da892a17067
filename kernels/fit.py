"""Any kernel as a few Diracs: positions by variable projection, weights by constrained linear least squares.

Everything is fitted on the box [-1, 1]^d and stretched to the target's size, which is free. Separable
targets are fitted axis by axis and multiplied; others on a tensor grid of knots, whose flat parts carry
no Diracs (Nsampi et al. 2023, section 4.3, where positions and weights are optimised by gradient descent).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from kernels.knots import Line, Notify, best_knots, count_for_error, silent
from kernels.leastsquares import SplineFit, along_all
from kernels.separate import grid_density
from kernels.sparse import LARGEST_SIZE, SparseKernel, checked_order, outer
from kernels.splines import SplineBasis
from kernels.target import Target, factors_with_moments, missing_factor

# Cells per axis (and points per cell) that a target is sampled with to find knots, by dimension.
CELLS = {1: (512, 4), 2: (512, 2), 3: (96, 1)}
# Points per axis that errors are measured on.
CHECK_POINTS = {1: 20001, 2: 601, 3: 81}
# Weights below this share of the largest are rounding of zero.
NO_WEIGHT = 1e-11
# Pruning may make the error of a kernel on a grid larger by this share.
SLACK = 0.05
# Beyond this a fit takes minutes and gains nothing.
MOST_PER_AXIS = 1024


@dataclass(frozen=True)
class FitErrors:
    """How far a sparse kernel is from its target: shares of the peak and of the L2 norm, mass, moments, Diracs."""

    max_error: float
    relative_l2: float
    mass: float
    mass_error: float
    moment_defect: float
    diracs: int


def fit_kernel(
    target: Target,
    order: int,
    count: int | Sequence[int] | None = None,
    error: float | None = None,
    smallest_gap: float | None = None,
    slack: float = SLACK,
    notify: Notify = silent,
) -> SparseKernel:
    """The sparse kernel of `order`, in all axes of the target, nearest to it in the L2 norm.

    Either `count` Diracs per axis (one number or one per axis) or few enough for the relative L2 error
    `error`. `smallest_gap` between Diracs in units of the radius; Diracs of non-separable kernels are
    dropped where that makes the error larger by no more than `slack` (relative); `notify` receives
    what is tried. Raises ValueError for an order outside 0..8, too few Diracs or an error out of reach.
    """
    order = checked_order(order)
    if target.dim not in CELLS:
        raise ValueError(f"kernels are fitted in 1, 2 or 3 dimensions, not {target.dim}")
    if (count is None) == (error is None):
        raise ValueError("give either the number of Diracs per axis or the error, not both")
    unit = target.unit()
    factors = [unit] if unit.dim == 1 else unit.factors()
    lines = _lines(unit, factors)
    if error is None:
        counts = _counts(count, target.dim)
    else:
        counts = _counts_for_error(lines, order, error, smallest_gap, notify)
    while True:
        knots = _knots(lines, order, counts, smallest_gap)
        kernel = _product(unit, factors, knots, order) if factors else best_weights(unit, knots, order, slack)
        if error is None:
            return kernel.scaled(target.radius)
        reached = fit_errors(kernel, unit).relative_l2
        notify(f"{len(kernel)} Diracs: error {reached:.3g}, wanted {error:.3g}")
        if reached <= error:
            return kernel.scaled(target.radius)
        counts = [math.ceil(known * reached / error) for known in counts]


def best_weights(target: Target, knots: Sequence[np.ndarray], order: int, slack: float = 0.0) -> SparseKernel:
    """The best kernel whose Diracs lie on the tensor grid of the given knots [K_j] (domain units), one array per axis.

    Mass and moments of the target are kept exactly; raises ValueError for knots that are not increasing.
    """
    bases = tuple(SplineBasis(t, order) for t in knots)
    edges = tuple(_aligned_edges(basis.knots, target.dim) for basis in bases)
    means = target.cell_means(edges, 4 if target.dim == 1 else 2)
    cells = reduce(np.multiply.outer, [np.diff(e) for e in edges])
    sampled = float((means * cells).sum())
    mass = sampled if target.mass is None else target.mass
    if mass != 0:
        if abs(sampled - mass) > 0.2 * abs(mass):
            raise ValueError(f"the target's density integrates to {sampled:.4g}, which is not its mass {mass:.4g}")
        means = means * (mass / sampled)
    moments = {(0,) * target.dim: mass, **target.moments}
    problem = SplineFit(bases, edges, means, moments)
    coefficients = problem.solve_pruned(slack) if slack > 0 else problem.solve()
    weights = along_all([basis.differences for basis in bases], coefficients)
    return _on_grid([basis.knots for basis in bases], weights, order)


def fit_errors(kernel: SparseKernel, target: Target) -> FitErrors:
    """The errors of `kernel` on a dense grid over the target's box."""
    points = CHECK_POINTS[target.dim]
    # An irrational shift keeps the points off the knots and off the target's own edges.
    inner = (np.arange(points) + 1 / math.sqrt(7)) / points * 2 - 1
    grid = [radius * inner for radius in target.radius]
    wanted = target.on_grid(grid)
    difference = grid_density(kernel, grid) - wanted
    mass = kernel.mass if target.mass is None else target.mass
    return FitErrors(
        max_error=float(np.abs(difference).max() / np.abs(wanted).max()),
        relative_l2=float(np.linalg.norm(difference) / np.linalg.norm(wanted)),
        mass=kernel.mass,
        mass_error=abs(kernel.mass - mass),
        moment_defect=kernel.moment_defect(),
        diracs=len(kernel),
    )


def _counts(count: Any, dim: int) -> list[int]:
    """One wanted count per axis."""
    counts = list(count) if np.ndim(count) else [count] * dim
    if len(counts) != dim or any(int(c) != c for c in counts):
        raise ValueError(f"the number of Diracs must be one whole number or {dim} of them, not {count}")
    return [int(c) for c in counts]


def _counts_for_error(
    lines: Sequence[Line], order: int, error: float, smallest_gap: float | None, notify: Notify
) -> list[int]:
    """The fewest Diracs per axis whose errors add up to `error`; axes alike get the same number."""
    if not 0 < error < 1:
        raise ValueError(f"the error must lie between 0 and 1, not {error}")
    counts: list[int] = []
    for line in lines:
        twins = [known for known, other in zip(counts, lines, strict=False) if other.alike(line)]
        share = error / math.sqrt(len(lines))
        counts.append(twins[0] if twins else count_for_error(line, order, share, smallest_gap, notify))
    return counts


def _knots(lines: Sequence[Line], order: int, counts: Sequence[int], smallest_gap: float | None) -> list[np.ndarray]:
    """Knots for every axis; axes alike share theirs."""
    if max(counts) > MOST_PER_AXIS or math.prod(counts) * len(counts) > LARGEST_SIZE:
        raise ValueError(f"{' x '.join(map(str, counts))} Diracs are too many to fit: ask for fewer or a larger error")
    knots: list[np.ndarray] = []
    for line, count in zip(lines, counts, strict=True):
        twins = [t for t, other in zip(knots, lines, strict=False) if len(t) == count and other.alike(line)]
        knots.append(twins[0] if twins else best_knots(line, order, count, smallest_gap))
    return knots


def _lines(unit: Target, factors: list[Target] | None) -> list[Line]:
    """What the knots of every axis have to span: the factor of a separable target, the samples of another."""
    if factors is None:
        edges, means = _sampled(unit)
        return [Line.of_axis(edges, means, axis) for axis in range(unit.dim)]
    return [Line.of_axis(*_sampled(factor), 0) for factor in factors]


def _product(unit: Target, factors: list[Target], knots: list[np.ndarray], order: int) -> SparseKernel:
    """The outer product of one fit per axis, with the mass (or first moment) of the target."""
    exact = [unit] if unit.dim == 1 else factors_with_moments(unit, factors)
    kernel = reduce(outer, [best_weights(factor, [t], order) for factor, t in zip(exact, knots, strict=True)])
    return kernel.times(missing_factor(unit, exact))


def _sampled(target: Target) -> tuple[np.ndarray, np.ndarray]:
    """The edges of every axis and the cell means of a target on the unit box, fine enough to place knots by."""
    cells, samples = CELLS[target.dim]
    edges = np.linspace(-1, 1, cells + 1)
    return edges, target.cell_means([edges] * target.dim, samples)


def _aligned_edges(knots: np.ndarray, dim: int) -> np.ndarray:
    """Cells that divide every gap between knots evenly, so that no B-spline goes without one."""
    parts = max(2, 64 // len(knots)) if dim == 3 else max(4, -(-256 // len(knots)))
    inner = knots[:-1, None] + np.diff(knots)[:, None] * np.arange(parts) / parts
    return np.append(inner.ravel(), knots[-1])


def _on_grid(knots: Sequence[np.ndarray], weights: np.ndarray, order: int) -> SparseKernel:
    """A kernel from its weights [K_1, ..., K_d] on a tensor grid of knots, those left out that only rounding made."""
    kept = np.abs(weights) > NO_WEIGHT * np.abs(weights).max()
    if not kept.any():
        raise ValueError("so few Diracs leave nothing of this kernel: request more")
    positions = np.stack([t[i] for t, i in zip(knots, np.nonzero(kept), strict=True)], axis=-1)
    return SparseKernel(positions, weights[kept], order, tuple(range(len(knots))))
