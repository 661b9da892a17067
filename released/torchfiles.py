"""Files of `torch.save`, read without PyTorch: their pickle by `files.pickles`, their storages as NumPy arrays.

`torch.load(weights_only=True)` would refuse the NumPy arrays in these files or, told to admit NumPy's functions,
run them on whatever the file says; here only `files.arrays` sees what was written.

Source: the layout as PyTorch documents it in `torch/serialization.py`: a zip file with NAME/data.pkl and the
storages NAME/data/KEY, stored and not compressed; before PyTorch 1.6, five pickles and the storages one after another.
"""

import io
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from files.archive import LARGEST_ARRAY, READ_FAULTS, ArchiveError
from files.arrays import Arrays, is_shape
from files.pickles import Admitted, PickleError, read_pickle

STORAGES = {
    "Float": "<f4",
    "Double": "<f8",
    "Half": "<f2",
    "Long": "<i8",
    "Int": "<i4",
    "Short": "<i2",
    "Char": "i1",
    "Byte": "u1",
}
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001


class _Storages:
    """The storages a pickle refers to, each an array [number of values]; `read(key, dtype, count)` fetches one."""

    def __init__(self, arrays: Arrays, read: Callable[[str, np.dtype, int], np.ndarray]) -> None:
        self.vocabulary = arrays.vocabulary()
        self.vocabulary.persistent = self.storage
        self.read = read
        self.known: dict[str, np.ndarray] = {}
        names = dict(self.vocabulary.names)
        self.types = {f"torch.{name}Storage": np.dtype(code) for name, code in STORAGES.items()}
        names.update({name: Admitted(name) for name in self.types})
        names["torch._utils._rebuild_tensor_v2"] = Admitted("tensor", self.tensor)
        names["torch._utils._rebuild_parameter"] = Admitted("parameter", lambda tensor, *_: tensor)
        self.vocabulary.names = names

    def storage(self, facts: Any) -> np.ndarray:
        """The storage of a persistent id ('storage', type, key, device, number of values, ...)."""
        if not (isinstance(facts, tuple) and len(facts) >= 5 and facts[0] == "storage"):
            raise PickleError("it refers to something that is not a storage")
        _, kind, key, _, count = facts[:5]
        dtype = self.types.get(kind.name) if isinstance(kind, Admitted) else None
        if dtype is None or not isinstance(key, str) or not _is_count(count):
            raise PickleError("it refers to a storage in an unknown way")
        if key not in self.known:
            self.known[key] = self.read(key, dtype, count)
        storage = self.known[key]
        if storage.dtype != dtype or len(storage) != count:
            raise PickleError(f"its storage {key[:20]!r} is not as large as it claims")
        return storage

    def tensor(self, storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> np.ndarray:
        """A tensor, as a view of its storage that never leaves it and is never larger than it."""
        if not isinstance(storage, np.ndarray) or storage.ndim != 1:
            raise PickleError("it holds a tensor without a storage")
        if not (is_shape(shape) and isinstance(strides, tuple) and all(map(_is_count, (offset, *strides)))):
            raise PickleError("it holds a tensor without a proper shape")
        last = offset + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))
        if math.prod(shape) and (last >= len(storage) or math.prod(shape) > len(storage)):
            raise PickleError("it holds a tensor that is larger than its storage")
        if not math.prod(shape):
            return np.empty(shape, storage.dtype)
        steps = tuple(stride * storage.itemsize for stride in strides)
        return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps, writeable=False)


def read_torch(path: str | Path) -> Any:
    """What `torch.save` wrote to `path`: plain values, with tensors and arrays as NumPy arrays (views, read-only).

    Raises FileNotFoundError, or ArchiveError with one sentence for a file that is damaged, of another kind, or
    asks for anything else; nothing in the file is run.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; check the path")
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, io.SEEK_END)
            stream.seek(0)
            if size > LARGEST_ARRAY:
                raise PickleError("it is larger than any file of arrays")
            if stream.read(2) == b"PK":
                return _read_zip(stream, size)
            stream.seek(0)
            return _read_legacy(stream, size)
    except PickleError as error:
        raise ArchiveError(f"{path} cannot be read: {error}") from None
    except READ_FAULTS as error:
        raise ArchiveError(f"{path} is damaged or not a file of torch.save ({type(error).__name__})") from None


def _read_zip(stream: IO[bytes], size: int) -> Any:
    with zipfile.ZipFile(stream) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise PickleError("it is compressed, which torch.save never does")
        # Entries that overlap could be read again and again as so much more than the file.
        if sum(entry.file_size for entry in entries) > size:
            raise PickleError("it claims more than it holds: refused as a bomb")
        roots = [entry.filename.removesuffix("data.pkl") for entry in entries if entry.filename.endswith("/data.pkl")]
        if len(roots) != 1 or len({entry.filename for entry in entries}) != len(entries):
            raise PickleError("it is a zip file, but not one of torch.save")
        if f"{roots[0]}byteorder" in archive.namelist() and archive.read(f"{roots[0]}byteorder") != b"little":
            raise PickleError("it was written on a big-endian machine")

        def read(key: str, dtype: np.dtype, _: int) -> np.ndarray:
            return np.frombuffer(archive.read(f"{roots[0]}data/{key}"), dtype)

        pickled = archive.read(f"{roots[0]}data.pkl")
        return read_pickle(io.BytesIO(pickled), _Storages(Arrays(len(pickled)), read).vocabulary)


def _read_legacy(stream: IO[bytes], size: int) -> Any:
    budget = size

    def read(_: str, dtype: np.dtype, count: int) -> np.ndarray:
        nonlocal budget
        budget -= count * dtype.itemsize
        if budget < 0:
            raise PickleError("it claims more than it holds: refused as a bomb")
        return np.zeros(count, dtype)

    storages = _Storages(Arrays(size), read)
    plain = Arrays(0).vocabulary()
    if (read_pickle(stream, plain), read_pickle(stream, plain)) != (LEGACY_MAGIC, LEGACY_PROTOCOL):
        raise PickleError("it is not a file of torch.save")
    read_pickle(stream, plain)
    value = read_pickle(stream, storages.vocabulary)
    keys = read_pickle(stream, plain)
    if not isinstance(keys, list) or any(not isinstance(key, str) for key in keys) or set(keys) != set(storages.known):
        raise PickleError("its list of storages does not fit it")
    # The tensors are views of these storages already, so that they fill up as the values come.
    for key in keys:
        storage = storages.known[key]
        data = stream.read(8 + storage.nbytes)
        if len(data) != 8 + storage.nbytes or int.from_bytes(data[:8], "little") != len(storage):
            raise PickleError("it is cut off")
        storage[:] = np.frombuffer(data, storage.dtype, offset=8)
    return value


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 48
