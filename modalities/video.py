"""Videos: values [H, W, T, C] over (y, x, t), rows first; filtered in time unless other axes are asked for.

Frames are grey or RGB in [0, 1]; frames with alpha are composited over black. Uneven frame times are resampled linearly
to even ones. A grid with another number of frames covers the same time, so its rate changes with it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from files.inputs import in_file
from files.pictures import write_png
from files.results import write_array
from files.stored import Array, thinned, with_channel
from modalities.display import SHOWN, is_signed, picture, say_scale, signed_size
from modalities.figures import Comparison, Figure, new_figure, show_error, show_picture
from modalities.formats.clips import read_clip, write_clip
from modalities.formats.decoding import FOLDER_RATE
from modalities.formats.frames import UNSTATED
from modalities.gathering import each_frame, gathered, places_of
from modalities.image import check_white, scaled
from modalities.modality import LoadOption, Modality, Sample
from signals import Signal, spacing
from signals.masks import masked
from signals.measures import psnr, ssim
from signals.metadata import (
    Metadata,
    check,
    check_channels,
    check_number,
    check_numbers,
    check_whole_number,
    metadata_of,
)
from signals.units import Ruler

# SSIM is averaged over this many frames, spread evenly: over all of them it would take minutes.
SSIM_FRAMES = 16
SHOWN_FRAMES = 3
# Asking for more frames than there are means all of them.
LARGEST_OPTION = 1 << 53
# H.264 states the sides of a pixel in 16 bits.
LARGEST_SIDE = (1 << 16) - 1
TIMES = ("resample", "keep")


@dataclass(frozen=True)
class VideoMetadata(Metadata, modality="video", axis_names="yxt"):
    """`fps` frames a second, `frames` of them (None: not known), and how they were read: from number `start` on, at
    most `max_frames`, scaled to `height` rows, uneven times resampled or kept (`times`). `pixel_aspect`: width and
    height of a pixel; `colour`: ITU-T H.273 numbers of the primaries, the transfer curve and the matrix of the file
    (2: not known)."""

    fps: float = FOLDER_RATE
    frames: int | None = None
    start: int = 0
    max_frames: int | None = None
    height: int | None = None
    times: str = "resample"
    pixel_aspect: tuple[int, int] = (1, 1)
    colour: tuple[int, int, int] = UNSTATED

    def __post_init__(self) -> None:
        check_number("fps", self.fps, 1e-6, 1e6)
        check_whole_number("start", self.start, 0, LARGEST_OPTION)
        for name in ("frames", "max_frames", "height"):
            if getattr(self, name) is not None:
                check_whole_number(name, getattr(self, name), 1, LARGEST_OPTION)
        check("times", self.times, self.times in TIMES, " or ".join(TIMES))
        check_numbers("pixel_aspect", self.pixel_aspect, 2, 1, LARGEST_SIDE)
        check_numbers("colour", self.colour, 3, 1, 255)
        for number in (*self.pixel_aspect, *self.colour):
            check_whole_number("a number of pixel_aspect and colour", number)

    def check_signal(self, shape: Sequence[int], channels: int) -> None:
        """Raise ValueError for another number of frames than `frames`, and for other channels than grey or RGB."""
        super().check_signal(shape, channels)
        check("frames", self.frames, self.frames in (None, shape[2]), f"the signal's {shape[2]}")
        check_channels(channels, (1, 3))

    def rulers(self, shape: Sequence[int]) -> tuple[Ruler, ...]:
        """Pixels of the frames as they were read; frames and seconds."""
        space = [Ruler({"px": spacing(count), "sample": spacing(count)}) for count in shape[:2]]
        frame = spacing(shape[2])
        return *space, Ruler({"frame": frame, "sample": frame, "s": frame * self.fps})

    def rate(self, frames: int) -> float:
        """Frames a second at which `frames` frames last as long as the loaded ones."""
        return self.fps * frames / (self.frames or frames)


class Video(Modality):
    """Video files and folders of frames."""

    number = 3
    metadata_type = VideoMetadata
    filtered = "t"
    results = (".mp4", ".npy", ".tif", ".tiff", ".zarr")
    extensions = (".mp4", ".mkv", ".webm", ".gif", ".mov", ".avi")
    figure_suffixes = (".png", ".mp4")
    options = (
        LoadOption("start", int, 0, "number of the first frame"),
        LoadOption("max_frames", int, None, "most frames to read"),
        LoadOption("height", int, None, "rows to scale frames to"),
        LoadOption("fps", float, None, "frames a second, instead of the file's own"),
        LoadOption(
            "times", str, "resample", "uneven frame times: resample to even ones, or keep the frames as they are"
        ),
    )
    sample = Sample(
        "videos", "bigbuckbunny_320x180.mp4", half_size=0.1, margin=0.4, steps=500, training={"core_size": 900_000},
        filters=(("tent", 0.1), ("tent", 0.3), ("gaussian", 0.3)),
    )  # fmt: skip

    def load(
        self,
        path: str | Path,
        reach: Sequence[float] = (),
        start: int = 0,
        max_frames: int | None = None,
        height: int | None = None,
        fps: float | None = None,
        times: str = "resample",
    ) -> Signal:
        """The video file or folder of frames at `path` as float32 [H, W, T, 1 | 3], from frame `start` on.

        At most `max_frames` frames of the file, scaled to `height` rows; `fps` overrides its rate (25 for a folder).
        Frames at uneven times are resampled linearly to even ones, with a printed warning, unless `times` is "keep".
        Raises FileNotFoundError or ValueError.
        """
        path = Path(path)
        asked = VideoMetadata(FOLDER_RATE if fps is None else fps, None, start, max_frames, height, times)
        clip = read_clip(path, start, max_frames, height)
        places = places_of(clip, path.name) if times == "resample" else None
        rate = clip.rate if places is None else (len(places) - 1) / clip.duration
        values = gathered(path, clip, places)
        with in_file(path):
            known: dict[str, Any] = {"fps": float(fps or rate), "frames": values.shape[2]}
            metadata = replace(asked, **known, pixel_aspect=clip.pixel_aspect, colour=clip.colour)
            return self.signal(values, metadata, path.name)

    def from_array(
        self, values: np.ndarray, reach: Sequence[float] = (), *, fps: float = FOLDER_RATE, name: str = "array"
    ) -> Signal:
        """An array [H, W, T] or [H, W, T, 1 | 3], integers scaled to [0, 1], of `fps` frames a second."""
        values = np.asarray(values)
        check_white(values, name)
        frames = with_channel(scaled(values), 3)
        return self.signal(frames, VideoMetadata(fps, frames.shape[2]), name)

    def masked(self, signal: Signal, mask: np.ndarray) -> Signal:
        """The video with weights [H, W, T], or [H, W] that are those of every frame; raises ValueError."""
        mask = np.asarray(mask)
        return masked(signal, mask if mask.ndim > 2 else np.repeat(mask[..., None], signal.values.shape[2], axis=2))

    def save(self, values: Array, folder: Path, metadata: Metadata, signed: bool | None = None) -> list[Path]:
        """Write frames/0000.png ..., output.mp4 (odd sizes repeat a row or column) and output.npy."""
        own, size = metadata_of(VideoMetadata, metadata), scale_of(values, signed)
        say_scale(size, values.shape[-1])
        written: list[Path] = []

        def frames() -> Iterator[np.ndarray]:
            for number, values_then in enumerate(each_frame(values)):
                frame = picture(values_then, size=size)
                written.append(write_png(folder / "frames" / f"{number:04d}.png", frame))
                yield frame

        clip = write_clip(folder / "output.mp4", frames(), own.rate(values.shape[2]), own.pixel_aspect, own.colour)
        return [*written, clip, write_array(folder / "output.npy", values)]

    def metrics(self, values: np.ndarray, truth: np.ndarray, metadata: Metadata) -> dict[str, float]:
        """PSNR and SNR in dB, MSE, the peak they refer to, SSIM averaged over up to 16 frames."""
        measured = super().metrics(values, truth, metadata)
        chosen = np.unique(np.linspace(0, truth.shape[2] - 1, SSIM_FRAMES).round().astype(int))
        similar = [ssim(values[:, :, number], truth[:, :, number]) for number in chosen]
        known = [similarity for similarity in similar if similarity is not None]
        return measured | {"ssim": float(np.mean(known))} if known else measured

    def draw(self, shown: Comparison, metadata: Metadata) -> Figure:
        """Some frames and a slice through time (one row over all frames) of the video, the filtered one and, where
        given, the truth and the error."""
        show = shown_as(shown.best, shown.signed)
        figure = new_figure(3.4 * shown.columns, (SHOWN_FRAMES + 1) * (3.4 * shown.aspect + 0.3))
        axes = figure.subplots(SHOWN_FRAMES + 1, shown.columns, squeeze=False)
        ways = [shown_as(shown.before), show, show]
        for column, (title, values), to_picture in zip(axes.T, shown.panels, ways, strict=False):
            for panel, (part, place) in zip(column, sections(values), strict=True):
                show_picture(panel, to_picture(part), f"{title}, {place}")
        if shown.truth is not None:
            pairs = zip(axes[:, -1], sections(shown.after), sections(shown.truth), strict=True)
            for panel, (part, place), (exact, _) in pairs:
                show_error(panel, np.abs(part - exact).mean(-1), f"|error|, {place}")
            figure.suptitle(f"PSNR {psnr(shown.after, shown.truth):.1f} dB", fontsize=10)
        for panel in axes[-1]:
            panel.set_aspect("auto")
        return figure

    def save_figure(self, shown: Comparison, path: Path, metadata: Metadata) -> list[Path]:
        """As every modality, and beside it, as .mp4, the video and the filtered one side by side."""
        left, right = shown_as(shown.before), shown_as(shown.best, shown.signed)
        rows, columns, count, _ = shown.after.shape
        chosen = np.linspace(0, shown.before.shape[2] - 1, count).round().astype(int)
        pairs = (
            (fitted(left(shown.before[:, :, old]), rows, columns), right(shown.after[:, :, new]))
            for new, old in enumerate(chosen)
        )
        beside = (np.hstack([np.broadcast_to(part, (rows, columns, 3)) for part in pair]) for pair in pairs)
        own = metadata_of(VideoMetadata, metadata)
        clip = path.with_suffix(".mp4")
        figure = super().save_figure(shown, path, metadata)
        return [*figure, write_clip(clip, beside, own.rate(count), own.pixel_aspect, own.colour)]


def shown_as(video: Array, signed: bool | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """A function from any part [..., C] of `video` to its picture; signed parts share one scale, so none flickers."""
    size = scale_of(video, signed)
    return lambda part: picture(part, size=size)


def scale_of(video: Array, signed: bool | None = None) -> float:
    """The largest value of a signed video's pictures (see `display.picture`), 0 for one that is not signed."""
    if signed is None:
        signed = is_signed(video)
    return signed_size(thinned(video[:, :, :: max(1, video.shape[2] // SSIM_FRAMES)], SHOWN)) if signed else 0.0


def sections(video: np.ndarray) -> list[tuple[np.ndarray, str]]:
    """Frames spread evenly over `video`, the ends left out, and its middle row over time, each with its name."""
    numbers = ((np.arange(SHOWN_FRAMES) + 0.5) / SHOWN_FRAMES * video.shape[2]).astype(int)
    middle = len(video) // 2
    frames = [(video[:, :, number], f"frame {number}") for number in numbers]
    return [*frames, (video[middle].swapaxes(0, 1), f"row {middle} over time")]


def fitted(frame: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """A uint8 frame resized to `rows` x `columns`."""
    import cv2

    return cv2.resize(frame, (columns, rows)).reshape(rows, columns, -1)
