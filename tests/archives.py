"""Archives written by hand, for the tests of their reader."""

import struct
import zipfile
from pathlib import Path

import numpy as np
from released import sentence

from files import load_archive

ARRAYS = {
    "values": np.arange(12, dtype=np.float32).reshape(2, 2, 3),
    "order": np.array(1),
    "kind": np.array("exact"),
    "none": np.empty((0, 4)),
    "names": np.array(["x", "yz"]),
}


def same(found: dict[str, np.ndarray], arrays: dict[str, np.ndarray] = ARRAYS) -> bool:
    return found.keys() == arrays.keys() and all(
        found[name].dtype == array.dtype and np.array_equal(found[name], array) for name, array in arrays.items()
    )


def refusal(path: Path, required=()) -> str:
    return sentence(lambda file: load_archive(file, required), path)


def zipped(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def packed(path: Path) -> Path:
    """The archive at `path`, its members compressed as NumPy would."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return zipped(path, members, zipfile.ZIP_DEFLATED)


def npy_with(header: str, data: bytes = b"", version: int = 1) -> bytes:
    text = header.encode("latin1") + b"\n"
    size = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + size + text + data
