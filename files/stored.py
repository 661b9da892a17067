"""Arrays that stay in their files: slices of them are read, and become numbers, where they are used.

They replace arrays in any code that uses only their shape and slices; `np.asarray` reads one whole.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# Numbers from which on an array stays in its file, and numbers that are looked at at once.
LARGE = 1 << 25
BLOCK = 1 << 22

Slices = tuple[slice, ...]


class Stored:
    """An array of `shape` and `dtype` whose stretches `read` fetches: one slice(start, stop) per axis -> an array.

    `whole`: its numbers are whole ones in the file, so that none is NaN or infinite.
    """

    def __init__(
        self, shape: Sequence[int], dtype: Any, read: Callable[[Slices], np.ndarray], whole: bool = False
    ) -> None:
        self.shape, self.dtype, self.read = tuple(int(n) for n in shape), np.dtype(dtype), read
        self.whole = whole or self.dtype.kind in "biu"

    @classmethod
    def of(cls, array: Any) -> "Stored":
        """Any array with slices: NumPy's (mapped into memory), Zarr's, or one of these as it is."""
        if isinstance(array, Stored):
            return array
        return cls(array.shape, array.dtype, lambda part: np.asarray(array[part]))

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[...], dtype)

    def __getitem__(self, index: Any) -> np.ndarray:
        """What NumPy gives for whole numbers, slices and an ellipsis; raises IndexError for anything else."""
        index = index if isinstance(index, tuple) else (index,)
        if place := [number for number, one in enumerate(index) if one is Ellipsis]:
            before, after = index[: place[0]], index[place[0] + 1 :]
            index = (*before, *[slice(None)] * (self.ndim - len(index) + 1), *after)
        index = (*index, *[slice(None)] * (self.ndim - len(index)))
        if len(index) > self.ndim or not all(isinstance(one, int | np.integer | slice) for one in index):
            raise IndexError("stored arrays are read by whole numbers and slices")
        # Only the requested indices are built: those of a whole long recording would need more memory than its samples.
        places = [range(n)[one] for one, n in zip(index, self.shape, strict=True)]
        shape = tuple(len(place) for place in places if isinstance(place, range))
        rows = [np.arange(p.start, p.stop, p.step) if isinstance(p, range) else np.array([p]) for p in places]
        if any(row.size == 0 for row in rows):
            return np.empty(shape, self.dtype)
        return np.asarray(self.picked(rows)).reshape(shape)

    def picked(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        """The elements at `rows` of every axis; where they skip most elements, read in blocks to save memory."""
        hull = tuple(slice(int(row.min()), int(row.max()) + 1) for row in rows)
        if all((np.diff(row) == 1).all() for row in rows):
            return self.read(hull)
        extent, asked = (math.prod(part.stop - part.start for part in hull), math.prod(map(len, rows)))
        if extent <= BLOCK or len(rows[0]) == 1 or asked > extent // 2:
            return self.read(hull)[np.ix_(*[row - part.start for row, part in zip(rows, hull, strict=True)])]
        count = max(1, len(rows[0]) * BLOCK // extent)
        stretches = [rows[0][start : start + count] for start in range(0, len(rows[0]), count)]
        return np.concatenate([self.picked([stretch, *rows[1:]]) for stretch in stretches])

    def take(self, index: Any, axis: int) -> np.ndarray:
        """NumPy's `take` of a list of places along one axis."""
        rows = [np.arange(n) for n in self.shape]
        rows[axis] = np.asarray(index).reshape(-1) % self.shape[axis]
        return self.picked(rows)

    def mapped(self, function: Callable[[np.ndarray], np.ndarray], whole: bool | None = None) -> "Stored":
        """What `function` makes of the array [..., c], element by element over all axes but the last."""
        known = self.whole if whole is None else whole
        probe = function(self.read((slice(0, 1),) * (self.ndim - 1) + (slice(0, self.shape[-1]),)))
        channels = slice(0, self.shape[-1])
        return Stored(
            (*self.shape[:-1], probe.shape[-1]),
            probe.dtype,
            lambda part: function(self.read((*part[:-1], channels)))[..., part[-1]],
            known,
        )

    def with_channel(self) -> "Stored":
        """The array [...] as [..., 1]."""
        return Stored((*self.shape, 1), self.dtype, lambda part: self.read(part[:-1])[..., None][..., part[-1]],
                      self.whole)  # fmt: skip

    def cropped(self, part: Slices) -> "Stored":
        """What is in a stretch of every axis, not read yet."""

        def read(inner: Slices) -> np.ndarray:
            pairs = zip(inner, part, strict=True)
            return self.read(tuple(slice(one.start + rows.start, one.stop + rows.start) for one, rows in pairs))

        return Stored([rows.stop - rows.start for rows in part], self.dtype, read, self.whole)

    def ordered(self, axes: Sequence[int]) -> "Stored":
        """The array with its `axes` in that order; those left out, of one element, are dropped."""

        def read(part: Slices) -> np.ndarray:
            asked = dict(zip(axes, part, strict=True))
            found = self.read(tuple(asked.get(axis, slice(0, 1)) for axis in range(self.ndim)))
            rest = tuple(axis for axis in range(self.ndim) if axis not in asked)
            return found.transpose(*axes, *rest).reshape([one.stop - one.start for one in part])

        return Stored([self.shape[axis] for axis in axes], self.dtype, read, self.whole)


