"""Where the joints of a skeleton are: its offsets and rotations multiplied from the root on (forward kinematics)."""

import numpy as np

from modalities.formats.bvh import POSITIONS, Bvh


def joint_places(motion: Bvh) -> np.ndarray:
    """Positions [T, J, 3] of all joints and end sites, in the file's units."""
    from scipy.spatial.transform import Rotation

    joints, bones = motion.skeleton.joints, motion.skeleton.bones
    firsts = np.cumsum([0, *(len(joint.channels) for joint in joints)])
    count = len(motion.frames)
    places = np.zeros((count, len(bones), 3))
    turns = np.zeros((count, len(bones), 3, 3))
    for number, bone in enumerate(bones):
        local, turn = np.tile(bone.offset, (count, 1)), np.tile(np.eye(3), (count, 1, 1))
        for source, channel in enumerate(joints[bone.joint].channels if bone.joint >= 0 else (), firsts[bone.joint]):
            values = motion.frames[:, source]
            if channel in POSITIONS:
                # Positions are given instead of the offset, not beside it.
                local[:, POSITIONS.index(channel)] = values
            else:
                turn = turn @ Rotation.from_euler(channel[0], values[:, None], degrees=True).as_matrix()
        if bone.parent < 0:
            places[:, number], turns[:, number] = local, turn
        else:
            places[:, number] = places[:, bone.parent] + np.einsum("tij,tj->ti", turns[:, bone.parent], local)
            turns[:, number] = turns[:, bone.parent] @ turn
    return places
