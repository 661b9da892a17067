"""Where the joints of a skeleton are: its offsets and rotations multiplied from the root on (forward kinematics)."""

from dataclasses import dataclass

import numpy as np

from modalities.formats.bvh import POSITIONS, ROTATIONS, Bvh, Skeleton


@dataclass(frozen=True)
class Bones:
    """The offset [J, 3] of every joint and end site from its parent (-1: a root), and the joint it is (-1: an end)."""

    offsets: np.ndarray
    parents: tuple[int, ...]
    joints: tuple[int, ...]


def bones_of(skeleton: Skeleton) -> Bones:
    """The bones in a HIERARCHY text that has been read before."""
    offsets: list[list[float]] = []
    parents: list[int] = []
    joints: list[int] = []
    open_bones: list[int] = []
    count = 0
    words = skeleton.text.replace("{", " { ").replace("}", " } ").split()
    for place, word in enumerate(words):
        if word == "{":
            end = next((w.upper() for w in reversed(words[:place]) if w.upper() in ("ROOT", "JOINT", "SITE")), "")
            parents.append(open_bones[-1] if open_bones else -1)
            joints.append(-1 if end == "SITE" else count)
            count += end != "SITE"
            open_bones.append(len(offsets))
            offsets.append([0.0, 0.0, 0.0])
        elif word == "}":
            open_bones.pop()
        elif word.upper() == "OFFSET" and open_bones:
            offsets[open_bones[-1]] = [float(number) for number in words[place + 1 : place + 4]]
    return Bones(np.array(offsets), tuple(parents), tuple(joints))


def joint_places(motion: Bvh) -> np.ndarray:
    """Positions [T, J, 3] of all joints and end sites, in the file's units."""
    bones = bones_of(motion.skeleton)
    firsts = np.cumsum([0, *(len(joint.channels) for joint in motion.skeleton.joints)])
    count = len(motion.frames)
    places = np.zeros((count, len(bones.parents), 3))
    turns = np.zeros((count, len(bones.parents), 3, 3))
    for bone, (parent, joint) in enumerate(zip(bones.parents, bones.joints, strict=True)):
        local, turn = np.tile(bones.offsets[bone], (count, 1)), np.tile(np.eye(3), (count, 1, 1))
        for number, channel in enumerate(motion.skeleton.joints[joint].channels if joint >= 0 else ()):
            values = motion.frames[:, firsts[joint] + number]
            if channel in POSITIONS:
                # Positions are given instead of the offset, not beside it.
                local[:, POSITIONS.index(channel)] = values
            else:
                turn = turn @ about(ROTATIONS.index(channel), np.deg2rad(values))
        if parent < 0:
            places[:, bone], turns[:, bone] = local, turn
        else:
            places[:, bone] = places[:, parent] + np.einsum("tij,tj->ti", turns[:, parent], local)
            turns[:, bone] = turns[:, parent] @ turn
    return places


def about(axis: int, angles: np.ndarray) -> np.ndarray:
    """Rotations [T, 3, 3] about a coordinate axis by angles [T] in radians."""
    turn = np.tile(np.eye(3), (len(angles), 1, 1))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    turn[:, i, i] = turn[:, j, j] = np.cos(angles)
    turn[:, j, i], turn[:, i, j] = np.sin(angles), -np.sin(angles)
    return turn
