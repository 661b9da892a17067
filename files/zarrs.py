"""Zarr arrays, and the finest level of OME-Zarr pictures, read where they are used; nothing in them is run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from files.inputs import first_line
from files.reading import ArchiveError
from files.stored import Stored

NUMBERS = "biuf"
# Chunks are unpacked whole.
LARGEST_CHUNK = 1 << 30
# Codecs that turn bytes into numbers and do nothing else; numcodecs has one that unpickles, and reads objects by it.
CODECS = {
    "adler32", "bitround", "blosc", "bytes", "bz2", "crc32", "crc32c", "delta", "fixedscaleoffset", "fletcher32",
    "gzip", "lz4", "lzma", "packbits", "quantize", "sharding_indexed", "shuffle", "transpose", "zlib", "zstd",
}  # fmt: skip


def open_zarr(path: Path) -> tuple[Stored, str]:
    """The array at `path`, of Zarr 2 or 3, or the finest level of an OME-Zarr picture, and the letters of its axes,
    which OME-Zarr names ('': not known).

    Raises FileNotFoundError, or ArchiveError for anything else.
    """
    if not path.is_dir():
        raise FileNotFoundError(f"{path} does not exist, or is no folder as Zarr writes it; check the path")
    try:
        node = _opened(path)
        axes = ""
        if not hasattr(node, "shape"):
            level, axes = _finest(dict(node.attrs))
            inner = (path / level).resolve()
            if path.resolve() not in inner.parents:
                raise ArchiveError(f"names a level outside of itself: {level[:80]!r}")
            node = _opened(inner)
        _check(node, axes)
    except ArchiveError as error:
        raise ArchiveError(f"{path} {error}") from None
    except Exception as error:
        # Zarr raises nearly anything on damaged metadata.
        what = f"{path} is no Zarr array or OME-Zarr picture, or it is damaged"
        raise ArchiveError(f"{what} ({first_line(error)[:160]})") from None
    return Stored(node.shape, node.dtype, lambda part: _read(path, node, part)), axes


def _opened(path: Path) -> Any:
    try:
        import zarr
        from zarr.storage import LocalStore
    except ImportError:
        raise ArchiveError("requires Zarr 3, thus Python 3.11 or newer") from None
    return zarr.open(store=LocalStore(path, read_only=True), mode="r")


def _read(path: Path, node: Any, part: tuple[slice, ...]) -> np.ndarray:
    try:
        return np.asarray(node[part])
    except Exception as error:
        raise ArchiveError(f"{path} has a damaged chunk ({first_line(error)[:160]}); write it again") from None


def _finest(attributes: dict[str, Any]) -> tuple[str, str]:
    """Path and axes of the first level of the first picture, of OME-Zarr 0.4 and before, or 0.5."""
    pictures = attributes.get("ome", attributes).get("multiscales", [])
    if not pictures:
        raise ArchiveError("is a group without a picture: name the array inside of it")
    picture = pictures[0]
    names = [axis if isinstance(axis, str) else axis["name"] for axis in picture.get("axes", [])]
    return str(picture["datasets"][0]["path"]), "".join(str(name)[:1].lower() for name in names)


def _check(node: Any, axes: str) -> None:
    """Raise ArchiveError for what is no plain array of numbers."""
    if not hasattr(node, "shape") or node.dtype.kind not in NUMBERS or 0 in node.shape or not node.shape:
        raise ArchiveError("holds no plain numbers: save it as an array of them")
    if axes and len(axes) != len(node.shape):
        raise ArchiveError(f"has {len(node.shape)} axes and names {len(axes)}")
    if unknown := sorted(set(codec_names(node.metadata.to_dict())) - CODECS):
        raise ArchiveError(f"is packed by {', '.join(unknown)[:80]}, which was not run; write it with zstd or blosc")
    if int(np.prod(node.chunks, dtype=np.float64)) * node.dtype.itemsize > LARGEST_CHUNK:
        raise ArchiveError(f"has chunks of more than {LARGEST_CHUNK} bytes; write it with smaller ones")


def codec_names(metadata: Any) -> Sequence[str]:
    """Names of all codecs in the metadata of an array, those within shards too."""
    found: list[str] = []
    pending = [metadata.get(key) for key in ("codecs", "filters", "compressor")]
    while pending:
        entry = pending.pop()
        if isinstance(entry, dict):
            if name := entry.get("name", entry.get("id")):
                found.append(str(name).removeprefix("numcodecs."))
            inner = entry.get("configuration")
            pending += [inner.get("codecs"), inner.get("index_codecs")] if isinstance(inner, dict) else []
        elif isinstance(entry, list | tuple):
            pending += entry
    return found
