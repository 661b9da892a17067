"""Plain arrays: grids of signed distances, and the values that every modality writes."""

from pathlib import Path

import numpy as np

from files import atomic_write, load_archive, load_array
from modalities.formats.inputs import bounded, existing_file

GRID_EXTENSIONS = (".npy", ".npz")
LARGEST_FLOAT = float(np.finfo(np.float32).max)


def read_grid(path: Path) -> np.ndarray:
    """The float32 numbers [Nx, Ny, Nz], NaN where they are missing, of a .npy file, or of the array 'values', 'sdf' or
    the only one of an .npz file.

    Never unpickles. Raises FileNotFoundError or ValueError.
    """
    path = existing_file(path, "a grid of signed distances", "give a .npy or .npz file of numbers [Nx, Ny, Nz]")
    grid = _only_array(path) if path.suffix.lower() == ".npz" else load_array(path)
    if grid.ndim == 4 and grid.shape[-1] == 1:
        grid = grid[..., 0]
    if grid.ndim != 3 or grid.dtype.kind not in "fiu" or min(grid.shape) < 2:
        raise ValueError(
            f"{path} holds {grid.dtype} {list(grid.shape)}; give signed distances [Nx, Ny, Nz], two or more per axis"
        )
    bounded(path, grid.size, "reduce its resolution")
    if (np.abs(grid) > LARGEST_FLOAT).any():
        raise ValueError(f"{path} has values that are infinite or beyond 32-bit floats; fix the grid first")
    return np.array(grid, np.float32)


def _only_array(path: Path) -> np.ndarray:
    """The array of an .npz file that is its grid; raises ValueError where none is."""
    arrays = load_archive(path, ())
    for name in ("values", "sdf"):
        if name in arrays:
            return arrays[name]
    if len(arrays) != 1:
        raise ValueError(f"{path} holds {len(arrays)} arrays and none is named 'values' or 'sdf'; name the grid so")
    return next(iter(arrays.values()))


def write_values(path: Path, values: np.ndarray) -> Path:
    """Write values as they are to a float32 .npy file, atomically."""
    with atomic_write(path) as stream:
        np.save(stream, np.asarray(values, np.float32), allow_pickle=False)
    return path
