"""Results too large for memory: arrays in a file whose slices are assigned and read; `files.stored` reads them too."""

import contextlib
import glob
import math
import mmap
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from files.atomic import atomic_write
from files.folders import refuse_existing
from files.locks import locked
from files.stored import LARGE, Array, Slices, Stored, parts, row_blocks

# Suffixes of files that hold plain arrays.
ARRAYS = (".npy", ".zarr", ".tif", ".tiff")
# Samples along the axes of a chunk of Zarr and a tile of TIFF.
CHUNK, TILE = 512, 256
# Held by the writer of a folder.
LOCK = "lock"


class Scratch(Stored):
    """An array of float32 zeros in a file without a name in `folder` (None: of temporary files), which ends with the
    array or the process.

    Raises OSError where the disk has no room for it.
    """

    def __init__(self, shape: Sequence[int], folder: str | Path | None = None) -> None:
        super().__init__(shape, np.float32, self._read)
        with tempfile.TemporaryFile(dir=folder) as stream:
            size = max(1, self.size * self.dtype.itemsize)
            # A full disk raises an error here; later it would kill the process.
            os.posix_fallocate(stream.fileno(), 0, size)
            self._map = mmap.mmap(stream.fileno(), size)
        self._array = np.frombuffer(self._map, self.dtype, self.size).reshape(self.shape)

    def _read(self, part: Slices) -> np.ndarray:
        found = self._array[part].copy()
        self._forget()
        return found

    def __setitem__(self, index: Any, values: Any) -> None:
        self._array[index] = values
        self._forget()

    def _forget(self) -> None:
        """Leave the pages to the system, which writes them: they would count as this process's memory."""
        self._map.madvise(mmap.MADV_DONTNEED)


def room_if_large(shape: Sequence[int]) -> Scratch | None:
    """A float32 array in a temporary file for a result too large for memory, None for others."""
    return Scratch(shape) if math.prod(shape) >= LARGE else None


def chunk_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Chunks of a result [..., c]: CHUNK samples along an axis, fewer where there are more axes than two; all of c."""
    axes = max(1, len(shape) - 1)
    side = CHUNK if axes <= 2 else 2 ** round(18 / axes)
    return (*(min(n, CHUNK**2 if axes == 1 else side) for n in shape[:-1]), shape[-1])


def new_zarr(path: Path, shape: Sequence[int], chunks: Sequence[int] | None = None) -> Any:
    """A new float32 Zarr array at `path`, whose whole chunks several processes may assign; raises ValueError."""
    import zarr

    # Chunks of zeros are written, too: their files say what is done. Shards would be torn by a second writer.
    config: Any = {"write_empty_chunks": True}
    chunks = tuple(chunks or chunk_shape(shape))
    return zarr.create_array(path, shape=tuple(shape), chunks=chunks, dtype=np.dtype(np.float32), config=config)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` that takes its name once what is inside is whole, never in place of another.

    What killed writers of `path` left is removed first. Raises ValueError where `path` exists.
    """
    refuse_existing(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_parts(path)
    part = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".part"))
    try:
        with (part / LOCK).open("xb") as lock:
            locked(lock)
            yield part / path.name
            refuse_existing(path)
            (part / path.name).rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def resumable_folder(path: Path, digest: str) -> Iterator[Path]:
    """A folder beside `path` for what a run has done so far, which the same run, of this `digest`, finds again after it
    was killed; those of other killed runs are removed first, and this one at its end.

    Raises ValueError where the same run goes on already.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.parent / f".{path.name[:40]}.{digest[:16]}.part"
    remove_parts(path, besides=part)
    part.mkdir(exist_ok=True)
    with (part / LOCK).open("ab") as lock:
        if not locked(lock):
            raise ValueError(f"another process writes {path}: wait for its end")
        yield part
        shutil.rmtree(part, ignore_errors=True)


def remove_parts(path: Path, besides: Path | None = None) -> None:
    """Remove what killed writers of the folder `path` left beside it; running writers keep theirs, which are locked."""
    for lock in path.parent.glob(f".{glob.escape(path.name[:40])}.*.part/{LOCK}"):
        with contextlib.suppress(OSError), lock.open("rb") as stream:
            if lock.parent != besides and locked(stream):
                shutil.rmtree(lock.parent, ignore_errors=True)


def write_zarr(path: Path, values: Array) -> Path:
    """Write values [..., c] as they are to a Zarr array of float32 chunks, whole or not at all."""
    with new_folder(path) as inner:
        target = new_zarr(inner, values.shape)
        # Whole chunks, at least one row of them.
        for part in row_blocks(values.shape, multiple=target.chunks[0]):
            target[part] = np.asarray(values[part], np.float32)
    return path


def write_tiff(path: Path, values: Array, alpha: bool = False) -> Path:
    """Write values [H, W, c], or [pages, H, W, c], as they are to a BigTIFF of float32 tiles, atomically; with `alpha`
    the last channel is what the others are multiplied by."""
    import tifffile

    shape = values.shape if values.ndim == 4 else (1, *values.shape)
    pages, height, width, channels = shape
    colours = 3 if channels - alpha >= 3 else 1
    extra = ["unspecified"] * (channels - alpha - colours) + ["assocalpha"] * alpha

    def tiles() -> Iterator[np.ndarray]:
        for page in range(pages):
            for top in range(0, height, TILE):
                place = slice(top, min(top + TILE, height))
                rows = np.asarray(values[place] if values.ndim == 3 else values[page, place], np.float32)
                for left in range(0, width, TILE):
                    tile = np.zeros((TILE, TILE, channels), np.float32)
                    part = rows[:, left : left + TILE]
                    tile[: part.shape[0], : part.shape[1]] = part
                    yield tile if channels > 1 else tile[..., 0]

    with atomic_write(path) as stream, tifffile.TiffWriter(stream, bigtiff=True) as writer:
        layout: dict[str, Any] = {"planarconfig": "contig", "extrasamples": extra or None} if channels > 1 else {}
        writer.write(
            tiles(), shape=shape if channels > 1 else shape[:-1], dtype=np.float32, tile=(TILE, TILE), metadata=None,
            photometric="rgb" if colours == 3 else "minisblack", **layout,
        )  # fmt: skip
    return path


def write_array(path: Path, values: Array, dtype: Any = np.float32) -> Path:
    """Write values as they are to a .npy file of `dtype`, atomically."""
    with atomic_write(path) as stream:
        kind = np.dtype(dtype).newbyteorder("<")
        header = {"descr": kind.str, "fortran_order": False, "shape": tuple(values.shape)}
        np.lib.format.write_array_header_1_0(stream, header)
        for part in parts(values):
            stream.write(np.ascontiguousarray(part, kind).data)
    return path
