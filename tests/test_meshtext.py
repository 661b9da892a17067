"""OBJ, OFF and STL as text, in all the ways that programs and people write them."""

import numpy as np
import pytest
import trimesh
from mesh_cases import AREA, POINTS, VOLUME, box_distance, measures, obj_text, off_text, solid_distance

from modalities import find
from modalities.formats.meshes import read_mesh
from signals import coordinates

GEOMETRY = find("geometry")
OBJ = obj_text()
BOX = trimesh.creation.box((1, 2, 1))


def lines(text: str, change) -> str:
    return "\n".join(change(line) for line in text.splitlines()) + "\n"


def relative(text: str, count: int = len(POINTS)) -> str:
    return lines(text, lambda line: line if line[0] != "f" else
                 "f " + " ".join(str(int(word) - count - 1) for word in line.split()[1:]))  # fmt: skip


OBJS = {
    "plain": OBJ,
    "Windows": OBJ.replace("\n", "\r\n"),
    "old Mac": OBJ.replace("\n", "\r"),
    "mark": "\ufeff" + OBJ,
    "UTF-16": ("\ufeff" + OBJ).encode("utf-16-le"),
    "UTF-16, big end": ("\ufeff" + OBJ).encode("utf-16-be"),
    "UTF-16 without mark": OBJ.encode("utf-16-be"),
    "tabs": OBJ.replace(" ", "\t"),
    "indented": lines(OBJ, lambda line: f"   {line}  "),
    "comments behind": "# f 1 2 3\n" + lines(OBJ, lambda line: f"{line} # 1 2"),
    "continued": OBJ.replace(" 4 3", " 4 \\\n3").replace("f 7 8", "f \\\r\n 7 8\\  \n"),
    "indices of textures": "vt 0 0\n" + obj_text(corner="{}/1"),
    "indices of normals": "vn 0 0 1\n" + obj_text(corner="{}//1"),
    "all indices": "vt 0 0\nvn 0 0 1\n" + obj_text(corner="{}/1/1"),
    "slashes": obj_text(corner="{}//"),
    "negative": relative(OBJ),
    "weights and colours": lines(OBJ, lambda line: f"{line} 1.0 0.5 0.5 0.5" if line[0] == "v" else line),
    "names": "mtllib none.mtl\no f 1\ng v 2\nusemtl gold\ns off\n" + OBJ + "l 1 2\np 3\n",
    "faces first": "".join(sorted(OBJ.splitlines(keepends=True), key=lambda line: line[0] == "v")),
    "old word": OBJ.replace("f ", "fo "),
    "capitals": OBJ.replace("f ", "F ").replace("v ", "V "),
    "padded": OBJ.encode() + b"\x1a" + b"\0" * 9,
    "Latin-1": b"# h\xf6he\n" + OBJ.encode(),
}
OFF = off_text()
OFFS = {
    "plain": OFF,
    "counts behind the header": OFF.replace("OFF\n", "OFF "),
    "lower case": off_text("off"),
    "no header": OFF.replace("OFF\n", ""),
    "colours": off_text("COFF", " 255 0 0 255"),
    "normals and textures": off_text("STNOFF", " 0 0 1 0.5 0.5"),
    "colours of faces": off_text(behind_face=" 3 0.5 0.5 0.5"),
    "comments": OFF.replace("OFF\n", "# one\nOFF # two\n\n# three\n").replace("6 5 4 3", " # six\n\n6 5 4 3"),
    "wrapped": OFF.replace("6 5 4 3 2", "6 5 4\n3 2"),
    "no edges": OFF.replace("12 8 0", "12 8"),
    "old Mac, mark": ("\ufeff" + OFF).replace("\n", "\r"),
}


@pytest.mark.parametrize("kind, name", [("obj", name) for name in OBJS] + [("off", name) for name in OFFS])
def test_the_solid_is_read_in_every_dress(tmp_path, capfd, kind, name):
    text = {"obj": OBJS, "off": OFFS}[kind][name]
    (tmp_path / f"a.{kind}").write_bytes(text if isinstance(text, bytes) else text.encode())
    mesh = read_mesh(tmp_path / f"a.{kind}")
    assert measures(mesh.vertices, mesh.faces) == pytest.approx((VOLUME, AREA))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name, text", [("a.obj", OBJ), ("a.off", OFF)])
