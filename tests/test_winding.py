"""Meshes whose faces do not agree which side is outside still have their inside."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from mesh_cases import measures

from modalities import find
from modalities.formats.meshes import read_mesh
from modalities.formats.winding import oriented_faces

GEOMETRY = find("geometry")
ROOT = Path(__file__).resolve().parent.parent


def ball(radius: float = 1.0, x: float = 0.0) -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=2, radius=radius).apply_translation([x, 0, 0])


def flipped(mesh: trimesh.Trimesh, share: float, seed: int = 0) -> trimesh.Trimesh:
    """A mesh in which chance has turned a share of the faces round."""
    turned = np.random.default_rng(seed).random(len(mesh.faces)) < share
    faces = np.where(turned[:, None], mesh.faces[:, ::-1], mesh.faces)
    return trimesh.Trimesh(mesh.vertices, faces, process=False)


def inside(mesh: trimesh.Trimesh, path: Path) -> np.ndarray:
    mesh.export(path)
    return GEOMETRY.load(path, resolution=20).values < 0


@pytest.mark.parametrize("extension", [".ply", ".stl"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1.0])
def test_flipped_faces_do_not_change_the_shape(tmp_path, extension, share):
    path = tmp_path / f"ball{extension}"
    wanted = inside(ball(), path)
    assert wanted.mean() > 0.2
    np.testing.assert_array_equal(inside(flipped(ball(), share), path), wanted)


@pytest.mark.parametrize("seed", range(2))
def test_bodies_in_disorder_are_turned_outwards_where_they_overlap(tmp_path, seed):
    path = tmp_path / "balls.ply"
    wanted = inside(ball() + ball(x=0.8), path)
    found = inside(flipped(ball(), 0.5, seed) + flipped(ball(x=0.8), 0.5, seed + 9), path)
    np.testing.assert_array_equal(found, wanted)


def test_a_cavity_with_some_flipped_faces_stays_one(tmp_path):
    hollow = ball(0.5)
    hollow.invert()
    wanted = inside(ball() + hollow, tmp_path / "shell.ply")
    assert not wanted[10, 10, 10]
    np.testing.assert_array_equal(inside(flipped(ball() + hollow, 0.1), tmp_path / "shell.ply"), wanted)


def shells(*bodies: tuple[float, float, bool]) -> trimesh.Trimesh:
    """Balls of (radius, x, inwards), one after the other."""
    balls = []
    for radius, x, inwards in bodies:
        balls.append(ball(radius, x))
        if inwards:
            balls[-1].invert()
    return sum(balls[1:], balls[0])


IN, OUT = True, False


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("bodies", "volume"),
    [
        ([(1, 0, IN)], 1),
        ([(1, 0, OUT), (1, 3, IN)], 2),  # apart
        ([(1, 0, OUT), (1, 0.8, IN)], 2),  # overlapping: neither is inside the other
        ([(1, 0, OUT), (0.5, 0, IN)], 1 - 1 / 8),  # a cavity
        ([(1, 0, IN), (0.5, 0, OUT)], 1 - 1 / 8),  # the same, inside out
        ([(1, 0, IN), (0.5, 0, IN)], 1 + 1 / 8),  # a kernel
        ([(1, 0, OUT), (0.5, 0, IN), (0.25, 0, OUT)], 1 - 1 / 8 + 1 / 64),
        ([(1, 0, IN), (0.5, 0, OUT), (0.25, 0, IN), (1, 3, IN)], 1 - 1 / 8 + 1 / 64 + 1),
        ([(0.25, 3, IN), (0.5, 0, IN), (1, 0, OUT), (0.3, 0.6, OUT)], 1 / 64 - 1 / 8 + 1 + 0.027),
    ],
)
def test_bodies_are_oriented_outwards_unless_nested(tmp_path, bodies, volume, turned):
    mesh = shells(*(bodies[::-1] if turned else bodies))
    mesh.export(tmp_path / "a.ply")
    found = read_mesh(tmp_path / "a.ply")
    assert measures(found.vertices, found.faces)[0] == pytest.approx(volume * ball().volume)


@pytest.mark.parametrize(("height", "flips"), [(0.9, True), (0.0, False)])
def test_bodies_with_small_holes_are_closed_and_half_balls_are_not(height, flips):
    open_ball = trimesh.creation.icosphere(subdivisions=3)
    open_ball.update_faces(open_ball.triangles_center[:, 2] < height)
    faces = open_ball.faces[:, ::-1]
    found = oriented_faces(open_ball.vertices, faces, faces)
    np.testing.assert_array_equal(found, open_ball.faces if flips else faces)


def test_the_waist_of_a_ring_is_left_as_it_is():
    """Open on both sides, it would count as inside out about its own middle."""
    ring = trimesh.creation.torus(1.0, 0.4)
    ring.update_faces(np.linalg.norm(ring.triangles_center[:, :2], axis=1) < 1)
    np.testing.assert_array_equal(oriented_faces(ring.vertices, ring.faces, ring.faces), ring.faces)


def moebius(count: int = 20) -> tuple[np.ndarray, np.ndarray]:
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    rims = [np.stack([(1 + w * np.cos(angle / 2)) * np.cos(angle), (1 + w * np.cos(angle / 2)) * np.sin(angle),
                      w * np.sin(angle / 2)], axis=1) for w in (-0.3, 0.3)]  # fmt: skip
    low, high = np.arange(count), count + np.arange(count)
    next_low, next_high = np.append(low[1:], high[0]), np.append(high[1:], low[0])
    faces = np.concatenate([np.stack([low, next_low, high], 1), np.stack([high, next_low, next_high], 1)])
    return np.concatenate(rims), faces


def fan() -> tuple[np.ndarray, np.ndarray]:
    """Three faces on one edge."""
    return np.array([[0, 0, 0], [0, 0, 1], [1, 0, 0], [-1, 1, 0], [-1, -1, 0.0]]), np.array(
        [[0, 1, k] for k in (2, 3, 4)]
    )


def with_degenerate_faces() -> tuple[np.ndarray, np.ndarray]:
    box = trimesh.creation.box()
    return box.vertices, np.vstack([box.faces, box.faces[:1, [0, 0, 1]], box.faces[:1, [2, 2, 2]]])


@pytest.mark.parametrize("make", [moebius, fan, with_degenerate_faces])
def test_surfaces_without_two_sides_are_left_as_they_are(make):
    vertices, faces = make()
    np.testing.assert_array_equal(oriented_faces(vertices, faces, faces), faces)


def test_a_mesh_in_order_is_untouched():
    path = ROOT / "data" / "raw" / "geometry" / "armadillo.off"
    np.testing.assert_array_equal(read_mesh(path).faces, trimesh.load(path, process=False).faces)
