"""Lattice batches: supervised points that share their Dirac positions.

Points o + h Z along an axis have their minimal kernel's Diracs on one lattice of spacing h, so one field
query serves n + 1 of them (9 of them for a 2-D tent). The ground truth is resampled once to q such lattices, or
phases, of L points, h / q apart from one to the next, and kept lattice by lattice: index = phase * L + place. Where h
is q samples the lattices are the samples themselves, and nothing is resampled.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.interpolate import make_interp_spline
from torch import Tensor

from models.polynomial import PolynomialPart
from models.stencil import Differences, Points, Stencil
from signals.exact import slabs
from signals.ground_truth import GroundTruth
from signals.measures import peak

# Numbers in the resampled ground truth: 4 GB in float32.
LARGEST_LATTICES = 1 << 30
# Share of a sample that lattices may lie beside the samples that they are: far below what the values change by.
ALIGNED = 1e-6


@dataclass(frozen=True)
class Axis:
    """One axis of the resampled ground truth: q phases of L points at `origin` + (place + phase / q) h, domain units.

    An axis that is not filtered has n = 0, one 'phase', and its L samples are drawn one by one.
    """

    n: int
    origin: float
    h: float
    phases: int
    length: int

    @property
    def count(self) -> int:
        """q L, all points."""
        return self.phases * self.length

    @property
    def end(self) -> float:
        """Position of the last point, in domain units."""
        return self.origin + (self.length - 1 / self.phases) * self.h

    def positions(self, index: Tensor) -> Tensor:
        """Domain coordinates (float64) of points `index` = phase * L + place."""
        phase = index.div(self.length, rounding_mode="floor")
        return self.origin + (index - self.length * phase + phase.double() / self.phases) * self.h

    def stencil(self, index: Tensor) -> Stencil:
        """What asks a field for points `index` [P, L'], neighbours on P lattices; results in the order of `index`."""
        if self.n:
            return Differences(self.positions(index[:, 0]), self.n, self.h, index.shape[1])
        return Points(self.positions(index.flatten()))


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
    """Ground truth on lattices, on the training device: values [q_1 L_1, ..., q_d L_d, c], phase by phase."""

    def __init__(self, truth: GroundTruth, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        self.kernel = truth.kernel
        self.peak = peak(truth.core)
        values = truth.values
        _check_size(truth)
        self.axes: list[Axis] = []
        for axis in range(truth.dim):
            x = truth.coordinates(axis)
            if axis in truth.axes:
                layout = _layout(x, truth.order + 1, truth.h[axis])
                values = _resampled(values, axis, x, layout.positions(torch.arange(layout.count)).numpy())
            else:
                layout = Axis(0, float(x[0]), float(x[1] - x[0]) if len(x) > 1 else 2.0, 1, len(x))
            self.axes.append(layout)
        self.values = torch.as_tensor(np.ascontiguousarray(values), dtype=dtype, device=device)

    @property
    def channels(self) -> int:
        """c, values per point."""
        return self.values.shape[-1]

    @property
    def inside(self) -> int:
        """How many of the resampled points lie within [-1, 1]^d."""
        return math.prod(int((axis.positions(torch.arange(axis.count)).abs() <= 1 + 1e-9).sum()) for axis in self.axes)

    @property
    def margin(self) -> float:
        """What whole lattices cover beyond [-1, 1] in every filtered axis, in domain units: less than the truth's."""
        return min(min(-axis.origin, axis.end) for axis in self.axes if axis.n) - 1.0

    def uncovered(self) -> str | None:
        """A warning where whole lattices end inside of [-1, 1]."""
        if self.margin >= -1e-9:
            return None
        return (f"the margin is so small that training ends {-self.margin:.3g} inside of the border, where results are "
                f"wrong: use a --margin of {max(axis.h for axis in self.axes):.3g} or more")  # fmt: skip

    def draw(self, generator: torch.Generator, shape: Sequence[tuple[int, int]]) -> Batch:
        """A random batch of (P_j, L_j) per axis: P_j phases of L_j neighbouring points (P_j = 1 if not filtered).

        Drawn where the ground truth is, by a generator of that device: nothing is copied to or from a GPU.
        """
        device, rows = self.values.device, []
        for axis, (count, length) in zip(self.axes, shape, strict=True):
            if axis.n:
                phases = torch.randperm(axis.phases, generator=generator, device=device)[:count]
                start = torch.randint(axis.length - length + 1, (), generator=generator, device=device)
                rows.append((phases * axis.length + start)[:, None] + torch.arange(length, device=device))
            else:
                rows.append(torch.randperm(axis.length, generator=generator, device=device)[None, :length])
        stencils = [axis.stencil(row) for axis, row in zip(self.axes, rows, strict=True)]
        return Batch(stencils, self._take([row.flatten() for row in rows]), [(len(row), row.shape[1]) for row in rows])

    def draw_points(self, generator: torch.Generator, count: int) -> tuple[Tensor, Tensor]:
        """`count` independent points [N, d] (float64) and their ground truth [N, c]."""
        device = self.values.device
        rows = [torch.randint(axis.count, (count,), generator=generator, device=device) for axis in self.axes]
        points = torch.stack([axis.positions(row) for axis, row in zip(self.axes, rows, strict=True)], dim=-1)
        return points, self.values[tuple(rows)]

    def stencils(self) -> list[Stencil]:
        """Stencils that ask a field for all of `values`."""
        device = self.values.device
        rows = [torch.arange(a.count, device=device).reshape(a.phases, a.length) for a in self.axes]
        return [axis.stencil(row) for axis, row in zip(self.axes, rows, strict=True)]

    def _take(self, rows: Sequence[Tensor]) -> Tensor:
        values = self.values
        # The longest axis is cut first, so that little is copied twice.
        for axis in sorted(range(len(rows)), key=lambda a: len(rows[a]) / self.values.shape[a]):
            values = values.index_select(axis, rows[axis])
        return values


def _check_size(truth: GroundTruth) -> None:
    """Raise ValueError for a training kernel so fine that its lattices would fill any memory."""
    counts = [
        max(n, float(np.ptp(truth.bounds[axis])) / truth.h.get(axis, math.inf))
        for axis, n in enumerate(truth.values.shape[:-1])
    ]
    if math.prod(counts) * truth.channels > LARGEST_LATTICES:
        raise ValueError(
            f"a training kernel of half size {min(truth.half_size):g} is far finer than the signal's samples: its "
            "lattices would not fit into memory; make the ground truth with a larger --half_size"
        )


def _layout(x: np.ndarray, n: int, h: float) -> Axis:
    """Phases as fine as the samples x of a filtered axis, centred in the box they cover; on them where h is whole."""
    reach = float(x[-1] - x[0])
    phases = max(1, math.ceil(h / (x[1] - x[0]) - 1e-6)) if len(x) > 1 else 1
    length = int(reach / h * (1 + 1e-12) + 1 / phases)
    if length < 1:
        raise ValueError(
            f"the ground truth covers {reach:g} domain units, less than one kernel step of {h:g}: "
            "make it with a smaller half size or a larger margin"
        )
    slack = max(reach - (length * phases - 1) * h / phases, 0.0)
    if len(x) > 1 and abs(h / (x[1] - x[0]) - phases) < ALIGNED:
        return Axis(n, float(x[round(slack / (x[1] - x[0])) // 2]), h, phases, length)
    return Axis(n, float(x[0]) + slack / 2, h, phases, length)


def _resampled(values: np.ndarray, axis: int, x: np.ndarray, at: np.ndarray) -> np.ndarray:
    """`values` along one axis carried from samples x to positions `at`, which are some of the samples, or read off an
    interpolating spline, in slabs."""
    if len(x) < 2:
        return values.take(np.zeros(len(at), dtype=int), axis=axis)
    place = (at - x[0]) / (x[1] - x[0])
    if np.abs(place - place.round()).max() < ALIGNED:
        return values.take(place.round().astype(int).clip(0, len(x) - 1), axis=axis)
    # The largest odd degree that so many samples determine.
    degree = min(5, (len(x) - 2) // 2 * 2 + 1)
    at = np.clip(at, x[0], x[-1])
    shape = list(values.shape)
    across = max((a for a in range(values.ndim) if a != axis), key=lambda a: shape[a])
    result = np.empty([len(at) if a == axis else n for a, n in enumerate(shape)], values.dtype)
    for part in slabs(shape, across):
        rows = (slice(None),) * across + (part,)
        result[rows] = make_interp_spline(x, values[rows], k=degree, axis=axis)(at)
    return result


@torch.no_grad()
def fit_polynomial(targets: LatticeTargets, polynomial: PolynomialPart) -> None:
    """Set `polynomial` to the least-squares fit of the ground truth, as the training kernel sees it."""
    bases = [torch.linalg.pinv(powers).T for powers in seen_powers(targets, polynomial)]
    polynomial.coefficients.copy_(project(targets.values, bases))


def seen_powers(targets: LatticeTargets, polynomial: PolynomialPart) -> list[Tensor]:
    """The polynomial's powers per axis as the training kernel sees them at all points, [M_j, degree + 1], float64."""
    stencils = enumerate(targets.stencils())
    return [stencil.combine(polynomial.basis(stencil.nodes, axis), 0) for axis, stencil in stencils]


def project(values: Tensor, bases: Sequence[Tensor]) -> Tensor:
    """`values` [M_1, ..., M_d, c] along the columns of `bases` [M_j, R_j] -> [R_1, ..., R_d, c], in float64 slabs."""
    first, *others = bases
    total = torch.zeros((), dtype=torch.float64, device=values.device)
    for part in slabs(values.shape, 0):
        # The other axes first: what is left of a slab is small, and so is the sum over the slabs.
        seen = values[part].double()
        for basis in others:
            seen = torch.tensordot(seen, basis, dims=([1], [0]))
        total = total + torch.tensordot(first[part], seen, dims=([0], [0]))
    return total.movedim(1, -1)
