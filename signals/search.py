"""Small features that a grid of samples passes over: looked for at scattered points, measured where it fails most.

Outputs that are checked at random see little of the domain, and so do coarse samples: a small blob lies between all of
them. So a callable is asked once at points that fill the domain evenly. Where they differ most from the samples, the
convolution is measured as well, with nodes that crowd towards the place, as what lies there may be much smaller than a
kernel. Each of those outputs stands for the volume over which a kernel spreads what is missing.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import qmc

from kernels.minimal import bspline, minimal_knots
from signals.callables import Continuous, SamplingRequest
from signals.estimate import Checks, Measured, evaluations, panels, psnr
from signals.legendre import Lines
from signals.monte_carlo import grid_sampler
from signals.signal import Signal, boundary_rules

# Points and outputs of a search, and the share of the evaluations that either may cost.
POINTS, OUTPUTS, SHARE = 4096, 12, 1 / 16
# Fewest outputs that should carry an error: with fewer, what the random ones saw says little of the others.
FEW = 4.0
# What is found lies within about this share of the distance between points.
CLOSEST = 1 / 16
# Several outputs see one feature: a single one may lie where its error changes sign.
APART = 0.25
# Differences below this share of the largest value are rounding.
ROUNDING = 1e-12


class Search:
    """Points at which a callable is asked once, and the outputs of a request that they call for on any grid."""

    def __init__(self, f: Continuous, request: SamplingRequest, checks: Checks) -> None:
        self.f, self.request, self.checks = f, request, checks
        self.points, self.values = np.empty((0, f.dim)), np.empty((0, f.channels))
        # Kernels that are larger than the training kernel see the margin, which is asked for where a rule says so.
        rules = boundary_rules(request.boundary, request.axes, f.dim)
        asked = [axis in request.axes and rule == "extend" for axis, rule in enumerate(rules)]
        self.beyond = [request.margin if there else 0.0 for there in asked]
        self.most = int(SHARE * f.settings.evaluations)
        self.kernel = 1.0
        for size in request.half_size:
            t, w = panels(minimal_knots(request.order, size), size / 4)
            spline = bspline(request.order, size)
            self.kernel *= float(w @ np.square(spline(t) / spline(np.zeros(1)))) / 2

    @property
    def count(self) -> int:
        """Points that are asked, or will be where the evaluations last."""
        return len(self.points) or max(1, min(POINTS, self.most))

    @property
    def volume(self) -> float:
        """Share of the domain that one output stands for: what its kernel covers (the mean of its square, where its
        largest value is 1), and no less than a point does, which stands for features of its kind that none met."""
        return min(max(self.kernel, 1 / self.count), 0.5)

    @property
    def outputs(self) -> int:
        """Outputs on one grid: not for more than half of the domain."""
        return max(1, min(OUTPUTS, int(0.5 / self.volume)))

    def needed(self, signal: Signal, usual: Measured, first: bool) -> bool:
        """Whether the estimate of a signal's samples by its `usual` outputs may miss small features: samples are the
        first or fewer than the points, the error lies at few outputs, or others had missed something."""
        total, fourth = float(usual.squares.sum()), float(np.square(usual.squares).sum())
        few = total**2 <= FEW * fourth
        return first or few or len(self.points) > 0 or math.prod(signal.shape) < POINTS

    def reserve(self, shape: Sequence[int]) -> int:
        """Evaluations to keep for a search of a grid of `shape`."""
        one = evaluations(self._lines(np.zeros(self.f.dim), shape))
        return min(self.outputs * one, self.most) + (0 if len(self.points) else min(POINTS, self.most))

    def psnr(self, signal: Signal, usual: Measured, room: int) -> tuple[float, int]:
        """The estimate (dB) for samples with `usual` outputs and those that a search adds, and its evaluations, at most
        `room`."""
        used = 0
        if not len(self.points):
            used = self._ask(signal.shape, min(room // 2, self.most))
        places = self._worst(signal)
        plan = [self._lines(point, signal.shape) for point in places]
        costs = np.cumsum([evaluations(lines) for lines in plan])
        within = int((costs <= min(room - used, self.most)).sum())
        if not within:
            return psnr(usual), used
        worst = self.checks.measured(signal, np.stack(places[:within]), plan[:within])
        return psnr(usual, worst, self.volume), used + int(costs[within - 1])

    def _ask(self, shape: Sequence[int], most: int) -> int:
        """Ask the callable at up to `most` points; how many they were."""
        if most < 1:
            return 0
        # Powers of two fill a box evenly.
        power = min(int(math.log2(most)), int(math.log2(POINTS)))
        unit = qmc.Sobol(self.f.dim, rng=np.random.default_rng(1)).random_base2(power)
        self.points = self.checks.on_samples((2 * unit - 1) * (1 + np.array(self.beyond)), shape)
        self.values = self.f(self.points)
        # Of axes that are not filtered an output sees one sample.
        self.kernel /= math.prod(n for axis, n in enumerate(shape) if axis not in self.request.axes)
        return len(self.points)

    def _lines(self, point: np.ndarray, shape: Sequence[int]) -> Lines:
        volume = math.prod(2 * (1 + self.beyond[axis]) for axis in self.request.axes)
        return self.checks.lines(point, shape, CLOSEST * (volume / self.count) ** (1 / len(self.request.axes)))

    def _worst(self, signal: Signal) -> list[np.ndarray]:
        """Points where f differs most from what samples interpolate, the worst first, APART half sizes apart."""
        if not len(self.points):
            return []
        read = grid_sampler(signal, self.request.boundary, self.beyond, np)
        differences = np.abs(self.values - read(self.points)).max(axis=1)
        least = ROUNDING * float(np.abs(self.values).max())
        axes, apart = list(self.request.axes), APART * np.array(self.request.half_size)
        others = [axis for axis in range(self.f.dim) if axis not in axes]
        found: list[np.ndarray] = []
        while len(found) < self.outputs and differences.max() > least:
            found.append(self.points[np.argmax(differences)])
            near = np.abs(self.points - found[-1])
            same = (near[:, others] < 1e-9).all(axis=1)
            differences[same & (near[:, axes] < apart).all(axis=1)] = 0
        return found
