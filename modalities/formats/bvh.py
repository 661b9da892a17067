"""The BVH format: a skeleton (HIERARCHY) and its channels over time (MOTION), read strictly and written back.

Errors name the line; size, joints and numbers are bounded.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from files import atomic_write
from files.inputs import LARGEST_TEXT, bounded, existing_file
from modalities.formats.text import decode_text

ADVICE = "give a BVH file with HIERARCHY and MOTION"
LARGEST_JOINTS = 4096
POSITIONS = ("Xposition", "Yposition", "Zposition")
ROTATIONS = ("Xrotation", "Yrotation", "Zrotation")
KNOWN = {name.lower(): name for name in POSITIONS + ROTATIONS}


class BvhError(ValueError):
    """What is wrong with a BVH text, with the number of its line."""


@dataclass(frozen=True)
class Joint:
    """A joint: its name and its channels, named and ordered as in the file."""

    name: str
    channels: tuple[str, ...]


@dataclass(frozen=True)
class Bone:
    """The offset of a joint or an end site from its parent's, the number of the parent's bone (-1: a root), and which
    joint it is (-1: an end site)."""

    offset: tuple[float, ...]
    parent: int
    joint: int


@dataclass(frozen=True)
class Skeleton:
    """The joints in the order of their channels, bones with parents first, the HIERARCHY text and its encoding."""

    joints: tuple[Joint, ...]
    bones: tuple[Bone, ...]
    text: str
    encoding: str

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
    path = existing_file(path, "a motion capture", ADVICE, LARGEST_TEXT)
    text, encoding = decode_text(path.read_bytes())
    # Not splitlines, which also breaks at bytes that are letters in Latin-1.
    lines = text.split("\x1a", 1)[0].split("\n")
    start = next((i for i, line in enumerate(lines) if line.strip().upper() == "MOTION"), None)
    try:
        if start is None:
            raise BvhError("it has no MOTION section")
        skeleton = parse_skeleton("\n".join(lines[:start]), encoding)
        return Bvh(skeleton, *_parse_motion(path, lines, start + 1, skeleton.channels))
    except BvhError as error:
        raise BvhError(f"{path}: {error}; {ADVICE}") from None


class _Words:
    """The words of a text one after the other, '' behind the last, and the line of the latest."""

    def __init__(self, text: str) -> None:
        lines = text.replace("{", " { ").replace("}", " } ").split("\n")
        self._words = [(number, word) for number, line in enumerate(lines, 1) for word in line.split()][::-1]
        self.line = 0

    def next(self) -> str:
        self.line, word = self._words.pop() if self._words else (self.line, "")
        return word

    def peek(self) -> str:
        return self._words[-1][1] if self._words else ""

    def name(self) -> str:
        """The words before an opening brace, which is passed as well."""
        parts = []
        while (word := self.next()) not in ("{", ""):
            parts.append(word)
        return " ".join(parts)

    def error(self, problem: str) -> BvhError:
        return BvhError(f"line {self.line}: {problem}")

    def expect(self, wanted: str) -> None:
        if (word := self.next()).upper() != wanted:
            raise self.error(f"{wanted} is missing, there is {word[:40]!r}")

    def number(self) -> float:
        if not math.isfinite(value := _number(word := self.next())):
            raise self.error(f"{word[:40]!r} is not a number")
        return value


def _number(word: str) -> float:
    """The number that `word` is, NaN for others."""
    try:
        return float(word)
    except ValueError:
        return math.nan


def parse_skeleton(text: str, encoding: str = "utf-8") -> Skeleton:
    """The skeleton of a HIERARCHY text; raises BvhError."""
    words = _Words(text)
    words.expect("HIERARCHY")
    joints: list[Joint] = []
    bones: list[Bone] = []
    # The bones whose braces are open.
    above: list[int] = []
    while word := words.next():
        keyword, parent = word.upper(), above[-1] if above else -1
        if keyword == "}" and above:
            above.pop()
        elif keyword == ("JOINT" if above else "ROOT") and len(joints) < LARGEST_JOINTS:
            name = words.name()
            above.append(len(bones))
            bones.append(Bone(_parse_offset(words), parent, len(joints)))
            joints.append(Joint(name, _parse_channels(words)))
        elif keyword == "END" and above:
            words.expect("SITE")
            words.name()  # of no use, and not always there
            bones.append(Bone(_parse_offset(words), parent, -1))
            words.expect("}")
        else:
            raise words.error(f"{word[:40]!r} is not allowed there, or one of more than {LARGEST_JOINTS} joints")
    skeleton = Skeleton(tuple(joints), tuple(bones), text, encoding)
    if above or not skeleton.channels:
        raise words.error(f"{len(above)} closing braces are missing" if above else "the skeleton has no channels")
    return skeleton


def _parse_offset(words: _Words) -> tuple[float, ...]:
    words.expect("OFFSET")
    return tuple(words.number() for _ in range(3))


def _parse_channels(words: _Words) -> tuple[str, ...]:
    """The names of a joint's channels; its children follow."""
    if words.peek().upper() != "CHANNELS":  # a joint that never moves
        return ()
    words.expect("CHANNELS")
    count = words.number()
    names = [words.next().lower() for _ in range(int(count))] if count in range(7) else ["?"]
    if not set(names) <= set(KNOWN) or len(set(names)) != count:
        raise words.error(f"{' '.join(names)[:80]!r} are not 0 to 6 channels, each named once")
    return tuple(KNOWN[name] for name in names)


