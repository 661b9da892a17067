"""Shapes: signed distances against closed forms, odd meshes, surfaces that other programs read."""

import numpy as np
import pytest
import trimesh

from modalities import find
from modalities.formats.meshes import Mesh, write_mesh
from modalities.geometry import GeometryMetadata
from modalities.render import Camera, render
from modalities.sdf import chamfer, extract_surface, signed_distances
from signals import coordinates

GEOMETRY = find("geometry")


def grid_points(count: int) -> np.ndarray:
    axis = coordinates(count)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)


def box_distance(points: np.ndarray, half: np.ndarray) -> np.ndarray:
    """The signed distance of a box about the origin."""
    apart = np.abs(points) - half
    return np.linalg.norm(np.maximum(apart, 0), axis=-1) + np.minimum(apart.max(axis=-1), 0)


def written(tmp_path, mesh: trimesh.Trimesh, name: str = "mesh.ply"):
    mesh.export(tmp_path / name)
    return tmp_path / name


@pytest.mark.parametrize("extension", [".ply", ".obj", ".off", ".stl"])
def test_box_has_its_distances_in_axis_order(tmp_path, extension):
    path = written(tmp_path, trimesh.creation.box((8, 4, 2)).apply_translation([5, -3, 100]), f"box{extension}")
    signal = GEOMETRY.load(path, resolution=20)
    expected = box_distance(grid_points(20), np.array([0.8, 0.4, 0.2]))
    np.testing.assert_allclose(signal.values[..., 0], expected, atol=1e-5)
    assert signal.metadata.scale == pytest.approx(5.0)
    np.testing.assert_allclose(signal.metadata.centre, [5, -3, 100], atol=1e-5)


def test_inverted_and_several_bodies_have_their_insides(tmp_path):
    left, right = (trimesh.creation.box((2, 2, 2)).apply_translation([x, 0, 0]) for x in (-3, 3))
    left.invert()
    signal = GEOMETRY.load(written(tmp_path, left + right), resolution=24)
    points = grid_points(24)
    expected = np.minimum(*(box_distance(points - [x, 0, 0], np.full(3, 0.2)) for x in (-0.6, 0.6)))
    np.testing.assert_allclose(signal.values[..., 0], expected, atol=1e-5)


def test_mesh_with_a_hole_keeps_its_inside(tmp_path):
    ball = trimesh.creation.icosphere(subdivisions=3)
    ball.update_faces(ball.triangles_center[:, 2] < 0.9)
    assert not ball.is_watertight
    grid = GEOMETRY.load(written(tmp_path, ball), resolution=24).values[..., 0]
    radius = np.linalg.norm(grid_points(24), axis=-1)
    low = grid_points(24)[..., 2] < 0.5
    assert (grid[low & (radius < 0.75)] < 0).all()
    assert (grid[low & (radius > 0.85)] > 0).all()


def test_non_manifold_and_degenerate_faces_do_no_harm(tmp_path):
    box = trimesh.creation.box((2, 2, 2))
    vertices = np.vstack([box.vertices, [[5, 5, 5]]])  # a vertex no face names does not move the frame
    faces = np.vstack([box.faces, box.faces[:1, [0, 0, 1]], box.faces[:1, [2, 2, 2]]])
    path = written(tmp_path, trimesh.Trimesh(vertices, faces, process=False))
    np.testing.assert_allclose(
        GEOMETRY.load(path, resolution=16).values[..., 0], box_distance(grid_points(16), np.full(3, 0.8)), atol=1e-5
    )
    fin = trimesh.Trimesh([[1, 1, 1], [1, 1, -1], [3, 3, 0]], [[0, 1, 2]])
    assert (GEOMETRY.load(written(tmp_path, box + fin), resolution=24).values < 0).any()


def test_distances_in_chunks_are_the_same(monkeypatch):
    ball = trimesh.creation.icosphere(subdivisions=1, radius=0.7)
    whole, _ = signed_distances(ball.vertices, ball.faces, 9)
    monkeypatch.setattr("modalities.sdf.CHUNK", 100)
    np.testing.assert_array_equal(signed_distances(ball.vertices, ball.faces, 9)[0], whole)