def test_distances_to_concave_faces_are_exact(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    signal = GEOMETRY.load(tmp_path / name, resolution=20)
    axis = coordinates(20)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    expected = solid_distance(points * signal.metadata.scale + signal.metadata.centre) / signal.metadata.scale
    found = signal.values[..., 0]
    np.testing.assert_array_equal(found < 0, expected < 0)
    np.testing.assert_allclose(found[expected > 0], expected[expected > 0], atol=1e-6)


def test_negative_indices_count_from_where_they_stand(tmp_path):
    """Three boxes, each with its vertices before its faces."""
    boxes = [BOX.copy().apply_translation([2 * i, i, 0]) for i in range(3)]
    parts = [relative(obj_text(box.vertices, box.faces.tolist()), 8) for box in boxes]
    (tmp_path / "a.obj").write_text("".join(parts))
    mesh = read_mesh(tmp_path / "a.obj")
    assert measures(mesh.vertices, mesh.faces) == pytest.approx((6.0, 30.0))
    np.testing.assert_allclose(mesh.vertices.max(axis=0), [4.5, 3, 0.5])


def stl_text(mesh: trimesh.Trimesh, name: str) -> str:
    facets = ["facet normal 0 0 0\n outer loop\n" + "".join(f"  vertex {x} {y} {z}\n" for x, y, z in triangle)
              + " endloop\nendfacet\n" for triangle in mesh.triangles.tolist()]  # fmt: skip
    return f"solid {name}\n{''.join(facets)}endsolid {name}\n"


@pytest.mark.parametrize(
    "change", [str, str.upper, lambda text: text.replace("\n", "\r"), lambda text: "\ufeff" + text]
)
def test_solids_of_a_text_stl_are_put_together(tmp_path, change):
    names = ("my solid vertex facet", "")
    text = "".join(stl_text(BOX.copy().apply_translation([3 * i, 0, 0]), name) for i, name in enumerate(names))
    (tmp_path / "a.stl").write_bytes(change(text).encode() + b"\x1a\0\0")
    mesh = read_mesh(tmp_path / "a.stl")
    assert measures(mesh.vertices, mesh.faces) == pytest.approx((4.0, 20.0))


@pytest.mark.parametrize("behind", [b"\0\0", b"\r\n", b"more than a triangle has bytes" * 2])
def test_bytes_behind_a_binary_stl_are_ignored_with_a_warning(tmp_path, capfd, behind):
    data = b"solid by someone".ljust(80) + BOX.export(file_type="stl")[80:]
    (tmp_path / "a.stl").write_bytes(data + behind)
    signal = GEOMETRY.load(tmp_path / "a.stl", resolution=10)
    assert f"a.stl has {len(behind)} bytes behind its 12 triangles, which were ignored\n" in capfd.readouterr().err
    axis = coordinates(10)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    half = np.array([0.4, 0.8, 0.4])
    np.testing.assert_allclose(signal.values[..., 0], box_distance(points, tuple(-half), tuple(half)), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.obj", OBJ + "f 1 2 0\n", r"a\.obj line 21 is no face: 'f 1 2 0'"),
        ("a.obj", OBJ + "f -1 -2 -13\n", "line 21 is no face"),
        ("a.obj", OBJ + "f 1 2 x\n", "line 21 is no face"),
        ("a.obj", OBJ + "f 1 2 13\n", "has faces whose vertices are missing"),
        ("a.obj", OBJ + "v 1 2\n", "vertices that are not three numbers"),
        ("a.obj", OBJ + "v 1,5 2 3\n", "vertices that are not three numbers"),
        ("a.obj", "curv 0 1 1 2\n", "has no triangles"),
        ("a.off", OFF[: OFF.rindex("5")], "is cut off"),
        ("a.off", OFF.replace("12 8", "12 9"), "is cut off"),
        ("a.off", off_text("OFF BINARY"), "in binary or of other than three dimensions"),
        ("a.off", off_text("4OFF"), "in binary or of other than three dimensions"),
        ("a.off", "OFF\n12\n", "has no counts of vertices and faces"),
        ("a.off", OFF.replace("12 8 0", "-1 8 0"), "has no counts of vertices and faces"),
        ("a.stl", stl_text(BOX, "x").replace("vertex", "vortex", 1), "has 12 facets with 35 corners, not three each"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_mesh(tmp_path / name)


def test_faces_that_are_left_out_are_named(tmp_path, capfd):
    (tmp_path / "a.obj").write_text(OBJ + "f 1 2\nf 1\n")
    read_mesh(tmp_path / "a.obj")
    assert "a.obj has faces with fewer than three corners (2), which were ignored" in capfd.readouterr().err
