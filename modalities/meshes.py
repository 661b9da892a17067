"""Meshes and grids of signed distances, in and out of their files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from files import atomic_write, load_archive, load_array
from modalities.inputs import bounded, existing_file

MESH_EXTENSIONS = (".obj", ".ply", ".off", ".stl")
GRID_EXTENSIONS = (".npy", ".npz")
ADVICE = "give a mesh (OBJ, PLY, OFF, STL) or a grid of signed distances (.npy, .npz)"
# What a parser of foreign text and binary formats raises at a bad file.
PARSE_ERRORS = (ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OSError, NotImplementedError)


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
        if np.ptp(used, axis=0).max() <= 0:
            raise ValueError("has all its vertices in one point")

    def frame(self, extent: float) -> tuple[np.ndarray, float]:
        """Centre [3] and scale (mesh units per domain unit) that fit the box of the used vertices into `extent`."""
        used = self.vertices[np.unique(self.faces)]
        low, high = used.min(axis=0), used.max(axis=0)
        return (low + high) / 2, float((high - low).max() / extent)


def read_mesh(path: Path) -> Mesh:
    """The triangles of a mesh file, all bodies of a scene together; raises FileNotFoundError or ValueError."""
    import trimesh

    path = existing_file(path, "a mesh", ADVICE)
    extra = {"skip_materials": True} if path.suffix.lower() == ".obj" else {}
    try:
        # Unprocessed: merging and dropping would change what the winding number sees.
        loaded = trimesh.load(path, force="mesh", process=False, **extra)
        vertices, faces = np.array(loaded.vertices, np.float64), np.array(loaded.faces, np.int64)
    except PARSE_ERRORS:
        raise ValueError(f"{path} is not a mesh that can be read, or it is damaged; {ADVICE}") from None
    try:
        return Mesh(vertices, faces)
    except ValueError as error:
        raise ValueError(f"{path} {error}; give a mesh of a closed or nearly closed surface") from None


def ply_bytes(mesh: Mesh) -> bytes:
    """The mesh as a binary PLY file."""
    import trimesh

    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).export(file_type="ply")


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
    if grid.ndim != 3 or min(grid.shape) < 2 or grid.dtype.kind not in "fiu":
        raise ValueError(f"{path} holds {grid.dtype} {list(grid.shape)}; signed distances are numbers [Nx, Ny, Nz]")
    bounded(path, grid.size, "thin the grid out")
    values = np.array(grid, np.float32)
    if not np.isfinite(values).all():
        raise ValueError(f"{path} has values that are NaN or infinite; mend the grid first")
    return values


def _only_array(path: Path) -> np.ndarray:
    """The array that an .npz file offers as its grid."""
    arrays = load_archive(path, ())
    for name in ("values", "sdf"):
        if name in arrays:
            return arrays[name]
    if len(arrays) != 1:
        raise ValueError(f"{path} holds {len(arrays)} arrays and none is named 'values' or 'sdf'; name the grid so")
    return next(iter(arrays.values()))
