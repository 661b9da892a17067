"""How a signal is cut into tiles and levels for a training kernel and a margin: all that a tile's task must know."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from files import checksum
from files.inputs import warn
from models.config import FieldConfig, Origin
from models.device import pick_device
from models.levels import MOST_LEVELS, Level
from signals.signal import boundary_rules, spacing
from signals.tiling import ROUNDING, Index, Tiling, balanced
from training.source import Source, Tile, tile_sizes

# A tile's margin, in half sizes of the training kernel. It answers kernels of one more, and those that are wider find
# a tent at most half as wide as they are on the next level.
MARGIN = 3.0
# A margin that is asked for is covered without coarse levels where it is at most this many times the usual one.
ENOUGH = 1.5
# How much larger tiles of coarse levels may be: these have a sample more than half of the level before.
COARSE_TILE = 1.1
# Tiles that a GPU solves at once, and values of their ground truths together.
TOGETHER, LARGEST_TOGETHER = 16, 1 << 26
# Share by which a training kernel changes without a warning where it becomes a whole number of samples.
NOTABLE = 0.1
# Of the settings' digest: tiles of other versions are made again.
VERSION = 1
# Samples to either side that one between samples is read from, where the training kernel is no whole number of them.
BETWEEN = 4


@dataclass(frozen=True)
class TilePlan:
    """The tiles of a signal: `levels`, the `spacing` [d] of the training kernel's Diracs in samples (0 in axes that are
    not filtered), samples of every level that are `stored` beyond the signal, [L][d], `options` of training, `folder`.
    """

    config: FieldConfig
    origin: Origin
    levels: tuple[Level, ...]
    spacing: tuple[float, ...]
    stored: tuple[tuple[int, ...], ...]
    options: Mapping[str, Any]
    folder: Path
    device: str = "cpu"
    digest: str = field(init=False, default="")

    def __post_init__(self) -> None:
        facts = [VERSION, self.config.to_dict(), self.origin.half_size, self.origin.boundary, self.origin.shape,
                 self.origin.metadata.known, [[*map(tuple, (level.tiling.steps, level.tiling.tile, level.pads))]
                 for level in self.levels], self.spacing, self.stored, dict(self.options)]  # fmt: skip
        object.__setattr__(self, "digest", checksum(facts))

    @property
    def tasks(self) -> list[list[tuple[int, tuple[Index, ...]]]]:
        """(level, indices) of every task, level by level: those of one require what those before it leave. A GPU solves
        several tiles at once, which share what it does beside the arithmetic."""
        most = 1 if pick_device(self.device).type == "cpu" else TOGETHER
        tasks = []
        for number, level in enumerate(self.levels):
            sizes = [t + 2 * pad for t, pad in zip(level.tiling.tile, level.pads, strict=True)]
            count = max(1, min(most, LARGEST_TOGETHER // (math.prod(sizes) * self.config.channels)))
            every = tuple(level.tiling.indices)
            tasks.append([(number, every[first : first + count]) for first in range(0, len(every), count)])
        return tasks

    def factor(self, axis: int) -> int:
        """How many samples of a level there are along an axis for one of the next: 2, or 1 where it is not cut."""
        return 2 if self.spacing[axis] and self.levels[0].tiling.counts[axis] > 1 else 1

    def field_range(self, level: int, index: Index) -> tuple[list[int], list[int]]:
        """First and last sample + 1 per axis that a tile's field is fitted to."""
        found = self.levels[level]
        start = found.tiling.start(index)
        first = [s - pad for s, pad in zip(start, found.pads, strict=True)]
        return first, [s + t + pad for s, t, pad in zip(start, found.tiling.tile, found.pads, strict=True)]

    def block_edges(self, level: int, axis: int) -> list[int]:
        """Where the stretches of the next level's samples that the tiles of a level leave begin along an axis, and
        where the last one ends."""
        tiling, factor = self.levels[level].tiling, self.factor(axis)
        beyond = self.stored[level + 1][axis]
        inner = [math.ceil(k * tiling.tile[axis] / factor) for k in range(1, tiling.counts[axis])]
        return [-beyond, *inner, self.levels[level + 1].tiling.shape[axis] + beyond]

    def block(self, level: int, index: Index) -> tuple[list[int], list[int]]:
        """First and last sample + 1 per axis of the next level that a tile leaves."""
        edges = [self.block_edges(level, axis) for axis in range(len(index))]
        return [e[k] for e, k in zip(edges, index, strict=True)], [e[k + 1] for e, k in zip(edges, index, strict=True)]

    def block_file(self, level: int, index: Index) -> Path:
        """Where a tile leaves its samples of the next level."""
        return self.folder / f"level_{level}" / f"coarse_{'_'.join(f'{k:04d}' for k in index)}.npy"


