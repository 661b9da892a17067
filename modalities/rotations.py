"""A skeleton's channels as numbers that may be averaged, without a jump where an angle passes 180 degrees.

A joint with three rotation channels becomes the first two columns of its rotation matrix (6 numbers; Zhou et al.,
'On the Continuity of Rotation Representations in Neural Networks', 2019): continuous everywhere, with no double cover
as quaternions have, and made a rotation again by Gram-Schmidt after any filter. Single rotation channels become
the cosine and sine of their angle; positions stay as they are.

T frames, N channels of the file, C numbers here.
"""

import warnings
from dataclasses import dataclass

import numpy as np

from modalities.formats.bvh import ROTATIONS, Skeleton


@dataclass(frozen=True)
class Part:
    """Channels of the file (`sources`) that become the numbers from `first` on; `axes` 'ZYX' for a whole rotation."""

    kind: str
    sources: tuple[int, ...]
    first: int
    axes: str = ""

    @property
    def width(self) -> int:
        """How many numbers it becomes."""
        return {"rotation": 6, "angle": 2, "position": 1}[self.kind]


def parts_of(skeleton: Skeleton) -> tuple[Part, ...]:
    """How the channels of a skeleton are represented, in the file's order."""
    parts: list[Part] = []
    source = 0
    for joint in skeleton.joints:
        turns = [source + i for i, name in enumerate(joint.channels) if name in ROTATIONS]
        axes = "".join(name[0] for name in joint.channels if name in ROTATIONS)
        for i, name in enumerate(joint.channels, start=source):
            first = parts[-1].first + parts[-1].width if parts else 0
            if len(turns) != 3:
                parts.append(Part("angle" if name in ROTATIONS else "position", (i,), first))
            elif i == turns[0]:
                parts.append(Part("rotation", tuple(turns), first, axes))
            elif name not in ROTATIONS:
                parts.append(Part("position", (i,), first))
        source += len(joint.channels)
    return tuple(parts)


def encode(frames: np.ndarray, parts: tuple[Part, ...]) -> np.ndarray:
    """Channels [T, N] (degrees) as numbers [T, C]."""
    from scipy.spatial.transform import Rotation

    columns = []
    for part in parts:
        values = frames[:, list(part.sources)]
        if part.kind == "rotation":
            # Capital letters: about the axes as turned so far, the order in which BVH lists them.
            matrices = Rotation.from_euler(part.axes, values, degrees=True).as_matrix()
            columns.append(matrices[:, :, :2].transpose(0, 2, 1).reshape(len(frames), 6))
        elif part.kind == "angle":
            columns.append(np.concatenate([np.cos(np.radians(values)), np.sin(np.radians(values))], axis=1))
        else:
            columns.append(values)
    return np.concatenate(columns, axis=1)


def decode(
    numbers: np.ndarray,
    parts: tuple[Part, ...],
    channels: int,
    near: np.ndarray | None = None,
    first: np.ndarray | None = None,
) -> np.ndarray:
    """Numbers [T, C] as channels [T, N] (degrees): of the Euler angles of one rotation those nearest to `near` [T, N],
    or, without it, to the frame before, and in the first frame to `first` [N] where it is known."""
    frames = np.zeros((len(numbers), channels))
    for part in parts:
        values = numbers[:, part.first : part.first + part.width]
        if part.kind == "rotation":
            frames[:, list(part.sources)] = _euler(matrices_of(values), part.axes)
        elif part.kind == "angle":
            frames[:, part.sources[0]] = np.degrees(np.arctan2(values[:, 1], values[:, 0]))
        else:
            frames[:, part.sources[0]] = values[:, 0]
    for kind, nearest, size in (("rotation", _nearest, 3), ("angle", _turned, 1)):
        turns = np.array([part.sources for part in parts if part.kind == kind], int).reshape(-1, size)
        if near is not None:
            frames[:, turns] = nearest(frames[:, turns], near[:, turns])
        elif turns.size:
            before = (frames[0] if first is None else first)[turns]
            for frame in frames:
                frame[turns] = before = nearest(frame[turns], before)
    return frames


def matrices_of(values: np.ndarray) -> np.ndarray:
    """Rotation matrices [T, 3, 3] nearest in their first column to two columns [T, 6] (Gram-Schmidt)."""
    first = _unit(values[:, :3], np.array([1.0, 0.0, 0.0]))
    second = values[:, 3:] - (values[:, 3:] * first).sum(axis=1, keepdims=True) * first
    # Parallel columns leave the direction across the first open.
    across = np.eye(3)[np.abs(first).argmin(axis=1)]
    second = _unit(second, across - (across * first).sum(axis=1, keepdims=True) * first)
    second = _unit(second, second)
    return np.stack([first, second, np.cross(first, second)], axis=-1)


def _unit(vectors: np.ndarray, fallback: np.ndarray) -> np.ndarray:
    """Vectors [T, 3] of length 1; the fallback where they have none."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(lengths > 1e-9, vectors / np.maximum(lengths, 1e-9), fallback)


def _euler(matrices: np.ndarray, axes: str) -> np.ndarray:
    """Euler angles [T, 3] in degrees, the middle one within +-90."""
    from scipy.spatial.transform import Rotation

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Gimbal lock")
        return Rotation.from_matrix(matrices).as_euler(axes, degrees=True)


def _turned(angles: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Angles in degrees, changed by whole turns to lie as near to `near` as possible."""
    return angles + 360 * np.round((near - angles) / 360)


def _nearest(angles: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Euler angles [..., 3] in degrees, each triple replaced by its equal nearest to `near` [..., 3].

    (a + 180, 180 - b, c + 180) is the same rotation as (a, b, c), and so is every whole turn more or less.
    """
    other = np.stack([angles[..., 0] + 180, 180 - angles[..., 1], angles[..., 2] + 180], axis=-1)
    one, other = _turned(angles, near), _turned(other, near)
    nearer = np.abs(other - near).sum(axis=-1) < np.abs(one - near).sum(axis=-1)
    return np.where(nearer[..., None], other, one)


def angle_errors(numbers: np.ndarray, truth: np.ndarray, parts: tuple[Part, ...]) -> np.ndarray:
    """Degrees [T, J] by which each joint with rotations is turned away from the truth."""
    errors = []
    for part in parts:
        ours, theirs = (values[:, part.first : part.first + part.width] for values in (numbers, truth))
        if part.kind == "rotation":
            # |R - R'| = 2 sqrt(2) sin(angle / 2): exact for small angles, where the trace is not.
            apart = np.linalg.norm(matrices_of(ours) - matrices_of(theirs), axis=(1, 2))
            errors.append(np.degrees(2 * np.arcsin(np.clip(apart / np.sqrt(8), 0, 1))))
        elif part.kind == "angle":
            turned = np.arctan2(ours[:, 1], ours[:, 0]) - np.arctan2(theirs[:, 1], theirs[:, 0])
            errors.append(np.degrees(np.abs((turned + np.pi) % (2 * np.pi) - np.pi)))
    return np.stack(errors, axis=1) if errors else np.zeros((len(numbers), 0))