def _parse_motion(path: Path, lines: list[str], start: int, channels: int) -> tuple[np.ndarray, float]:
    """Frames [T, channels] and seconds per frame from the lines behind MOTION."""
    rows = [(number, line.strip()) for number, line in enumerate(lines[start:], start + 1) if line.strip()]

    def labelled(place: int, label: str) -> float:
        """The number behind the label of a row; NaN where there is no such row."""
        found = re.fullmatch(label, rows[place][1], re.IGNORECASE) if place < len(rows) else None
        return _number(found[1]) if found else math.nan

    count, frame_time = labelled(0, r"frames\s*:\s*(\S+)"), labelled(1, r"frame\s+time\s*:\s*(\S+)")
    if not (1 <= count < math.inf and 0 < frame_time < math.inf):
        raise BvhError(f"line {start + 1}: 'Frames:' with a count and 'Frame Time:' with seconds are missing")
    if count > len(rows) - 2 or count % 1:
        raise BvhError(f"line {rows[0][0]}: {count:g} frames are announced and {len(rows) - 2} follow")
    bounded(path, int(count) * channels, "cut it into shorter pieces")
    return _parse_frames(rows[2:], int(count), channels), frame_time


def _parse_frames(rows: list[tuple[int, str]], count: int, channels: int) -> np.ndarray:
    """Frames [count, channels] from numbered lines; each frame begins a line and may go on over several."""
    frames = np.empty((count, channels))
    values: list[float] = []
    complete = begin = 0
    for number, row in rows:
        begin = begin if values else number
        values += [_number(word) for word in row.split()]
        if len(values) > channels or not np.isfinite(values).all():
            where = f"line {number}" if begin == number else f"lines {begin} to {number}"
            raise BvhError(f"{where}: a frame of this skeleton has {channels} finite numbers")
        if len(values) == channels:
            if complete < count:
                frames[complete] = values
            complete, values = complete + 1, []
    if complete != count or values:
        short = f", the last of {len(values)} numbers instead of {channels}" if values else ""
        raise BvhError(f"line {rows[-1][0]}: {count} frames are announced and {complete + bool(values)} follow{short}")
    return frames


def write_bvh(path: Path, motion: Bvh) -> Path:
    """Write a BVH file with the hierarchy as it was read, atomically."""
    rows = "\n".join(" ".join(f"{value:.6f}" for value in frame) for frame in motion.frames)
    head = f"MOTION\nFrames: {len(motion.frames)}\nFrame Time: {motion.frame_time:.8g}\n"
    with atomic_write(path) as stream:
        stream.write(f"{motion.skeleton.text.rstrip()}\n{head}{rows}\n".encode(motion.skeleton.encoding))
    return path
