"""`.npz` archives of plain arrays with a checksum over all of them, and `.npy` files; pickles are never loaded."""

import os
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from files.atomic import atomic_write, remove_torn
from files.reading import ArchiveError, check_zip, checksum, reading

CHECKSUM = "checksum"
# What 0.2.0 and before wrote, of another algorithm; the CRC-32 of the zip file still covers those.
OLD_CHECKSUM = "digest"
NUMBERS = "biufc"
NUMBERS_AND_TEXT = "biufcSU"


def save_archive(path: str | Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write `arrays` to the `.npz` file `path`, atomically and with their checksum; raises ValueError for objects."""
    plain: dict[str, Any] = {name: np.asarray(value) for name, value in arrays.items()}
    if objects := [name for name, array in plain.items() if array.dtype.hasobject]:
        raise ValueError(f"{objects[0]} holds Python objects; only numbers and text are stored")
    remove_torn(path)
    with atomic_write(path) as stream:
        # The checksum comes first: one damaged length in the zip file's directory can hide all entries after it.
        np.savez(stream, **({CHECKSUM: np.array(checksum(plain))} | plain))
    return Path(path)


def load_archive(path: str | Path, required: Collection[str]) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` file by name, their checksum verified where there is one.

    Raises FileNotFoundError, or ArchiveError for anything but a whole archive that holds the `required` names.
    """
    with reading(path, "an .npz file") as stream:
        with zipfile.ZipFile(stream) as archive:
            check_zip(archive, os.fstat(stream.fileno()).st_size, compressed=True)
        stream.seek(0)
        with np.load(stream, allow_pickle=False) as stored:
            if missing := sorted(set(required) - set(stored.files)):
                raise ArchiveError(f"lacks {', '.join(missing)}: it is another kind of file")
            arrays = {name: stored[name] for name in stored.files}
        # An entry that is not an array comes as bytes; items of 0 bytes could claim any shape.
        for name, array in arrays.items():
            if getattr(array, "dtype", np.dtype("V")).kind not in NUMBERS_AND_TEXT or not array.itemsize:
                raise ArchiveError(f"holds {name[:80]!r}, which is not numbers or text: it is another kind of file")
        stored_checksum = arrays.pop(CHECKSUM, None)
        if stored_checksum is None:
            arrays.pop(OLD_CHECKSUM, None)
        elif str(stored_checksum) != checksum(arrays):
            raise ArchiveError("is damaged: checksum mismatch; make it again")
    return arrays


def load_array(path: str | Path, mapped: bool = False) -> np.ndarray:
    """The array of numbers in an `.npy` file, read where it is used if `mapped`; raises FileNotFoundError, or
    ArchiveError for anything else."""
    with reading(path, "an .npy file") as stream:
        # Mapped first: an array that claims more than the file holds is refused before any memory is used.
        found = np.load(stream.name, mmap_mode="r", allow_pickle=False)
        whole = isinstance(found, np.memmap) and found.offset + found.nbytes == os.fstat(stream.fileno()).st_size
        if not whole or found.dtype.kind not in NUMBERS:
            raise ArchiveError("is truncated or not an .npy file of plain numbers; save it again")
        return found if mapped else np.array(found)
