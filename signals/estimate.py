"""The estimated error of convolving samples instead of the callable they are of, from grids of growing fineness."""

import math

import numpy as np

from kernels.minimal import bspline, knot_spacing
from signals.callables import Continuous, Request
from signals.measures import decibels, peak
from signals.monte_carlo import grid_sampler
from signals.signal import Signal, coordinates, spacing

# Factors between grids by the number of filtered axes: evaluations grow by about as much in each.
GROWTH = {1: 1.9, 2: 1.57, 3: 1.38, 4: 1.3}
WITNESSES = 512
# Orders of convergence: of jumps, and of the corrected samples of what is smooth.
LEAST_ORDER, FIRST_ORDER, MOST_ORDER = 0.75, 1.5, 4.0
ORDERS = np.linspace(LEAST_ORDER, MOST_ORDER, 200)
# Share of the growth below which a step is short.
SHORT = 0.95
# Orders of a convolution's error in units of the order of interpolation errors.
MISS_ORDER = 2.5
# Outputs per axis at which grids are compared, by the number of filtered axes.
COMPARED = {1: 256, 2: 97, 3: 25, 4: 12}
ROWS = 1 << 14
NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(6)


class History:
    """The convolutions on grids so far, and what they tell about the error of the last."""

    def __init__(self, f: Continuous, request: Request) -> None:
        self.request, self.growth = request, GROWTH[len(request.axes)]
        self.points = np.random.default_rng(0).uniform(-1, 1, (WITNESSES, f.dim))
        self.truth: np.ndarray | None = None
        self.f = f
        self.results: list[np.ndarray] = []
        self.steps: list[float] = []
        self.misses: list[float] = []
        self.order = LEAST_ORDER
        self.error = math.inf

    def add(self, signal: Signal) -> float:
        """Estimated PSNR (dB) of the convolution of a signal, NaN for the first."""
        if self.truth is None:
            for axis, n in enumerate(signal.shape):
                if axis not in self.request.axes:
                    self.points[:, axis] = np.rint((self.points[:, axis] + 1) / spacing(n)) * spacing(n) - 1
            self.truth = self.f(self.points)
        read = grid_sampler(signal, self.request.boundary, [0.0] * signal.dim, np)
        self.misses.append(_rms(read(self.points) - self.truth) + 1e-12 * _rms(self.truth))
        self.steps.append(spacing(signal.shape[self.request.axes[0]]))
        self.results.append(_convolved(signal, self.request))
        if len(self.steps) < 2:
            return math.nan
        step, fallen = self.steps[-2] / self.steps[-1], self.error / (self.steps[-2] / self.steps[-1]) ** self.order
        error = min(self._error(2) if len(self.steps) > 3 and self.growth < 1.6 else math.inf, self._error(1))
        # Errors that are no C h^p differ by more in a short step than they fall: there the last estimate goes on.
        self.error = min(error, fallen) if step < SHORT * self.growth else error
        size = peak(self.results[-1])
        # What an error adds to the range of values is no range of the truth.
        return decibels((size if size == 1 else max(size - 3 * self.error, self.error)) ** 2, self.error**2)

    def _error(self, span: int) -> float:
        """The error C h^p of the last result, from its difference C (H^p - h^p) to the one `span` grids before."""
        last, before = self.results[-1], self.results[-1 - span]
        self.order = order = self._order(span)
        return _rms(last - before) / ((self.steps[-1 - span] / self.steps[-1]) ** order - 1)

    def _order(self, span: int) -> float:
        """The order p that differences fall with, but no larger than interpolation errors of two steps allow."""
        h, e = np.array(self.steps), np.array(self.misses)
        allowed = float(np.min(MISS_ORDER * np.diff(np.log(e[-3:])) / np.diff(np.log(h[-3:]))))
        if len(self.steps) < 3:
            return max(min(FIRST_ORDER, allowed), LEAST_ORDER)
        one = _rms(self.results[-1] - self.results[-1 - span])
        other = _rms(self.results[-2] - self.results[-2 - span]) if len(h) > span + 1 else 0.0
        if not one or not other:
            return min(max(allowed, LEAST_ORDER), MOST_ORDER)
        ratios = (h[-2 - span] ** ORDERS - h[-2] ** ORDERS) / (h[-1 - span] ** ORDERS - h[-1] ** ORDERS)
        order = float(np.interp(other / one, ratios, ORDERS))
        return min(max(min(order, allowed), LEAST_ORDER), MOST_ORDER)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _convolved(signal: Signal, request: Request) -> np.ndarray:
    """The convolution with the minimal kernel at outputs that are the same for every grid."""
    count = COMPARED[len(request.axes)]
    pads = [
        math.ceil(request.half_size[request.axes.index(axis)] / spacing(n)) + 2 if axis in request.axes else 0
        for axis, n in enumerate(signal.shape)
    ]
    values = signal.padded(pads, request.boundary)
    for axis, size in zip(request.axes, request.half_size, strict=True):
        n = signal.shape[axis]
        matrix = hat_integrals(np.linspace(-1, 1, count), coordinates(n, pads[axis]), request.order, size)
        values = np.moveaxis(np.tensordot(matrix, values, axes=(1, axis)), 0, axis)
    return values


def hat_integrals(x: np.ndarray, samples: np.ndarray, order: int, half_size: float) -> np.ndarray:
    """(hat_j * B-spline)(x_i) [M, N] for evenly spaced `samples` [N]; exact but for rounding."""
    step = samples[1] - samples[0]
    reach = math.ceil(half_size / step) + 2
    spline, knots = bspline(order, half_size), -half_size + knot_spacing(order, half_size) * np.arange(order + 2)
    matrix = np.zeros((len(x), len(samples)))
    for start in range(0, len(x), max(1, ROWS // reach)):
        rows = np.arange(start, min(len(x), start + max(1, ROWS // reach)))[:, None]
        column = np.rint((x[rows] - samples[0]) / step).astype(int) + np.arange(-reach, reach + 1)
        y = (x[rows] - (samples[0] + step * column))[..., None]
        ends = np.broadcast_to([-step, 0.0, step], (*column.shape, 3))
        cuts = np.sort(np.clip(np.concatenate([y - knots, ends], axis=-1), -step, step), axis=-1)
        half = np.diff(cuts, axis=-1)[..., None] / 2
        u = cuts[..., :-1, None] + half + half * NODES
        values = (half * NODE_WEIGHTS * np.nan_to_num(spline(y[..., None] - u)) * (1 - np.abs(u) / step)).sum((-1, -2))
        inside = (column >= 0) & (column < len(samples))
        matrix[np.broadcast_to(rows, column.shape)[inside], column[inside]] = values[inside]
    return matrix
