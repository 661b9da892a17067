"""`.npz` archives that hold plain arrays, a format name and a digest over all of them."""

import hashlib
import io
import math
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from files.atomic import atomic_write

DIGEST = "digest"
# A claimed shape is believed only up to this many bytes: far above any real file, far below a bomb.
LARGEST_ARRAY = 1 << 34
# Deflate cannot honestly shrink floating-point arrays more than this.
LARGEST_RATIO = 1100


class ArchiveError(ValueError):
    """The file is not the archive it should be; the message says what to do."""


def digest_of(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the names, types, shapes and bytes of `arrays`, in the order of their names."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        total.update(array.tobytes() if array.ndim == 0 else memoryview(array).cast("B"))
    return total.hexdigest()


def save_archive(path: str | Path, arrays: Mapping[str, np.ndarray], compress: bool = False) -> Path:
    """Write `arrays` to the `.npz` file `path`, atomically and with their digest."""
    plain = {name: np.asarray(value) for name, value in arrays.items()}
    for name, array in plain.items():
        if array.dtype.hasobject:
            raise ArchiveError(f"{name} holds Python objects; only plain arrays are stored")
    write = np.savez_compressed if compress else np.savez
    with atomic_write(path) as stream:
        write(stream, **plain, **{DIGEST: np.array(digest_of(plain))})
    return Path(path)


def load_archive(path: str | Path, required: Collection[str]) -> dict[str, np.ndarray]:
    """Read the arrays of an `.npz` file, never unpickling, and check their digest where there is one.

    Raises FileNotFoundError, or ArchiveError for anything that is not a whole archive with the
    `required` names in it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; check the path")
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {
                Path(entry.filename).stem: _read_entry(archive, entry, path) for entry in archive.infolist()
            }
    except ArchiveError:
        raise
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, KeyError) as error:
        raise ArchiveError(f"{path} is damaged or not an .npz file ({error}); make it again") from None
    except (NotImplementedError, RuntimeError, SyntaxError, TypeError, OverflowError, MemoryError) as error:
        raise ArchiveError(f"{path} cannot be read as an .npz file ({error}); make it again") from None
    digest = arrays.pop(DIGEST, None)
    missing = sorted(set(required) - set(arrays))
    if missing:
        raise ArchiveError(f"{path} lacks {', '.join(missing)}: it is another kind of file")
    if digest is not None and str(digest) != digest_of(arrays):
        raise ArchiveError(f"{path} is damaged: its digest does not fit its contents; make it again")
    return arrays


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> np.ndarray:
    """One `.npy` member, refused before anything large is read if its header does not fit its size."""
    if not entry.filename.endswith(".npy"):
        raise ArchiveError(f"{path} holds {entry.filename!r}, which is not an array: it is another kind of file")
    if entry.file_size > min(LARGEST_ARRAY, LARGEST_RATIO * max(entry.compress_size, 64)):
        raise ArchiveError(f"{path} claims {entry.file_size} bytes for {entry.filename!r}: refused as a bomb")
    data = archive.read(entry)
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ArchiveError(f"{path} uses an unknown array version {version}")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read_header(stream)
    if dtype.hasobject:
        raise ArchiveError(f"{path} holds pickled objects, which are never loaded; convert it first")
    if dtype.itemsize * math.prod(shape) != len(data) - stream.tell():
        raise ArchiveError(f"{path} is truncated: {entry.filename!r} does not hold the {shape} values it claims")
    flat = np.frombuffer(data, dtype, offset=stream.tell())
    return flat.reshape(shape, order="F" if fortran else "C").copy()
