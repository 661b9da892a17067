"""How clearly a mesh encloses its inside."""

import numpy as np
import pytest
import trimesh

from modalities import find
from modalities.sdf import signed_distances
from signals import coordinates


@pytest.mark.parametrize(("missing", "warned"), [(0.0, False), (0.02, False), (0.3, True)])
def test_soups_are_warned_of(tmp_path, capfd, missing, warned):
    """A ball is closed; without some of its faces the solid angle it spans at its middle falls by their share."""
    ball = trimesh.creation.icosphere(subdivisions=3)
    ball.update_faces(np.random.default_rng(0).random(len(ball.faces)) >= missing)
    ball.export(tmp_path / "a.ply")
    find("geometry").load(tmp_path / "a.ply", resolution=24)
    assert ("does not enclose its inside clearly" in capfd.readouterr().err) is warned


def test_share_of_unclear_points_is_measured():
    """Two facing squares enclose what is between them more clearly in the middle than at the sides."""
    corners = np.array([[-0.8, -0.8], [0.8, -0.8], [0.8, 0.8], [-0.8, 0.8]])
    vertices = np.concatenate([np.insert(corners, 2, z, axis=1) for z in (-0.1, 0.1)])
    faces = np.array([[2, 1, 0], [3, 2, 0], [4, 5, 6], [4, 6, 7]])
    _, unclear = signed_distances(vertices, faces, 24)
    axis = coordinates(24)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    winding = np.abs(sum(solid_angle(vertices[face] - points[:, None]) for face in faces)) / (4 * np.pi)
    between = np.abs(winding - np.round(winding)) > 0.25
    assert 0.1 < unclear < 0.9
    assert unclear == pytest.approx(between.sum() / (between | (winding > 0.5)).sum(), abs=0.02)


def solid_angle(corners: np.ndarray) -> np.ndarray:
    """Of triangles [N, 3, 3] seen from the origin (Van Oosterom and Strackee 1983)."""
    a, b, c = np.moveaxis(corners, 1, 0)
    la, lb, lc = (np.linalg.norm(side, axis=-1) for side in (a, b, c))
    dots = [(one * other).sum(axis=-1) for one, other in ((a, b), (b, c), (c, a))]
    below = la * lb * lc + dots[0] * lc + dots[1] * la + dots[2] * lb
    return 2 * np.arctan2((a * np.cross(b, c)).sum(axis=-1), below)
