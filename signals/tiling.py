"""A large signal as tiles: stretches of a recording, tiles of a picture, a volume or a video, along any of its axes.

Every tile has T samples along an axis and coordinates of its own: sample i of tile k is sample k T + i of the signal
and lies at x = -1 + 2 i / (T - 1). Its margin is its neighbours' samples; beyond the signal the boundary rule goes on,
also where the last tile has fewer samples than T.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from signals.signal import Signal, boundary_rules

# Samples of a tile that are this near the next one belong to it: positions are rounded.
ROUNDING = 1e-9
Index = tuple[int, ...]


@dataclass(frozen=True)
class Tiling:
    """Tiles of `tile` samples per axis [d] over a grid whose samples, `steps` [d] of them apart, reach from -1 to 1.

    A signal of N samples has N - 1 steps. Every 2^l-th of them has (N - 1) / 2^l, where the last sample may lie beyond
    1. Raises ValueError for numbers that are no tiles.
    """

    steps: tuple[float, ...]
    tile: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.steps) != len(self.tile) or not all(0 <= steps < 1 << 40 for steps in self.steps):
            raise ValueError(f"{self.steps} are no distances of samples along {len(self.tile)} axes")
        pairs = zip(self.tile, self.steps, strict=True)
        if not all(type(t) is int and (t > 1 or steps == 0 < t) for t, steps in pairs):
            raise ValueError(f"a tile has two samples or more along every axis, not {self.tile}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Samples per axis, the last of them at 1 or less than a step beyond it."""
        return tuple(math.ceil(steps - ROUNDING) + 1 for steps in self.steps)

    @property
    def counts(self) -> tuple[int, ...]:
        """Tiles per axis."""
        return tuple(math.ceil(n / t) for n, t in zip(self.shape, self.tile, strict=True))

    @property
    def indices(self) -> Iterator[Index]:
        """All tiles, the last axis fastest."""
        return itertools.product(*[range(count) for count in self.counts])

    def place(self, index: Index) -> int:
        """Where a tile is among `indices`."""
        return int(np.ravel_multi_index(index, self.counts))

    @property
    def stretch(self) -> np.ndarray:
        """[d], how many times as long everything is in the coordinates of a tile as in those of the signal."""
        pairs = zip(self.steps, self.tile, strict=True)
        return np.array([steps / (t - 1) if steps else 1.0 for steps, t in pairs])

    def start(self, index: Index) -> tuple[int, ...]:
        """The first sample of a tile."""
        return tuple(k * t for k, t in zip(index, self.tile, strict=True))

    def valid(self, index: Index) -> tuple[int, ...]:
        """Samples per axis of a tile that are of the signal: fewer than T in the last ones."""
        return tuple(min(t, n - k * t) for k, t, n in zip(index, self.tile, self.shape, strict=True))

    def tile_of(self, axis: int, x: Any) -> Any:
        """Which tile along an axis positions x [N] (domain units, an array or a tensor) are in or nearest to."""
        place = (x + 1) * (self.steps[axis] / 2) + ROUNDING
        return (place // self.tile[axis]).clip(0, self.counts[axis] - 1)

    def local(self, axis: int, x: Any, tile: int) -> Any:
        """Positions x of the signal in the coordinates of a tile along an axis."""
        if not self.steps[axis]:
            return x
        return ((x + 1) * (self.steps[axis] / 2) - tile * self.tile[axis]) * (2 / (self.tile[axis] - 1)) - 1


def balanced(count: int, tile: int) -> int:
    """Samples of the tiles that `count` samples are cut into, at most `tile` of them and as even as can be."""
    return math.ceil(count / math.ceil(count / tile))


def stretch_of(signal: Signal, start: Sequence[int], stop: Sequence[int], boundary: str) -> np.ndarray:
    """Samples `start` to `stop` per axis of a signal, before 0 and after the last one by its halo and then by its
    boundary rules, [stop_1 - start_1, ..., c] float32; nothing but these samples is read."""
    rules = boundary_rules(boundary, signal.axes, signal.dim)
    runs = []
    for axis, rule in enumerate(rules):
        index = signal.stored_rows(axis, np.arange(start[axis], stop[axis]) + signal.halo[axis], rule)
        # Where a periodic axis goes on at its other end, two stretches are read.
        runs.append(np.split(index, np.flatnonzero(np.abs(np.diff(index)) > 1) + 1))
    result = np.empty([stop[axis] - start[axis] for axis in range(signal.dim)] + [signal.channels], np.float32)
    places = [np.cumsum([0, *map(len, parts)]) for parts in runs]
    for choice in itertools.product(*[range(len(parts)) for parts in runs]):
        chosen = [runs[axis][part] for axis, part in enumerate(choice)]
        target = tuple(slice(places[axis][part], places[axis][part + 1]) for axis, part in enumerate(choice))
        result[target] = signal.taken(chosen)
    return result
