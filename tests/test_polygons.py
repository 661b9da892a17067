"""Faces of many corners are cut inside of themselves."""

import numpy as np
import pytest
from mesh_cases import AREA, FACES, POINTS, VOLUME, measures

from modalities.formats.polygons import Polygons, check_corners, triangulated


def cut(points, faces: list) -> tuple[np.ndarray, int]:
    corners = np.array([corner for face in faces for corner in face])
    return triangulated(Polygons(np.asarray(points, float), corners, np.array([len(face) for face in faces])))


def test_concave_faces_keep_area_volume_and_orientation_in_any_plane():
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    for start in range(6):
        faces = [np.roll(face, start).tolist() for face in FACES]
        triangles, crossed = cut(POINTS @ turn.T + [10, 20, -5], faces)
        assert measures(POINTS, triangles) == pytest.approx((VOLUME, AREA))
        assert (len(triangles), crossed) == (20, 0)


def test_no_triangle_of_a_concave_quad_reaches_outside():
    points = np.array([[0, 0, 0], [4, 0, 0], [1, 1, 0], [0, 4, 0]])  # an arrow head, its notch at (1, 1)
    for start in range(4):
        triangles, _ = cut(points, [np.roll(range(4), start).tolist()])
        assert {frozenset(t) for t in triangles.tolist()} == {frozenset({0, 1, 2}), frozenset({0, 2, 3})}
        assert measures(points, triangles)[1] == pytest.approx(4.0)


def test_a_ring_with_a_bridge_leaves_its_hole():
    points = np.array([(0, 0), (4, 0), (4, 4), (0, 4), (1, 1), (1, 3), (3, 3), (3, 1)]) @ np.eye(2, 3)
    triangles, crossed = cut(points, [[0, 1, 2, 3, 0, 4, 5, 6, 7, 4]])
    assert measures(points, triangles)[1] == pytest.approx(12.0)
    assert not ((points[triangles].mean(axis=1)[:, :2] > 1) & (points[triangles].mean(axis=1)[:, :2] < 3)).all(1).any()
    assert crossed == 0


def test_corners_on_a_straight_side_stay_corners():
    points = [(0, 0, 0), (1, 0, 0), (2, 0, 0), (2, 2, 0), (0, 2, 0), (1, 1, 0)]
    triangles, _ = cut(points, [[0, 1, 2, 3, 4, 5]])
    assert set(triangles.reshape(-1)) == set(range(6))
    assert measures(np.array(points, float), triangles)[1] == pytest.approx(3.0)


def test_faces_that_cross_themselves_are_counted():
    points = [(0, 0, 0), (4, 4, 0), (4, 0, 0), (0, 3, 0), (1, 0, 1), (0, 1, 1), (2, 0, 1)]
    assert cut(points, [[0, 1, 2, 3], [4, 5, 6]])[1] == 1


def test_copies_of_a_face_are_cut_alike():
    """Also where they begin elsewhere, run the other way round, or name other points at the same places."""
    bent = np.array([(0, 0, 0), (2, 0, 0.1), (2, 2, 0), (0, 2, 0.1)])
    triangles, _ = cut(np.concatenate([bent, bent]), [[0, 1, 2, 3], [6, 5, 4, 7]])
    first, second = (sorted(sorted(t) for t in part.tolist()) for part in (triangles[:2] % 4, triangles[2:] % 4))
    assert first == second
    areas = [np.cross(bent[t[1]] - bent[t[0]], bent[t[2]] - bent[t[0]])[2] for t in triangles % 4]
    assert np.sign(areas).tolist() == [1, 1, -1, -1]


def test_faces_of_fewer_than_three_corners_are_none():
    assert len(cut(POINTS, [[0], [1, 2], []])[0]) == 0


def test_corners_name_points():
    for wrong in (-1, len(POINTS)):
        with pytest.raises(ValueError, match="has faces whose vertices are missing"):
            check_corners(POINTS, np.array([0, 1, wrong]))
    with pytest.raises(ValueError, match="has no triangles"):
        check_corners(POINTS, np.zeros((0, 3), int))
