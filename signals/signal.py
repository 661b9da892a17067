"""A signal sampled on a grid over [-1, 1]^d, read between its samples by multilinear interpolation.

Grids include their end points, x_i = -1 + 2 i / (N - 1) ('align corners'), 'ij' indexing, channels last.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from files.inputs import warn
from files.stored import Array, Stored, all_finite, ends
from kernels.sparse import checked_axes
from signals.metadata import Metadata

# Boundary rules by name; "extend" asks a callable beyond its box.
BOUNDARIES = ("clamp", "reflect", "periodic", "extend")

# Share of the range of values by which a sample may differ from another that it repeats.
SAME = 1e-5


def spacing(count: int) -> float:
    """Distance between `count` samples over [-1, 1], in domain units (2 for a single one)."""
    return 2.0 / max(count - 1, 1)


def coordinates(count: int, pad: int = 0) -> np.ndarray:
    """Positions [count + 2 pad] of the samples of one axis, `pad` more on either side of [-1, 1]."""
    return -1.0 + spacing(count) * np.arange(-pad, count + pad)


def crop(values: Any, pads: Sequence[int]) -> Any:
    """`values` [..., c] without the outer `pads` samples of every axis; of an array in its file nothing is read."""
    part = tuple(slice(p, n - p) for p, n in zip((*pads, *[0] * values.ndim), values.shape, strict=False))
    return values.cropped(part) if isinstance(values, Stored) else values[part]


def boundary_rules(boundary: str, axes: Sequence[int], dim: int) -> tuple[str, ...]:
    """The rule of every axis [dim] ('clamp' where it is not filtered): `boundary` is one rule for all filtered `axes`,
    or one for each with commas in between. Raises ValueError for others."""
    rules = boundary.split(",") if isinstance(boundary, str) else [""]
    if any(rule not in BOUNDARIES for rule in rules) or len(rules) not in (1, len(axes)):
        each = f", or {len(axes)} of them with commas" if len(axes) > 1 else ""
        raise ValueError(f"boundary must be one of {', '.join(BOUNDARIES)}{each}, not {boundary}")
    by_axis = dict(zip(axes, rules * len(axes) if len(rules) == 1 else rules, strict=True))
    return tuple(by_axis.get(axis, "clamp") for axis in range(dim))


def shared_boundary(boundary: str) -> str:
    """The same rules as one name where all axes share it."""
    rules = set(boundary.split(","))
    return boundary if len(rules) > 1 else rules.pop()


def warn_of_loop(signal: "Signal", boundary: str) -> None:
    """Warn of samples along a periodic axis whose last repeats the first: that point counts twice in every period."""
    for axis, rule in enumerate(boundary_rules(boundary, signal.axes, signal.dim)):
        count = signal.shape[axis]
        if rule != "periodic" or signal.function is not None or signal.halo[axis] or count < 4:
            continue
        first, before, last = signal.values.take([0, -2, -1], axis=axis).swapaxes(0, axis)
        low, high = ends(signal.values)
        same = SAME * (high - low)
        if signal.metadata.known is not None and not last[..., -1].any():
            continue
        if np.abs(last - first).max() <= same < np.abs(last - before).max():
            warn(f"{signal.name}: the last of {count} samples along axis {axis + 1} repeats the first, but {count} "
                 "samples are one period: drop the last one")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Signal:
    """Samples of f: [-1, 1]^d -> R^c and the metadata its modality requires to write it back.

    values [N_1 + 2 halo_1, ..., N_d + 2 halo_d, c]; `axes` are the filtered axes; `halo` counts samples per axis
    known beyond [-1, 1] (a window of a longer recording); `function` is the callable they are samples of. Values may
    stay in their file (`files.stored`). Raises ValueError for empty or non-finite values and a halo that leaves none.
    """

    values: Array
    axes: tuple[int, ...]
    modality: str = ""
    name: str = "signal"
    metadata: Metadata = Metadata()  # noqa: RUF009  # frozen
    halo: tuple[int, ...] = ()
    function: Any = None

    def __post_init__(self) -> None:
        dim = self.values.ndim - 1
        if dim < 1 or self.values.size == 0:
            raise ValueError(
                f"{self.name} is empty: a signal requires samples [N_1, ..., N_d, c], not {self.values.shape}"
            )
        if not np.issubdtype(self.values.dtype, np.floating):
            raise ValueError(f"{self.name} must hold floating-point samples, not {self.values.dtype}")
        if not all_finite(self.values):
            raise ValueError(f"{self.name} has samples that are NaN or infinite; fix the file first")
        checked_axes(self.axes, dim)
        if not self.halo:
            object.__setattr__(self, "halo", (0,) * dim)
        if len(self.halo) != dim or min(self.halo) < 0 or min(self.shape) < 1:
            raise ValueError(f"the halo {self.halo} does not fit {self.name} with samples {self.values.shape}")

    @property
    def dim(self) -> int:
        """d, the number of coordinates."""
        return self.values.ndim - 1

    @property
    def channels(self) -> int:
        """c, the number of values per point."""
        return self.values.shape[-1]

    @property
    def shape(self) -> tuple[int, ...]:
        """(N_1, ..., N_d), samples per axis within [-1, 1]."""
        return tuple(n - 2 * h for n, h in zip(self.values.shape, self.halo, strict=False))

    @property
    def core(self) -> Any:
        """The samples within [-1, 1]^d, [N_1, ..., N_d, c]."""
        return crop(self.values, self.halo)

    def padded(self, pads: Sequence[int], boundary: str) -> np.ndarray:
        """The samples with `pads` more per axis on either side: the halo first, the boundary rules beyond it.

        A periodic axis goes on with its first sample after its last: N samples are a period of N steps, which is
        2 N / (N - 1) domain units. Those of a callable are N - 1, as both ends of its box are the same point. Raises
        ValueError where only a callable knows more.
        """
        return self.taken(self.padded_rows(pads, boundary))

    def padded_rows(self, pads: Sequence[int], boundary: str) -> list[np.ndarray]:
        """Per axis, which of `values` the samples and `pads` more on either side are; raises as `padded`."""
        rows = []
        for axis, (pad, rule) in enumerate(zip(pads, boundary_rules(boundary, self.axes, self.dim), strict=True)):
            stored, beyond = self.values.shape[axis], pad - self.halo[axis]
            rows.append(self.stored_rows(axis, np.arange(-beyond, stored + beyond), rule))
        return rows

    def stored_rows(self, axis: int, index: np.ndarray, rule: str) -> np.ndarray:
        """Which samples along an axis those at `index` are, of the stored ones, which a boundary rule continues."""
        stored = self.values.shape[axis]
        if len(index) and index[0] >= 0 and index[-1] < stored:
            return index
        if rule == "extend":
            raise ValueError(f"boundary extend asks a callable beyond its box; {self.name} is samples: use clamp")
        if rule == "periodic":
            return index % max(1, stored - (self.function is not None))
        if rule == "reflect":
            place = index % max(1, 2 * stored - 2)
            return np.minimum(place, 2 * stored - 2 - place)
        return index.clip(0, stored - 1)

    def taken(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        """The values at `rows` of every axis; a view where those are a stretch of all axes of an array in memory."""
        # Nothing around the rows is read from a file.
        hull = [(int(index.min()), int(index.max()) + 1) if len(index) else (0, 0) for index in rows]
        values = np.asarray(self.values[tuple(slice(*ends) for ends in hull)])
        rows = [index - first for index, (first, _) in zip(rows, hull, strict=True)]
        # What only shortens comes first, so that little is copied twice.
        for axis in sorted(range(len(rows)), key=lambda a: len(rows[a]) / max(1, values.shape[a])):
            index = rows[axis]
            if len(index) and (np.diff(index) == 1).all():
                values = values[(slice(None),) * axis + (slice(int(index[0]), int(index[-1]) + 1),)]
            else:
                values = values.take(index, axis=axis)
        return values
