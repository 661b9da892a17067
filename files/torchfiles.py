"""`.pth` files of tensors and plain values, read by `torch.load(weights_only=True)` behind the bound of our archives.

PyTorch is imported inside the functions: programs that need no network run without it.
"""

import io
import os
import pickletools
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from files.atomic import atomic_write, remove_torn
from files.reading import ArchiveError, check_zip, checksum, reading

CHECKSUM = "digest"
# Even `weights_only` builds arrays of any size from a few bytes (`bytearray`, `torch.Tensor`); our files need neither.
NAMES = re.compile(r"collections OrderedDict|torch (\w+Storage|Size)|torch\._utils _rebuild_tensor_v2")
# Far above what a checkpoint needs besides its numbers (a few kilobytes).
LARGEST_PICKLE = 1 << 22
MOST_VALUES = 1 << 18


def save_torch(path: str | Path, content: Mapping[str, Any]) -> Path:
    """Write nested dicts and lists of tensors and plain values to `path`, atomically and with their checksum."""
    import torch

    # In memory first: on a full disk torch's zip writer raises an internal error that does not name the file.
    buffer = io.BytesIO()
    torch.save({**content, CHECKSUM: checksum(content)}, buffer)
    remove_torn(path)
    with atomic_write(path) as stream:
        stream.write(buffer.getbuffer())
    return Path(path)


def load_torch(path: str | Path) -> dict[str, Any]:
    """What `save_torch` wrote to `path`, tensors on the CPU, the checksum verified and removed.

    Raises FileNotFoundError, or ArchiveError for anything else; nothing in the file is run.
    """
    import torch

    with reading(path, "a .pth file of this program") as stream:
        size = os.fstat(stream.fileno()).st_size
        content = torch.load(_checked_copy(stream, size), map_location="cpu", weights_only=True)
        if not isinstance(content, dict):
            raise ArchiveError(f"holds a {type(content).__name__}, not a dictionary: it is another kind of file")
        _check_content(content, size)
        if content.pop(CHECKSUM, None) != checksum(content):
            raise ArchiveError("is damaged or not a .pth file of this program: checksum mismatch")
    return content


def _checked_copy(stream: Any, size: int) -> io.BytesIO:
    """The zip file `stream` rewritten: torch's own reader might see other entries in it than were checked."""
    copy = io.BytesIO()
    with zipfile.ZipFile(stream) as archive, zipfile.ZipFile(copy, "w") as target:
        check_zip(archive, size, compressed=False)
        for entry in archive.infolist():
            data = archive.read(entry)
            if entry.filename.endswith(".pkl"):
                _check_pickle(data)
            target.writestr(entry.filename, data)
    copy.seek(0)
    return copy


def _check_pickle(data: bytes) -> None:
    """Raise ArchiveError if the pickle `data` names anything but tensors."""
    if len(data) > LARGEST_PICKLE:
        raise ArchiveError(f"describes its tensors in {len(data)} bytes: it is another kind of file")
    for instruction, argument, _ in pickletools.genops(data):
        if instruction.name == "GLOBAL" and not NAMES.fullmatch(str(argument)):
            raise ArchiveError(f"names {str(argument)[:80]!r}, which was not run: only tensors and plain values load")


def _check_content(content: Any, size: int) -> None:
    """Raise ArchiveError if `content` is more than a file of `size` bytes can hold: expanded or repeated views."""
    pending, values = [content], MOST_VALUES
    while pending:
        value = pending.pop()
        values -= 1
        size -= value.nbytes if hasattr(value, "nbytes") else 0
        if values < 0 or size < 0:
            raise ArchiveError("claims more numbers than it holds: not loaded")
        if isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, list | tuple):
            pending += value
