"""Lattice batches: supervised points that share their Dirac positions.

Points o + h Z along an axis have their minimal kernel's Diracs on one lattice of spacing h, so one field
query serves n + 1 of them (9 of them for a 2-D tent). The ground truth is resampled once to a grid of
spacing h / q: each of its q phases is then such a lattice, and a batch is a strided slice of it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.interpolate import make_interp_spline
from torch import Tensor

from kernels.minimal import difference_weights, knot_spacing
from models.stencil import Differences, Points, Stencil
from signals.ground_truth import GroundTruth

# Numbers in the resampled ground truth: 4 GB in float32.
LARGEST_LATTICES = 1 << 30


@dataclass(frozen=True)
class Axis:
    """One axis of the resampled ground truth: `origin` and spacing h / q in domain units, q phases of L points.

    An axis that is not filtered has n = 0, one 'phase', and its L samples are drawn one by one.
    """

    n: int
    origin: float
    h: float
    phases: int
    length: int

    def positions(self, index: Tensor) -> Tensor:
        """Domain coordinates (float64) of resampled points `index` = phase + phases * place."""
        return self.origin + index.double() * (self.h / self.phases)


@dataclass(frozen=True)
class Batch:
    """Stencils, one per axis, and the values [M_1, ..., M_d, c] that a field should have through them.

    `lattices` holds (P_j, L_j) per axis, with P_j L_j = M_j.
    """

    stencils: list[Stencil]
    values: Tensor
    lattices: list[tuple[int, int]]

    @property
    def points(self) -> int:
        """Number of supervised points."""
        return math.prod(self.values.shape[:-1])


class LatticeTargets:
    """Ground truth on lattices, on the training device; `draw` gives a random batch, `phase` a chosen one."""

    def __init__(self, truth: GroundTruth, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        self.n = truth.order + 1
        self.h = knot_spacing(truth.order, truth.half_size)
        values = truth.values
        self._check_size(truth)
        self.axes: list[Axis] = []
        for axis in range(truth.dim):
            x = truth.coordinates(axis)
            if axis in truth.axes:
                layout = self._layout(x)
                count = layout.phases * layout.length
                values = _resampled(values, axis, x, layout.origin + layout.h / layout.phases * np.arange(count))
            else:
                layout = Axis(0, float(x[0]), float(x[1] - x[0]) if len(x) > 1 else 2.0, 1, len(x))
            self.axes.append(layout)
        self.values = torch.as_tensor(np.ascontiguousarray(values), dtype=dtype, device=device)

    def _check_size(self, truth: GroundTruth) -> None:
        """Refuse a training kernel so fine that its lattices would fill any memory (ValueError)."""
        steps = [self.h if axis in truth.axes else math.inf for axis in range(truth.dim)]
        counts = [
            max(n, float(np.ptp(truth.bounds[a])) / h)
            for a, (n, h) in enumerate(zip(truth.values.shape, steps, strict=False))
        ]
        if math.prod(counts) * truth.channels > LARGEST_LATTICES:
            raise ValueError(
                f"a training kernel of half size {truth.half_size:g} is far finer than the signal's samples: its "
                "lattices would not fit into memory; make the ground truth with a larger --half_size"
            )

    def _layout(self, x: np.ndarray) -> Axis:
        """Phases as fine as the samples x of a filtered axis, centred in the box they cover."""
        reach = float(x[-1] - x[0])
        phases = max(1, math.ceil(self.h / (x[1] - x[0]) - 1e-6)) if len(x) > 1 else 1
        length = int(reach / self.h * (1 + 1e-12) + 1 / phases)
        if length < 1:
            raise ValueError(
                f"the ground truth covers {reach:g} domain units, less than one kernel step of {self.h:g}: "
                "make it with a smaller half size or a larger margin"
            )
        slack = reach - (length * phases - 1) * self.h / phases
        return Axis(self.n, float(x[0]) + max(slack, 0.0) / 2, self.h, phases, length)

    @property
    def channels(self) -> int:
        """c, values per point."""
        return self.values.shape[-1]

    @property
    def inside(self) -> int:
        """How many of the resampled points lie within [-1, 1]^d."""
        counts = [axis.positions(torch.arange(axis.phases * axis.length)).abs() <= 1 + 1e-9 for axis in self.axes]
        return math.prod(int(count.sum()) for count in counts)

    @property
    def margin(self) -> float:
        """What whole lattices cover beyond [-1, 1] in every filtered axis, in domain units: less than the truth's."""
        return -1.0 - max(axis.origin for axis in self.axes if axis.n)

    def draw(self, generator: torch.Generator, shape: Sequence[tuple[int, int]]) -> Batch:
        """A random batch of (P_j, L_j) per axis: P_j phases of L_j neighbouring points (P_j = 1 if not filtered).

        Drawn where the ground truth is, by a generator of that device: nothing is copied to or from a GPU.
        """
        rows, stencils, lattices, device = [], [], [], self.values.device
        for axis, (count, length) in zip(self.axes, shape, strict=True):
            if axis.n:
                phases = torch.randperm(axis.phases, generator=generator, device=device)[:count]
                start = torch.randint(axis.length - length + 1, (), generator=generator, device=device)
                index = (phases + axis.phases * start)[:, None] + axis.phases * torch.arange(length, device=device)
                stencils.append(self._differences(axis, index[:, 0], length))
            else:
                index = torch.randperm(axis.length, generator=generator, device=device)[:length][None]
                stencils.append(Points(axis.positions(index[0])))
            rows.append(index.reshape(-1))
            lattices.append(tuple(index.shape))
        return Batch(stencils, self._take(rows), lattices)

    def draw_points(self, generator: torch.Generator, count: int) -> tuple[Tensor, Tensor]:
        """`count` independent points [N, d] (float64) and their ground truth [N, c]."""
        device = self.values.device
        sizes = [axis.phases * axis.length for axis in self.axes]
        rows = [torch.randint(size, (count,), generator=generator, device=device) for size in sizes]
        points = torch.stack([axis.positions(row) for axis, row in zip(self.axes, rows, strict=True)], dim=-1)
        return points, self.values[tuple(rows)]

    def diracs(self, axis: Axis) -> tuple[Tensor, Tensor]:
        """Positions and weights [n + 1] of the minimal kernel along one axis ([0], [1] where not filtered)."""
        positions = axis.h * (torch.arange(axis.n + 1, dtype=torch.float64) - axis.n / 2)
        weights = torch.as_tensor(difference_weights(axis.n, axis.h), dtype=torch.float64)
        return positions.to(self.values.device), weights.to(self.values.device)

    def stencils(self) -> list[Stencil]:
        """Stencils that cover every resampled point, phase by phase; `order_of` puts the results in place."""
        every: list[Stencil] = []
        device = self.values.device
        for axis in self.axes:
            if axis.n:
                every.append(self._differences(axis, torch.arange(axis.phases, device=device), axis.length))
            else:
                every.append(Points(axis.positions(torch.arange(axis.length, device=device))))
        return every

    def order_of(self, axis: int) -> Tensor:
        """For every resampled point, its place among the results of `stencils`."""
        layout = self.axes[axis]
        place = torch.arange(layout.phases * layout.length).reshape(layout.phases, layout.length)
        return place.T.reshape(-1).to(self.values.device)

    def _differences(self, axis: Axis, first: Tensor, length: int) -> Differences:
        return Differences(axis.positions(first), axis.n, axis.h, length)

    def _take(self, rows: Sequence[Tensor]) -> Tensor:
        values = self.values
        # The longest axis is cut first, so that little is copied twice.
        for axis in sorted(range(len(rows)), key=lambda a: len(rows[a]) / self.values.shape[a]):
            values = values.index_select(axis, rows[axis])
        return values


def _resampled(values: np.ndarray, axis: int, x: np.ndarray, at: np.ndarray) -> np.ndarray:
    """`values` along one axis carried from samples x to positions `at` by an interpolating spline."""
    if len(x) < 2:
        return values.take(np.zeros(len(at), dtype=int), axis=axis)
    # The largest odd degree that so many samples fix.
    degree = min(5, (len(x) - 2) // 2 * 2 + 1)
    at = np.clip(at, x[0], x[-1])
    return make_interp_spline(x, values, k=degree, axis=axis)(at).astype(values.dtype)
