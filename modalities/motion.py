"""Motion capture: values [T, C] over time, filtered in time; rotations as in `rotations`, two columns of a matrix.

Every number has its mean subtracted. Rotations are then divided by one common size and positions by another, rather
than each by its own: a joint that hardly moves would otherwise count as much as the whole gait, and the same error in
any rotation stays the same angle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from files.inputs import in_file
from files.results import write_array
from modalities.figures import Comparison, Figure, curves_figure
from modalities.formats.bvh import Bvh, Skeleton, parse_skeleton, read_bvh, write_bvh
from modalities.modality import Modality, Sample
from modalities.rotations import Part, angle_errors, decode, encode, parts_of
from signals import Signal, spacing
from signals.measures import mse, snr
from signals.metadata import Metadata, check, check_number, check_numbers, check_whole_number, metadata_of
from signals.units import Ruler

SHOWN_CHANNELS = 4
# A file may name only these two codecs: others are not encodings of text.
ENCODINGS = ("utf-8", "latin-1")
# Sizes that may be squared and summed.
LARGEST_SIZE = 1e100


@dataclass(frozen=True)
class MotionMetadata(Metadata, modality="motion", axis_names="t"):
    """The skeleton's text (`hierarchy`) and its bytes' `encoding`, the seconds per frame, how many `frames` there were
    (T), `offset` and `scale` of each number [C], and all channels of the `first` frame [N] (none in older files)."""

    hierarchy: str
    frame_time: float
    frames: int
    offset: tuple[float, ...]
    scale: tuple[float, ...]
    encoding: str = "utf-8"
    first: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check("encoding", self.encoding, self.encoding in ENCODINGS, " or ".join(ENCODINGS))
        check("hierarchy", self.hierarchy, isinstance(self.hierarchy, str), "text")
        try:
            self.hierarchy.encode(self.encoding)
        except UnicodeEncodeError:
            raise ValueError(f"hierarchy has letters that {self.encoding} lacks") from None
        check_number("frame_time", self.frame_time, 1e-9, 1e9)
        check_whole_number("frames", self.frames)
        check_numbers("offset", self.offset, self.width, -LARGEST_SIZE, LARGEST_SIZE)
        check_numbers("scale", self.scale, self.width, 1 / LARGEST_SIZE, LARGEST_SIZE)
        if self.first != ():
            check_numbers("first", self.first, self.skeleton.channels, -LARGEST_SIZE, LARGEST_SIZE)

    def rulers(self, shape: Sequence[int]) -> tuple[Ruler, ...]:
        """Frames and seconds."""
        frame = spacing(shape[0])
        return (Ruler({"frame": frame, "sample": frame, "s": frame / self.frame_time}),)

    @cached_property
    def skeleton(self) -> Skeleton:
        """The joints; raises ValueError where the text has none."""
        return parse_skeleton(self.hierarchy, self.encoding)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """How the channels are represented."""
        return parts_of(self.skeleton)

    @property
    def width(self) -> int:
        """C."""
        return self.parts[-1].first + self.parts[-1].width

    def check_signal(self, shape: Sequence[int], channels: int) -> None:
        """Raise ValueError for other numbers of frames and of values per frame."""
        super().check_signal(shape, channels)
        check("frames", self.frames, (self.frames,) == tuple(shape), f"the signal's {shape[0]}")
        check("the number of channels", channels, channels == self.width, f"the {self.width} of its joints")

    def numbers(self, values: np.ndarray) -> np.ndarray:
        """Values [T, C] in their own units again: rotation columns, positions as in the file."""
        return np.asarray(values, np.float64) * np.asarray(self.scale) + np.asarray(self.offset)

    def motion(self, values: np.ndarray, near: Bvh | None = None) -> Bvh:
        """The motion of values [T', C], over the same time as the loaded one.

        Its angles are continuous from the first frame's as it was loaded, or as near as possible to those of `near`, so
        that curves may be laid over each other. Raises ValueError for another number of values.
        """
        if values.ndim != 2 or values.shape[1] != self.width:
            raise ValueError(f"values {list(values.shape)} are not a motion of {self.width} numbers a frame")
        followed = None
        if near is not None:
            followed = near.frames[np.linspace(0, len(near.frames) - 1, len(values)).round().astype(int)]
        first = np.array(self.first) if self.first else None
        frames = decode(self.numbers(values), self.parts, self.skeleton.channels, followed, first)
        steps = max(len(values) - 1, 1)
        return Bvh(self.skeleton, frames, self.frame_time * max(self.frames - 1, 1) / steps)


class Motion(Modality):
    """Motion capture in BVH files."""

    number = 5
    metadata_type = MotionMetadata
    filtered = "t"
    results = (".bvh", ".npy", ".zarr")
    extensions = (".bvh",)
    sample = Sample(
        "motion", "01_01.bvh", half_size=0.01, margin=0.1, steps=1, training={"factor": "spline"},
        filters=(("tent", 0.01), ("tent", 0.02), ("tent", 0.04), ("gaussian", 0.1)),
    )  # fmt: skip

    def load(self, path: str | Path, reach: Sequence[float] = ()) -> Signal:
        """The motion at `path` as float32 [T, C] numbers of about unit size; raises FileNotFoundError or ValueError."""
        path = Path(path)
        motion = read_bvh(path)
        with in_file(path):
            return self._signal(motion, path.name)

    def from_array(
        self, values: np.ndarray, reach: Sequence[float] = (), *, hierarchy: str, frame_time: float, name: str = "array"
    ) -> Signal:
        """Channels [T, N] (degrees, positions) of the skeleton that the BVH text `hierarchy` describes."""
        return self._signal(Bvh(parse_skeleton(hierarchy), np.asarray(values, np.float64), frame_time), name)

    def _signal(self, motion: Bvh, name: str) -> Signal:
        parts, skeleton = parts_of(motion.skeleton), motion.skeleton
        numbers = encode(motion.frames, parts)
        offset = numbers.mean(axis=0)
        scale = common_scales(numbers - offset, parts)
        sizes = tuple(offset.tolist()), tuple(scale.tolist())
        first = tuple(motion.frames[0].tolist())
        metadata = MotionMetadata(skeleton.text, motion.frame_time, len(numbers), *sizes, skeleton.encoding, first)
        return self.signal(((numbers - offset) / scale).astype(np.float32), metadata, name)

    def save(self, values: np.ndarray, folder: Path, metadata: Metadata, signed: bool | None = None) -> list[Path]:
        """Write output.bvh (hierarchy and channels as loaded) and output.npy (the values [T, C], float32)."""
        motion = metadata_of(MotionMetadata, metadata).motion(values)
        return [write_bvh(folder / "output.bvh", motion), write_array(folder / "output.npy", values)]

    def metrics(self, values: np.ndarray, truth: np.ndarray, metadata: Metadata) -> dict[str, float]:
        """SNR about the mean in dB and MSE of the values, and the joints' angle errors in degrees.

        'angle_error' is the mean over frames and joints, 'angle_error_max' the largest.
        """
        own = metadata_of(MotionMetadata, metadata)
        measured = {"snr": snr(values, truth), "mse": mse(values, truth)}
        errors = angle_errors(own.numbers(values), own.numbers(truth), own.parts)
        if errors.size:
            measured |= {"angle_error": float(errors.mean()), "angle_error_max": float(errors.max())}
        return measured

    def draw(self, shown: Comparison, metadata: Metadata) -> Figure:
        """The channels that move most (degrees or positions over seconds), before and after, and with `truth` the
        error of each."""
        own = metadata_of(MotionMetadata, metadata)
        loaded = own.motion(shown.before)
        exact = None if shown.truth is None else own.motion(shown.truth, near=loaded)
        motions = [loaded, own.motion(shown.after, near=exact or loaded)] + ([exact] if exact else [])
        moving = most_moving(loaded)
        names = [f"{joint.name} {channel}" for joint in loaded.skeleton.joints for channel in joint.channels]
        curves = [
            (title, motion.frame_time * np.arange(len(motion.frames)), motion.frames[:, moving])
            for (title, _), motion in zip(shown.panels, motions, strict=True)
        ]
        return curves_figure([names[channel] for channel in moving], curves, "seconds")


def common_scales(centred: np.ndarray, parts: tuple[Part, ...]) -> np.ndarray:
    """The root mean square [C] of all numbers of a kind (positions, all others); 1 where nothing moves."""
    positions = np.repeat([part.kind == "position" for part in parts], [part.width for part in parts])
    scales = np.ones(centred.shape[1])
    for chosen in (positions, ~positions):
        size = float(np.sqrt(np.mean(np.square(centred[:, chosen])))) if chosen.any() else 0.0
        scales[chosen] = size if size > 1e-9 else 1.0
    return scales


def most_moving(motion: Bvh) -> list[int]:
    """Numbers of the channel that varies most in each of the joints that vary most, in the file's order."""
    spread = motion.frames.std(axis=0)
    best, first = [], 0
    for joint in motion.skeleton.joints:
        if joint.channels:
            best.append(first + int(np.argmax(spread[first : first + len(joint.channels)])))
        first += len(joint.channels)
    return sorted(sorted(best, key=lambda channel: -spread[channel])[:SHOWN_CHANNELS])
