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

from files.stored import Slices, Stored


@dataclass(frozen=True)
class Windows:
    """How S samples (`samples`) lie in windows of T (`window`); T = 1 for a single sample only."""

    samples: int
    window: int

    @property
    def count(self) -> int:
        """W."""
        return max(1, math.ceil((self.samples - 1) / max(self.window - 1, 1)))

    def cut(self, recording: np.ndarray, halo: int) -> np.ndarray:
        """The recording [S, c] as windows [W, T + 2 halo, c]; beyond its ends its first and last samples repeat."""
        after = self.count * (self.window - 1) + 1 - self.samples + halo
        padded = np.pad(recording, [(halo, after), (0, 0)], mode="edge")
        every = np.lib.stride_tricks.sliding_window_view(padded, self.window + 2 * halo, axis=0)
        return np.ascontiguousarray(every[:: max(self.window - 1, 1)].swapaxes(1, 2))

    def cut_stored(self, recording: Stored, halo: int) -> Stored:
        """The same of a recording in its file, which is read where a window is."""
        last = self.samples - 1

        def read(part: Slices) -> np.ndarray:
            which, when, channels = part
            places = np.arange(which.start, which.stop)[:, None] * max(self.window - 1, 1) - halo
            places = np.clip(places + np.arange(when.start, when.stop), 0, last)
            first = int(places.min())
            return recording.read((slice(first, int(places.max()) + 1), channels))[places - first]

        return Stored((self.count, self.window + 2 * halo, recording.shape[1]), np.float32, read, recording.whole)

    def join(self, windows: np.ndarray) -> np.ndarray:
        """Windows [W, T', c] as one recording [S', c]: of a shared sample the later window's, of the fill nothing.

        Raises ValueError for another number of windows.
        """
        if len(windows) != self.count or windows.ndim != 3:
            raise ValueError(f"{list(windows.shape)} are not the {self.count} windows of a recording")
        joined = np.concatenate([*windows[:, : max(windows.shape[1] - 1, 1)][:-1], windows[-1]])
        return joined[: round((self.samples - 1) * self.stretch(windows.shape[1])) + 1]

    def join_stored(self, windows: Stored) -> Stored:
        """The same of windows in a file; raises ValueError for another number of windows."""
        if len(windows) != self.count or windows.ndim != 3:
            raise ValueError(f"{list(windows.shape)} are not the {self.count} windows of a recording")
        length = windows.shape[1]
        step, samples = max(length - 1, 1), round((self.samples - 1) * self.stretch(length)) + 1

        def read(part: Slices) -> np.ndarray:
            rows, channels = np.arange(part[0].start, part[0].stop), part[1]
            which = np.minimum(rows // step, self.count - 1)
            hull = slice(int(which[0]), int(which[-1]) + 1)
            return windows.read((hull, slice(0, length), channels))[which - hull.start, rows - which * step]

        return Stored((samples, windows.shape[2]), windows.dtype, read, windows.whole)

    def stretch(self, window: int) -> float:
        """How many samples of windows of T' = `window` there are for each of T."""
        return (window - 1) / max(self.window - 1, 1)

    def domain_units(self, samples: float) -> float:
        """The length of `samples` samples in domain units of a window (2 for the whole of it)."""
        return 2.0 * samples / max(self.window - 1, 1)