def test_saved_mesh_is_watertight_in_its_own_units(tmp_path):
    box = trimesh.creation.box((8, 4, 2)).apply_translation([5, -3, 100])
    signal = GEOMETRY.load(written(tmp_path, box), resolution=40)
    GEOMETRY.save(signal.values, tmp_path / "out", signal.metadata)
    mesh = trimesh.load(tmp_path / "out" / "mesh.ply")
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(64, rel=0.05)  # positive: faces look outwards
    np.testing.assert_allclose(mesh.bounds, box.bounds, atol=0.1)


@pytest.mark.parametrize("offset", [1e6, 1e9])
def test_far_from_the_origin_shapes_keep_their_form(tmp_path, offset):
    ball = trimesh.creation.icosphere(subdivisions=2)
    mesh = Mesh(np.asarray(ball.vertices) + offset, np.asarray(ball.faces))
    again = trimesh.load(write_mesh(tmp_path / "far.ply", mesh), process=False)
    np.testing.assert_array_equal(again.vertices, mesh.vertices)
    np.testing.assert_array_equal(again.faces, mesh.faces)
    signal = GEOMETRY.load(tmp_path / "far.ply", resolution=16)
    GEOMETRY.save(signal.values, tmp_path / "out", signal.metadata)
    bounds = trimesh.load(tmp_path / "out" / "mesh.ply").bounds
    np.testing.assert_allclose(bounds, [[offset - 1] * 3, [offset + 1] * 3], rtol=0, atol=0.1)


def test_meshes_larger_than_numbers_are_refused():
    with pytest.raises(ValueError, match="larger than numbers are"):
        Mesh(np.array([[-1.7e308, 0, 0], [1.7e308, 0, 0], [0, 1, 0]]), np.array([[0, 1, 2]]))


def test_shape_at_the_border_is_closed():
    grid = grid_points(12)[..., 0] - 0.05  # a half space
    mesh = trimesh.Trimesh(*extract_surface(grid))
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(2 * 2 * 1.05, rel=0.02)


def test_exact_zeros_keep_the_surface_closed():
    grid = np.round(box_distance(grid_points(11), np.full(3, 0.4)), 6)
    assert (grid == 0).any()
    assert trimesh.Trimesh(*extract_surface(grid), process=False).is_watertight


def test_nothing_left_is_said_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="no surface crosses zero"):
        GEOMETRY.save(np.ones((6, 6, 6, 1), np.float32), tmp_path / "out", GeometryMetadata())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["grid.npy", "grid.npz"])
def test_grids_of_any_shape_are_taken_as_they_are(tmp_path, name):
    grid = box_distance(grid_points(12), np.full(3, 0.5))[:, 2:, 3:]
    if name.endswith("npy"):
        np.save(tmp_path / name, grid)
    else:
        np.savez_compressed(tmp_path / name, sdf=grid[..., None], other=np.ones(3))
    signal = GEOMETRY.load(tmp_path / name)
    np.testing.assert_array_equal(signal.values[..., 0], grid.astype(np.float32))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((4, 5)), "give signed distances"),
        (np.ones((4, 4, 4)), "no sample of the 4 x 4 x 4 grid is inside"),
        (-np.ones((4, 4, 4)), "no sample of the 4 x 4 x 4 grid is outside"),
        (np.ones((1, 4, 4)), "two or more per axis"),
        (np.full((4, 4, 4), 1e300), "beyond 32-bit floats"),
        (np.full((4, 4, 4), np.inf), "infinite or beyond"),
        (np.ones((4, 4, 4), complex), "give signed distances"),
        (np.array([{"a": 1}], dtype=object), "not an .npy file"),
    ],
)
def test_wrong_grids_are_one_sentence(tmp_path, array, message):
    np.save(tmp_path / "grid.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=message):
        GEOMETRY.load(tmp_path / "grid.npy")


@pytest.mark.parametrize("name", ["a.obj", "a.off", "a.stl", "a.ply", "binary.ply", "binary.stl"])
def test_text_of_other_encodings_is_read(tmp_path, name):
    kind, word = name[-3:], "b\xe9b\xe9".encode("latin-1")
    how = {} if "binary" in name else {"ply": {"encoding": "ascii"}, "stl": {"file_type": "stl_ascii"}}.get(kind, {})
    data = trimesh.creation.box((8, 4, 2)).export(**({"file_type": kind} | how))
    data = data.encode() if isinstance(data, str) else data
    if name == "binary.stl":
        data = word + data[len(word) :]
    else:
        old, new = {
            "obj": (b"v ", b"# %b\nv "), "off": (b"OFF\n", b"OFF\n# %b\n"),
            "stl": (b"solid", b"solid %b"), "ply": (b" 1.0\n", b" 1.0\ncomment %b\n"),
        }[kind]  # fmt: skip
        data = data.replace(old, new % word, 1)
    assert word in data
    (tmp_path / name).write_bytes(data)
    found = GEOMETRY.load(tmp_path / name, resolution=12).values
    np.testing.assert_allclose(found[..., 0], box_distance(grid_points(12), np.array([0.8, 0.4, 0.2])), atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "count", "message"),
    [
        ("stl", 400, "is cut off or not an STL: 12 triangles take 684 bytes"),
        ("stl_ascii", 400, "is cut off: there is no endsolid"),
        ("obj", 400, "is text, but not an STL"),
    ],
)
def test_what_is_no_stl_is_one_sentence(tmp_path, kind, count, message):
    data = trimesh.creation.box().export(file_type=kind)
    (tmp_path / "a.stl").write_bytes((data.encode() if isinstance(data, str) else data)[:count])
    with pytest.raises(ValueError, match=message):
        GEOMETRY.load(tmp_path / "a.stl")


