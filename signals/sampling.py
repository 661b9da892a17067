"""Samples of a callable, as many as an accuracy requires, corrected so that multilinear reading is of fourth order.

Linear interpolation between samples h apart errs by f'' h^2 / 12 on average, so samples f - f'' h^2 / 12, with the
second difference for f'' h^2, leave an error of h^4 in every convolution. Grids grow until their convolution agrees
with quadrature of f at some outputs to the accuracy; how fast its error falls says how fine the next one must be.
What agrees is searched for small features that the grid passes over (`signals.search`), which makes it finer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from files.inputs import LARGEST_SAMPLES
from signals.callables import Continuous, SamplingRequest, SamplingSettings
from signals.estimate import Checks, Lines, evaluations, psnr
from signals.search import Search
from signals.signal import Signal, boundary_rules, coordinates, spacing

ACCURACY, EVALUATIONS = SamplingSettings.accuracy, SamplingSettings.evaluations
# Samples of axes that are not filtered, where nobody says how many: nothing tells how many they require.
UNFILTERED = 17
# The first samples are this many half sizes apart.
COARSEST = 2.5
# Factors between grids by the number of filtered axes: evaluations grow by about as much in each.
GROWTH = {1: 1.9, 2: 1.57, 3: 1.38, 4: 1.3}
# Orders of convergence: of jumps, before two grids tell, and of the corrected samples of what is smooth.
LEAST_ORDER, FIRST_ORDER, MOST_ORDER = 0.75, 1.5, 4.0
# A step to the accuracy is no larger than it must be, but large enough to show a difference.
SMALLEST_GROWTH = 1.12
# Decibels by which a step aims beyond the accuracy.
SURPLUS = 1.5
# Share of the remaining budget that a last grid may use, as its checks cost another share; and how much finer it must
# be than the grid before to be worth it.
ALLOWANCE, LEAST_GROWTH = 0.95, 1.08
# Samples per half size at which results are stored.
FINE = 4
# Finest samples of a half size: what they still miss lies below rounding, or is a jump.
FINEST = 2048


@dataclass(frozen=True)
class Sampling:
    """What was found out: corrected samples, evaluations of f, estimated dB of the convolution with the minimal kernel
    and whether they meet the accuracy."""

    signal: Signal
    evaluations: int
    estimate: float
    met: bool


def storing_grid(f: Continuous, request: SamplingRequest) -> Signal:
    """f at four samples per half size, enough to store results of Monte Carlo at, or at the resolution asked for."""
    asked = f.settings.resolution
    sizes = dict(zip(request.axes, request.half_size, strict=True))
    usual = [math.ceil(8 / sizes[axis]) + 1 if axis in sizes else UNFILTERED for axis in range(f.dim)]
    shape = [n or other for n, other in zip(asked * f.dim if len(asked) == 1 else asked, usual, strict=True)]
    return Signal(on_grid(f, shape), request.axes, function=f)


def sample(f: Continuous, request: SamplingRequest) -> Sampling:
    """Samples of f for a request; raises ValueError."""
    rules = boundary_rules(request.boundary, request.axes, f.dim)
    grids, checks = _Grids(f, request), Checks.of(f, request)
    search, accuracy, budget = Search(f, request, checks), f.settings.accuracy, f.settings.evaluations
    estimate, total, due = math.nan, 0, True
    best: Signal | None = None
    while (shape := grids.next(estimate)) is not None:
        halo, plan, cost = _asking(f, request, rules, checks, shape)
        room = budget - total - search.reserve(shape)
        while best is not None and cost > room:
            # What is left of the budget pays for a coarser grid than would be next.
            if (shape := grids.coarser(room / cost)) is None:
                break
            halo, plan, cost = _asking(f, request, rules, checks, shape)
        if shape is None:
            break
        first, best = best is None, _sampled(f, request, rules, shape, halo)
        total += cost
        usual = checks.measured(best, checks.points, plan)
        estimate, due = psnr(usual), search.needed(best, usual, first)
        if estimate >= accuracy and due and not grids.single:
            (estimate, more), due = search.psnr(best, usual, budget - total), False
            total += more
        if estimate >= accuracy:
            break
    assert best is not None
    if due:
        # Samples whose number was asked for may be more than the budget.
        estimate, more = search.psnr(best, usual, total if grids.single else budget - total)
        total += more
    return Sampling(best, total, estimate, estimate >= accuracy)


def _asking(
    f: Continuous, request: SamplingRequest, rules: Sequence[str], checks: Checks, shape: Sequence[int]
) -> tuple[list[int], list[Lines], int]:
    """Samples beyond either end, checks, and how often f is asked for a grid of `shape` and its checks."""
    halo = [_halo(request, rules[a], a, n) for a, n in enumerate(shape)]
    # Both ends of a period are one place.
    places = zip(shape, halo, rules, strict=True)
    samples = math.prod(n - 1 if rule == "periodic" else n + 2 * beyond for n, beyond, rule in places)
    plan = checks.plan(shape, samples)
    return halo, plan, samples + sum(evaluations(lines) for lines in plan)


class _Grids:
    """The shapes to try: coarse to fine until sampling stops, or the one that is asked for."""

    def __init__(self, f: Continuous, request: SamplingRequest) -> None:
        self.request, self.accuracy = request, f.settings.accuracy
        asked = f.settings.resolution
        self.asked = [n or UNFILTERED if axis not in request.axes else n
                      for axis, n in enumerate(asked * f.dim if len(asked) == 1 else asked)]  # fmt: skip
        sizes = dict(zip(request.axes, request.half_size, strict=True))
        known = {axis: (self.asked[axis] - 1) * size for axis, size in sizes.items() if self.asked[axis]}
        self.single = bool(known)
        # Cells per half size of the first grid, the same along all axes that nobody gave a number for.
        start = max(known.values()) if known else 2 / COARSEST
        self.cells = {axis: start / size for axis, size in sizes.items()}
        if not known:
            # A budget that ends before the first grid gets a coarser one; its checks are asked for as well.
            within = f.settings.evaluations / math.prod(max(n, 1) for n in self.asked) / 2
            share = min(1.0, (within / math.prod(self.cells.values())) ** (1 / len(sizes)))
            self.cells = {axis: max(3.0, share * count) for axis, count in self.cells.items()}
        self.before: dict[int, int] = {}
        self.last: dict[int, int] = {}
        self.known: list[tuple[float, float]] = []

    def next(self, estimate: float) -> tuple[int, ...] | None:
        """The next shape, given the estimate (dB) for the last; None where no finer one makes sense."""
        if self.last:
            if self.single:
                return None
            step = self._step(estimate)
            self.cells = {axis: step * count for axis, count in self.cells.items()}
        sizes = zip(self.cells.values(), self.request.half_size, strict=True)
        if not self.single and any(count * size > 2 * FINEST for count, size in sizes):
            return None
        # Odd numbers of cells share their ends alone.
        cells = {axis: math.ceil(count - 1e-9) | 1 for axis, count in self.cells.items()}
        self.before, self.last = self.last, {a: max(n, self.last.get(a, 0) + 2) for a, n in cells.items()}
        return self._shape()

    def coarser(self, share: float) -> tuple[int, ...] | None:
        """In place of the next shape one of about `share` of its samples; None where the last one is about as fine."""
        factor = (ALLOWANCE * max(share, 0.0)) ** (1 / len(self.cells))
        cells = {axis: math.floor(factor * count) - 1 | 1 for axis, count in self.last.items()}
        if any(count < LEAST_GROWTH * self.before[axis] for axis, count in cells.items()):
            return None
        self.last = cells
        self.cells = {axis: float(count) for axis, count in cells.items()}
        return self._shape()

    def _shape(self) -> tuple[int, ...]:
        return tuple(n or self.last[axis] + 1 for axis, n in enumerate(self.asked))

    def _step(self, estimate: float) -> float:
        """The factor from the last grid to the next: what the order that errors fell with, over two steps, requires."""
        growth, order = GROWTH[len(self.request.axes)], FIRST_ORDER
        self.known.append((math.log10(max(self.last.values())), estimate / 20))
        if len(self.known) > 1:
            (coarse, before), (fine, now) = self.known[-min(3, len(self.known))], self.known[-1]
            order = min(max((now - before) / (fine - coarse), LEAST_ORDER), MOST_ORDER)
        needed = 10 ** ((self.accuracy + SURPLUS - estimate) / (20 * order))
        return min(max(needed, SMALLEST_GROWTH), growth)


def _halo(request: SamplingRequest, rule: str, axis: int, count: int) -> int:
    """Samples beyond [-1, 1] that f is asked for itself: all that margin and kernel reach where the rule says so."""
    if axis not in request.axes or rule != "extend":
        return 0
    size, step = request.half_size[request.axes.index(axis)], spacing(count)
    return math.ceil(request.margin / step - 1e-9) + math.ceil(size / step - 1e-9) + 2


def _sampled(
    f: Continuous, request: SamplingRequest, rules: Sequence[str], shape: Sequence[int], halo: Sequence[int]
) -> Signal:
    """The corrected samples on one grid, `halo` more per side."""
    lines = []
    for n, pad, rule in zip(shape, halo, rules, strict=True):
        lines.append(coordinates(n)[:-1] if rule == "periodic" else coordinates(n, pad))
    values = _asked(f, lines)
    for axis, (n, rule) in enumerate(zip(shape, rules, strict=True)):
        if rule == "periodic":
            values = corrected(values.take(np.arange(-2, n + 2) % (n - 1), axis=axis), axis)
            values = values.take(np.arange(2, n + 2), axis=axis)
        elif axis in request.axes:
            values = corrected(values, axis)
    return Signal(values, request.axes, name=f.name, halo=tuple(halo), function=f)


def _asked(f: Continuous, lines: Sequence[np.ndarray]) -> np.ndarray:
    """f on the tensor grid of the coordinates `lines`, [N_1, ..., N_d, c], a slab at a time."""
    counts = [len(line) for line in lines]
    values = np.empty((*counts, f.channels))
    rows = max(1, (1 << 18) // math.prod(counts[1:]))
    for start in range(0, counts[0], rows):
        block = np.meshgrid(lines[0][start : start + rows], *lines[1:], indexing="ij")
        values[start : start + rows] = f(np.stack(block, axis=-1).reshape(-1, f.dim)).reshape(*block[0].shape, -1)
    return values


def on_grid(f: Continuous, shape: Sequence[int]) -> np.ndarray:
    """f itself at `shape` samples over [-1, 1]^d, [N_1, ..., N_d, c]."""
    return _asked(f, [coordinates(n) for n in shape])


def refined(signal: Signal, request: SamplingRequest) -> Signal:
    """The same function, read multilinearly between samples, on a grid with FINE samples per half size: results of a
    convolution are stored where the callable is not asked again."""
    values, halo = np.asarray(signal.values), list(signal.halo)
    for axis, size in zip(request.axes, request.half_size, strict=True):
        factor = max(1, math.ceil(FINE * spacing(signal.shape[axis]) / size - 1e-9))
        if factor == 1 or values.size * factor > LARGEST_SAMPLES // 4:
            continue
        values = np.moveaxis(values, axis, 0)
        share = (np.arange(factor) / factor).reshape(factor, *[1] * (values.ndim - 1))
        between = values[:-1, None] * (1 - share) + values[1:, None] * share
        values = np.concatenate([between.reshape(-1, *values.shape[1:]), values[-1:]])
        values, halo[axis] = np.moveaxis(values, 0, axis), halo[axis] * factor
    return replace(signal, values=values, halo=tuple(halo))


def corrected(values: np.ndarray, axis: int) -> np.ndarray:
    """Samples s - (second difference of s) / 12 along one axis, its end rows untouched: what lies beyond them would be
    changed too. Their neighbours stand in for them with a share of 1 / 24 more, which keeps means to fourth order."""
    values = np.moveaxis(values.astype(np.float64), axis, 0)
    second = values[2:] - 2 * values[1:-1] + values[:-2]
    result = values.copy()
    result[1:-1] -= second / 12
    if len(second) > 1:
        result[[1, -2]] -= second[[0, -1]] / 24
    return np.moveaxis(result, 0, axis)
