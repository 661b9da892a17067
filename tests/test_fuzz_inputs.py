"""Random motion files, meshes, maps and command-line numbers: a value or one sentence, never a traceback."""

import io
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import trimesh

from evaluation.kernels import numbers
from evaluation.maps import read_map
from modalities import find

INPUTS = 500
BVH = b"""HIERARCHY
ROOT hip
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT knee
  {
    OFFSET 0 -1 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 -1 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.0083
0 0 0 1 2 3 4 5 6
0 0 0 2 3 4 5 6 7
"""
WORDS = [
    b"1e999",
    b"-1",
    b"nan",
    b"{",
    b"}",
    b"ROOT",
    b"CHANNELS 99999999",
    b"Frames: 4000000000",
    b"\x00",
    b"End",
    b"\xe9",
    b"f 1 2 99",
]


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """`data` with a few bytes changed, cut, doubled or replaced by words that parsers trip over."""
    found = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        place = int(rng.integers(0, max(len(found), 1)))
        match int(rng.integers(0, 4)):
            case 0:
                found[place : place + 1] = bytes([int(rng.integers(0, 256))])
            case 1:
                del found[place : place + int(rng.integers(1, 40))]
            case 2:
                found[place:place] = found[place : place + int(rng.integers(1, 60))]
            case _:
                found[place:place] = b" " + WORDS[int(rng.integers(len(WORDS)))] + b" "
    return bytes(found)


def one_sentence(error: Exception) -> bool:
    return isinstance(error, ValueError | FileNotFoundError) and 0 < len(str(error)) < 600 and "\n" not in str(error)


def test_mutated_motion_files(tmp_path: Path) -> None:
    rng, path, load = np.random.default_rng(0), tmp_path / "walk.bvh", find("motion").load
    path.write_bytes(BVH)
    assert load(path).shape == (2,)
    refused = 0
    for _ in range(INPUTS):
        path.write_bytes(mutated(BVH, rng))
        try:
            assert np.isfinite(load(path).values).all()
        except (ValueError, FileNotFoundError) as error:
            assert one_sentence(error)
            refused += 1
    assert 0 < refused < INPUTS


@pytest.mark.parametrize("kind", ["obj", "off", "ply", "stl", "stl_ascii", "glb"])
def test_mutated_meshes(kind: str, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    rng, path, load = np.random.default_rng(3), tmp_path / f"box.{kind[:3]}", find("geometry").load
    data = trimesh.creation.box((8, 4, 2)).export(file_type=kind)
    data = data.encode() if isinstance(data, str) else data
    refused = 0
    for _ in range(INPUTS // 4):
        path.write_bytes(mutated(data, rng))
        try:
            assert np.isfinite(load(path, resolution=4).values).all()
        except ValueError as error:
            assert one_sentence(error) and "box." in str(error)
            refused += 1
    assert refused > 0
    shown = capfd.readouterr()
    assert not shown.out
    assert all(line.startswith("warning: ") for line in shown.err.splitlines())  # what the parser logs is not shown


@pytest.mark.parametrize("kind", ["npy", "png"])
def test_mutated_maps(kind: str, tmp_path: Path) -> None:
    rng, path, stream = np.random.default_rng(1), tmp_path / f"map.{kind}", io.BytesIO()
    values = np.linspace(0, 1, 48).reshape(6, 8)
    if kind == "npy":
        np.save(stream, values)
    else:
        stream.write(iio.imwrite("<bytes>", (255 * values).astype(np.uint8), extension=".png"))
    path.write_bytes(stream.getvalue())
    assert read_map(path, 2, 2).shape == (6, 8, 1)
    refused = 0
    for _ in range(INPUTS):
        path.write_bytes(mutated(stream.getvalue(), rng))
        try:
            found = read_map(path, 2, 2)
        except (ValueError, FileNotFoundError) as error:
            assert one_sentence(error)
            refused += 1
        else:
            assert 0 <= found.min() <= found.max() <= 1
    assert refused > 0


def test_numbers_of_the_command_line() -> None:
    rng, letters = np.random.default_rng(2), list("0123456789.,-+eE naif_x\u0665")
    accepted = 0
    for _ in range(INPUTS):
        text = "".join(rng.choice(letters, size=int(rng.integers(0, 8))))
        try:
            found = numbers(text, 2, "--kernel_scale")
        except ValueError as error:
            assert "--kernel_scale" in str(error)
        else:
            assert len(found) == 2
            assert all(np.isfinite(value) and value > 0 for value in found)
            accepted += 1
    assert accepted > 0
