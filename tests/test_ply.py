"""PLY in text and both byte orders, with every type of number, lists of any length and what else files hold."""

import struct

import numpy as np
import pytest
import trimesh
from mesh_cases import AREA, FACES, POINTS, VOLUME, measures

from modalities.formats.meshes import read_mesh
from modalities.formats.ply import SHORT, parse_ply

FORMATS = {"ascii": "<", "binary_little_endian": "<", "binary_big_endian": ">"}


def ply(form: str, elements: dict, line_end: str = "\n") -> bytes:
    """Elements by name as (properties, rows); a property is 'type name' or 'list type type name', a row its values."""
    head, body = ["ply", f"format {form} 1.0", "comment made here", "obj_info none"], []
    for name, (properties, rows) in elements.items():
        head += [f"element {name} {len(rows)}", *(f"property {p}" for p in properties)]
        for row in rows:
            values = []
            for words, value in zip((p.split() for p in properties), row, strict=True):
                values += (
                    [(words[1], len(value)), *((words[2], v) for v in value)] if len(words) > 2 else [(words[0], value)]
                )
            body.append(values)
    data = line_end.join([*head, "end_header", ""]).encode()
    if form == "ascii":
        return data + line_end.join(" ".join(str(v) for _, v in row) for row in body).encode()
    return data + b"".join(struct.pack(FORMATS[form] + SHORT[kind], v) for row in body for kind, v in row)


def solid(point: str = "float", count: str = "uchar", corner: str = "int", name: str = "vertex_indices") -> dict:
    points = [f"{point} {axis}" for axis in "xyz"]
    whole = point.strip("u") in INTEGERS
    return {
        "vertex": (points, (POINTS * [1, 1, 2]).astype(int).tolist() if whole else POINTS.tolist()),
        "face": ([f"list {count} {corner} {name}"], [[face] for face in FACES]),
    }  # fmt: skip


INTEGERS = ("char", "short", "int", "int8", "int16", "int32", "int64")


def measured(tmp_path, data: bytes) -> tuple[float, float]:
    (tmp_path / "a.ply").write_bytes(data)
    mesh = read_mesh(tmp_path / "a.ply")
    return measures(mesh.vertices, mesh.faces)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kinds", [("float", "uchar", "int"), ("double", "int", "uint"), ("float64", "uint16", "short"),
                                   ("float32", "char", "uint8")])  # fmt: skip
def test_concave_faces_of_any_type(tmp_path, form, kinds):
    assert measured(tmp_path, ply(form, solid(*kinds))) == pytest.approx((VOLUME, AREA))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", (*INTEGERS, "uchar", "ushort", "uint", "uint8", "uint16", "uint32", "uint64"))
def test_whole_coordinates(tmp_path, form, kind):
    assert measured(tmp_path, ply(form, solid(kind)))[0] == pytest.approx(2 * VOLUME)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("faces", [FACES, FACES[:2], FACES[2:]])
def test_other_properties_and_elements_are_passed_over(tmp_path, form, faces):
    elements = {
        "camera": (["float view", "list uchar float lens"], [[1.0, [2.0, 3.0]], [1.0, []]]),
        "vertex": (["uchar red", "float z", "double x", "list uchar short w", "float y"],
                   [[7, z, x, [1] * (i % 3), y] for i, (x, y, z) in enumerate(POINTS.tolist())]),
        "edge": (["int vertex1", "int vertex2"], [[0, 1], [1, 2]]),
        "empty": (["list uchar int vertex_indices"], []),
        "bare": ([], [[]] * 3),
        "face": (["uchar flags", "list ushort int vertex_index", "list uchar float texcoord", "char g"],
                 [[1, face, [0.5] * len(face), -1] for face in faces]),
    }  # fmt: skip
    found = parse_ply(ply(form, elements))
    np.testing.assert_array_equal(found.points, POINTS)
    assert [row.tolist() for row in np.split(found.corners, np.cumsum(found.sizes)[:-1])] == faces


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("form", FORMATS)
def test_line_ends_marks_and_what_follows(tmp_path, form, line_end):
    elements = solid()
    elements["vertex"][1][0][0] = struct.unpack("<f", b"\n\n\n@")[0]  # numbers that begin like a line end
    data = b"\xef\xbb\xbf" + ply(form, elements, line_end) + b"\0\x1a"
    np.testing.assert_allclose(parse_ply(data).points[0, 0], elements["vertex"][1][0][0])
    assert len(parse_ply(data).sizes) == 8


@pytest.mark.parametrize("form", FORMATS)
def test_strips_turn_every_second_triangle(tmp_path, form):
    box = trimesh.creation.box((1, 2, 1))
    square = [[0, 1, 2, 3, -1, 3, 2, 0], [], [1, 0, 3]]
    elements = {
        "vertex": (["float x", "float y", "float z"], box.vertices.tolist()),
        "tristrips": (["list int int vertex_indices"], [[row] for row in square]),
    }
    found = parse_ply(ply(form, elements))
    assert found.corners.reshape(-1, 3).tolist() == [[0, 1, 2], [3, 2, 1], [3, 2, 0], [1, 0, 3]]
    assert found.sizes.tolist() == [3] * 4


GOOD = ply("binary_little_endian", solid())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (GOOD[:-1], "is cut off: vertices or faces are missing"),
        (GOOD[: GOOD.index(b"end_header") + 50], "is cut off"),
        (ply("ascii", solid())[:-2], "is cut off"),
        (GOOD.replace(b"face 8", b"face 9"), "is cut off"),
        (GOOD.replace(b"face 8", b"face 9999999999999"), "is cut off"),
        (GOOD.replace(b"vertex 12", b"vertex 999999999999"), "is cut off"),
        (GOOD.replace(b"uchar", b"int64"), "is cut off"),
        (ply("ascii", solid()).replace(b"0.0", b"zero", 1), "has words among its numbers"),
        (GOOD.replace(b"float x", b"float128 x"), "has a header that is not PLY: 'property float128 x'"),
        (GOOD.replace(b"face 8", b"face many"), "has a header that is not PLY: 'element face many'"),
        (GOOD.replace(b"float y", b"float v"), "has vertices without x, y and z"),
        (GOOD.replace(b"format binary_little_endian 1.0", b"comment"), "has a header without a format"),
        (GOOD.replace(b"end_header", b"comment"), "has no PLY header"),
        (GOOD.replace(b"ply", b"plx", 1), "has no PLY header"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path, data, message):
    with pytest.raises(ValueError, match=message):
        measured(tmp_path, data)
