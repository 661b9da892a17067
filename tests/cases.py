"""A small signal of every modality, as a file."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import soundfile
import trimesh

from modalities import Modality, find
from modalities.formats.clips import write_clip

BVH = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
  JOINT Knee
  {
    OFFSET 0 -1 0
    CHANNELS 3 Zrotation Yrotation Xrotation
    End Site
    {
      OFFSET 0 -1 0
    }
  }
}
"""


@dataclass(frozen=True)
class Case:
    """A file of a modality, options to load it with, and the shape that must come of it."""

    modality: Modality
    path: Path
    options: dict
    shape: tuple[int, ...]


def smooth(*shape: int) -> np.ndarray:
    """Values in [0, 1] without symmetry, over `shape`."""
    grid = np.meshgrid(*[np.linspace(0, 1, count) for count in shape], indexing="ij")
    return 0.5 + 0.5 * np.sin(sum((3 + 2 * i) * axis for i, axis in enumerate(grid)))


def make_case(name: str, folder: Path) -> Case:
    """Write a small signal of the modality `name` into `folder`."""
    if name == "image":
        path = folder / "image.png"
        cv2.imwrite(str(path), (255 * smooth(9, 14, 3)).astype(np.uint8))
        return Case(find(name), path, {}, (9, 14, 3))
    if name == "geometry":
        path = folder / "ball.ply"
        trimesh.creation.icosphere(subdivisions=2, radius=3.0).apply_translation([10, 0, 0]).export(path)
        return Case(find(name), path, {"resolution": 16}, (16, 16, 16, 1))
    if name == "video":
        frames = np.moveaxis((255 * smooth(16, 24, 3, 5)).astype(np.uint8), -1, 0)
        path = write_clip(folder / "clip.mp4", frames, 12.5)
        return Case(find(name), path, {}, (16, 24, 5, 3))
    if name == "audio":
        path = folder / "sound.wav"
        soundfile.write(path, smooth(900, 2) - 0.5, 8000, subtype="FLOAT")
        return Case(find(name), path, {"window": 100, "halo": 20}, (10, 100, 2))
    if name == "series":
        path = folder / "table.csv"
        rows = np.column_stack([0.5 * np.arange(30), 20 * smooth(30, 2) - 5])
        np.savetxt(path, rows, "%.6f", ";", header="time;left;right", comments="")
        return Case(find(name), path, {}, (30, 2))
    path = folder / "walk.bvh"
    rows = "\n".join(" ".join(f"{value:.4f}" for value in row) for row in 300 * smooth(20, 9) - 150)
    path.write_text(f"{BVH}MOTION\nFrames: 20\nFrame Time: 0.01\n{rows}\n")
    return Case(find(name), path, {}, (20, 15))
