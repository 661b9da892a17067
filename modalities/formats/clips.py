"""Videos as files and as folders of frames."""

import io
import math
import re
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from files import atomic_write
from files.inputs import LARGEST_STORED, bounded, existing_file, in_file, warn
from files.pictures import LARGEST_PIXELS, read_picture
from files.stored import LARGE
from modalities.formats.decoding import FOLDER_RATE, Clip, Seen, decoded, video_stream
from modalities.formats.frames import BT601, BT709, FULL_RANGE, LUMA, UNSTATED, frame_pixels, is_large
from modalities.formats.longclips import FolderFrames, LongClip
from modalities.formats.whole import check_whole

ADVICE = "give an MP4, MKV, WebM or GIF, or a folder of frames of one size"
FRAME_EXTENSIONS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".exr")
# The slowest and fastest frame rates that encoders accept.
SLOWEST, FASTEST = 1e-3, 1e5
LIMITED_RANGE = 1
# Of a file that is read in stretches.
LARGEST_BYTES = 1 << 40


def read_clip(path: Path, start: int = 0, max_frames: int | None = None, height: int | None = None) -> Clip:
    """A video file or folder of frames: at most `max_frames` frames from number `start` on, scaled to `height` rows.

    Raises FileNotFoundError or ValueError; stops at a bound on the numbers read, so that memory stays bounded. Prints
    warnings where something of the file is ignored or guessed.
    """
    last = None if max_frames is None else start + max_frames
    if path.is_dir():
        return Clip(_folder(path, start, last, height), FOLDER_RATE)
    path = existing_file(path, "a video", ADVICE, LARGEST_BYTES)
    check_whole(path, ADVICE)
    import av

    try:
        with av.open(str(path)) as container:
            stream = video_stream(path, container, ADVICE)
            seen = Seen()
            frames = seen.noted(path, islice(decoded(container, stream), start, last))
            return seen.clip(path, _collected(path, frames, seen, start, height), stream)
    except (av.error.FFmpegError, OSError):
        raise ValueError(f"{path} is not a readable video, or it is damaged; {ADVICE}") from None


def _folder(path: Path, start: int, last: int | None, height: int | None) -> Any:
    """The frames of a folder, in memory or, where they are many, as they are read."""
    names = _frame_names(path)[start:last]
    said: set[str] = set()

    def read(name: Path) -> np.ndarray:
        return scaled_to(_frame(name, said), height)

    if not names:
        raise ValueError(f"{path} has no frame from number {start} on; {ADVICE}")
    frames = FolderFrames(names, read, start)
    size = len(names) * math.prod(frames.shape)
    if size < LARGE:
        return deque(frames.stretch(0, len(names)))
    bounded(path, size, "set max_frames or height", LARGEST_STORED)
    return frames


def _frame(path: Path, said: set[str]) -> np.ndarray:
    """The pixels [H, W, 1 | 3 | 4] of a frame: grey, RGB, or RGBA with colours not multiplied by alpha.

    As stored, or as floats where 1 is not the largest number of their type. Colours multiplied by alpha are those over
    black, and come without it. Prints warnings, except those already `said`.
    """
    picture = read_picture(path)
    picture.check_complete(path)
    for note in picture.notes:
        if note not in said:
            warn(f"{path.name}: {note}")
    said.update(picture.notes)
    shown = [*range(picture.colours), *([-1] if picture.alpha and not picture.multiplied else [])]
    pixels = picture.pixels[..., shown]
    if picture.float or picture.largest == np.iinfo(pixels.dtype).max:
        return pixels
    return pixels.astype(np.float32) / np.float32(picture.largest)


def _collected(path: Path, frames: Iterator[Any], seen: Seen, start: int, height: int | None) -> Any:
    """The pixels of decoded `frames` in memory; where they are many, as they are decoded again."""
    kept: deque[np.ndarray] | None = deque()
    for frame in frames:
        if kept is None:
            continue
        with in_file(path):
            kept.append(scaled_to(frame_pixels(frame), height))
        if len(kept) * kept[0].size >= LARGE:
            kept = None
    if kept is None:
        return LongClip(path, seen, start, partial(scaled_to, height=height))
    if not kept:
        raise ValueError(f"{path} has no frame from number {start} on; {ADVICE}")
    return kept


