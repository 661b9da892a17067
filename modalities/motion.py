"""Motion capture: values [T, C] over time, filtered in time; rotations as in `rotations`, two columns of a matrix.

Every number has its mean taken off. Rotations are then divided by one common size and positions by another, rather than
each by its own: a joint that hardly moves would otherwise count as much as the whole gait, and the same error in
any rotation stays the same angle.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from modalities.bvh import Bvh, parse_skeleton, read_bvh, write_bvh
from modalities.figure import new_figure, write_figure
from modalities.measures import mse, snr
from modalities.modality import FILTERED, Modality
from modalities.pixels import write_values
from modalities.rotations import Part, angle_errors, decode, encode, parts_of
from signals import Signal

SHOWN_CHANNELS = 4


def load(path: str | Path) -> Signal:
    """The motion at `path` as float32 [T, C] numbers of about unit size; raises FileNotFoundError or ValueError.

    meta: 'hierarchy' (the skeleton's text), 'encoding' (its bytes'), 'frame_time' (seconds), 'frames' (T), 'offset'
    and 'scale' (per number).
    """
    path = Path(path)
    motion = read_bvh(path)
    parts = parts_of(motion.skeleton)
    numbers = encode(motion.frames, parts)
    offset = numbers.mean(axis=0)
    scale = common_scales(numbers - offset, parts)
    meta = {
        "hierarchy": motion.skeleton.text,
        "frame_time": motion.frame_time,
        "frames": len(numbers),
        "offset": offset.tolist(),
        "scale": scale.tolist(),
        "encoding": motion.skeleton.encoding,
    }
    values = ((numbers - offset) / scale).astype(np.float32)
    return Signal(values, axes=(0,), modality="motion", name=path.name, meta=meta)


def common_scales(centred: np.ndarray, parts: tuple[Part, ...]) -> np.ndarray:
    """The root mean square [C] of all numbers of a kind (positions, all others); 1 where nothing moves."""
    positions = np.repeat([part.kind == "position" for part in parts], [part.width for part in parts])
    scales = np.ones(centred.shape[1])
    for chosen in (positions, ~positions):
        size = float(np.sqrt(np.mean(np.square(centred[:, chosen])))) if chosen.any() else 0.0
        scales[chosen] = size if size > 1e-9 else 1.0
    return scales


def numbers_of(values: np.ndarray, meta: Mapping[str, Any]) -> np.ndarray:
    """Values [T, C] in their own units again: rotation columns, positions as in the file."""
    return np.asarray(values, np.float64) * np.asarray(meta["scale"]) + np.asarray(meta["offset"])


def channels_of(values: np.ndarray, meta: Mapping[str, Any], near: Bvh | None = None) -> Bvh:
    """The motion that values [T', C] stand for, over the same time as the loaded one.

    Its angles are continuous, or as near as they can be to those of `near`, so that curves may be laid over each
    other. Raises ValueError where `meta` or the number of values is not a motion's.
    """
    missing = {"hierarchy", "frame_time", "frames", "offset", "scale"} - set(meta)
    if missing:
        raise ValueError(f"this signal does not say its {', '.join(sorted(missing))}; load it as motion")
    if values.ndim != 2 or values.shape[1] != len(meta["offset"]):
        raise ValueError(f"values {list(values.shape)} are not a motion of {len(meta['offset'])} numbers a frame")
    # Of the codecs a file may name only these two are text's; older files name none.
    encoding = "latin-1" if meta.get("encoding") == "latin-1" else "utf-8"
    skeleton = parse_skeleton(meta["hierarchy"], encoding)
    followed = None
    if near is not None:
        followed = near.frames[np.linspace(0, len(near.frames) - 1, len(values)).round().astype(int)]
    frames = decode(numbers_of(values, meta), parts_of(skeleton), skeleton.channels, followed)
    steps = max(len(values) - 1, 1)
    return Bvh(skeleton, frames, float(meta["frame_time"]) * max(int(meta["frames"]) - 1, 1) / steps)


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
        parts = parts_of(parse_skeleton(meta["hierarchy"]))
        errors = angle_errors(numbers_of(values, meta), numbers_of(truth, meta), parts)
        if errors.size:
            measured |= {"angle_error": float(errors.mean()), "angle_error_max": float(errors.max())}
    return measured


def compare(
    before: np.ndarray,
    after: np.ndarray,
    truth: np.ndarray | None,
    path: Path,
    meta: Mapping[str, Any],
    caption: str = FILTERED,
) -> None:
    """Draw the channels that move most (degrees or positions over seconds), before and after, and with `truth` the
    error of each, to `path`."""
    own = channels_of(before, meta)
    motions = [own] + [channels_of(values, meta, near=own) for values in (after, truth) if values is not None]
    names = [f"{joint.name} {channel}" for joint in own.skeleton.joints for channel in joint.channels]
    shown = most_moving(own)
    figure = new_figure(11, 2.0 * len(shown) + 0.4)
    columns = 1 if truth is None else 2
    axes = figure.subplots(len(shown), columns, squeeze=False, sharex=True, width_ratios=(2, 1)[:columns])
    styles = [("signal", "0.7", 1.6), (caption, "C3", 1.2), ("truth", "k", 0.6)]
    for row, channel in zip(axes, shown, strict=True):
        for motion, (label, colour, width) in zip(motions, styles, strict=False):
            times = motion.frame_time * np.arange(len(motion.frames))
            row[0].plot(times, motion.frames[:, channel], color=colour, linewidth=width, label=label)
        row[0].set_title(names[channel], fontsize=10)
        if truth is not None:
            row[1].plot(times, motions[1].frames[:, channel] - motion.frames[:, channel], color="C3", linewidth=0.8)
            row[1].set_title("error", fontsize=10)
    axes[0, 0].legend(fontsize=8)
    for last in axes[-1]:
        last.set_xlabel("seconds")
    write_figure(figure, path)


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
)
