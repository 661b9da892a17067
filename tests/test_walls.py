"""Walls and loose sheets within a body are no part of its surface; pockets and soups are not taken for them."""

import numpy as np
import pytest
import trimesh
from mesh_cases import box_distance, obj_text

from modalities import find
from modalities.formats.meshes import read_mesh
from modalities.formats.winding import walls

GEOMETRY = find("geometry")
SHEET = [(0.0, -0.5, -0.5), (0.0, 0.5, -0.5), (0.0, 0.5, 0.5), (0.0, -0.5, 0.5)]
# A block from -1 to 1 along x in two halves, whose corners the sheet shares: the four sides of each, and its end.
BLOCK = [(x, y, z) for x in (-1.0, 1.0) for _, y, z in SHEET]
SIDES = [
    face
    for i in range(4)
    for face in ([i, 8 + i, 8 + (i + 1) % 4, (i + 1) % 4], [8 + i, 4 + i, 4 + (i + 1) % 4, 8 + (i + 1) % 4])
]
ENDS = [[0, 1, 2, 3], [7, 6, 5, 4]]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("size", [1.0, 0.6])
def test_a_wall_within_a_block_is_left_out_and_said(tmp_path, capsys, turned, size):
    """Across the whole block, where three faces meet on its rim, or loose."""
    sheet = np.array(SHEET) * size
    points, wall = [*BLOCK, *SHEET, *sheet], [8, 9, 10, 11] if size == 1 else [12, 13, 14, 15]
    (tmp_path / "a.obj").write_text(obj_text(points, [*SIDES, *ENDS, wall[:: -1 if turned else 1]]))
    signal = GEOMETRY.load(tmp_path / "a.obj", resolution=17)
    assert "a.obj has 2 faces of walls or sheets within its body" in capsys.readouterr().err
    axis = np.linspace(-1, 1, 17)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1) * signal.metadata.scale
    expected = box_distance(points, (-1, -0.5, -0.5), (1, 0.5, 0.5)) / signal.metadata.scale
    np.testing.assert_allclose(signal.values[..., 0], expected, atol=1e-6)


def test_a_pocket_of_its_own_faces_stays(tmp_path, capsys):
    """A deep hole whose rim shares no edge with the block around it: open, but with the outside on one side."""
    block = trimesh.creation.box((2, 2, 2)).subdivide().subdivide()
    lid = (block.triangles_center[:, 2] > 0.99) & (np.abs(block.triangles_center[:, :2]).max(axis=1) < 0.5)
    block.update_faces(~lid)
    pocket = trimesh.creation.box((0.99, 0.99, 1.6)).apply_translation((0, 0, 0.2))
    pocket.update_faces(pocket.triangles_center[:, 2] < 0.99)
    pocket.invert()
    (block + pocket).export(tmp_path / "a.ply")
    mesh = read_mesh(tmp_path / "a.ply")
    assert len(mesh.faces) == len(block.faces) + len(pocket.faces)
    assert capsys.readouterr().err == ""


def test_pieces_of_a_soup_are_no_walls():
    rng = np.random.default_rng(0)
    ball = trimesh.creation.icosphere(subdivisions=3)  # at which 246 of them have a clear inside on both sides
    points = (ball.triangles + rng.normal(0, 0.05, (len(ball.faces), 1, 3))).reshape(-1, 3)
    faces = np.arange(len(points)).reshape(-1, 3)
    assert not walls(points, faces, faces).any()
