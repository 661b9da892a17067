"""The folder of a run: its checkpoints, options and TensorBoard events, written by one run at a time."""

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from files import atomic_write
from files.folders import missing_folders, remove_empty
from models.levels import INDEX

LOCK = ".lock"
CURRENT = "current.pth"


class RunError(ValueError):
    """The run cannot start; the message says what to do."""


def resumable(folder: Path) -> Path:
    """The state that the run in `folder` is resumed from; raises RunError where there is none."""
    if not (folder / CURRENT).is_file():
        raise RunError(f"there is nothing to resume in {folder}: no {CURRENT}; start without --resume")
    return folder / CURRENT


def lock_folder(path: Path) -> TextIO:
    """The lock of a folder, made where it is missing, until it is closed; raises RunError where another run has it, and
    OSError."""
    path.mkdir(parents=True, exist_ok=True)
    lock = (path / LOCK).open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        locked = False
    else:
        # A run that found nothing to do may just have removed the file this lock is on.
        locked = os.fstat(lock.fileno()).st_nlink > 0
    if not locked:
        lock.close()
        raise RunError(f"another run is writing to {path}; choose another --experiment_name or folder, or wait for it")
    return lock


class RunFolder:
    """Holds the folder's lock while the run lasts; nothing that a run has written is ever removed.

    As a context manager it removes the folder again if the run has written nothing to it.
    """

    def __init__(self, path: str | Path, resume: bool = False) -> None:
        self.path = Path(path)
        if not (self.path / LOCK).exists():
            self._check(resume)
        self._made = missing_folders(self.path)
        try:
            self._lock = lock_folder(self.path)
        except OSError as error:
            remove_empty(self._made)
            raise RunError(f"cannot write to {self.path} ({error.strerror}); choose another --summary") from None
        try:
            # Again, now that no other run can come or go.
            self._check(resume)
        except RunError:
            self.close()
            raise
        for part in self.path.glob(".*.part"):
            part.unlink()

    def _check(self, resume: bool) -> None:
        """Raise RunError where there is nothing to resume, or something where a run is to start."""
        if resume and not (self.path / INDEX).is_file():
            resumable(self.path)
        if not resume and self._written():
            raise RunError(
                f"{self.path} already holds a run, which is never overwritten: "
                "choose another --experiment_name, or continue it by --resume"
            )

    def _written(self) -> bool:
        """Whether the folder holds more than a lock and the torn files of a killed run."""
        if not self.path.exists():
            return False
        return not self.path.is_dir() or any(e.name != LOCK and e.suffix != ".part" for e in self.path.iterdir())

    def close(self) -> None:
        """Release the lock; a folder that was made for this run and never written to is removed."""
        if self.path in self._made and not self._written():
            (self.path / LOCK).unlink(missing_ok=True)
            remove_empty(self._made)
        self._lock.close()

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def current(self) -> Path:
        """The newest state, to resume from."""
        return self.path / CURRENT

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file beside the checkpoints."""
        with atomic_write(self.path / name) as stream:
            stream.write(json.dumps(content, indent=2).encode() + b"\n")
