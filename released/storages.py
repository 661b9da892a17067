"""Files of `torch.save` with NumPy arrays in them, their tensors read as NumPy arrays.

`torch.load(weights_only=True)` would refuse the NumPy arrays or, if NumPy's functions were allowed, run them on
whatever the file says; here only `released.arrays` sees what was written.

Source: the layout as `torch/serialization.py` documents it: a zip file with NAME/data.pkl and the storages
NAME/data/KEY; before PyTorch 1.6, five pickles and the storages one after another.
"""

import io
import math
import os
import zipfile
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from files import ArchiveError
from files.reading import check_zip
from released.arrays import Arrays, is_shape
from released.pickles import Name, read_pickle

STORAGES = {
    "Float": "<f4", "Double": "<f8", "Half": "<f2",
    "Long": "<i8", "Int": "<i4", "Short": "<i2", "Char": "i1", "Byte": "u1",
}  # fmt: skip
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001


class Tensors(Arrays):
    """Builds arrays, and tensors as read-only views of their storages; `read(key, dtype, count)` fetches a storage."""

    def __init__(self, budget: int, read: Callable[[str, np.dtype, int], np.ndarray]) -> None:
        super().__init__(budget)
        self.read = read
        self.known: dict[str, np.ndarray] = {}
        self.types = {f"torch.{name}Storage": np.dtype(code) for name, code in STORAGES.items()}
        self.names |= {name: Name(name) for name in self.types}
        self.names["torch._utils._rebuild_tensor_v2"] = Name("tensor", self.tensor)
        self.names["torch._utils._rebuild_parameter"] = Name("parameter", lambda tensor, *_: tensor)

    def persistent(self, reference: Any) -> np.ndarray:
        """The storage [number of values] of a reference ('storage', type, key, device, number of values, ...)."""
        if not (isinstance(reference, tuple) and len(reference) >= 5 and reference[0] == "storage"):
            raise ArchiveError("refers to something that is not a storage")
        _, kind, key, _, count = reference[:5]
        dtype = self.types.get(kind.name) if isinstance(kind, Name) else None
        if dtype is None or not isinstance(key, str) or not is_shape((count,)):
            raise ArchiveError("refers to a storage in an unknown way")
        if key not in self.known:
            self.known[key] = self.read(key, dtype, count)
        storage = self.known[key]
        if storage.dtype != dtype or len(storage) != count:
            raise ArchiveError(f"has a storage {key[:20]!r} that is not as large as it claims")
        return storage

    def tensor(self, storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> np.ndarray:
        """A tensor, as a view of its storage that never leaves it and is never larger than it."""
        if not isinstance(storage, np.ndarray) or storage.ndim != 1:
            raise ArchiveError("holds a tensor without a storage")
        if not (is_shape(shape) and is_shape(strides) and is_shape((offset,))):
            raise ArchiveError("holds a tensor without a proper shape")
        if not math.prod(shape):
            return np.empty(shape, storage.dtype)
        last = offset + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))
        if last >= len(storage) or math.prod(shape) > len(storage):
            raise ArchiveError("holds a tensor that is larger than its storage")
        steps = tuple(stride * storage.itemsize for stride in strides)
        return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps, writeable=False)


def read_torch(stream: IO[bytes]) -> Any:
    """What `torch.save` wrote to the file `stream`: plain values, with tensors and arrays as NumPy arrays.

    Raises ArchiveError (without the path), or what the readers of zip files and pickles raise on damage.
    """
    size = os.fstat(stream.fileno()).st_size
    if stream.read(2) == b"PK":
        return _read_zip(stream, size)
    stream.seek(0)
    return _read_legacy(stream, size)


def _read_zip(stream: IO[bytes], size: int) -> Any:
    with zipfile.ZipFile(stream) as archive:
        check_zip(archive, size, compressed=False)
        names = archive.namelist()
        roots = [name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise ArchiveError("is a zip file, but not one of torch.save")
        if f"{roots[0]}byteorder" in names and archive.read(f"{roots[0]}byteorder") != b"little":
            raise ArchiveError("was written on a big-endian machine, which is not supported")

        def read(key: str, dtype: np.dtype, _: int) -> np.ndarray:
            return np.frombuffer(archive.read(f"{roots[0]}data/{key}"), dtype)

        pickled = archive.read(f"{roots[0]}data.pkl")
        return read_pickle(io.BytesIO(pickled), Tensors(len(pickled), read))


def _read_legacy(stream: IO[bytes], size: int) -> Any:
    def read(_: str, dtype: np.dtype, count: int) -> np.ndarray:
        nonlocal size
        size -= count * dtype.itemsize
        if size < 0:
            raise ArchiveError("claims more numbers than it holds: not loaded")
        return np.zeros(count, dtype)

    tensors, plain = Tensors(size, read), Arrays(0)
    if (read_pickle(stream, plain), read_pickle(stream, plain)) != (LEGACY_MAGIC, LEGACY_PROTOCOL):
        raise ArchiveError("is not a file of torch.save")
    read_pickle(stream, plain)
    value = read_pickle(stream, tensors)
    keys = read_pickle(stream, plain)
    if not isinstance(keys, list) or any(not isinstance(key, str) for key in keys) or set(keys) != set(tensors.known):
        raise ArchiveError("has a list of storages that does not fit it")
    # The tensors are views of these storages already, so that they fill up as the values come.
    for key in keys:
        storage = tensors.known[key]
        data = stream.read(8 + storage.nbytes)
        if len(data) != 8 + storage.nbytes or int.from_bytes(data[:8], "little") != len(storage):
            raise ArchiveError("is cut off")
        storage[:] = np.frombuffer(data, storage.dtype, offset=8)
    return value
