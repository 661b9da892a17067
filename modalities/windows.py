"""A long recording as many windows, each with coordinates of its own, and the recording joined again.

One coordinate in [-1, 1] for seconds of sound makes a kernel's half size h so small that its weights of size 1/h^n
leave float32; over a window they stay ordinary numbers.

S samples, W windows of T samples. Windows share their end points: window k holds the samples k (T - 1) ... k (T - 1) +
T - 1, so sample i of it lies at x = -1 + 2 i / (T - 1), and windows sampled again at another T' still join evenly.
The last window is filled up with the recording's last sample.

They are no tiles (`signals/tiling.py`): windows are the rows of one array, which share the functions of time that a
field is made of, and tiles cut that array into stretches of rows.
"""

import math
from dataclasses import dataclass

import numpy as np

from files.stored import Array, Slices, Stored


@dataclass(frozen=True)
class Windows:
    """How S samples (`samples`) lie in windows of T (`window`); T = 1 for a single sample only."""

    samples: int
    window: int

    @property
    def count(self) -> int:
        """W."""
        return max(1, math.ceil((self.samples - 1) / max(self.window - 1, 1)))

    def cut(self, recording: Array, halo: int) -> Array:
        """The recording [S, c] as windows [W, T + 2 halo, c]; beyond its ends its first and last samples repeat.

        Of a recording in its file they are read where they are used.
        """
        source, step = Stored.of(recording), max(self.window - 1, 1)

        def read(part: Slices) -> np.ndarray:
            which, when, channels = part
            first, length = which.start * step + when.start - halo, when.stop - when.start
            stop = first + (which.stop - 1 - which.start) * step + length
            start = min(max(first, 0), self.samples - 1)
            end = max(min(stop, self.samples), start + 1)
            beyond = [(max(start - first, 0), max(stop - end, 0)), (0, 0)]
            padded = np.pad(source.read((slice(start, end), channels)), beyond, mode="edge")[: stop - first]
            every = np.lib.stride_tricks.sliding_window_view(padded, length, axis=0)
            return np.ascontiguousarray(every[::step].swapaxes(1, 2))

        shape = (self.count, self.window + 2 * halo, recording.shape[1])
        return _alike(recording, Stored(shape, source.dtype, read, source.whole))

    def join(self, windows: Array) -> Array:
        """Windows [W, T', c] as one recording [S', c]: of a shared sample the later window's, of the fill nothing.

        Raises ValueError for another number of windows.
        """
        if len(windows) != self.count or windows.ndim != 3:
            raise ValueError(f"{list(windows.shape)} are not the {self.count} windows of a recording")
        source, length, step = Stored.of(windows), windows.shape[1], max(windows.shape[1] - 1, 1)

        def read(part: Slices) -> np.ndarray:
            rows, channels = part
            first, last = (min(row // step, self.count - 1) for row in (rows.start, rows.stop - 1))
            found = source.read((slice(first, last + 1), slice(0, length), channels))
            joined = np.concatenate([*found[:-1, :step], found[-1]])
            return joined[rows.start - first * step : rows.stop - first * step]

        shape = round((self.samples - 1) * self.stretch(length)) + 1, windows.shape[2]
        return _alike(windows, Stored(shape, source.dtype, read, source.whole))

    def stretch(self, window: int) -> float:
        """How many samples of windows of T' = `window` there are for each of T."""
        return (window - 1) / max(self.window - 1, 1)


def _alike(given: Array, made: Stored) -> Array:
    """What was made, in memory where what was given is."""
    return made if isinstance(given, Stored) else made.read(tuple(slice(0, n) for n in made.shape))
