"""Videos: values [H, W, T, C] over (y, x, t), rows first; filtered in time unless other axes are asked for.

Frames are grey or RGB in [0, 1]; frames with alpha are laid over black. A grid with another number of frames covers
the same time, so its rate changes with it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from modalities.clips import FOLDER_RATE, Cut, read_clip, write_clip
from modalities.display import is_signed, picture, signed_size
from modalities.facts import check, check_channels, check_number, check_whole_number, taken, told_by
from modalities.figure import new_figure, show_error, show_picture, write_figure
from modalities.image import scaled
from modalities.inputs import whole_number
from modalities.measures import mse, peak, psnr, snr, ssim
from modalities.modality import CAPTIONS, LoadOption, Modality
from modalities.pixels import write_png, write_values
from signals import Signal

# SSIM is averaged over this many frames, spread evenly: over all of them it would take minutes.
SSIM_FRAMES = 16
SHOWN_FRAMES = 3


@dataclass(frozen=True)
class Timing:
    """When a video's frames were: `fps` a second, and `frames` of them in all, where that is known."""

    fps: float = FOLDER_RATE
    frames: int | None = None

    def __post_init__(self) -> None:
        check_number("fps", self.fps, 1e-6, 1e6)
        if self.frames is not None:
            check_whole_number("frames", self.frames)

    def fit(self, shape: tuple[int, ...], channels: int) -> None:
        """Refuse, with a ValueError, another number of frames than there are, and what is neither grey nor RGB."""
        check("frames", self.frames, self.frames in (None, shape[2]), f"the {shape[2]} there are")
        check_channels(channels, (1, 3))


def load(
    path: str | Path, start: int = 0, max_frames: int | None = None, height: int | None = None, fps: float | None = None
) -> Signal:
    """The video file or folder of frames at `path` as float32 [H, W, T, 1 | 3], from frame `start` on.

    At most `max_frames` frames, scaled to `height` rows; `fps` overrides the file's rate (25 for a folder).
    meta as `Timing` has it. Raises FileNotFoundError or ValueError.
    """
    path = Path(path)
    cut = Cut(
        whole_number("start", start, least=0),
        None if max_frames is None else whole_number("max_frames", max_frames, least=1),
        None if height is None else whole_number("height", height, least=1),
    )
    if fps is not None and not 0 < float(fps) <= 1e4:
        raise ValueError(f"fps must be a positive number of frames a second, not {fps!r}")
    frames, rate = read_clip(path, cut)
    rows, columns, stored = frames[0].shape
    values = np.empty((rows, columns, len(frames), min(stored, 3)), np.float32)
    for number, frame in enumerate(frames):
        colour = scaled(frame)
        values[:, :, number] = colour[..., :3] * colour[..., 3:] if stored == 4 else colour
    if not np.isfinite(values).all():
        raise ValueError(f"{path} has pixels that are NaN or infinite; mend the frames first")
    with told_by(path):
        timing = Timing(float(fps or rate), len(frames))
    return Signal(values, axes=(2,), modality="video", name=path.name, meta=asdict(timing))


