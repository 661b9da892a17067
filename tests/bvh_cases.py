"""Motion of one joint as BVH text."""

import numpy as np

HEAD = "HIERARCHY\nROOT A\n{{\nOFFSET 0 0 0\nCHANNELS {channels}\nEnd Site\n{{\nOFFSET 0 1 0\n}}\n}}\n"


def bvh(channels: str, frames: np.ndarray, frame_time: str = "0.02") -> str:
    rows = "\n".join(" ".join(f"{value:.5f}" for value in row) for row in frames)
    return f"{HEAD.format(channels=channels)}MOTION\nFrames: {len(frames)}\nFrame Time: {frame_time}\n{rows}\n"
