"""Arrays of samples as signals: .npy, mapped into memory, Zarr and OME-Zarr."""

from pathlib import Path

from files.inputs import LARGEST_MAPPED, existing_file
from files.stored import MappedFile, Stored
from files.zarrs import open_zarr

ARRAY_EXTENSIONS = (".npy", ".zarr")


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