def shown_frames(values: np.ndarray, meta: Mapping[str, Any]) -> list[np.ndarray]:
    """Every frame of [H, W, T, C] as a uint8 picture [H, W, 1 | 3]; signed frames share one scale, so none flickers."""
    how = dict(meta)
    how["signed"] = is_signed(values, meta)
    if how["signed"]:
        how["size"] = signed_size(values[..., :: max(1, values.shape[2] // SSIM_FRAMES), :])
    return [picture(values[:, :, number], how) for number in range(values.shape[2])]


def output_rate(frames: int, meta: Mapping[str, Any]) -> float:
    """Frames a second at which `frames` frames last as long as the loaded ones."""
    timing = taken(Timing, meta, "video")
    return timing.fps * frames / (timing.frames or frames)


def save(values: np.ndarray, folder: Path, meta: Mapping[str, Any]) -> list[Path]:
    """Write frames/0000.png ..., output.mp4 (odd sizes padded to even by a repeated row or column) and output.npy."""
    folder = Path(folder)
    shown = shown_frames(values, meta)
    written = [write_png(folder / "frames" / f"{number:04d}.png", frame) for number, frame in enumerate(shown)]
    written.append(write_clip(folder / "output.mp4", shown, output_rate(len(shown), meta)))
    return [*written, write_values(folder / "output.npy", values)]


def metrics(values: np.ndarray, truth: np.ndarray, meta: Mapping[str, Any] | None = None) -> dict[str, float]:
    """PSNR and SNR in dB, MSE, the peak they refer to, SSIM averaged over up to 16 frames. `meta` is not needed."""
    measured = {"psnr": psnr(values, truth), "snr": snr(values, truth), "mse": mse(values, truth), "peak": peak(truth)}
    chosen = np.unique(np.linspace(0, truth.shape[2] - 1, SSIM_FRAMES).round().astype(int))
    similar = [ssim(values[:, :, number], truth[:, :, number]) for number in chosen]
    return measured if similar[0] is None else measured | {"ssim": float(np.mean(similar))}


def compare(
    before: np.ndarray,
    after: np.ndarray,
    truth: np.ndarray | None,
    path: Path,
    meta: Mapping[str, Any],
    captions: tuple[str, str] = CAPTIONS,
) -> None:
    """Draw some frames and a slice through time (one row over all frames) of the video, the filtered one and, if
    given, the truth and the error to `path`; beside it, as .mp4, the video and the filtered one side by side."""
    path = Path(path)
    own = {key: value for key, value in meta.items() if key != "signed"}
    how = {**meta, "signed": is_signed(after if truth is None else truth, meta)}
    panels = [(captions[0], shown_frames(before, own)), (captions[1], shown_frames(after, how))]
    if truth is not None:
        panels.append(("truth", shown_frames(truth, how)))
    count = len(panels) + (truth is not None)
    aspect = min(max(after.shape[0] / after.shape[1], 0.3), 3.0)
    figure = new_figure(3.4 * count, (SHOWN_FRAMES + 1) * (3.4 * aspect + 0.3))
    axes = figure.subplots(SHOWN_FRAMES + 1, count, squeeze=False)
    for column, (title, frames) in zip(axes.T, panels, strict=False):
        _draw_column(column, title, frames)
    if truth is not None:
        _draw_errors(figure, axes[:, -1], after, truth)
    write_figure(figure, path)
    pairs = zip(_over_time(panels[0][1], after.shape), panels[1][1], strict=True)
    write_clip(path.with_suffix(".mp4"), (_beside(*pair) for pair in pairs), output_rate(after.shape[2], meta))


def _moments(count: int) -> np.ndarray:
    """The frame numbers drawn, of `count`: spread evenly, the ends left out."""
    return ((np.arange(SHOWN_FRAMES) + 0.5) / SHOWN_FRAMES * count).astype(int)


def _draw_column(column: np.ndarray, title: str, frames: list[np.ndarray]) -> None:
    for axes, number in zip(column, _moments(len(frames)), strict=False):
        show_picture(axes, frames[number], f"{title}, frame {number}")
    middle = len(frames[0]) // 2
    show_picture(column[-1], np.stack([frame[middle] for frame in frames]), f"{title}, row {middle} over time")
    column[-1].set_aspect("auto")


def _draw_errors(figure: Any, column: np.ndarray, after: np.ndarray, truth: np.ndarray) -> None:
    for axes, number in zip(column, _moments(truth.shape[2]), strict=False):
        show_error(figure, axes, after[:, :, number], truth[:, :, number], f"|error|, frame {number}")
    middle = len(truth) // 2
    title = f"|error|, row {middle} over time, PSNR {psnr(after, truth):.1f} dB"
    show_error(figure, column[-1], after[middle].swapaxes(0, 1), truth[middle].swapaxes(0, 1), title)
    column[-1].set_aspect("auto")


def _over_time(frames: list[np.ndarray], shape: tuple[int, ...]) -> list[np.ndarray]:
    """As many frames, at as many rows and columns, as a video of `shape` [H, W, T, C] has."""
    chosen = np.linspace(0, len(frames) - 1, shape[2]).round().astype(int)
    return [cv2.resize(frames[i], (shape[1], shape[0])).reshape(shape[0], shape[1], -1) for i in chosen]


def _beside(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Two frames in one, [H, 2 W, 3]."""
    return np.concatenate([np.broadcast_to(frame, (*frame.shape[:2], 3)) for frame in (left, right)], axis=1)


VIDEO = Modality(
    name="video",
    number=3,
    axis_names="yxt",
    filtered="t",
    extensions=(".mp4", ".mkv", ".webm", ".gif", ".mov", ".avi"),
    load=load,
    save=save,
    metrics=metrics,
    compare=compare,
    facts=Timing,
    figures=(".png", ".mp4"),
    load_options=(
        LoadOption("start", int, 0, "number of the first frame"),
        LoadOption("max_frames", int, None, "most frames to read"),
        LoadOption("height", int, None, "rows to scale frames to"),
        LoadOption("fps", float, None, "frames a second, instead of the file's own"),
    ),
)
