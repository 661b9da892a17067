"""Archives written by hand, for the tests of their readers."""

import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from files import ArchiveError

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


def sentence(read: Callable[[Path], Any], path: Path, memory: int = 1 << 24) -> str:
    """What `read` says of the file, after its path: one sentence, said with no more than `memory` bytes."""
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError) as caught:
            read(path)
        assert tracemalloc.get_traced_memory()[1] < memory
    finally:
        tracemalloc.stop()
    text = str(caught.value)
    assert text.startswith(f"{path} ") and "\n" not in text and len(text) < len(str(path)) + 300
    return text[len(f"{path} ") :]


def written(path: Path, data: bytes) -> Path:
    """`path`, holding `data`; a new file each time, for writing over one makes some file systems wait for the disk."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    return path


def zipped(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def unzipped(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewritten(data: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """The zip file with its entries passed through `change(name, bytes) -> bytes`."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w") as new:
        for entry in old.infolist():
            new.writestr(entry.filename, change(entry.filename, old.read(entry)))
    return stream.getvalue()


def overlapping(data: bytes, copies: int = 10) -> bytes:
    """The zip file with its last entry listed `copies` times more, under names whose last letter differs."""
    start = data.index(b"PK\x01\x02")
    directory, end = data[start:-22], bytearray(data[-22:])
    entry = directory[directory.rindex(b"PK\x01\x02") :]
    name = entry[46:].split(b".")[0]
    renamed = [entry.replace(name, name[:-1] + bytes([letter])) for letter in range(97, 97 + copies)]
    total = int.from_bytes(end[8:10], "little") + copies
    struct.pack_into("<HHI", end, 8, total, total, len(directory) + sum(map(len, renamed)))
    return data[:start] + directory + b"".join(renamed) + bytes(end)


def npy_bytes(value: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, value, allow_pickle=True)
    return stream.getvalue()


def npy_with(header: str, data: bytes = b"") -> bytes:
    text = header.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data
