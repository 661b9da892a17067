"""Claims on places for results: one program at a time writes to a place, however many start at the same moment."""

import contextlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from files.results import locked

# In a folder, held by the program that writes to it.
CLAIM = ".lock"


def claim_beside(path: Path) -> Path:
    """The file that is held while the file `path` is made."""
    return path.with_name(f".{path.name[:40]}.{zlib.crc32(os.fsencode(path.name)):08x}{CLAIM}")


@contextlib.contextmanager
def claimed(claim: Path, place: Path) -> Iterator[None]:
    """Hold the file `claim` for `place`, and remove it at the end; what a killed program left there holds nothing.

    Raises ValueError where another program holds it, and OSError.
    """
    held = False
    while not held:
        with claim.open("ab") as stream:
            if not locked(stream):
                raise ValueError(f"another program is writing {place}: wait for its end, or choose another --save_path")
            # Whoever held it before may have removed this file since it was opened.
            held = os.fstat(stream.fileno()).st_nlink > 0
            if held:
                try:
                    yield
                finally:
                    claim.unlink(missing_ok=True)