def test_claimed_grid_is_not_believed(tmp_path):
    np.save(tmp_path / "grid.npy", np.ones((10, 10, 10)))
    data = (tmp_path / "grid.npy").read_bytes().replace(b"(10, 10, 10)", b"(9999, 9999, 9999)")
    (tmp_path / "grid.npy").write_bytes(data)
    with pytest.raises(ValueError, match=r"damaged or not an \.npy file"):
        GEOMETRY.load(tmp_path / "grid.npy")


@pytest.mark.parametrize(
    ("vertices", "faces", "message"),
    [
        ([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]], "no sample of the 8 x 8 x 8 grid is inside; it is too thin"),
        ([[0, 0, 0], [1, 0, 0], [0, np.nan, 0]], [[0, 1, 2]], "NaN or infinite"),
        ([[1, 1, 1]] * 3, [[0, 1, 2]], "in one point"),
    ],
)
def test_meshes_without_an_inside_are_one_sentence(tmp_path, vertices, faces, message):
    path = tmp_path / "mesh.off"
    lines = [" ".join(map(str, row)) for row in vertices] + [" ".join(map(str, [3, *row])) for row in faces]
    path.write_text("\n".join(["OFF", f"{len(vertices)} {len(faces)} 0", *lines]) + "\n")
    with pytest.raises(ValueError, match=message):
        GEOMETRY.load(path, resolution=8)


def test_points_without_faces_are_refused(tmp_path):
    trimesh.PointCloud(np.random.default_rng(0).random((20, 3))).export(tmp_path / "points.ply")
    with pytest.raises(ValueError, match=r"points\.ply"):
        GEOMETRY.load(tmp_path / "points.ply")


@pytest.mark.parametrize("wrong", [3, "many", 2.5, 100_000])
def test_wrong_resolution_is_refused(tmp_path, wrong):
    path = written(tmp_path, trimesh.creation.box())
    with pytest.raises(ValueError, match="resolution"):
        GEOMETRY.load(path, resolution=wrong)


def test_metrics_measure_what_they_say():
    small, large = (box_distance(grid_points(31), np.full(3, half))[..., None] for half in (0.5, 0.61))
    measured = GEOMETRY.metrics(small, large, GeometryMetadata())
    assert measured["iou"] == pytest.approx(15**3 / 19**3)
    assert 0.08 < measured["chamfer"] < 0.16
    assert "chamfer" not in GEOMETRY.metrics(np.abs(small) + 1, large, GeometryMetadata())
    assert chamfer(np.zeros((1, 3)), np.array([[3.0, 4, 0]])) == 5.0


def test_rays_hit_the_surface():
    grid = np.linalg.norm(grid_points(40), axis=-1) - 0.6
    shot = render(grid, size=60)
    hits = shot.hits[np.isfinite(shot.hits[..., 0])]
    np.testing.assert_allclose(np.linalg.norm(hits, axis=-1), 0.6, atol=0.01)
    covered = np.isfinite(shot.hits[..., 0]).mean()
    assert covered == pytest.approx(np.pi / 4 / 1.08**2, abs=0.03)  # a disk that nearly fills the picture
    upper, lower = shot.pixels[:30].mean(), shot.pixels[30:].mean()
    assert upper > lower  # lit from above
    assert (render(np.ones((5, 5, 5)), Camera.onto(grid), size=20).pixels == 255).all()
