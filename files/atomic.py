"""Writing a file so that it is either the old one or the whole new one, never a part of it."""

import contextlib
import errno
import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a binary file that takes the name `path` only once it is whole and on disk.

    Raises OSError when the folder cannot be written; `path` is then untouched.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, not a file to write")
    path.parent.mkdir(parents=True, exist_ok=True)
    part, stream = _new_part(path)
    try:
        with stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            # Still locked, so that `remove_torn` of another process leaves it alone.
            part.replace(path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            # The error of a full disk names no file, and NumPy's not even the reason.
            if error.errno is None:
                error.errno, error.strerror = errno.EIO, f"could not be written whole ({error}); is the disk full?"
            error.filename = str(path)
        raise
    _sync_folder(path.parent)


def remove_torn(path: str | Path) -> None:
    """Remove what killed writers of `path` left beside it; running writers keep theirs, which are locked."""
    path = Path(path)
    left = re.compile(re.escape(f".{path.name[:40]}.") + r"[0-9a-f]{8}\.part")
    with contextlib.suppress(OSError):
        for part in [entry for entry in path.parent.iterdir() if left.fullmatch(entry.name)]:
            with contextlib.suppress(OSError), part.open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                part.unlink()


def _new_part(path: Path) -> tuple[Path, IO[bytes]]:
    """A new file beside `path`, open for writing and locked for as long as it is open."""
    while True:
        part = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}.part")
        stream = part.open("xb")
        # On file systems without locks `remove_torn` gets none either.
        with contextlib.suppress(OSError):
            fcntl.flock(stream, fcntl.LOCK_EX)
        if os.fstat(stream.fileno()).st_nlink:
            return part, stream
        # `remove_torn` removed it before it was locked.
        stream.close()


def _sync_folder(folder: Path) -> None:
    """Put the new name on disk too, where the system lets folders be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
