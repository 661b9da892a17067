"""`.npz` archives that hold plain arrays, a format name and a digest over all of them."""

import ast
import hashlib
import math
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from files.atomic import atomic_write, remove_torn

DIGEST = "digest"
# A claimed size is believed only up to this many bytes: far above any real file, far below a bomb.
LARGEST_ARRAY = 1 << 34
# What compressed arrays may unfold to: anything up to here, and beyond it only so many times their file. A signal
# that is black all over compresses 1000 times, and a bomb no better.
ALWAYS_ALLOWED = 1 << 28
LARGEST_RATIO = 100
LONGEST_HEADER = 4096
# Bytes that are unpacked at once.
CHUNK = 1 << 20
ARRAY_TYPE = re.compile(r"[<>|=]?([biufcSU]\d{1,9}|O)")
# What the readers of zip files and array headers may raise on bytes that make no sense.
READ_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    OverflowError,
    SyntaxError,
    RuntimeError,
    MemoryError,
)


class ArchiveError(ValueError):
    """The file is not the archive it should be; the message says what to do."""


@dataclass(frozen=True)
class Bound:
    """What an array of an archive may be: its dtype's `kinds`, and how many axes and values (characters) at most."""

    kinds: str
    axes: int = 0
    most: float = 1

    def admits(self, shape: tuple[int, ...], dtype: np.dtype) -> bool:
        """Whether an array may have the shape and dtype that its header claims."""
        values = math.prod(shape) * (dtype.itemsize // 4 if dtype.kind == "U" else 1)
        return dtype.kind in self.kinds and len(shape) <= self.axes and values <= self.most


DIGEST_BOUND = Bound("U", most=64)


def digest_of(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the names, types, shapes and bytes of `arrays`, in the order of their names."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        total.update(array.reshape(-1).view(np.uint8))
    return total.hexdigest()


def save_archive(path: str | Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write `arrays` to the `.npz` file `path`, atomically and with their digest."""
    plain = {name: np.asarray(value) for name, value in arrays.items()}
    for name, array in plain.items():
        if not name.isidentifier() or name in (DIGEST, "file"):
            raise ArchiveError(f"an array of an archive cannot have the name {name!r}")
        if array.dtype.hasobject:
            raise ArchiveError(f"{name} holds Python objects; only plain arrays are stored")
    remove_torn(path)
    with atomic_write(path) as stream:
        # The digest comes first: one damaged length in the zip file's directory can swallow all members after it.
        np.savez(stream, **{DIGEST: np.array(digest_of(plain))}, **plain)
    return Path(path)


def load_archive(
    path: str | Path, required: Collection[str], bounds: Mapping[str, Bound] | None = None
) -> dict[str, np.ndarray]:
    """Read the arrays of an `.npz` file, never unpickling, and check their digest where there is one.

    `bounds` are what its arrays may be, by name. Raises FileNotFoundError, or ArchiveError for anything that is
    not a whole archive with the `required` names in it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; check the path")
    known = {**(bounds or {}), DIGEST: DIGEST_BOUND}
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _checked_entries(archive, path)
            missing = sorted(set(required) - set(entries))
            if missing:
                raise ArchiveError(f"{path} lacks {', '.join(missing)}: it is another kind of file")
            arrays = {name: _read_entry(archive, entry, known.get(name), path) for name, entry in entries.items()}
        digest = arrays.pop(DIGEST, None)
        sound = digest is None or str(digest) == digest_of(arrays)
    except ArchiveError:
        raise
    except READ_FAULTS as error:
        reason = str(error).partition("\n")[0][:200] or type(error).__name__
        raise ArchiveError(f"{path} is damaged or not an .npz file ({reason}); make it again") from None
    if not sound:
        raise ArchiveError(f"{path} is damaged: its digest does not fit its contents; make it again")
    return arrays


def _checked_entries(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """The members by array name, if together they claim no more than a file of this size can honestly hold."""
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        name = entry.filename.removesuffix(".npy")
        if name == entry.filename or name in entries:
            raise ArchiveError(
                f"{path} holds {entry.filename[:80]!r}, which is no array of its own: another kind of file"
            )
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ArchiveError(f"{path} is compressed in a way that .npz files never are")
        entries[name] = entry
    size = path.stat().st_size
    # Entries that overlap claim more packed bytes than there are, and could be unpacked again and again.
    packed, claimed = (sum(getattr(e, part) for e in entries.values()) for part in ("compress_size", "file_size"))
    if packed > size or claimed > min(max(LARGEST_RATIO * size, ALWAYS_ALLOWED), LARGEST_ARRAY):
        raise ArchiveError(f"{path} claims {claimed} bytes in a file of {size}: refused as a bomb")
    return entries


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, bound: Bound | None, path: Path) -> np.ndarray:
    """One `.npy` member, refused if its header does not fit its size or its bound."""
    with archive.open(entry) as stream:
        shape, fortran, dtype = read_header(stream)
        if dtype.hasobject:
            raise ArchiveError(f"{path} holds pickled objects, which are never loaded; convert it first")
        name = entry.filename.removesuffix(".npy")[:80]
        # What the header says is judged before anything is unpacked.
        if bound and not bound.admits(shape, dtype):
            claim = f"{math.prod(shape):.4g} values of type {dtype.str} on {len(shape)} axes"
            raise ArchiveError(f"{path} claims that its {name!r} are {claim}: it is another kind of file")
        if dtype.itemsize * math.prod(shape) != entry.file_size - stream.tell():
            raise ArchiveError(f"{path} is truncated: {name!r} does not hold the values it claims")
        array = np.empty(shape, dtype, order="F" if fortran else "C")
        flat = memoryview(array.reshape(-1, order="A").view(np.uint8))
        # Piece by piece: a member is never in memory twice.
        for start in range(0, max(len(flat), 1), CHUNK):
            flat[start : start + CHUNK] = stream.read(CHUNK)
    return array


def load_array(path: str | Path) -> np.ndarray:
    """The one array of numbers in an `.npy` file, never unpickled.

    Raises FileNotFoundError, or ArchiveError for anything but a whole file of numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; check the path")
    try:
        with path.open("rb") as stream:
            shape, fortran, dtype = read_header(stream)
            size = path.stat().st_size - stream.tell()
            if dtype.kind not in "fiubc" or dtype.itemsize * math.prod(shape) != size:
                raise ArchiveError(f"{path} is no .npy file of plain numbers, or it is truncated; save it again")
            flat = np.frombuffer(stream.read(size), dtype)
    except ArchiveError:
        raise
    except READ_FAULTS as error:
        raise ArchiveError(f"{path} is damaged or no .npy file ({type(error).__name__}); save it again") from None
    return flat.reshape(shape, order="F" if fortran else "C")


def read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """(shape, Fortran order?, dtype) of the `.npy` data at the position of `stream`, which is left at its values.

    Raises one of READ_FAULTS if it is not the header of an array of numbers, text or (for pickles) objects.
    NumPy's own reader would go on to repair what Python 2 wrote, with a tokenizer that was not made for attacks.
    """
    magic = stream.read(8)
    if magic not in (b"\x93NUMPY\x01\x00", b"\x93NUMPY\x02\x00"):
        raise ValueError("not an array of a known version")
    size = int.from_bytes(stream.read(2 if magic[6] == 1 else 4), "little")
    if size > LONGEST_HEADER:
        raise ValueError(f"an array with a header of {size} bytes")
    with warnings.catch_warnings():
        # Python would tell the terminal of odd literals.
        warnings.simplefilter("ignore")
        header = ast.literal_eval(stream.read(size).decode("latin1").strip())
    if not isinstance(header, dict) or set(header) != {"descr", "fortran_order", "shape"}:
        raise ValueError("an array with an unknown header")
    shape, kind = header["shape"], header["descr"]
    if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError("an array without a proper shape")
    if not isinstance(kind, str) or not ARRAY_TYPE.fullmatch(kind):
        raise ValueError("an array of neither numbers nor text")
    return shape, header["fortran_order"] is True, np.dtype(kind)
