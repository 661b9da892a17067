"""Locks of files: one program at a time writes a result, however many start at the same moment."""

import contextlib
import fcntl
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

# In a folder, held by the program that writes to it.
FOLDER_LOCK = ".lock"


def locked(stream: IO[bytes]) -> bool:
    """Lock a file and return whether that worked: nobody else holds it, or the file system has no locks."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def lock_beside(path: Path) -> Path:
    """The file that is locked while the file `path` is made."""
    return path.with_name(f".{path.name[:40]}.{zlib.crc32(os.fsencode(path.name)):08x}{FOLDER_LOCK}")


@contextlib.contextmanager
def holding(lock: Path, place: Path) -> Iterator[None]:
    """Keep `lock` locked for `place`, and remove it at the end; what a killed program left there locks nothing.

    Raises ValueError where another program holds it, and OSError.
    """
    held = False
    while not held:
        with lock.open("ab") as stream:
            if not locked(stream):
                raise ValueError(f"another program is writing {place}: wait for its end, or choose another --save_path")
            # Whoever held it before may have removed this file since it was opened.
            held = os.fstat(stream.fileno()).st_nlink > 0
            if held:
                try:
                    yield
                finally:
                    lock.unlink(missing_ok=True)
