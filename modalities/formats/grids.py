"""Plain arrays: grids of signed distances, and the values that every modality writes."""

from pathlib import Path

import numpy as np

from files import load_archive
from files.inputs import bounded, existing_file
from files.results import write_array as write_values
from files.stored import Array, Stored, mapped, with_channel
from modalities.formats.arrays import read_array

__all__ = ["GRID_EXTENSIONS", "read_grid", "write_values"]

GRID_EXTENSIONS = (".npy", ".npz")
ADVICE = "give a .npy, .npz or .zarr file of numbers [Nx, Ny, Nz]"
LARGEST_FLOAT = float(np.finfo(np.float32).max)


def read_grid(path: Path) -> Array:
    """The float32 numbers [Nx, Ny, Nz, 1], NaN where they are missing, of a .npy or .zarr file, read where they are
    used if there are many, or of the array 'values', 'sdf' or the only one of an .npz file.

    Never unpickles. Raises FileNotFoundError or ValueError.
    """
    if path.suffix.lower() == ".npz":
        grid = Stored.of(_only_array(existing_file(path, "a grid of signed distances", ADVICE)))
        bounded(path, grid.size, "reduce its resolution")
    else:
        grid = read_array(path, "xyz", "signed distances [Nx, Ny, Nz]")
    shape = grid.shape[:3]
    if grid.ndim not in (3, 4) or grid.shape[3:] not in ((), (1,)) or grid.dtype.kind not in "fiu" or min(shape) < 2:
        raise ValueError(
            f"{path} holds {grid.dtype} {list(grid.shape)}; give signed distances [Nx, Ny, Nz], two or more per axis"
        )

    def distances(part: np.ndarray) -> np.ndarray:
        if (np.abs(part) > LARGEST_FLOAT).any():
            raise ValueError(f"{path} has values that are infinite or beyond 32-bit floats; fix the grid first")
        return part.astype(np.float32)

    return mapped(with_channel(grid, 3), distances)


def _only_array(path: Path) -> np.ndarray:
    """The array of an .npz file that is its grid; raises ValueError where none is."""
    arrays = load_archive(path, ())
    for name in ("values", "sdf"):
        if name in arrays:
            return arrays[name]
    if len(arrays) != 1:
        raise ValueError(f"{path} holds {len(arrays)} arrays and none is named 'values' or 'sdf'; name the grid so")
    return next(iter(arrays.values()))
