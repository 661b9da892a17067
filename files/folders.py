"""Folders for results: checked to be writable before the work begins, removed if nothing was written."""

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path


def missing_folders(path: Path) -> list[Path]:
    """`path` and those of its parents that do not exist, innermost first."""
    return [folder for folder in (path, *path.parents) if not folder.exists()]


def refuse_existing(*paths: Path) -> None:
    """Raise ValueError where any of `paths` exists."""
    if present := [str(path) for path in paths if path.exists()]:
        verb = "exist and are" if len(present) > 1 else "exists and is"
        raise ValueError(f"{', '.join(present)} {verb} never overwritten: remove it or name another place")


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove those of `folders`, innermost first, that hold nothing."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


@contextlib.contextmanager
def writable_folder(path: Path) -> Iterator[Path]:
    """Make the folder `path`; on leaving, folders that were made and are empty are removed.

    Raises OSError where it cannot be made or nothing can be written to it.
    """
    made = missing_folders(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        yield path
    except OSError as error:
        if error.errno == errno.ENOSPC and error.filename is None:
            again = f"{os.strerror(errno.ENOSPC)}; make room and give the same command again"
            raise OSError(errno.ENOSPC, again, str(path)) from None
        raise
    finally:
        remove_empty(made)
