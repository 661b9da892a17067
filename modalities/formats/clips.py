"""Videos as files and as folders of frames."""

import re
import tempfile
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from files import atomic_write
from modalities.formats.inputs import LARGEST_SAMPLES, existing_file
from modalities.formats.pixels import LARGEST_PIXELS, read_pixels
from modalities.formats.whole import check_whole

ADVICE = "give an MP4, MKV, WebM or GIF, or a folder of frames of one size"
FRAME_EXTENSIONS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".exr")
FOLDER_RATE = 25.0
# The slowest and fastest frame rates that encoders accept.
SLOWEST, FASTEST = 1e-3, 1e5


def read_clip(
    path: Path, start: int = 0, max_frames: int | None = None, height: int | None = None
) -> tuple[list[np.ndarray], float]:
    """Frames [H, W, C] of a video file or folder, as stored, and their rate in frames a second.

    At most `max_frames` frames from number `start` on, scaled to `height` rows. Raises FileNotFoundError or ValueError;
    stops at a bound on the numbers read, so that memory stays bounded.
    """

    def collect(frames: Iterator[np.ndarray]) -> list[np.ndarray]:
        last = None if max_frames is None else start + max_frames
        return _collect(path, (scaled_to(frame, height) for frame in islice(frames, start, last)), start)

    if path.is_dir():
        return collect(_folder_frames(path)), FOLDER_RATE
    path = existing_file(path, "a video", ADVICE)
    check_whole(path, ADVICE)
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError(f"{path} has no video stream; {ADVICE}")
            stream = container.streams.video[0]
            rate = float(stream.average_rate or stream.guessed_rate or FOLDER_RATE)
            return collect(_decoded(container, stream)), rate
    except (av.error.FFmpegError, OSError):
        raise ValueError(f"{path} is not a readable video, or it is damaged; {ADVICE}") from None


def _decoded(container: Any, stream: Any) -> Iterator[np.ndarray]:
    for frame in container.decode(stream):
        if frame.width * frame.height > LARGEST_PIXELS:
            raise ValueError(f"{container.name} has frames of more than {LARGEST_PIXELS} pixels; scale them down first")
        # Phones store frames as the sensor saw them, and an anticlockwise rotation beside them.
        yield np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90)))


def _folder_frames(path: Path) -> Iterator[np.ndarray]:
    # Hidden files (._0001.png) are other programs' metadata, not frames.
    shown = (entry for entry in path.iterdir() if not entry.name.startswith("."))
    names = sorted((entry for entry in shown if entry.suffix.lower() in FRAME_EXTENSIONS), key=_natural)
    if not names:
        raise ValueError(f"{path} has no frames (PNG, JPEG, TIFF, ...); {ADVICE}")
    for name in names:
        yield read_pixels(name)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sorting key by which frame 10 follows frame 9."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", path.name)]


def _collect(path: Path, frames: Iterable[np.ndarray], start: int) -> list[np.ndarray]:
    """All `frames`, numbered from `start`; raises ValueError where they differ in size, are none or too many."""
    kept: list[np.ndarray] = []
    for number, frame in enumerate(frames, start):
        if kept and (frame.shape, frame.dtype) != (kept[0].shape, kept[0].dtype):
            raise ValueError(
                f"{path}: frame {number} is {_size(frame)}, the first is {_size(kept[0])}; make all frames alike first"
            )
        kept.append(frame)
        if len(kept) * frame.size > LARGEST_SAMPLES:
            raise ValueError(
                f"{path} holds more than the {LARGEST_SAMPLES} numbers supported; set max_frames or height"
            )
    if not kept:
        raise ValueError(f"{path} has no frame from number {start} on; {ADVICE}")
    return kept


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


def _size(frame: np.ndarray) -> str:
    return f"{frame.shape[1]} x {frame.shape[0]} with {frame.shape[2]} channels of {frame.dtype}"


def write_clip(path: Path, frames: Iterable[np.ndarray], rate: float) -> Path:
    """Write uint8 frames [H, W, 1 | 3] as H.264 in MP4, at the valid rate nearest to `rate` a second, atomically.

    4:2:0 colour, which every player supports, requires even sizes: odd frames repeat their last row or column.
    """
    import av

    rate = min(max(rate, SLOWEST), FASTEST)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "draft.mp4"
        with av.open(str(draft), "w") as container:
            codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
            stream: Any = container.add_stream(codec, rate=Fraction(rate).limit_denominator(65535))
            for number, frame in enumerate(frames):
                pixels = np.pad(frame, [(0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)], mode="edge")
                if pixels.shape[-1] == 1:
                    pixels = np.repeat(pixels, 3, axis=-1)
                if number == 0:
                    stream.height, stream.width = pixels.shape[:2]
                    stream.pix_fmt = "yuv420p"
                    stream.options = {"crf": "16", "preset": "medium"} if codec == "libx264" else {"qscale": "2"}
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
        data = draft.read_bytes()
    with atomic_write(path) as target:
        target.write(data)
    return path
