"""Motion capture: values [T, C] over time, filtered in time; rotations as in `rotations`, two columns of a matrix.

Every number has its mean taken off. Rotations are then divided by one common size and positions by another, rather than
each by its own: a joint that hardly moves would otherwise count as much as the whole gait, and the same error in
any rotation stays the same angle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from modalities.bvh import Bvh, Skeleton, parse_skeleton, read_bvh, write_bvh
from modalities.facts import check, check_number, check_numbers, check_whole_number, taken, told_by
from modalities.figure import new_figure, write_figure
from modalities.measures import mse, snr
from modalities.modality import CAPTIONS, Modality
from modalities.pixels import write_values
from modalities.rotations import Part, angle_errors, decode, encode, parts_of
from signals import Signal

SHOWN_CHANNELS = 4
LONGEST_TITLE = 60
# Of the codecs a file may name only these two are text's.
ENCODINGS = ("utf-8", "latin-1")
# Sizes that may be squared and summed.
LARGEST_SIZE = 1e100


@dataclass(frozen=True)
class Take:
    """What a motion's values do not show: the skeleton's text (`hierarchy`) and its bytes' `encoding`, the seconds
    per frame, how many `frames` there were (T), and `offset` and `scale` of each number [C]."""

    hierarchy: str
    frame_time: float
    frames: int
    offset: Sequence[float]
    scale: Sequence[float]
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        check("encoding", self.encoding, self.encoding in ENCODINGS, " or ".join(ENCODINGS))
        check("hierarchy", self.hierarchy, isinstance(self.hierarchy, str), "text")
        try:
            self.hierarchy.encode(self.encoding)
        except UnicodeEncodeError:
            raise ValueError(f"hierarchy has letters that are none in {self.encoding}") from None
        check_number("frame_time", self.frame_time, 1e-9, 1e9)
        check_whole_number("frames", self.frames)
        check_numbers("offset", self.offset, self.width, -LARGEST_SIZE, LARGEST_SIZE)
        check_numbers("scale", self.scale, self.width, 1 / LARGEST_SIZE, LARGEST_SIZE)

    @cached_property
    def skeleton(self) -> Skeleton:
        """The joints; raises ValueError where the text names none."""
        return parse_skeleton(self.hierarchy, self.encoding)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """How the channels are represented."""
        return parts_of(self.skeleton)

    @property
    def width(self) -> int:
        """C."""
        return self.parts[-1].first + self.parts[-1].width

    def fit(self, shape: tuple[int, ...], channels: int) -> None:
        """Refuse, with a ValueError, other numbers of frames and of numbers than it has."""
        check("frames", self.frames, (self.frames,) == shape, f"the {shape[0]} there are")
        check("the number of channels", channels, channels == self.width, f"the {self.width} of its joints")


def load(path: str | Path) -> Signal:
    """The motion at `path` as float32 [T, C] numbers of about unit size, meta as `Take` has it.

    Raises FileNotFoundError or ValueError.
    """
    path = Path(path)
    motion = read_bvh(path)
    parts = parts_of(motion.skeleton)
    numbers = encode(motion.frames, parts)
    offset = numbers.mean(axis=0)
    scale = common_scales(numbers - offset, parts)
    skeleton, sizes = motion.skeleton, (offset.tolist(), scale.tolist())
    with told_by(path):
        take = Take(skeleton.text, motion.frame_time, len(numbers), *sizes, skeleton.encoding)
    values = ((numbers - offset) / scale).astype(np.float32)
    return Signal(values, axes=(0,), modality="motion", name=path.name, meta=asdict(take))


def common_scales(centred: np.ndarray, parts: tuple[Part, ...]) -> np.ndarray:
    """The root mean square [C] of all numbers of a kind (positions, all others); 1 where nothing moves."""
    positions = np.repeat([part.kind == "position" for part in parts], [part.width for part in parts])
    scales = np.ones(centred.shape[1])
    for chosen in (positions, ~positions):
        size = float(np.sqrt(np.mean(np.square(centred[:, chosen])))) if chosen.any() else 0.0
        scales[chosen] = size if size > 1e-9 else 1.0
    return scales


def take_of(meta: Mapping[str, Any]) -> Take:
    """The motion that `meta` came with; raises ValueError where it is not a motion's."""
    return taken(Take, meta, "motion")


def numbers_of(values: np.ndarray, meta: Mapping[str, Any]) -> np.ndarray:
    """Values [T, C] in their own units again: rotation columns, positions as in the file."""
    take = take_of(meta)
    return np.asarray(values, np.float64) * np.asarray(take.scale) + np.asarray(take.offset)


