"""Triangle meshes in OBJ, PLY, OFF, STL and glTF files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from files import atomic_write
from files.inputs import existing_file, warn
from modalities.formats.doubles import single_faces
from modalities.formats.meshtext import parse_obj, parse_off, parse_stl
from modalities.formats.ply import parse_ply
from modalities.formats.polygons import Polygons, check_corners, triangulated
from modalities.formats.scenes import parse_scene
from modalities.formats.text import MARKS, decode_text
from modalities.formats.winding import oriented_faces, walls

MESH_EXTENSIONS = (".obj", ".ply", ".off", ".stl", ".glb", ".gltf")
ADVICE = "give a mesh (OBJ, PLY, OFF, STL, glTF) or a grid of signed distances (.npy, .npz)"
# A binary STL: a header, the number of triangles, and so many bytes for each.
STL_HEADER = 80
STL_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


@dataclass(frozen=True)
class Mesh:
    """Triangles: vertices [V, 3] in the file's own units, faces [F, 3]; raises ValueError where there are none."""

    vertices: np.ndarray
    faces: np.ndarray

    def __post_init__(self) -> None:
        check_corners(self.vertices, self.faces)

    def frame(self, extent: float) -> tuple[np.ndarray, float]:
        """Centre [3] and scale (mesh units per domain unit) that fit the box of the used vertices into `extent`."""
        used = self.vertices[np.unique(self.faces)]
        low, high = used.min(axis=0), used.max(axis=0)
        return low / 2 + high / 2, float((high - low).max() / extent)


def read_mesh(path: Path) -> Mesh:
    """The triangles of a mesh file, all bodies of a scene together; raises FileNotFoundError or ValueError.

    Faces that are there twice and sheets within a body are left out, those oriented against the rest of their body are
    flipped, and bodies that are not inside others are oriented outwards.
    """
    path = existing_file(path, "a mesh", ADVICE)
    try:
        polygons = _parse(path, path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} {error}; {ADVICE}") from None
    try:
        return _surface(path, polygons)
    except ValueError as error:
        raise ValueError(f"{path} {error}; give a mesh of a closed or nearly closed surface") from None


def _parse(path: Path, data: bytes) -> Polygons:
    """The faces of a file as they are in it; raises ValueError with the rest of a sentence about the file."""
    kind = path.suffix.lower()
    if kind == ".ply":
        return parse_ply(data)
    if kind in (".glb", ".gltf"):
        return parse_scene(path, data)
    if kind == ".stl":
        return _parse_stl(path, data)
    return {".obj": parse_obj, ".off": parse_off}[kind](decode_text(data)[0])


def _parse_stl(path: Path, data: bytes) -> Polygons:
    """The triangles of an STL file, text or binary; raises ValueError."""
    count = int.from_bytes(data[STL_HEADER : STL_HEADER + 4], "little")
    expected = STL_HEADER + 4 + STL_TRIANGLE.itemsize * count
    marked = data.startswith(tuple(mark for mark, _ in MARKS))
    # Zeros are never in text but behind its end, and nearly always in binary triangles.
    if len(data) != expected and (marked or b"\0" not in data.rstrip(b"\0\x1a \r\n")):
        return parse_stl(decode_text(data)[0])
    if len(data) < expected:
        raise ValueError(f"is cut off or not an STL: {count} triangles take {expected} bytes, it has {len(data)}")
    if len(data) > expected:
        warn(f"{path} has {len(data) - expected} bytes behind its {count} triangles, which were ignored")
    corners = np.frombuffer(data, STL_TRIANGLE, count, STL_HEADER + 4)["corners"]
    return Polygons(corners.reshape(-1, 3).astype(np.float64), np.arange(3 * count), np.full(count, 3))


def _surface(path: Path, polygons: Polygons) -> Mesh:
    """The surface of what a file holds; raises ValueError, and warns of what was left out."""
    check_corners(polygons.points, polygons.corners)
    faces, crossed = triangulated(polygons)
    if crossed:
        warn(f"{path} has faces that cross themselves ({crossed}); what these cover is a guess")
    if few := int((polygons.sizes < 3).sum()):
        warn(f"{path} has faces with fewer than three corners ({few}), which were ignored")
    corners = polygons.places[faces]
    kept = single_faces(corners)
    whole = int((corners != np.roll(corners, 1, axis=1)).all(axis=1).sum())
    if len(kept) < whole:
        warn(f"{path} has faces twice; {whole - len(kept)} of {whole} were left out")
    check_corners(polygons.points, faces[kept])
    faces = oriented_faces(polygons.points, corners[kept], faces[kept])
    if within := int((inner := walls(polygons.points, corners[kept], faces)).sum()):
        warn(f"{path} has {within} faces of walls or sheets within its body, which were left out")
        faces = oriented_faces(polygons.points, corners[kept[~inner]], faces[~inner])
    return Mesh(polygons.points, faces)


def write_mesh(path: Path, mesh: Mesh) -> Path:
    """Write a mesh as binary PLY, atomically; in float64, because float32 loses a shape far from the origin."""
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(mesh.vertices)}"]
    header += [f"property double {axis}" for axis in "xyz"]
    header += [f"element face {len(mesh.faces)}", "property list uchar int vertex_indices", "end_header", ""]
    faces = np.empty(len(mesh.faces), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, mesh.faces
    with atomic_write(path) as stream:
        stream.write("\n".join(header).encode() + mesh.vertices.astype("<f8").tobytes() + faces.tobytes())
    return path
