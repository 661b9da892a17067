"""Where to put the Diracs of one axis: spread by curvature, moved by variable projection, pruned and merged.

The target along one axis is a line of R channels (one for a 1-D target, the singular vectors of the
unfolded samples otherwise): the splines on the knots must span all of them, and the error of a tensor
product fit is at most the root of the sum of squares of the errors of its axes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import eigh
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import least_squares

from kernels.splines import SplineBasis

# Above this many Diracs an axis is spread well enough, and moving them one by one costs too much.
LARGEST_REFINED = 32
# Up to this many, or for a single channel, several starts are refined and the best is taken.
LARGEST_THOROUGH = 20
STARTS = 2
LARGEST_COUNT = 257
# Channels of a line, and those that knots are moved by: the rest hardly differs in where it bends.
CHANNELS, CONDENSED_CHANNELS, TAIL = 48, 6, 1e-4
# Logarithms of gap ratios beyond this mean a gap that is the smallest allowed one.
LARGEST_LOG = 12.0

Notify = Callable[[str], None]


def silent(_: str) -> None:
    """Drops a message."""


@dataclass(frozen=True, eq=False)
class Line:
    """Cell means [M, R] of a target along one axis, R channels, between `edges` [M + 1] that span its support."""

    edges: np.ndarray
    means: np.ndarray

    @classmethod
    def of_axis(cls, edges: np.ndarray, means: np.ndarray, axis: int) -> "Line":
        """One axis of the samples [M_1, ..., M_d] where they are not 0, the others compressed to few channels."""
        unfolded = np.moveaxis(means, axis, 0).reshape(means.shape[axis], -1)
        (filled,) = np.nonzero(unfolded.any(axis=1))
        if not len(filled):
            raise ValueError("this target is zero everywhere")
        unfolded, edges = unfolded[filled[0] : filled[-1] + 1], edges[filled[0] : filled[-1] + 2]
        if means.ndim == 1:
            return cls(edges, unfolded)
        # Singular values below TAIL of the largest are not needed, so the smaller product serves.
        last = len(unfolded) - 1
        squares, left = eigh(unfolded @ unfolded.T, subset_by_index=(max(0, last + 1 - CHANNELS), last))
        kept = squares > TAIL**2 * squares[-1]
        return cls(edges, (left[:, kept] * np.sqrt(squares[kept]))[:, ::-1])

    @cached_property
    def symmetric(self) -> bool:
        """Whether the channels span the same space from either end, so that the best knots are symmetric."""
        inner = self.means @ self.means.T
        return bool(np.abs(inner - inner[::-1, ::-1]).max() <= 1e-6 * np.abs(inner).max())

    def condensed(self) -> "Line":
        """The same line in half as many cells and its first channels only, to move knots by."""
        cells = len(self.means) // 2 * 2
        pairs = (self.means[0:cells:2] + self.means[1:cells:2]) / 2
        return Line(np.append(self.edges[0:cells:2], self.edges[-1]), pairs[:, :CONDENSED_CHANNELS])

    def alike(self, other: "Line") -> bool:
        """Whether two lines differ by no more than a factor, so that the same knots suit both."""
        if self.means.shape != other.means.shape:
            return False
        ours, theirs = (line.means @ line.means.T / np.sum(line.means**2) for line in (self, other))
        return bool(np.abs(ours - theirs).max() <= 1e-7 * np.abs(ours).max())

    def misfit(self, knots: np.ndarray, order: int) -> np.ndarray:
        """The part [M, R] of the target that no spline on `knots` reaches, in units of the whole target."""
        scale = np.sqrt(np.diff(self.edges))[:, None]
        orthonormal, _ = np.linalg.qr(SplineBasis(knots, order).averages(self.edges) * scale)
        target = self.means * scale
        return (target - orthonormal @ (orthonormal.T @ target)) / np.linalg.norm(target)

    def error(self, knots: np.ndarray, order: int) -> float:
        """The relative L2 error of the best spline on `knots`."""
        return float(np.linalg.norm(self.misfit(knots, order)))


@dataclass(frozen=True, eq=False)
class Spacing:
    """Knots between two fixed ends as the softmax of free numbers: always increasing, never closer than `gap`."""

    first: float
    last: float
    count: int
    gap: float
    symmetric: bool

    @property
    def index(self) -> np.ndarray:
        """[count - 1], which free number each gap belongs to."""
        gaps = np.arange(self.count - 1)
        return np.minimum(gaps, gaps[::-1]) if self.symmetric else gaps

    def knots(self, free: np.ndarray) -> np.ndarray:
        """Knots [count] from free numbers, the last of which is fixed at 0 and left out."""
        shares = np.exp(np.append(free, 0))[self.index]
        slack = self.last - self.first - (self.count - 1) * self.gap
        gaps = self.gap + slack * shares / shares.sum()
        knots = np.concatenate([[self.first], self.first + np.cumsum(gaps[:-1]), [self.last]])
        # Mirror images that differ in their last bit would not meet on a shared tensor grid.
        return (knots + (self.first + self.last) - knots[::-1]) / 2 if self.symmetric else knots

    def free(self, knots: np.ndarray) -> np.ndarray:
        """The free numbers that give `knots`, as nearly as the smallest gap allows."""
        slack = (self.last - self.first) - (self.count - 1) * self.gap
        gaps = np.maximum(np.diff(knots) - self.gap, 0.01 * slack / (self.count - 1))
        sums = np.log(np.bincount(self.index, gaps) / np.bincount(self.index))
        return (sums - sums[-1])[:-1]


def spread(line: Line, order: int, count: int) -> list[np.ndarray]:
    """Knot densities that follow a power of the n-th derivative of the line (de Boor 1973), as knots [count].

    The power 1 / (n + 1/2) suits smooth targets, 1 suits edges, 0 is uniform.
    """
    n, cells = order + 1, len(line.edges) - 1
    derivative = np.linalg.norm(np.diff(line.means, n, axis=0, prepend=0, append=0), axis=1)
    middle = np.interp(np.linspace(0, 1, cells), np.linspace(0, 1, len(derivative)), derivative)
    if line.symmetric:
        middle = middle + middle[::-1]
    candidates = [np.linspace(line.edges[0], line.edges[-1], count)]
    for power in (1 / (n + 0.5), 1.0):
        density = gaussian_filter1d(middle**power, max(1.0, cells / count / 2), mode="nearest")
        for floor in (0.1, 0.5):
            running = np.append(0, np.cumsum(density + floor * density.mean()))
            candidates.append(np.interp(np.linspace(0, running[-1], count), running, line.edges))
    return candidates


def best_knots(
    line: Line, order: int, count: int, smallest_gap: float | None = None, thorough: bool = True
) -> np.ndarray:
    """`count` knots from end to end of the line, refined from one start, or if `thorough` from several.

    `smallest_gap` in units of the line (default: a quarter of the mean gap). Raises ValueError for fewer
    than n + 1 knots, or for more than the smallest gap has room for.
    """
    if count < order + 2:
        raise ValueError(f"a kernel of order {order} needs at least {order + 2} Diracs per axis, not {count}")
    spacing = _spacing(line, count, smallest_gap)

    def error(free: np.ndarray) -> float:
        return line.error(spacing.knots(free), order)

    starts = sorted((spacing.free(knots) for knots in spread(line, order, count)), key=error)
    thorough = thorough and (count <= LARGEST_THOROUGH or line.means.shape[1] == 1)
    if count <= LARGEST_REFINED:
        starts = [refine(line, order, spacing, start) for start in starts[: STARTS if thorough else 1]]
        if thorough:
            gap = spacing.gap * (count - 1) / (count + 1)
            more = best_knots(line, order, count + 2, gap, thorough=False)
            starts.append(refine(line, order, spacing, spacing.free(prune(line, order, more, count))))
    return spacing.knots(min(starts, key=error))


def count_for_error(line: Line, order: int, error: float, smallest_gap: float | None, notify: Notify = silent) -> int:
    """The fewest knots whose best spline is within `error` (relative L2) of the line.

    `notify` receives what was tried. Raises ValueError if it takes more than LARGEST_COUNT.
    """

    def found(count: int) -> float:
        reached = line.error(best_knots(line, order, count, smallest_gap, thorough=False), order)
        notify(f"{count} Diracs along an axis: error {reached:.3g}, its share is {error:.3g}")
        return reached

    few, many = order + 1, order + 2
    while found(many) > error:
        if many == LARGEST_COUNT:
            raise ValueError(f"an error of {error:g} takes more than {LARGEST_COUNT} Diracs per axis")
        few, many = many, min(2 * many, LARGEST_COUNT)
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if found(middle) <= error else (middle, many)
    return many


def prune(line: Line, order: int, knots: np.ndarray, count: int) -> np.ndarray:
    """`knots` down to `count` of them, the one that is missed least dropped or merged with its neighbour at a time.

    Symmetric knots go in pairs while two are too many.
    """
    while len(knots) > count:
        last = len(knots) - 1
        pairs = line.symmetric and len(knots) - count >= 2
        fewer = []
        for i in range(1, (last + 1) // 2 if pairs else last):
            dropped = np.delete(knots, [i, last - i] if pairs else [i])
            merged = dropped.copy()
            if 1 < i < last:
                merged[i - 1] = (knots[i - 1] + knots[i]) / 2
                if pairs:
                    merged[-i] = (knots[-i] + knots[-i - 1]) / 2
            fewer += [dropped, merged]
        knots = min(fewer, key=lambda candidate: line.error(candidate, order))
    return knots


def refine(line: Line, order: int, spacing: Spacing, start: np.ndarray) -> np.ndarray:
    """The free numbers of a spacing moved to an optimum by variable projection (Golub & Pereyra 1973).

    The coefficients are eliminated by a QR in every evaluation; only the logarithms of the gaps are unknowns.
    """
    if not len(start):
        return start
    # The first step is as large as the start: 0, which stands for 1, must not be a rounding error.
    start = np.where(np.abs(start) < 1e-12, 0, start)
    line = line.condensed()

    def misfit(free: np.ndarray) -> np.ndarray:
        return line.misfit(spacing.knots(free), order).ravel()

    return least_squares(misfit, start, bounds=(-LARGEST_LOG, LARGEST_LOG), max_nfev=15, xtol=1e-4, ftol=1e-3).x


def _spacing(line: Line, count: int, smallest_gap: float | None) -> Spacing:
    """Room for `count` knots between the ends of the line."""
    length = float(line.edges[-1] - line.edges[0])
    gap = length / (count - 1) / 4 if smallest_gap is None else smallest_gap
    if gap * (count - 1) >= length:
        raise ValueError(f"{count} Diracs do not fit in a length of {length:g} with gaps of {gap:g}")
    return Spacing(float(line.edges[0]), float(line.edges[-1]), count, gap, line.symmetric)
