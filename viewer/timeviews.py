"""Views of what runs in time: clips, sounds, skeletons and curves."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from modalities.audio import SHOWN_DECIBELS, AudioMetadata, joined, spectrogram
from modalities.display import picture, signed_size
from modalities.formats.clips import write_clip
from modalities.formats.sounds import write_wav
from modalities.motion import MotionMetadata
from modalities.poses import joint_places
from modalities.series import SeriesMetadata
from modalities.video import VideoMetadata, shown_as
from signals.metadata import metadata_of
from viewer.views import Parts, View, coloured, encoded, error_picture

# Points of a curve, and curves, that are drawn.
MOST_POINTS, MOST_CURVES = 4096, 8
# Poses of a skeleton that are sent at most, and rows and columns of a spectrogram.
MOST_POSES = 2000
SPECTRUM = (160, 600)


class ClipView(View):
    """A frame while dragging, the clip at rest."""

    kind = "clip"

    def frame(self, shape: Sequence[int], number: int) -> tuple[int, int] | None:
        return 2, min(number, shape[2] - 1)

    def parts(self, values: np.ndarray, signed: bool | None, draft: bool) -> Parts:
        if values.shape[2] == 1:
            frame = values[:, :, 0]
            return {"picture": encoded(picture(frame, size=signed_size(frame) if signed else 0.0), draft)}
        own, show = metadata_of(VideoMetadata, self.metadata), shown_as(values, signed)
        frames = (show(values[:, :, number]) for number in range(values.shape[2]))
        with tempfile.TemporaryDirectory() as folder:
            path = write_clip(Path(folder) / "clip.mp4", frames, own.rate(values.shape[2]), own.pixel_aspect)
            return {"clip": path.read_bytes()}

    def error(self, values: np.ndarray, truth: np.ndarray) -> Parts:
        middle = values.shape[2] // 2
        return {"picture": error_picture(np.abs(values[:, :, middle] - truth[:, :, middle]).mean(-1))}


class SoundView(View):
    """Waveform, spectrogram and, at rest, the sound itself."""

    kind = "sound"

    def coarse(self, shape: Sequence[int], level: int) -> tuple[int, ...]:
        return shape[0], max(2, shape[1] // level)

    def parts(self, values: np.ndarray, signed: bool | None, draft: bool) -> Parts:
        own = metadata_of(AudioMetadata, self.metadata)
        recording, rate = joined(values, own)
        parts: Parts = {"wave": envelope(recording.mean(axis=-1)), "rate": np.array([rate], np.float32),
                        "seconds": np.array([len(recording) / rate], np.float32)}  # fmt: skip
        power = spectrogram(recording.mean(axis=-1), rate)[2]
        shown = np.clip((power - power.max()) / SHOWN_DECIBELS + 1, 0, 1)[::-1]
        small = cv2.resize(shown.astype(np.float32), SPECTRUM[::-1], interpolation=cv2.INTER_AREA)
        parts["spectrum"] = encoded(coloured(np.clip(small, 0, 1)))
        if not draft:
            with tempfile.TemporaryDirectory() as folder:
                path = write_wav(Path(folder) / "sound.wav", recording, rate, own.channel_mask)
                parts["sound"] = path.read_bytes()
        return parts

    def error(self, values: np.ndarray, truth: np.ndarray) -> Parts:
        own = metadata_of(AudioMetadata, self.metadata)
        return {"curves": thinned(np.abs(joined(values, own)[0] - joined(truth, own)[0]).mean(-1, keepdims=True))}


class SkeletonView(View):
    """The joints in space."""

    kind = "skeleton"

    def facts(self) -> dict[str, Any]:
        own = metadata_of(MotionMetadata, self.metadata)
        seconds = own.frame_time * max(own.frames - 1, 1)
        return {"parents": [bone.parent for bone in own.skeleton.bones], "seconds": seconds}

    def parts(self, values: np.ndarray, signed: bool | None, draft: bool) -> Parts:
        own = metadata_of(MotionMetadata, self.metadata)
        step = -(-len(values) // (MOST_POSES // 8 if draft else MOST_POSES))
        return {"places": joint_places(own.motion(values[::step]))}

    def error(self, values: np.ndarray, truth: np.ndarray) -> Parts:
        return {"curves": thinned(np.sqrt(np.mean((values - truth) ** 2, axis=-1, keepdims=True)))}


class CurveView(View):
    """Columns of a table over time, those that vary most, in its own units."""

    kind = "curves"

    def facts(self) -> dict[str, Any]:
        own = self.metadata
        if not isinstance(own, SeriesMetadata):
            return {"names": [f"channel {c + 1}" for c in range(min(self.field.config.channels, MOST_CURVES))]}
        names = own.columns[1:] or tuple(f"column {c + 1}" for c in range(len(own.scale)))
        ends = own.times(2) if own.samples > 1 else np.array([own.start, own.start])
        return {"names": [name[:40] for name in names[:MOST_CURVES]], "times": ends.tolist(),
                "time": (own.columns[0] if own.columns else "time")[:40]}  # fmt: skip

    def parts(self, values: np.ndarray, signed: bool | None, draft: bool) -> Parts:
        own = self.metadata
        shown = own.original(values, signed) if isinstance(own, SeriesMetadata) else values
        return {"curves": thinned(shown[:, :MOST_CURVES])}

    def error(self, values: np.ndarray, truth: np.ndarray) -> Parts:
        return {"curves": thinned(np.abs(values - truth)[:, :MOST_CURVES])}


def thinned(values: np.ndarray) -> np.ndarray:
    """Every so many-th of values [T, c], at most MOST_POINTS of them, the last included."""
    return values[np.unique(np.linspace(0, len(values) - 1, min(len(values), MOST_POINTS)).round().astype(int))]


def envelope(samples: np.ndarray, columns: int = 800) -> np.ndarray:
    """The least and largest of samples [S] in each of at most `columns` pieces, [n, 2]."""
    pieces = np.array_split(samples, min(columns, len(samples)))
    return np.array([(piece.min(), piece.max()) for piece in pieces], np.float32)
