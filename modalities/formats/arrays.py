"""Arrays of samples as signals: .npy and .npz, Zarr and OME-Zarr, read where they are used if there are many."""

from pathlib import Path

import numpy as np

from files import load_archive
from files.inputs import LARGEST_MAPPED, bounded, existing_file
from files.stored import Array, MappedFile, Stored, mapped, with_channel
from files.zarrs import open_zarr

ARRAY_EXTENSIONS = (".npy", ".zarr")
GRID_EXTENSIONS = (".npy", ".npz")
GRID_ADVICE = "give a .npy, .npz or .zarr file of numbers [Nx, Ny, Nz]"
LARGEST_FLOAT = float(np.finfo(np.float32).max)


def read_array(path: Path, letters: str, what: str) -> Stored:
    """The numbers of a .npy or .zarr file, [...] or [..., c] over the axes of `letters`, read where they are used.

    Axes that OME-Zarr names are put in that order, others of one element are dropped. Raises FileNotFoundError, or
    ValueError that says `what` to give.
    """
    if path.suffix.lower() == ".zarr":
        values, axes = open_zarr(path)
    else:
        existing_file(path, what, f"give {what}", LARGEST_MAPPED)
        values, axes = MappedFile(path), ""
    if values.dtype.kind not in "fiu":
        raise ValueError(f"{path} holds {values.dtype}; give {what}")
    if axes:
        return values.ordered(order_of(path, axes, letters, values.shape))
    if values.ndim not in (len(letters), len(letters) + 1) or values.size == 0:
        raise ValueError(f"{path} holds {values.dtype} {list(values.shape)}; give {what}")
    return values


def order_of(path: Path, axes: str, letters: str, shape: tuple[int, ...]) -> list[int]:
    """Where the axes of `letters`, and channels if there are any, stand among the named `axes`; raises ValueError where
    one is missing or repeated, or another has more than one element."""
    rest = [letter for letter, count in zip(axes, shape, strict=True) if letter not in letters + "c" and count > 1]
    if rest or any(axes.count(letter) != 1 for letter in letters) or axes.count("c") > 1:
        raise ValueError(f"{path} has the axes {', '.join(axes)} of {list(shape)}; give one with {', '.join(letters)} "
                         "and c alone")  # fmt: skip
    return [axes.index(letter) for letter in letters + "c" * ("c" in axes)]


def read_grid(path: Path) -> Array:
    """The float32 numbers [Nx, Ny, Nz, 1], NaN where they are missing, of a .npy or .zarr file, read where they are
    used if there are many, or of the array 'values', 'sdf' or the only one of an .npz file.

    Never unpickles. Raises FileNotFoundError or ValueError.
    """
    if path.suffix.lower() == ".npz":
        grid = Stored.of(_only_array(existing_file(path, "a grid of signed distances", GRID_ADVICE)))
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
