"""The folder of a run: SUMMARY/EXPERIMENT_NAME with its checkpoints, options and TensorBoard events."""

import fcntl
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from files import atomic_write


class RunError(ValueError):
    """The run cannot start; the message says what to do."""


class RunFolder:
    """Holds the folder's lock for as long as the run lives; nothing already in it is ever removed."""

    def __init__(self, summary: str | Path, name: str, resume: bool) -> None:
        if not name or Path(name).name != name:
            raise RunError(f"--experiment_name {name!r} must be a plain folder name")
        self.path = Path(summary) / name
        if resume and not self.current.is_file():
            raise RunError(f"there is nothing to resume in {self.path}: no current.pth; start without --resume")
        if not resume and self.path.exists() and any(self.path.iterdir()):
            raise RunError(
                f"{self.path} already holds a run, which is never overwritten: "
                "choose another --experiment_name, or go on with it by --resume"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock: TextIO = (self.path / ".lock").open("w")
        except OSError as error:
            raise RunError(f"cannot write to {self.path} ({error.strerror}); choose another --summary") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunError(f"another run is writing to {self.path}; choose another --experiment_name") from None

    @property
    def current(self) -> Path:
        """The newest state, to resume from."""
        return self.path / "current.pth"

    @property
    def final(self) -> Path:
        """The finished field."""
        return self.path / "model_final.pth"

    def numbered(self, step: int) -> Path:
        """The state kept after `step` steps."""
        return self.path / f"checkpoint_{step}.pth"

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file beside the checkpoints."""
        with atomic_write(self.path / name) as stream:
            stream.write(json.dumps(content, indent=2).encode() + b"\n")