def _frame_names(path: Path) -> list[Path]:
    # Hidden files (._0001.png) are other programs' metadata, not frames.
    shown = (entry for entry in path.iterdir() if not entry.name.startswith("."))
    names = sorted((entry for entry in shown if entry.suffix.lower() in FRAME_EXTENSIONS), key=_natural)
    if not names:
        raise ValueError(f"{path} has no frames (PNG, JPEG, TIFF, ...); {ADVICE}")
    return names


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sorting key by which frame 10 follows frame 9."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", path.name)]


def scaled_to(frame: np.ndarray, height: int | None) -> np.ndarray:
    """A frame [H, W, C] scaled to `height` rows (None: as it is), its aspect kept; raises ValueError if too large."""
    import cv2

    if height in (None, frame.shape[0]):
        return frame
    width = max(1, round(frame.shape[1] * height / frame.shape[0]))
    if width * height > LARGEST_PIXELS:
        raise ValueError(f"frames of {width} x {height} are more than {LARGEST_PIXELS} pixels; lower the height")
    interpolation = cv2.INTER_AREA if height < frame.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(frame, (width, height), interpolation=interpolation).reshape(height, width, -1)


def write_clip(
    path: Path,
    frames: Iterable[np.ndarray],
    rate: float,
    pixel_aspect: tuple[int, int] = (1, 1),
    colour: tuple[int, int, int] = UNSTATED,
) -> Path:
    """Write uint8 frames [H, W, 1 | 3] as H.264 in MP4, at the valid rate nearest to `rate` a second, atomically.

    4:2:0 colour, which every player supports, requires even sizes: odd frames repeat their last row or column. The
    file states its colours: range limited, primaries and curve as given, and the matrix too, or the one that players
    take for untagged files of that size.
    """
    import av

    rate = min(max(rate, SLOWEST), FASTEST)
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    draft = io.BytesIO()
    with av.open(draft, "w", format="mp4") as container:
        stream: Any = container.add_stream(codec, rate=Fraction(rate).limit_denominator(65535))
        for number, frame in enumerate(frames):
            pixels = np.pad(frame, [(0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)], mode="edge")
            if number == 0:
                if pixels.shape != frame.shape:
                    warn(f"{path.name}: players require even sizes, so its last rows or columns of "
                         f"{frame.shape[0]} x {frame.shape[1]} are repeated")  # fmt: skip
                _set_up(stream, pixels, pixel_aspect, colour)
                stream.options = {"crf": "16", "preset": "medium"} if codec == "libx264" else {"qscale": "2"}
            container.mux(stream.encode(_encodable(pixels, stream.codec_context.colorspace)))
        container.mux(stream.encode())
    with atomic_write(path) as target:
        target.write(draft.getbuffer())
    return path


def _set_up(stream: Any, pixels: np.ndarray, pixel_aspect: tuple[int, int], colour: tuple[int, int, int]) -> None:
    stream.height, stream.width = pixels.shape[:2]
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.sample_aspect_ratio = Fraction(*pixel_aspect)
    context.color_range = LIMITED_RANGE
    context.color_primaries, context.color_trc, matrix = colour
    context.colorspace = matrix if matrix in LUMA else BT709 if is_large(*pixels.shape[:2]) else BT601


def _encodable(pixels: np.ndarray, matrix: int) -> Any:
    """Pixels [H, W, 1 | 3] as a frame of limited range in the colour `matrix`."""
    import av
    from av.video.reformatter import Interpolation

    rgb = np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    # PyAV names BT.601 by the first of its two numbers.
    return picture.reformat(
        format="yuv420p",
        dst_colorspace=5 if matrix == BT601 else matrix,
        src_color_range=FULL_RANGE,
        dst_color_range=LIMITED_RANGE,
        interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND,
    )