def channels_of(values: np.ndarray, meta: Mapping[str, Any], near: Bvh | None = None) -> Bvh:
    """The motion that values [T', C] stand for, over the same time as the loaded one.

    Its angles are continuous, or as near as they can be to those of `near`, so that curves may be laid over each
    other. Raises ValueError where `meta` or the number of values is not a motion's.
    """
    take = take_of(meta)
    if values.ndim != 2 or values.shape[1] != take.width:
        raise ValueError(f"values {list(values.shape)} are not a motion of {take.width} numbers a frame")
    followed = None
    if near is not None:
        followed = near.frames[np.linspace(0, len(near.frames) - 1, len(values)).round().astype(int)]
    frames = decode(numbers_of(values, meta), take.parts, take.skeleton.channels, followed)
    steps = max(len(values) - 1, 1)
    return Bvh(take.skeleton, frames, take.frame_time * max(take.frames - 1, 1) / steps)


def save(values: np.ndarray, folder: Path, meta: Mapping[str, Any]) -> list[Path]:
    """Write output.bvh (hierarchy and channels as loaded) and output.npy (the values [T, C], float32)."""
    folder = Path(folder)
    motion = channels_of(values, meta)
    return [write_bvh(folder / "output.bvh", motion), write_values(folder / "output.npy", values)]


def metrics(values: np.ndarray, truth: np.ndarray, meta: Mapping[str, Any] | None = None) -> dict[str, float]:
    """SNR about the mean in dB and MSE of the values; with `meta` the joints' angle errors in degrees too.

    'angle_error' is the mean over frames and joints, 'angle_error_max' the largest.
    """
    measured = {"snr": snr(values, truth), "mse": mse(values, truth)}
    if meta:
        errors = angle_errors(numbers_of(values, meta), numbers_of(truth, meta), take_of(meta).parts)
        if errors.size:
            measured |= {"angle_error": float(errors.mean()), "angle_error_max": float(errors.max())}
    return measured


def compare(
    before: np.ndarray,
    after: np.ndarray,
    truth: np.ndarray | None,
    path: Path,
    meta: Mapping[str, Any],
    captions: tuple[str, str] = CAPTIONS,
) -> None:
    """Draw the channels that move most (degrees or positions over seconds), before and after, and with `truth` the
    error of each, to `path`."""
    own = channels_of(before, meta)
    motions = [own] + [channels_of(values, meta, near=own) for values in (after, truth) if values is not None]
    names = [f"{printable(joint.name)} {channel}" for joint in own.skeleton.joints for channel in joint.channels]
    shown = most_moving(own)
    figure = new_figure(11, 2.0 * len(shown) + 0.4)
    columns = 1 if truth is None else 2
    axes = figure.subplots(len(shown), columns, squeeze=False, sharex=True, width_ratios=(2, 1)[:columns])
    styles = [(captions[0], "0.7", 1.6), (captions[1], "C3", 1.2), ("truth", "k", 0.6)]
    for row, channel in zip(axes, shown, strict=True):
        for motion, (label, colour, width) in zip(motions, styles, strict=False):
            times = motion.frame_time * np.arange(len(motion.frames))
            row[0].plot(times, motion.frames[:, channel], color=colour, linewidth=width, label=label)
        row[0].set_title(names[channel], fontsize=10, parse_math=False)
        if truth is not None:
            row[1].plot(times, motions[1].frames[:, channel] - motion.frames[:, channel], color="C3", linewidth=0.8)
            row[1].set_title("error", fontsize=10)
    axes[0, 0].legend(fontsize=8)
    for last in axes[-1]:
        last.set_xlabel("seconds")
    write_figure(figure, path)


def printable(name: str) -> str:
    """A joint's name as a title can show it."""
    return "".join(letter if letter.isprintable() else "?" for letter in name[:LONGEST_TITLE])


def most_moving(motion: Bvh) -> list[int]:
    """Numbers of the channel that varies most in each of the joints that vary most, in the file's order."""
    spread = motion.frames.std(axis=0)
    best, first = [], 0
    for joint in motion.skeleton.joints:
        if joint.channels:
            best.append(first + int(np.argmax(spread[first : first + len(joint.channels)])))
        first += len(joint.channels)
    return sorted(sorted(best, key=lambda channel: -spread[channel])[:SHOWN_CHANNELS])


MOTION = Modality(
    name="motion",
    number=5,
    axis_names="t",
    filtered="t",
    extensions=(".bvh",),
    load=load,
    save=save,
    metrics=metrics,
    compare=compare,
    facts=Take,
)
