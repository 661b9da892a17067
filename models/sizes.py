"""A kernel of any size at points: what it shows of every factor, in tables over position and size.

Along an axis A_b(x, s) = sum_k W_bk U(x - s t_k) / s^n is smooth in x and in log s: a spline of both, in as few columns
as the kernel shows at its thinnest. A point then reads 16 rows per axis, however many Diracs the kernel has.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.bundles import LARGEST_PRODUCT, Bundle, couple, seen_through
from models.compression import truncation
from models.convolution import reach_of
from models.field import Progress
from models.interpolation import bspline, gather_grid
from models.separable import SeparableField
from models.tables import spline_coefficients

# Sizes in an octave, and fewest samples that a cubic spline is made through.
SIZES, FEWEST = 12, 4
# Places for each distance between the training kernel's Diracs, where the kernel is no wider than that one.
NODES = 12
# Decibels below the accuracy asked for that fewer ranks may leave: tables are compared with what they stand for.
HEADROOM = 30.0
# Numbers of a table, at most: those of all sizes, places, kernels and ranks.
LARGEST_TABLE = 1 << 24


@dataclass(frozen=True)
class Lattice:
    """Even samples of log2 of the size, `sizes` [S] (one: no other size is asked for), and of every axis: start, step
    and number; for kernels of `radius` [d]."""

    radius: tuple[float, ...]
    sizes: tuple[float, ...]
    places: tuple[tuple[float, float, int], ...]

    @classmethod
    def of(
        cls, field: SeparableField, radius: Sequence[float], least: float, most: float, extent: Sequence[float]
    ) -> "Lattice":
        """For points in [-extent_j, extent_j] and kernels of `radius` [d] stretched from `least` to `most`; rounded, so
        that others share it, but to no kernel that reaches beyond the margin."""
        sizes, places = (math.log2(least),), []
        trained = list(zip(field.config.axes, field.origin.half_size, strict=True))
        if most > least:
            limit = min((field.origin.margin + size) / radius[axis] for axis, size in trained)
            low, high = math.floor(SIZES * math.log2(least)) / SIZES, math.ceil(SIZES * math.log2(most)) / SIZES
            high = min(high, math.log2(max(most, limit)))
            sizes = tuple(np.linspace(low, high, max(FEWEST, math.ceil(SIZES * (high - low)) + 1)).tolist())
        for axis, size in trained:
            end = max(1.0, math.ceil(64 * extent[axis]) / 64)
            wider = max(1.0, radius[axis] * 2 ** sizes[0] / size)
            count = max(FEWEST, math.ceil(2 * end / (wider * field.h[axis] / NODES)) + 1)
            places.append((-end, 2 * end / (count - 1), count))
        return cls(tuple(radius), sizes, tuple(places))

    @property
    def samples(self) -> int:
        """Of all sizes and axes together."""
        return len(self.sizes) * sum(count for *_, count in self.places)


@dataclass(frozen=True, eq=False)
class SizeTables:
    """Coefficients [X_j + 2, S + 2, B r_j] of every axis, float32, of cubic splines in place and size; without S where
    there is one size."""

    field: SeparableField
    bundle: Bundle
    lattice: Lattice
    coefficients: list[Tensor]
    core: Tensor

    @torch.no_grad()
    def at(self, x: Tensor, scale: Tensor, progress: Progress | None = None) -> Tensor:
        """The filtered signal at points x [N, d], the kernel stretched by `scale` [N, d] -> [N, c], float64."""
        config, polynomial = self.field.config, self.field.polynomial
        moments = [self.bundle.moments(axis, n + config.poly_degree) for axis, n in enumerate(config.n)]
        rows, results = max(1, LARGEST_PRODUCT // (self.bundle.size * self.core[0].numel())), []
        for place, size in zip(x.split(rows), scale.split(rows), strict=True):
            seen = [self._read(axis, place[:, axis], size[:, axis]) for axis in range(x.shape[1])]
            powers = [polynomial.seen(a, place[:, a], size[:, a], m) for a, m in enumerate(moments)]
            results.append(couple(seen, self.core, None) + couple(powers, polynomial.coefficients.double(), None))
            if progress:
                progress(min(1.0, len(results) * rows / len(x)))
        return torch.cat(results)

    def _read(self, axis: int, x: Tensor, scale: Tensor) -> Tensor:
        """A at x [N] and sizes [N] -> [N, B, r]."""
        start, step, count = self.lattice.places[axis]
        taps, sizes = [bspline((x - start) / step, 3, count + 2)], self.lattice.sizes
        if len(sizes) > 1:
            taps.append(bspline((scale.log2() - sizes[0]) / (sizes[1] - sizes[0]), 3, len(sizes) + 2))
        return gather_grid(self.coefficients[axis], taps).unflatten(1, (-1, self.core.shape[axis]))


@torch.no_grad()
def size_tables(field: SeparableField, bundle: Bundle, lattice: Lattice, accuracy: float) -> SizeTables:
    """The tables of a bundle, to `accuracy` dB of a signal of peak 1."""
    sizes, ends = [2**size for size in lattice.sizes], [-start for start, *_ in lattice.places]
    reach = reach_of(field, ends, [radius * sizes[-1] for radius in lattice.radius])
    seen = []
    for axis, table in enumerate(field.tables(torch.float64, reach)):
        x, t = torch.linspace(-ends[axis], ends[axis], lattice.places[axis][2]).to(bundle.positions[axis]), []
        for size in sizes:
            nodes, powers = x[:, None] - size * bundle.positions[axis], x.new_full((len(x), 1, 1), size)
            rows = max(1, LARGEST_PRODUCT // (nodes.shape[1] * field.config.ranks[axis]))
            parts = zip(nodes.split(rows), (powers ** field.config.n[axis]).split(rows), strict=True)
            t.append(torch.cat([seen_through(table, part, bundle.weights[axis], power) for part, power in parts]))
        # [X, S, B, R]
        seen.append(torch.stack(t, dim=1))
    maps, core = truncation([values.flatten(0, 2) for values in seen], field.core, accuracy + HEADROOM)
    # [X, S, B r], without S where there is one size.
    shown = [(values @ columns).flatten(2).squeeze(1) for values, columns in zip(seen, maps, strict=True)]
    splines = [spline_coefficients(values.cpu().numpy(), 3).astype(np.float32, order="C") for values in shown]
    coefficients = [torch.as_tensor(values, device=field.device) for values in splines]
    return SizeTables(field, bundle, lattice, coefficients, core.float())
