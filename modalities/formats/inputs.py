"""The checks every reader begins with: the file exists, is readable, and no larger than memory allows."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from signals.metadata import LARGEST_SAMPLES

# Far above any honest input, far below what exhausts a machine.
LARGEST_FILE = 1 << 32
LARGEST_TEXT = 1 << 28


def existing_file(path: str | Path, what: str, advice: str, largest: int = LARGEST_FILE) -> Path:
    """`path` of a readable file that is neither empty nor larger than `largest` bytes.

    Raises FileNotFoundError, or ValueError that names the expected content `what` and gives `advice`.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not {what}; {advice}")
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; check the path")
    size = path.stat().st_size
    if size == 0:
        raise ValueError(f"{path} is empty, not {what}; {advice}")
    if size > largest:
        raise ValueError(f"{path} has {size} bytes, more than the {largest} supported; shorten it first")
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise ValueError(f"{path} is not readable ({error.strerror}); check its permissions") from None


def bounded(what: str | Path, samples: int, advice: str) -> None:
    """Raise ValueError for a signal of more numbers than memory is trusted with."""
    if samples > LARGEST_SAMPLES:
        raise ValueError(f"{what} has {samples} numbers, more than the {LARGEST_SAMPLES} supported; {advice}")


@contextmanager
def in_file(path: Path) -> Iterator[None]:
    """Prefix ValueErrors raised inside with the file that is wrong."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def warn(text: str) -> None:
    """Print a warning on the terminal: what of a file was ignored, repaired or guessed."""
    print(f"warning: {text}", file=sys.stderr)
