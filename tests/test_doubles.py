"""Faces that are there twice: copies, back sides, and walls between bodies that touch."""

import numpy as np
import pytest
import trimesh
from mesh_cases import FACES, POINTS, VOLUME, box_distance, measures, obj_text

from modalities import find
from modalities.formats.doubles import single_faces
from modalities.formats.meshes import read_mesh

GEOMETRY = find("geometry")


def ball() -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=2)


def read(tmp_path, vertices, faces) -> tuple[float, float]:
    trimesh.Trimesh(vertices, faces, process=False).export(tmp_path / "a.ply")
    mesh = read_mesh(tmp_path / "a.ply")
    return measures(mesh.vertices, mesh.faces)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("apart", [False, True])
def test_a_ball_with_doubled_faces_is_a_ball(tmp_path, capfd, share, turned, apart):
    """Copies either way round, of the same vertices or of others at the same places, first or last in the file."""
    rng, plain = np.random.default_rng(4), ball()
    copies = plain.faces[rng.random(len(plain.faces)) < share]
    copies = (copies[:, ::-1] if turned else np.roll(copies, 1, axis=1)) + apart * len(plain.vertices)
    faces = rng.permutation(np.concatenate([copies, plain.faces]))
    found = read(tmp_path, np.concatenate([plain.vertices] * 2), faces)
    assert found == pytest.approx((plain.volume, plain.area))
    assert f"a.ply has faces twice; {len(copies)} of {len(faces)} were left out" in capfd.readouterr().err


def test_concave_faces_are_doubled_alike(tmp_path):
    copies = [face[::-1] for face in FACES]
    (tmp_path / "a.obj").write_text(obj_text(POINTS, FACES + copies))
    mesh = read_mesh(tmp_path / "a.obj")
    assert measures(mesh.vertices, mesh.faces)[0] == pytest.approx(VOLUME)


def grid_of_boxes(*counts: int) -> tuple[np.ndarray, list]:
    """Vertices and quads of boxes of 1 x 1 x 1 side by side, each with all of its six."""
    quads = []
    for axis in range(3):
        one, other = np.eye(3, dtype=int)[[(axis + 1) % 3, (axis + 2) % 3]]
        side = np.array([np.zeros(3, int), one, one + other, other])
        quads += [side[::-1], side + np.eye(3, dtype=int)[axis]]
    corners = (np.argwhere(np.ones(counts))[:, None, None] + np.array(quads)).reshape(-1, 3)
    return corners, np.arange(len(corners)).reshape(-1, 4).tolist()


@pytest.mark.parametrize("counts", [(2, 1, 1), (3, 1, 1), (2, 2, 1), (2, 2, 2), (3, 3, 3)])
def test_boxes_that_touch_are_one_body(tmp_path, counts):
    (tmp_path / "a.obj").write_text(obj_text(*grid_of_boxes(*counts)))
    mesh = read_mesh(tmp_path / "a.obj")
    assert measures(mesh.vertices, mesh.faces)[0] == pytest.approx(np.prod(counts))
    signal = GEOMETRY.load(tmp_path / "a.obj", resolution=16)
    axis = np.linspace(-1, 1, 16)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    points = points * signal.metadata.scale + signal.metadata.centre
    expected = box_distance(points, (0, 0, 0), counts) / signal.metadata.scale
    np.testing.assert_array_equal(signal.values[..., 0] < 0, expected < 0)
    np.testing.assert_allclose(signal.values[..., 0][expected > 0], expected[expected > 0], atol=1e-6)
    if counts != (3, 3, 3):  # walls that meet no outer face stay, and cancel
        np.testing.assert_allclose(signal.values[..., 0], expected, atol=1e-6)


def test_faces_without_area_go():
    corners = np.array([[0, 1, 2], [0, 0, 1], [2, 2, 2], [2, 1, 3], [3, 1, 3]])
    np.testing.assert_array_equal(single_faces(corners), [0, 3])


def test_a_mesh_without_doubles_is_whole():
    np.testing.assert_array_equal(single_faces(ball().faces), np.arange(len(ball().faces)))
