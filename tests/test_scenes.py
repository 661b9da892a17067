"""glTF scenes: transforms applied, files beside them read, and no geometry left out without a word."""

import json

import numpy as np
import pytest
import trimesh
from mesh_cases import measures

from modalities.formats.meshes import read_mesh


def scene() -> trimesh.Scene:
    """A box and its copy, moved, turned and doubled in size, and a third that is mirrored."""
    box, found = trimesh.creation.box((1, 2, 3)), trimesh.Scene()
    found.add_geometry(box, geom_name="box", node_name="a")
    turned = trimesh.transformations.rotation_matrix(np.pi / 2, [0, 0, 1], [0, 0, 0]) * [[2], [2], [2], [1]]
    found.graph.update("b", geometry="box", matrix=trimesh.transformations.translation_matrix([10, 0, 0]) @ turned)
    found.graph.update(
        "c", frame_from="b", geometry="box", matrix=[[-0.5, 0, 0, 5], [0, 0.5, 0, 0], [0, 0, 0.5, 0], [0, 0, 0, 1]]
    )
    return found


def written(tmp_path, change=None):
    """A .gltf with its buffer beside it, whose JSON `change` has altered."""
    for name, data in trimesh.exchange.gltf.export_gltf(scene()).items():
        (tmp_path / name).write_bytes(data)
    path = next(tmp_path.glob("*.gltf"))
    tree = json.loads(path.read_bytes())
    if change:
        change(tree)
    path.write_text(json.dumps(tree))
    return path


@pytest.mark.parametrize("kind", ["glb", "gltf"])
def test_every_node_is_where_its_transforms_put_it(tmp_path, kind):
    path = tmp_path / "a.glb"
    path.write_bytes(scene().export(file_type="glb"))
    mesh = read_mesh(path if kind == "glb" else written(tmp_path))
    volume, area = measures(mesh.vertices, mesh.faces)
    # Boxes of 1 x 2 x 3, of twice that, and of 1 x 2 x 3 again: all of them outwards.
    assert volume == pytest.approx(6 + 48 + 6)
    assert area == pytest.approx(22 + 88 + 22)
    np.testing.assert_allclose(mesh.vertices.min(axis=0), [-0.5, -1, -3])
    # The third lies 5 to the right of the second in its own axes: at y = 10, and half as large as it.
    np.testing.assert_allclose(mesh.vertices.max(axis=0), [12, 10.5, 3], atol=1e-6)


def test_strips_are_triangles(tmp_path):
    def change(tree):
        tree["meshes"][0]["primitives"][0]["mode"] = 5

    plain, strips = read_mesh(written(tmp_path)), read_mesh(written(tmp_path, change))
    assert len(strips.faces) > len(plain.faces)


def sparse(tree):
    tree["accessors"][tree["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]["sparse"] = {"count": 1}


def normalized(tree):
    tree["accessors"][tree["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]["normalized"] = True


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tree: tree.update(extensionsRequired=["KHR_draco_mesh_compression"]), "uses KHR_draco_mesh"),
        (lambda tree: tree.update(extensionsUsed=["EXT_mesh_gpu_instancing"]), "uses EXT_mesh_gpu_instancing; export"),
        (lambda tree: tree["meshes"][0]["primitives"][0].update(mode=6), "has fans of triangles; export it"),
        (sparse, "has normalized or sparse coordinates"),
        (normalized, "has normalized or sparse coordinates"),
        (lambda tree: tree["buffers"][0].update(uri="gone.bin"), "is not a readable glTF file, or it or a file"),
        (lambda tree: tree["buffers"][0].update(uri="../../../etc/hostname"), "is not a readable glTF file"),
        (lambda tree: tree.update(meshes=5), "is not a readable glTF file"),
    ],
)  # fmt: skip
def test_what_would_be_left_out_is_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        read_mesh(written(tmp_path, change))


def test_lines_are_left_out_with_a_warning(tmp_path, capfd):
    def change(tree):
        part = tree["meshes"][0]["primitives"][0]
        tree["meshes"].append({"primitives": [part | {"mode": 1}]})

    assert len(read_mesh(written(tmp_path, change)).faces) == 36
    assert "points and lines are left out" in capfd.readouterr().err
