"""The error of convolving samples instead of the callable they are of: measured at some outputs by quadrature.

A grid says nothing about what it misses, and two grids may miss the same: waves alias. So the callable is asked again,
at Gauss-Legendre nodes under the kernel at some outputs: more of them than samples lie there, at other places for each.
What lies between all of these is looked for in `signals.search`.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import qmc

from kernels.minimal import bspline, minimal_knots
from signals.callables import Continuous, SamplingRequest
from signals.legendre import Lines, tensor_rule
from signals.measures import decibels, peak
from signals.monte_carlo import within
from signals.quadrature import cuts
from signals.signal import Signal, boundary_rules, coordinates, spacing

# Outputs that are checked: as many as this share of the samples pays for, but at least so many by the number of axes.
MOST, SHARE = 64, 0.25
FEWEST = {1: 64, 2: 32, 3: 32, 4: 16}
# The root mean square over so few outputs is known to about this factor, which counts as error.
CAUTION = 1.12
# Nodes of one Gauss-Legendre rule: longer panels are divided.
LONGEST_RULE = 16
# Each panel towards a place where something may be small is so much shorter than the one before.
RATIO = 4.0
ROWS = 1 << 14
NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(6)


@dataclass(frozen=True, eq=False)
class Measured:
    """The convolution of samples at some outputs [P, c], and its mean squared error at each [P]."""

    found: np.ndarray
    squares: np.ndarray


@dataclass(frozen=True, eq=False)
class Checks:
    """Outputs [MOST, d], evenly spread at random, at which a callable's samples are measured for a request."""

    f: Continuous
    request: SamplingRequest
    points: np.ndarray

    @classmethod
    def of(cls, f: Continuous, request: SamplingRequest) -> "Checks":
        """The same outputs in every run."""
        return cls(f, request, 2 * qmc.Sobol(f.dim, rng=np.random.default_rng(0)).random(MOST) - 1)

    def plan(self, shape: Sequence[int], samples: int) -> list[Lines]:
        """What to ask for a grid of `shape` with so many `samples`: one entry per output that is checked."""
        spread = [
            2 * (math.ceil(size / spacing(shape[axis])) + 1)
            for axis, size in zip(self.request.axes, self.request.half_size, strict=True)
        ]
        count = min(max(int(SHARE * samples / math.prod(spread)), FEWEST[len(spread)]), MOST)
        return [self.lines(point, shape) for point in self.on_samples(self.points, shape)[:count]]

    def on_samples(self, points: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """Points [P, d], moved to samples of the axes that are not filtered."""
        points = points.copy()
        for axis in set(range(self.f.dim)) - set(self.request.axes):
            step = spacing(shape[axis])
            points[:, axis] = np.rint((points[:, axis] + 1) / step) * step - 1
        return points

    def lines(self, point: np.ndarray, shape: Sequence[int], closest: float = math.inf) -> Lines:
        """Nodes and weights per axis for an output, closer than samples of `shape`; panels shrink towards it down to
        about `closest`."""
        request, lines = self.request, []
        rules = boundary_rules(request.boundary, request.axes, self.f.dim)
        sizes = dict(zip(request.axes, request.half_size, strict=True))
        for axis, n in enumerate(shape):
            if axis not in sizes:
                lines.append((np.zeros(1), np.ones(1)))
                continue
            size, order = sizes[axis], request.order
            levels = max(0, math.floor(math.log(size / closest, RATIO))) if closest < size else 0
            inner = size / RATIO ** np.arange(1.0, levels + 1)
            knots = np.union1d(minimal_knots(order, size), np.concatenate([-inner, inner]))
            t, w = panels(cuts(knots, point[axis], rules[axis]), spacing(n))
            lines.append((t, w * bspline(order, size)(t)))
        return lines

    def measured(self, signal: Signal, points: np.ndarray, plan: Sequence[Lines]) -> Measured:
        """The convolution of a signal with the minimal kernel at points, the first of which `plan` asks for."""
        points = self.on_samples(points, signal.shape)
        found = convolved_at(signal, self.request, points)
        rules = [tensor_rule(lines) for lines in plan]
        asked = np.concatenate([point - offsets for point, (offsets, _) in zip(points, rules, strict=False)])
        values = self.f(within(asked, boundary_rules(self.request.boundary, self.request.axes, self.f.dim)))
        parts = np.split(values, np.cumsum([evaluations(lines) for lines in plan])[:-1])
        truth = np.stack([weights @ part for (_, weights), part in zip(rules, parts, strict=True)])
        return Measured(found, np.square(found[: len(truth)] - truth).mean(axis=1))


def psnr(usual: Measured, worst: Measured | None = None, share: float = 0.0) -> float:
    """Estimated PSNR (dB): each of the `worst` outputs stands for a `share` of the volume, the usual for the rest."""
    power = float(np.mean(usual.squares))
    if worst is not None:
        power = share * float(worst.squares.sum()) + (1 - share * len(worst.squares)) * power
    error, size = CAUTION * math.sqrt(power), peak(usual.found)
    # What an error adds to the range of values is no range of the truth.
    return decibels((size if size == 1 else max(size - 3 * error, error)) ** 2, error**2)


def evaluations(lines: Lines) -> int:
    """How often the callable is asked for one output."""
    return math.prod(len(t) for t, _ in lines)


def panels(edges: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights between `edges`, at least one more in each panel than steps in it."""
    nodes, weights = [], []
    for low, high in itertools.pairwise(edges):
        count = math.ceil((high - low) / step - 1e-9) + 1
        parts = math.ceil(count / LONGEST_RULE)
        x, w = np.polynomial.legendre.leggauss(math.ceil(count / parts))
        half = (high - low) / (2 * parts)
        middles = low + half * (2 * np.arange(parts) + 1)
        nodes.append((middles[:, None] + half * x).ravel())
        weights.append(np.tile(half * w, parts))
    return np.concatenate(nodes), np.concatenate(weights)


def convolved_at(signal: Signal, request: SamplingRequest, points: np.ndarray) -> np.ndarray:
    """The convolution of the multilinear signal with the minimal kernel at points [P, d] -> [P, c]."""
    sizes = dict(zip(request.axes, request.half_size, strict=True))
    beyond = np.clip(np.abs(points).max(axis=0) - 1, 0, None)
    pads = [math.ceil((sizes[a] + beyond[a]) / spacing(n)) + 2 if a in sizes else 0 for a, n in enumerate(signal.shape)]
    values = signal.padded(pads, request.boundary)
    seen = None
    for axis, n in enumerate(signal.shape):
        line = coordinates(n, pads[axis])
        if axis in sizes:
            matrix = hat_integrals(points[:, axis], line, request.order, sizes[axis])
        else:
            matrix = (np.abs(points[:, axis, None] - line) < spacing(n) / 2).astype(np.float64)
        seen = np.tensordot(matrix, values, axes=1) if seen is None else np.einsum("pn,pn...->p...", matrix, seen)
    assert seen is not None
    return seen


def hat_integrals(x: np.ndarray, samples: np.ndarray, order: int, half_size: float) -> np.ndarray:
    """(hat_j * B-spline)(x_i) [M, N] for evenly spaced `samples` [N]; exact but for rounding."""
    step = samples[1] - samples[0]
    reach = math.ceil(half_size / step) + 2
    spline, knots = bspline(order, half_size), minimal_knots(order, half_size)
    matrix = np.zeros((len(x), len(samples)))
    for start in range(0, len(x), max(1, ROWS // reach)):
        rows = np.arange(start, min(len(x), start + max(1, ROWS // reach)))[:, None]
        column = np.rint((x[rows] - samples[0]) / step).astype(int) + np.arange(-reach, reach + 1)
        y = (x[rows] - (samples[0] + step * column))[..., None]
        ends = np.broadcast_to([-step, 0.0, step], (*column.shape, 3))
        cuts = np.sort(np.clip(np.concatenate([y - knots, ends], axis=-1), -step, step), axis=-1)
        half = np.diff(cuts, axis=-1)[..., None] / 2
        u = cuts[..., :-1, None] + half + half * NODES
        values = (half * NODE_WEIGHTS * spline(y[..., None] - u) * (1 - np.abs(u) / step)).sum((-1, -2))
        inside = (column >= 0) & (column < len(samples))
        matrix[np.broadcast_to(rows, column.shape)[inside], column[inside]] = values[inside]
    return matrix