def plan_tiles(
    source: Source, tile: Tile | None, options: Mapping[str, Any], folder: Path, device: str = "cpu"
) -> TilePlan:
    """The tiles of a source and their levels, as many as its margin asks for; the training kernel of a signal becomes
    a whole number of samples, so that lattices are these. Raises ValueError."""
    signal, n, wanted = source.signal, source.order + 1, source.spacing
    rules = boundary_rules(source.boundary, signal.axes, signal.dim)
    tiles = tile_sizes(source, tile)
    cut = [count > t for count, t in zip(signal.shape, tiles, strict=True)]
    steps: list[float] = [0.0] * signal.dim
    for axis, step in wanted.items():
        steps[axis] = step if source.seen else whole_spacing(step, n, cut[axis])
        if abs(steps[axis] - step) > NOTABLE * step:
            warn(f"{signal.name}: tiles are trained through a kernel of a whole number of samples, half size "
                 f"{steps[axis] * n / 2:g} along axis {axis + 1}, not {step * n / 2:.3g}")  # fmt: skip
    half = tuple(h * n / 2 for h in steps)
    levels: list[Level] = []
    while not levels or (len(levels) < MOST_LEVELS and _reaches_less(levels[-1], source, cut)):
        factor = [2.0 ** len(levels) if cut[axis] and steps[axis] else 1.0 for axis in range(signal.dim)]
        levels.append(_level(source, tiles, steps, half, factor))
    stored = _stored(levels, rules, steps, [2 if c and h else 1 for c, h in zip(cut, steps, strict=True)])
    config = FieldConfig("separable", signal.dim, signal.channels, signal.axes, source.order, ranks=(1,) * signal.dim)
    reach = np.min([levels[-1].reach[axis] - half[axis] * levels[0].unit[axis] for axis in signal.axes])
    facts = (source.boundary, signal.shape, signal.modality, signal.name, "", signal.metadata)
    origin = Origin(tuple(float(half[axis] * levels[0].unit[axis]) for axis in signal.axes), float(reach), *facts)
    return TilePlan(config, origin, tuple(levels), tuple(steps), stored, dict(options), Path(folder), device)


def whole_spacing(samples: float, n: int, cut: bool) -> int:
    """The whole number of samples nearest to the distance of the training kernel's Diracs: lattices are the samples
    then. Tiled axes shift kernels by n / 2 of it, which must be whole, too."""
    even = 2 if cut and n % 2 else 1
    return max(even, even * round(samples / even))


def _level(
    source: Source, tiles: Sequence[int], steps: Sequence[float], half: tuple[float, ...], factor: Sequence[float]
) -> Level:
    """Tiles of every `factor`-th sample, with margins in which lattices leave no sample over."""
    found = tuple((n - 1) / f for n, f in zip(source.signal.shape, factor, strict=True))
    sizes, pads = [], []
    for axis, reach in enumerate(found):
        n = math.ceil(reach - ROUNDING) + 1
        # A tile is never smaller than its training kernel.
        largest = tiles[axis] if factor[axis] == 1 else math.ceil(COARSE_TILE * tiles[axis])
        size = max(balanced(n, min(largest, n)), math.ceil(2 * half[axis]) + 2 if factor[axis] > 1 else 1)
        asked = math.ceil(source.margin * max(found[axis], 1) / 2 - 1e-9)
        if not steps[axis]:
            asked = 0
        elif n > size:
            usual = math.ceil(MARGIN * half[axis])
            asked = (asked if asked <= ENOUGH * usual else usual) + 1
        pads.append(asked if not steps[axis] else _even_pads(size, asked, steps[axis]))
        sizes.append(size)
    return Level(Tiling(found, tuple(sizes)), tuple(pads), half)


def _even_pads(size: int, least: int, step: float) -> int:
    """The smallest margin from `least` on with which `size` and both margins are whole steps, or enough without one."""
    pads = range(least, least + math.ceil(step))
    return next((pad for pad in pads if (size + 2 * pad) % step == 0), least + math.ceil(step / 2) + 1)


def _reaches_less(level: Level, source: Source, cut: Sequence[bool]) -> bool:
    """Whether a tiled axis of a level answers less than was asked for."""
    signal = source.signal
    asked = [source.margin + level.half[axis] * spacing(signal.shape[axis]) for axis in signal.axes]
    pairs = zip(signal.axes, asked, strict=True)
    return any(cut[axis] and level.reach[axis] < reach * (1 - 1e-9) for axis, reach in pairs)


def _stored(
    levels: Sequence[Level], rules: Sequence[str], steps: Sequence[float], factors: Sequence[int]
) -> tuple[tuple[int, ...], ...]:
    """Samples of every level beyond either end that others ask for. Beyond a clamped end all are equal a little further
    out; otherwise those of a level follow from twice as many of the level before."""
    stored: list[tuple[int, ...]] = []
    for level in reversed(levels):
        row = []
        for axis, rule in enumerate(rules):
            tiling, reach = level.tiling, math.ceil(level.half[axis]) + BETWEEN
            own = level.pads[axis] + tiling.counts[axis] * tiling.tile[axis] - tiling.shape[axis]
            if not steps[axis]:
                row.append(0)
            elif factors[axis] == 1:
                row.append(level.pads[axis])
            elif rule == "clamp":
                row.append(reach + 1)
            else:
                row.append(max(own, 2 * stored[-1][axis] + reach + 1 if stored else 0))
        stored.append(tuple(row))
    return tuple(reversed(stored))
