"""Meshes and grids of signed distances, in and out of their files."""

import io
import logging
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from files import atomic_write, load_archive, load_array
from modalities.inputs import bounded, existing_file
from modalities.winding import made_consistent

MESH_EXTENSIONS = (".obj", ".ply", ".off", ".stl")
GRID_EXTENSIONS = (".npy", ".npz")
ADVICE = "give a mesh (OBJ, PLY, OFF, STL) or a grid of signed distances (.npy, .npz)"
# What a parser of foreign text and binary formats raises at a bad file; ImportError where it asks for helpers.
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
            raise ValueError("has faces that name vertices it lacks")
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

    Faces that look to the other side than the rest of their body are turned round.
    """
    import trimesh

    path = existing_file(path, "a mesh", ADVICE)
    data, kind = path.read_bytes(), path.suffix.lower()[1:]
    if kind == "stl":
        _check_stl(path, data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numbers that are none are found below
            # Unprocessed: merging and dropping would change what the winding number sees.
            stream = io.BytesIO(_readable(data, kind))
            loaded = trimesh.load(stream, file_type=kind, force="mesh", process=False, skip_materials=True)
        vertices, faces = np.array(loaded.vertices, np.float64), np.array(loaded.faces, np.int64)
    except PARSE_ERRORS:
        raise ValueError(f"{path} is not a mesh that can be read, or it is damaged; {ADVICE}") from None
    try:
        mesh = Mesh(vertices, faces)
    except ValueError as error:
        raise ValueError(f"{path} {error}; give a mesh of a closed or nearly closed surface") from None
    return replace(mesh, faces=made_consistent(vertices, faces))


def _readable(data: bytes, kind: str) -> bytes:
    """A mesh file whose text is UTF-8, or its header's where numbers follow; other text is read as Latin-1."""
    if kind == "stl" and b"\0" in data:
        return data
    text, mark, numbers = data.partition(b"end_header") if kind == "ply" else (data, b"", b"")
    try:
        text.decode()
    except UnicodeDecodeError:
        text = text.decode("latin-1").encode()
    return text + mark + numbers


def _check_stl(path: Path, data: bytes) -> None:
    """Say what is wrong with an STL file that is cut off, or that is none (ValueError)."""
    count = int.from_bytes(data[STL_HEADER : STL_HEADER + 4], "little")
    expected = STL_HEADER + 4 + STL_TRIANGLE * count
    if len(data) == expected:
        return
    if b"\0" in data:  # text has none, and triangles hardly go without
        raise ValueError(
            f"{path} is cut off or not an STL: {count} triangles take {expected} bytes, it has {len(data)}; {ADVICE}"
        )
    text = data.lower()
    if b"facet" not in text:
        raise ValueError(f"{path} is text, but not an STL; {ADVICE}")
    if text.rfind(b"endsolid") <= text.rfind(b"endloop"):
        raise ValueError(f"{path} is cut off: there is no endsolid behind its last facet; {ADVICE}")


def ply_bytes(mesh: Mesh) -> bytes:
    """The mesh as a binary PLY file, its vertices in float64: far from the origin float32 has no room for a shape."""
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(mesh.vertices)}"]
    header += [f"property double {axis}" for axis in "xyz"]
    header += [f"element face {len(mesh.faces)}", "property list uchar int vertex_indices", "end_header", ""]
    faces = np.empty(len(mesh.faces), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, mesh.faces
    return "\n".join(header).encode() + mesh.vertices.astype("<f8").tobytes() + faces.tobytes()


def write_mesh(path: Path, mesh: Mesh) -> Path:
    """Write a mesh as binary PLY, atomically."""
    with atomic_write(path) as stream:
        stream.write(ply_bytes(mesh))
    return path


def read_grid(path: Path) -> np.ndarray:
    """The numbers [Nx, Ny, Nz] of a .npy file, or of the array 'values', 'sdf' or the only one of an .npz file.

    Never unpickles. Raises FileNotFoundError or ValueError.
    """
    path = existing_file(path, "a grid of signed distances", ADVICE)
    grid = _only_array(path) if path.suffix.lower() == ".npz" else load_array(path)
    if grid.ndim == 4 and grid.shape[-1] == 1:
        grid = grid[..., 0]
    if grid.ndim != 3 or grid.dtype.kind not in "fiu":
        raise ValueError(f"{path} holds {grid.dtype} {list(grid.shape)}; signed distances are numbers [Nx, Ny, Nz]")
    if min(grid.shape) < 2:
        raise ValueError(f"{path} has {' x '.join(map(str, grid.shape))} samples; give two or more along every axis")
    bounded(path, grid.size, "thin the grid out")
    if not np.isfinite(grid).all():
        raise ValueError(f"{path} has values that are NaN or infinite; mend the grid first")
    if max(abs(float(grid.min())), abs(float(grid.max()))) > float(np.finfo(np.float32).max):
        raise ValueError(f"{path} has numbers too large for 32-bit floats; give distances in domain units")
    return np.array(grid, np.float32)


def _only_array(path: Path) -> np.ndarray:
    """The array that an .npz file offers as its grid."""
    arrays = load_archive(path, ())
    for name in ("values", "sdf"):
        if name in arrays:
            return arrays[name]
    if len(arrays) != 1:
        raise ValueError(f"{path} holds {len(arrays)} arrays and none is named 'values' or 'sdf'; name the grid so")
    return next(iter(arrays.values()))
