"""The BVH format: a skeleton (HIERARCHY) and its channels over time (MOTION), read strictly and written back.

Errors name the line; size, joints and numbers are bounded.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from files import atomic_write
from modalities.formats.inputs import bounded, existing_file

ADVICE = "give a BVH file with HIERARCHY and MOTION"
LARGEST_JOINTS = 4096
LARGEST_TEXT = 1 << 28
POSITIONS = ("Xposition", "Yposition", "Zposition")
ROTATIONS = ("Xrotation", "Yrotation", "Zrotation")


class BvhError(ValueError):
    """What is wrong with a BVH text, with the number of its line."""


@dataclass(frozen=True)
class Joint:
    """A joint: its name and its channels, named and ordered as in the file."""

    name: str
    channels: tuple[str, ...]


@dataclass(frozen=True)
class Skeleton:
    """The joints in the order of their channels, the HIERARCHY text they were read from and what its bytes were."""

    joints: tuple[Joint, ...]
    text: str
    encoding: str = "utf-8"

    @property
    def channels(self) -> int:
        """Numbers per frame."""
        return sum(len(joint.channels) for joint in self.joints)


@dataclass(frozen=True)
class Bvh:
    """A skeleton, its channels over time [T, N] (degrees, and positions in the file's units), seconds per frame."""

    skeleton: Skeleton
    frames: np.ndarray
    frame_time: float


def read_bvh(path: Path) -> Bvh:
    """The skeleton and motion of a BVH file; raises FileNotFoundError, or BvhError that names file and line."""
    path = existing_file(path, "a motion capture", ADVICE)
    if path.stat().st_size > LARGEST_TEXT:
        raise BvhError(f"{path} has more than the {LARGEST_TEXT} bytes supported; cut it into shorter pieces")
    text, encoding = _decoded(path.read_bytes())
    # Not splitlines, which also breaks at bytes that are letters in Latin-1.
    lines = re.split(r"\r\n|\r|\n", text)
    try:
        start = next((i for i, line in enumerate(lines) if line.strip().upper() == "MOTION"), None)
        if start is None:
            raise BvhError("it has no MOTION section")
        skeleton = parse_skeleton("\n".join(lines[:start]), encoding)
        frames, frame_time = _parse_motion(path, lines, start + 1, skeleton.channels)
        return Bvh(skeleton, frames, frame_time)
    except BvhError as error:
        raise BvhError(f"{path}: {error}; {ADVICE}") from None


def _decoded(data: bytes) -> tuple[str, str]:
    """A text and its encoding: UTF-8, or Latin-1, which gives any bytes back as they were."""
    try:
        return data.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "latin-1"


def parse_skeleton(text: str, encoding: str = "utf-8") -> Skeleton:
    """The skeleton of a HIERARCHY text; raises BvhError."""
    words = _Words(text)
    words.expect("HIERARCHY")
    joints: list[Joint] = []
    depth = 0
    while (word := words.next_or_none()) is not None:
        keyword = word.upper()
        if keyword == "}" and depth:
            depth -= 1
        elif keyword == ("JOINT" if depth else "ROOT"):
            joints.append(_parse_joint(words))
            depth += 1
        elif keyword == "END" and depth:
            words.expect("SITE")
            words.expect("{")
            _parse_offset(words)
            words.expect("}")
        else:
            raise BvhError(f"line {words.line}: {word[:40]!r} is not allowed there")
        if len(joints) > LARGEST_JOINTS:
            raise BvhError(f"line {words.line}: there are more than the {LARGEST_JOINTS} joints supported")
    if depth:
        raise BvhError(f"line {words.line}: {depth} closing braces are missing")
    skeleton = Skeleton(tuple(joints), text, encoding)
    if not skeleton.channels:
        raise BvhError("the skeleton has no channels")
    return skeleton


class _Words:
    """The words of a text one after the other, and the line of the last one."""

    def __init__(self, text: str) -> None:
        self.line = 0
        self._words = self._split(text)

    def _split(self, text: str) -> Iterator[str]:
        for number, line in enumerate(text.split("\n"), start=1):
            for word in line.replace("{", " { ").replace("}", " } ").split():
                self.line = number
                yield word

    def next_or_none(self) -> str | None:
        return next(self._words, None)

    def next(self) -> str:
        word = self.next_or_none()
        if word is None:
            raise BvhError(f"line {self.line}: the hierarchy ends too early")
        return word

    def expect(self, wanted: str) -> None:
        word = self.next()
        if word.upper() != wanted:
            raise BvhError(f"line {self.line}: {wanted} is missing, there is {word[:40]!r}")

    def number(self) -> float:
        word = self.next()
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise BvhError(f"line {self.line}: {word[:40]!r} is not a number")
        return value


def _parse_offset(words: _Words) -> None:
    words.expect("OFFSET")
    for _ in range(3):
        words.number()


def _parse_joint(words: _Words) -> Joint:
    """A joint from its name to its channels; its children follow."""
    parts: list[str] = []
    while (word := words.next()) != "{":
        parts.append(word)
    _parse_offset(words)
    words.expect("CHANNELS")
    count = words.number()
    if count not in range(7):
        raise BvhError(f"line {words.line}: a joint has 0 to 6 channels, not {count:g}")
    channels = tuple(words.next() for _ in range(int(count)))
    known = {name.lower(): name for name in POSITIONS + ROTATIONS}
    if any(name.lower() not in known for name in channels) or len({name.lower() for name in channels}) != count:
        raise BvhError(f"line {words.line}: {' '.join(channels)[:80]!r} are not channels, each named once")
    return Joint(" ".join(parts), tuple(known[name.lower()] for name in channels))


def _parse_motion(path: Path, lines: list[str], start: int, channels: int) -> tuple[np.ndarray, float]:
    """Frames [T, channels] and seconds per frame from the lines behind MOTION."""
    rows = [(number, line.split()) for number, line in enumerate(lines[start:], start + 1) if line.strip()]
    if len(rows) < 2:
        raise BvhError(f"line {len(lines)}: Frames and Frame Time are missing")
    count = _labelled(rows[0], "Frames:")
    frame_time = _labelled(rows[1], "Frame Time:")
    if not frame_time > 0:
        raise BvhError(f"line {rows[1][0]}: {frame_time:g} is not a positive number of seconds")
    if count < 1 or len(rows) - 2 != count:
        raise BvhError(f"line {rows[0][0]}: {count:g} frames are announced and {len(rows) - 2} follow")
    bounded(path, int(count) * channels, "cut it into shorter pieces")
    frames = np.empty((int(count), channels))
    for frame, (number, words) in zip(frames, rows[2:], strict=True):
        if len(words) != channels:
            raise BvhError(f"line {number}: {len(words)} numbers where the skeleton has {channels} channels")
        try:
            frame[:] = [float(word) for word in words]
        except ValueError:
            raise BvhError(f"line {number}: some of its words are not numbers") from None
        if not np.isfinite(frame).all():
            raise BvhError(f"line {number}: a number is NaN or infinite")
    return frames, frame_time


def _labelled(row: tuple[int, list[str]], label: str) -> float:
    """The number behind a label such as 'Frame Time:', with space around the colon or without."""
    number, words = row
    name, colon, word = " ".join(words).partition(":")
    if f"{name.strip()}{colon}".lower() != label.lower() or not word:
        raise BvhError(f"line {number}: '{label}' and a number are missing")
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BvhError(f"line {number}: {word.strip()[:40]!r} is not a number")
    return value


def write_bvh(path: Path, motion: Bvh) -> Path:
    """Write a BVH file with the hierarchy as it was read, atomically."""
    rows = "\n".join(" ".join(f"{value:.6f}" for value in frame) for frame in motion.frames)
    head = f"MOTION\nFrames: {len(motion.frames)}\nFrame Time: {motion.frame_time:.8g}\n"
    with atomic_write(path) as stream:
        stream.write(f"{motion.skeleton.text.rstrip()}\n{head}{rows}\n".encode(motion.skeleton.encoding))
    return path
