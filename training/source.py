"""What a field in tiles is made of: a signal, the training kernel it is seen through, and how large its tiles are."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels.minimal import knot_spacing
from modalities import MODALITIES
from signals.ground_truth import GroundTruth, check_half_size, make_ground_truth, pads_for
from signals.signal import Signal, boundary_rules, shared_boundary, spacing
from signals.tiling import balanced

# Samples along a filtered axis by the number of filtered axes, and fewest of them in widths of the training kernel:
# below these the margins are most of the work.
TILE = {1: 512, 2: 512, 3: 128}
LEAST_TILE = 6.0
# Values of a tile, at most, and samples of an axis below which it is not cut for that.
LARGEST_TILE, SHORTEST = 1 << 24, 64
# Values of a ground truth beyond which no single field is tried, and options that mean the same for tiles of splines.
LARGEST_WHOLE = 1 << 26
# Distances of the training kernel's Diracs along an axis beyond which no single field is tried: its matrices are dense.
LONGEST_WHOLE = 1200
SHARED = {"factor", "seed", "levels", "knots", "poly_degree"}
Tile = int | Sequence[int] | str


@dataclass(frozen=True, eq=False)
class Source:
    """A signal and the training kernel it is seen through: `half_size` per filtered axis and `margin` in domain units,
    and the boundary rules. `seen`: the signal is a ground truth, convolved with that kernel already, its margin as the
    halo. Raises ValueError."""

    signal: Signal
    order: int
    half_size: tuple[float, ...]
    margin: float
    boundary: str
    seen: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "half_size", tuple(np.broadcast_to(self.half_size, (len(self.signal.axes),)).tolist()))
        check_half_size(self.half_size, self.signal.axes)
        boundary_rules(self.boundary, self.signal.axes, self.signal.dim)
        object.__setattr__(self, "boundary", shared_boundary(self.boundary))

    @classmethod
    def of_truth(cls, truth: GroundTruth) -> "Source":
        """An existing ground truth as a source. A clamped axis continues with the last value of its margin; with other
        rules the margin repeats samples of the signal and is dropped."""
        values, halo = truth.values, list(truth.pads)
        for axis, rule in enumerate(boundary_rules(truth.boundary, truth.axes, truth.dim)):
            if rule != "clamp" and halo[axis]:
                values = values[(slice(None),) * axis + (slice(halo[axis], -halo[axis]),)]
                halo[axis] = 0
        signal = Signal(values, truth.axes, truth.modality, truth.source, truth.metadata, tuple(halo))
        return cls(signal, truth.order, truth.half_size, truth.margin, truth.boundary, seen=True)

    def truth(self) -> GroundTruth:
        """The whole signal as the training kernel sees it; raises ValueError."""
        return make_ground_truth(self.signal, self.order, self.half_size, self.margin, self.boundary)

    @property
    def spacing(self) -> dict[int, float]:
        """Distance between the training kernel's Diracs in samples, along every filtered axis."""
        pairs = zip(self.signal.axes, self.half_size, strict=True)
        return {axis: knot_spacing(self.order, size) / spacing(self.signal.shape[axis]) for axis, size in pairs}

    @property
    def counted(self) -> tuple[int, ...]:
        """Axes that number pieces of a signal, which know their neighbours themselves."""
        kind = MODALITIES.get(self.signal.modality)
        return kind.counted_axes if kind and self.signal.dim == len(kind.axis_names) else ()


def tile_sizes(source: Source, tile: Tile | None = None) -> list[int]:
    """T per axis, as asked or by itself. One number is for all filtered axes, or for that which numbers pieces; 0
    leaves an axis whole. Raises ValueError."""
    signal = source.signal
    if isinstance(tile, str):
        try:
            tile = [int(part) for part in tile.split(",")]
        except ValueError:
            raise ValueError(f"--tile is a number of samples, or one per axis with commas, not {tile!r}") from None
    axes = [axis for axis in source.counted if signal.shape[axis] > 1] or list(signal.axes)
    given = [tile] if isinstance(tile, int | float) else list(tile or ())
    if given and (len(given) not in (1, signal.dim) or any(t != int(t) or t < 0 or t == 1 for t in given)):
        raise ValueError(f"--tile is two samples or more, or as many for each of {signal.dim} axes, not {tile}")
    if len(given) == signal.dim > 1 or (given and signal.dim == 1):
        found = [t or n for t, n in zip(given, signal.shape, strict=True)]
    elif given:
        found = [given[0] or n if axis in axes else n for axis, n in enumerate(signal.shape)]
    else:
        found = _usual(source, axes)
    found = [balanced(n, min(t, n)) for t, n in zip(found, signal.shape, strict=True)]
    for axis, step in source.spacing.items():
        if found[axis] <= step * (source.order + 1) and found[axis] < signal.shape[axis]:
            raise ValueError(f"a tile must be larger than its training kernel of {step * (source.order + 1):.3g} "
                             f"samples, not {found[axis]}")  # fmt: skip
    return found


def _usual(source: Source, axes: Sequence[int]) -> list[int]:
    """Tiles of the usual size, cut until one of them is small enough to be solved at once."""
    signal = source.signal
    # Pieces are rows of a matrix, with their samples as columns.
    usual = TILE[2] if set(axes) & set(source.counted) else TILE.get(len(axes), min(TILE.values()))
    widths = [source.spacing.get(axis, 0.0) * (source.order + 1) for axis in range(signal.dim)]
    least = [max(SHORTEST, math.ceil(LEAST_TILE * width)) for width in widths]
    found = [min(n, max(usual, least[axis])) if axis in axes else n for axis, n in enumerate(signal.shape)]
    while math.prod(found) * signal.channels > LARGEST_TILE:
        whole = signal.axes if source.counted else ()
        able = [axis for axis in range(signal.dim) if found[axis] >= 2 * least[axis] and axis not in whole]
        if not able:
            break
        longest = max(able, key=lambda axis: found[axis])
        found[longest] = math.ceil(found[longest] / 2)
    return found


def tiles_help(source: Source, options: Mapping[str, Any]) -> bool:
    """Whether tiles may replace a field that was asked for with these options: one of the usual size and kind, of a
    signal that is larger than a tile."""
    if source.signal.function is not None or not set(options) <= SHARED or options.get("factor", "spline") != "spline":
        return False
    return tuple(tile_sizes(source)) != source.signal.shape


def too_large(source: Source) -> bool:
    """Whether one field would take too much memory: its ground truth, or the dense matrices of a long axis."""
    signal = source.signal
    pads = pads_for(source.margin, signal.shape, signal.axes)
    counts = [count + 2 * pad for count, pad in zip(signal.shape, pads, strict=True)]
    longest = max(counts[axis] / step for axis, step in source.spacing.items())
    return math.prod(counts) * signal.channels > LARGEST_WHOLE or longest > LONGEST_WHOLE
