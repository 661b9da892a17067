"""Samples of a callable, as many as an accuracy requires, corrected so that multilinear reading is of fourth order.

Linear interpolation between samples h apart errs by f'' h^2 / 12 on average, so samples f - f'' h^2 / 12, with the
second difference for f'' h^2, leave an error of h^4 in every convolution. Grids grow by factors that never nest them
(nested ones hide aliasing from each other) until the difference of two convolutions, C (H^p - h^p), says that the error
C h^p meets the accuracy. The order p is no larger than the one differences fall with, nor than MISS_ORDER times that of
interpolation errors at random points: a wave that aliases twice in nearly the same way shows there.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from signals.callables import Continuous, Request, Settings
from signals.estimate import GROWTH, WITNESSES, History
from signals.metadata import LARGEST_SAMPLES
from signals.signal import Signal, boundary_rules, coordinates, spacing

ACCURACY, EVALUATIONS = Settings.accuracy, Settings.evaluations
# Samples of axes that are not filtered, where nobody says how many: nothing tells how many they require.
UNFILTERED = 17
# The first samples are this many half sizes apart.
COARSEST = 2.5
# A step to the accuracy is no larger than it must be, but large enough to show a difference.
SMALLEST_GROWTH = 1.12
# Decibels by which a step aims beyond the accuracy.
SURPLUS = 1.0
# Samples per half size at which results are stored.
FINE = 4
# Finest samples of a half size: what they still miss lies below rounding, or is a jump.
FINEST = 2048


@dataclass(frozen=True)
class Sampling:
    """What was found out: corrected samples, evaluations of f, estimated dB of the convolution with the minimal kernel
    (NaN: a single grid) and whether they meet the accuracy."""

    signal: Signal
    evaluations: int
    estimate: float
    met: bool


def storing_grid(f: Continuous, request: Request) -> Signal:
    """f at four samples per half size, enough to store results of Monte Carlo at, or at the resolution asked for."""
    asked = f.settings.resolution
    sizes = dict(zip(request.axes, request.half_size, strict=True))
    usual = [math.ceil(8 / sizes[axis]) + 1 if axis in sizes else UNFILTERED for axis in range(f.dim)]
    shape = [n or other for n, other in zip(asked * f.dim if len(asked) == 1 else asked, usual, strict=True)]
    return Signal(on_grid(f, shape), request.axes, function=f)


def sample(f: Continuous, request: Request, notify: Callable[[str], None] | None = None) -> Sampling:
    """Samples of f for a request; `notify` receives one sentence for every grid. Raises ValueError."""
    request = replace(request, settings=f.settings)
    rules = boundary_rules(request.boundary, request.axes, f.dim)
    grids, history = _Grids(f, request), History(f, request)
    estimate, total = math.nan, WITNESSES
    best: Signal | None = None
    while (shape := grids.next(estimate, history.order)) is not None:
        halo = [_halo(request, rules[a], a, n) for a, n in enumerate(shape)]
        cost = math.prod(_unique(n, h, r) for n, h, r in zip(shape, halo, rules, strict=True))
        if best is not None and total + cost > request.settings.evaluations:
            break
        best = _sampled(f, request, rules, shape, halo)
        total += cost
        estimate = history.add(best)
        if notify:
            notify(f"{' x '.join(map(str, shape))} samples, {total} evaluations, estimated {estimate:.1f} dB")
        if estimate >= request.settings.accuracy and not grids.asked:
            break
    assert best is not None
    return Sampling(best, total, estimate, estimate >= request.settings.accuracy)


class _Grids:
    """The shapes to try, coarse to fine: until sampling stops, or three that end with the resolution asked for."""

    def __init__(self, f: Continuous, request: Request) -> None:
        self.request, self.growth = request, GROWTH[len(request.axes)]
        asked = request.settings.resolution
        self.resolution = asked * f.dim if len(asked) == 1 else asked
        self.fixed = [n or (0 if axis in request.axes else UNFILTERED) for axis, n in enumerate(self.resolution)]
        sizes = dict(zip(request.axes, request.half_size, strict=True))
        self.asked = any(self.resolution[axis] for axis in request.axes)
        if self.asked:
            most = max((self.fixed[axis] - 1) * size for axis, size in sizes.items() if self.fixed[axis])
            self.cells = {axis: float(self.fixed[axis] - 1 or math.ceil(most / size)) for axis, size in sizes.items()}
            self.left = [self.growth**-2, 1 / self.growth, 1.0]
            return
        self.left = []
        self.cells = {axis: 2 / (COARSEST * size) for axis, size in sizes.items()}
        # A budget that ends before the first grid gets a coarser one.
        within = (request.settings.evaluations - WITNESSES) / math.prod(max(n, 1) for n in self.fixed) / 2
        share = min(1.0, (max(within, 1.0) / math.prod(self.cells.values())) ** (1 / len(sizes)))
        self.cells = {axis: max(3.0, share * count) for axis, count in self.cells.items()}
        self.first = True
        self.last: dict[int, int] = {}

    def next(self, estimate: float, order: float) -> tuple[int, ...] | None:
        """The next shape, given what is known of the last; None where no finer one makes sense."""
        if self.asked:
            if not self.left:
                return None
            share = self.left.pop(0)
            cells = {axis: max(1, round(share * count)) for axis, count in self.cells.items()}
            return tuple(cells[a] + 1 if a in cells else n for a, n in enumerate(self.fixed))
        if not self.first:
            needed = 10 ** ((self.request.settings.accuracy + SURPLUS - estimate) / (20 * order))
            step = self.growth if math.isnan(estimate) else min(max(needed, SMALLEST_GROWTH), self.growth)
            self.cells = {axis: step * count for axis, count in self.cells.items()}
        self.first = False
        sizes = zip(self.cells.values(), self.request.half_size, strict=True)
        if any(count * size > 2 * FINEST for count, size in sizes):
            return None
        # Odd numbers of cells share their ends alone.
        cells = {axis: math.ceil(count - 1e-9) | 1 for axis, count in self.cells.items()}
        self.last = {axis: max(count, self.last.get(axis, 0) + 2) for axis, count in cells.items()}
        return tuple(self.last[a] + 1 if a in cells else n for a, n in enumerate(self.fixed))


def _halo(request: Request, rule: str, axis: int, count: int) -> int:
    """Samples beyond [-1, 1] that f is asked for itself: all that margin and kernel reach where the rule says so."""
    if axis not in request.axes or rule != "extend":
        return 0
    size, step = request.half_size[request.axes.index(axis)], spacing(count)
    return math.ceil(request.margin / step - 1e-9) + math.ceil(size / step - 1e-9) + 2


def _unique(count: int, halo: int, rule: str) -> int:
    """Places along an axis where f is asked: both ends of a period are one."""
    return count - 1 if rule == "periodic" else count + 2 * halo


def _sampled(
    f: Continuous, request: Request, rules: Sequence[str], shape: Sequence[int], halo: Sequence[int]
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


def refined(signal: Signal, request: Request) -> Signal:
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
