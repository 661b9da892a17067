"""Triangle meshes in OBJ, PLY, OFF and STL files."""

import io
import logging
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from files import atomic_write
from modalities.formats.inputs import existing_file
from modalities.formats.winding import consistent_faces

MESH_EXTENSIONS = (".obj", ".ply", ".off", ".stl")
ADVICE = "give a mesh (OBJ, PLY, OFF, STL) or a grid of signed distances (.npy, .npz)"
# What trimesh's parsers raise for a damaged file; ImportError where they lack an optional package.
PARSE_ERRORS = (ValueError, TypeError, LookupError, AttributeError, NameError, ArithmeticError, EOFError, OSError,
                NotImplementedError, ImportError)  # fmt: skip
# A binary STL: a header, the number of triangles, and so many bytes for each.
STL_HEADER, STL_TRIANGLE = 80, 50
# What trimesh logs, tracebacks among it, would only surround our own sentence.
logging.getLogger("trimesh").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Mesh:
    """Triangles: vertices [V, 3] in the file's own units, faces [F, 3]; raises ValueError where there are none."""

    vertices: np.ndarray
    faces: np.ndarray

    def __post_init__(self) -> None:
        if self.vertices.ndim != 2 or self.vertices.shape[-1] != 3 or self.faces.ndim != 2 or not len(self.faces):
            raise ValueError("has no triangles")
        if self.faces.min() < 0 or self.faces.max() >= len(self.vertices):
            raise ValueError("has faces whose vertices are missing")
        used = self.vertices[np.unique(self.faces)]
        if not np.isfinite(used).all():
            raise ValueError("has vertices that are NaN or infinite")
        with np.errstate(over="ignore"):
            size = np.ptp(used, axis=0).max()
        if not 0 < size < np.inf:
            raise ValueError("has all its vertices in one point" if size == 0 else "is larger than numbers are")

    def frame(self, extent: float) -> tuple[np.ndarray, float]:
        """Centre [3] and scale (mesh units per domain unit) that fit the box of the used vertices into `extent`."""
        used = self.vertices[np.unique(self.faces)]
        low, high = used.min(axis=0), used.max(axis=0)
        return low / 2 + high / 2, float((high - low).max() / extent)


def read_mesh(path: Path) -> Mesh:
    """The triangles of a mesh file, all bodies of a scene together; raises FileNotFoundError or ValueError.

    Faces oriented against the rest of their body are flipped.
    """
    import trimesh

    path = existing_file(path, "a mesh", ADVICE)
    data, kind = path.read_bytes(), path.suffix.lower()[1:]
    if kind == "stl":
        _check_stl(path, data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid numbers are reported below
            # Unprocessed: merging and dropping faces would change the winding number.
            stream = io.BytesIO(_readable(data, kind))
            loaded: Any = trimesh.load(stream, file_type=kind, force="mesh", process=False, skip_materials=True)
        vertices, faces = np.array(loaded.vertices, np.float64), np.array(loaded.faces, np.int64)
    except PARSE_ERRORS:
        raise ValueError(f"{path} is not a readable mesh, or it is damaged; {ADVICE}") from None
    try:
        mesh = Mesh(vertices, faces)
    except ValueError as error:
        raise ValueError(f"{path} {error}; give a mesh of a closed or nearly closed surface") from None
    return replace(mesh, faces=consistent_faces(vertices, faces))


def _readable(data: bytes, kind: str) -> bytes:
    """A mesh file with its text (of a binary PLY the header) in UTF-8; other text is read as Latin-1."""
    if kind == "stl" and b"\0" in data:
        return data
    text, mark, numbers = data.partition(b"end_header") if kind == "ply" else (data, b"", b"")
    try:
        text.decode()
    except UnicodeDecodeError:
        text = text.decode("latin-1").encode()
    return text + mark + numbers


def _check_stl(path: Path, data: bytes) -> None:
    """Raise ValueError for an STL file that is cut off, and for a file that is no STL."""
    count = int.from_bytes(data[STL_HEADER : STL_HEADER + 4], "little")
    expected = STL_HEADER + 4 + STL_TRIANGLE * count
    if len(data) == expected:
        return
    if b"\0" in data:  # never in text, nearly always in binary triangles
        raise ValueError(
            f"{path} is cut off or not an STL: {count} triangles take {expected} bytes, it has {len(data)}; {ADVICE}"
        )
    text = data.lower()
    if b"facet" not in text:
        raise ValueError(f"{path} is text, but not an STL; {ADVICE}")
    if text.rfind(b"endsolid") <= text.rfind(b"endloop"):
        raise ValueError(f"{path} is cut off: there is no endsolid behind its last facet; {ADVICE}")


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
