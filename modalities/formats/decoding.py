"""Videos decoded by PyAV: which stream, which decoder, and what is noted while frames pass."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from files.inputs import warn
from files.pictures import LARGEST_PIXELS
from modalities.formats.frames import LUMA, UNKNOWN, UNSTATED, is_large, is_oblique, is_turned

# FFmpeg's flag of streams that are attached pictures.
COVER = 0x400
FOLDER_RATE = 25.0


@dataclass(frozen=True)
class Clip:
    """Frames [H, W, C] as stored (of a long clip, in their files), their times [T] in seconds (None: even, `rate` a
    second), the unit that rounds these times, the width and height of a pixel, and what `frames` says of colours."""

    frames: deque[np.ndarray] | Any
    rate: float
    times: np.ndarray | None = None
    rounding: float = 0.0
    pixel_aspect: tuple[int, int] = (1, 1)
    colour: tuple[int, int, int] = UNSTATED

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the last."""
        return (len(self.frames) - 1) / self.rate if self.times is None else float(self.times[-1] - self.times[0])


def video_stream(path: Path, container: Any, advice: str, quiet: bool = False) -> Any:
    """The stream that players choose: never a cover picture, of which FFmpeg knows only by a flag."""
    streams = [stream for stream in container.streams.video if not stream.disposition.value & COVER]
    if not streams:
        pictures = " but a cover picture" if container.streams.video else ""
        raise ValueError(f"{path} has no video stream{pictures}; {advice}")
    best = container.streams.best("video")
    best = best if best in streams else streams[0]
    if len(streams) > 1 and not quiet:
        warn(f"{path.name} has {len(streams)} video streams: stream {best.index} is read")
    return best


def decoded(container: Any, stream: Any) -> Iterator[Any]:
    """Frames of PyAV; those of VP8 and VP9 with alpha by libvpx, because FFmpeg's own decoders drop the alpha."""
    decoder = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.name)
    tags = {name.lower(): value for name, value in stream.metadata.items()}
    if decoder and tags.get("alpha_mode") == "1":
        import av

        context: Any = av.CodecContext.create(decoder, "r")
        for packet in container.demux(stream):
            yield from context.decode(packet)
    else:
        yield from container.decode(stream)


@dataclass
class Seen:
    """What is noted of frames while they are decoded: their times, which are key frames, what is said of the first."""

    times: list[int | None] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    first: Any = None
    interlaced: int = 0
    damaged: int = 0

    def noted(self, path: Path, frames: Iterable[Any]) -> Iterator[Any]:
        """PyAV's `frames`; raises ValueError for too many pixels, and for a size that changes."""
        for frame in frames:
            if frame.width * frame.height > LARGEST_PIXELS:
                raise ValueError(f"{path} has frames of more than {LARGEST_PIXELS} pixels; scale them down first")
            self.first = self.first or frame
            if (kind := _kind(frame)) != (wanted := _kind(self.first)):
                raise ValueError(
                    f"{path}: frame {len(self.times)} is {kind}, the first is {wanted}; make all frames alike first"
                )
            if frame.key_frame:
                self.keys.append(len(self.times))
            self.times.append(frame.pts)
            self.interlaced += frame.interlaced_frame
            self.damaged += frame.is_corrupt
            yield frame

    def clip(self, path: Path, kept: Any, stream: Any) -> Clip:
        """The clip of the frames `kept`, with warnings of what is ignored."""
        for number, what in ((self.interlaced, "interlaced"), (self.damaged, "damaged")):
            if number:
                warn(f"{path.name} has {number} {what} frames of {len(kept)}; they are read as they decode")
        if is_oblique(self.first):
            warn(f"{path.name} is to be shown at an angle: it is turned by the nearest quarter turn")
        colour = _colour(path, self.first, stream)
        aspect = Fraction(stream.sample_aspect_ratio or 1).limit_denominator(1000)
        sides = (aspect.numerator, aspect.denominator)
        sides = sides[::-1] if is_turned(self.first) else sides
        declared = stream.average_rate and float(stream.average_rate)
        rate = declared or float(stream.guessed_rate or FOLDER_RATE)
        if len(kept) == 1 or None in self.times:
            return Clip(kept, rate, None, 0.0, sides, colour)
        tick = float(stream.time_base)
        times = np.array(self.times, np.float64) * tick
        if not (np.diff(times) > 0).all():
            if stream.container.format.name != "avi":  # which knows no times: those of reordered frames are made up
                warn(f"{path.name} has frame times that do not increase: read as {rate:g} even frames a second")
            return Clip(kept, rate, None, 0.0, sides, colour)
        return Clip(kept, rate_of(times, declared, tick), times, tick, sides, colour)


def _kind(frame: Any) -> str:
    return f"{frame.width} x {frame.height} of {frame.format.name}{', turned' if is_turned(frame) else ''}"


def rate_of(times: np.ndarray, declared: float | None, rounding: float) -> float:
    """Frames a second of `times` [T >= 2], or the file's own figure (None: it has none) where the two differ by less
    than rounding."""
    steps, duration = len(times) - 1, float(times[-1] - times[0])
    return declared if declared and abs(steps / declared - duration) <= rounding else steps / duration


def _colour(path: Path, frame: Any, stream: Any) -> tuple[int, int, int]:
    """What a frame and its stream say of colours."""
    context, matrix = stream.codec_context, frame.colorspace
    if frame.format.is_rgb or frame.format.has_palette:
        matrix = UNKNOWN
    elif matrix not in LUMA and is_large(frame.height, frame.width):
        warn(f"{path.name} does not say its colour matrix: read as BT.601, as FFmpeg does; many players take BT.709")
    primaries, curve = (
        number if 0 < number < 256 else UNKNOWN for number in (context.color_primaries, context.color_trc)
    )
    return primaries, curve, matrix if matrix in LUMA else UNKNOWN