class MappedFile(Stored):
    """The array of an .npy file, which another process opens by its path; `whole` as in `Stored`. It is mapped into
    memory for as long as a read takes: pages that stay mapped count as the process's own."""

    def __init__(self, path: Path, whole: bool = False) -> None:
        from files.archive import load_array

        array = load_array(path, mapped=True)
        super().__init__(array.shape, array.dtype, lambda part: np.array(load_array(path, mapped=True)[part]), whole)
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return MappedFile, (self.path, self.whole)


Array = np.ndarray | Stored


def as_array(values: Any) -> Array:
    """Any array as NumPy's, unless it stays in its file."""
    return values if isinstance(values, Stored) else np.asarray(values)


def mapped(values: Array, function: Callable[[np.ndarray], np.ndarray]) -> Array:
    """What `function` makes of values [..., c], element by element: at once, or where they are read."""
    return kept(values.mapped(function)) if isinstance(values, Stored) else function(values)


def with_channel(values: Array, axes: int) -> Array:
    """Values over so many axes with one of channels: [...] as [..., 1]."""
    if values.ndim != axes:
        return values
    return values.with_channel() if isinstance(values, Stored) else values[..., None]


def row_blocks(shape: Sequence[int], multiple: int = 1) -> list[slice]:
    """Stretches of the first axis of an array of `shape` with about BLOCK elements each, in a `multiple` of rows."""
    rows = BLOCK * shape[0] // max(1, math.prod(shape))
    rows = max(1, rows // multiple) * multiple
    return [slice(start, min(start + rows, shape[0])) for start in range(0, shape[0], rows)] or [slice(0, 0)]


def parts(values: Array) -> Iterator[np.ndarray]:
    """The array in stretches of its first axis, each in memory."""
    return (np.asarray(values[rows]) for rows in row_blocks(values.shape))


def thinned(values: Array, most: int) -> np.ndarray:
    """Every k-th element along all axes but the last, so that each has at most `most`."""
    return np.asarray(values[tuple(slice(None, None, max(1, -(-n // most))) for n in values.shape[:-1])])


def all_finite(values: Array) -> bool:
    """Whether no element is NaN or infinite."""
    return (isinstance(values, Stored) and values.whole) or all(bool(np.isfinite(part).all()) for part in parts(values))


def has_nan(values: Array) -> bool:
    """Whether an element is NaN."""
    if isinstance(values, Stored) and values.whole:
        return False
    return any(bool(np.isnan(part).any()) for part in parts(values))


def ends(values: Array) -> tuple[float, float]:
    """The smallest and the largest element."""
    found = [(float(part.min()), float(part.max())) for part in parts(values)]
    return min(low for low, _ in found), max(high for _, high in found)


def kept(values: Stored) -> Array:
    """The array in memory where it is small, else as it is."""
    return values if values.size >= LARGE else np.ascontiguousarray(values[...])
