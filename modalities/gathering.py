"""Frames of a clip as the values [H, W, T, C] of a signal, at even times and over black; and frames of those."""

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from files.inputs import bounded, warn
from files.stored import Array, row_blocks
from modalities.formats.decoding import Clip
from modalities.formats.frames import blended, even_places
from modalities.formats.longclips import stored_frames
from modalities.image import scaled


def places_of(clip: Clip, name: str) -> np.ndarray | None:
    """Places of even times among the frames of a clip, with a printed warning; None where they are even."""
    if clip.times is None or (places := even_places(clip.times, clip.rounding)) is None:
        return None
    step, gap = 1000 * clip.duration / (len(places) - 1), 1000 * float(np.diff(clip.times).max())
    warn(f"{name} has uneven frame times: its {len(clip.frames)} frames are resampled linearly to {len(places)}, "
         f"{step:.4g} ms apart; the largest gap is {gap:.4g} ms (--times keep: frames as they are)")  # fmt: skip
    return places


def gathered(path: Path, clip: Clip, places: np.ndarray | None) -> Array:
    """The frames of a clip at `places` (None: all) as float32 [H, W, T, 1 | 3], over black; the clip is used up, unless
    it is long and stays in its file.

    Raises ValueError for more numbers than are supported.
    """
    frames, count = clip.frames, len(clip.frames if places is None else places)
    rows, columns, stored = frames[0].shape if isinstance(frames, deque) else frames.shape
    channels = min(stored, 3)
    if not isinstance(frames, deque):
        return stored_frames(frames, np.arange(count) if places is None else places, channels, over_black)
    bounded(f"{path} at even frame times", rows * columns * channels * count, "use --times keep, max_frames or height")
    values = np.empty((rows, columns, count, channels), np.float32)
    for number, frame in enumerate(blended(frames, places, over_black)):
        values[:, :, number] = frame
    return values


def over_black(frame: np.ndarray) -> np.ndarray:
    """A frame [H, W, 1 | 3 | 4] as float32 [H, W, 1 | 3] in [0, 1]."""
    colours = scaled(frame)
    return colours[..., :3] * colours[..., 3:] if colours.shape[-1] == 4 else colours


def each_frame(video: Array) -> Iterator[np.ndarray]:
    """The frames [H, W, C] of a video [H, W, T, C], some read at once."""
    rows, columns, count, channels = video.shape
    for block in row_blocks((count, rows, columns, channels)):
        yield from np.moveaxis(np.asarray(video[:, :, block]), 2, 0)
