"""Videos too long for memory: their frames are counted once, and stretches of them decoded where they are used."""

import bisect
import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from files.stored import Slices, Stored, row_blocks
from modalities.formats.decoding import Seen, decoded, video_stream
from modalities.formats.frames import blended, frame_pixels

# Numbers of frames that are kept from one stretch to the next.
KEPT = 1 << 26
# Key frames before a stretch that decoding is begun at; where none gives the right frames, at the first of the file.
TRIES = 2


def stored_frames(
    frames: "FolderFrames | LongClip",
    places: np.ndarray,
    channels: int,
    colours: Callable[[np.ndarray], np.ndarray],
) -> Stored:
    """The `colours` of frames at `places` as [H, W, T, c], decoded where they are used and interpolated linearly."""
    rows, columns, _ = frames.shape

    def read(part: Slices) -> np.ndarray:
        down, across, when, which = part
        found = np.empty([one.stop - one.start for one in part], np.float32)
        # Whole frames are decoded, some at a time, whatever part of them is asked for.
        for block in row_blocks((when.stop - when.start, rows, columns, channels)):
            asked = places[when][block]
            first = int(asked[0])
            stretch = deque(frame[down, across] for frame in frames.stretch(first, math.ceil(asked[-1]) + 1))
            for number, frame in enumerate(blended(stretch, asked - first, colours), block.start):
                found[:, :, number] = frame[..., which]
        return found

    return Stored((rows, columns, len(places), channels), np.float32, read, frames.dtype.kind == "u")


class FolderFrames:
    """Pictures [H, W, C] in the files of a folder, from its number `start` on, each read where it is used."""

    def __init__(self, names: Sequence[Path], read: Callable[[Path], np.ndarray], start: int) -> None:
        self.names, self.read, self.start = names, read, start
        first = read(names[0])
        self.shape, self.dtype = first.shape, first.dtype

    def __len__(self) -> int:
        return len(self.names)

    def stretch(self, first: int, stop: int) -> Sequence[np.ndarray]:
        """The pictures; raises ValueError for one of another size than the first."""
        found = []
        for number, name in enumerate(self.names[first:stop], self.start + first):
            frame = self.read(name)
            if (frame.shape, frame.dtype) != (self.shape, self.dtype):
                what = f"frame {number} is {_size(frame)}, the first is {_size(self)}"
                raise ValueError(f"{name.parent}: {what}; make all frames alike first")
            found.append(frame)
        return found


def _size(frames: np.ndarray | FolderFrames) -> str:
    rows, columns, channels = frames.shape
    return f"{columns} x {rows} with {channels} channels of {frames.dtype}"


class LongClip:
    """Frames of a video file that were `seen` once, from number `start` of the file on, each made `pixels`.

    A stretch is decoded from the key frame before it. Frames are known by their times; where those do not increase, or
    a seek leads elsewhere, they are counted from the first of the file: slower, and as right.
    """

    def __init__(self, path: Path, seen: Seen, start: int, pixels: Callable[[np.ndarray], np.ndarray]) -> None:
        self.path, self.start, self.pixels = path, start, pixels
        first = pixels(frame_pixels(seen.first))
        self.shape, self.dtype = first.shape, first.dtype
        self._times = list(seen.times)
        self._keys = list(seen.keys)
        increasing = None not in self._times and bool((np.diff(np.array(self._times, np.int64)) > 0).all())
        self._numbers = {time: number for number, time in enumerate(self._times)} if increasing else {}
        self._running: tuple[int, Iterator[tuple[int, np.ndarray]]] | None = None
        self._last: tuple[int, list[np.ndarray]] = (0, [])
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._times)

    def stretch(self, first: int, stop: int) -> Sequence[np.ndarray]:
        """The frames, exactly as when they are decoded from the first on."""
        with self._lock:
            begin, frames = self._last
            if not begin <= first <= stop <= begin + len(frames):
                frames = self._decoded(first, stop)
                begin = first
                small = len(frames) * frames[0].size <= KEPT
                self._last = (begin, frames if small else [])
            return frames[first - begin : stop - begin]

    def _decoded(self, first: int, stop: int) -> list[np.ndarray]:
        place = bisect.bisect_right(self._keys, first)
        keys: list[int | None] = [*self._keys[max(0, place - TRIES) : place][::-1]] if self._numbers else []
        if self._running is not None and (keys[0] if keys and keys[0] else 0) <= self._running[0] <= first:
            found = self._taken(self._running[1], first, stop)
            if found is not None:
                return found
        for key in [*keys, None]:
            found = self._taken(self._from(key), first, stop)
            if found is not None:
                return found
        raise ValueError(f"{self.path} no longer has its frames {first} to {stop - 1}: it has changed meanwhile")

    def _taken(self, frames: Iterator[tuple[int, Any]], first: int, stop: int) -> list[np.ndarray] | None:
        """Frames `first` to `stop` - 1 of those that are decoded; None where they are not all there, in order."""
        found: list[np.ndarray] = []
        self._running = None
        for number, frame in frames:
            if number < first:
                continue
            if number != first + len(found):
                return None
            found.append(self.pixels(frame_pixels(frame)))
            if number == stop - 1:
                self._running = (stop, frames)
                return found
        return None

    def _from(self, key: int | None) -> Iterator[tuple[int, Any]]:
        """Decoded frames with their numbers, from a key frame on, or (None) all of the file, counted."""
        import av

        with av.open(str(self.path)) as container:
            stream = video_stream(self.path, container, "", quiet=True)
            if key is None:
                yield from enumerate(decoded(container, stream), -self.start)
                return
            try:
                container.seek(cast(int, self._times[key]), stream=stream)
            except av.error.FFmpegError:
                return
            for frame in decoded(container, stream):
                # Others are before the key frame, and may lack what they refer to.
                if frame.pts in self._numbers and not frame.is_corrupt:
                    yield self._numbers[frame.pts], frame
