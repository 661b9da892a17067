"""The checks every reader begins with, and how readers warn."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Bytes of a file: far above any real input, far below what exhausts a machine; the last of what stays in its file.
LARGEST_FILE = 1 << 32
LARGEST_TEXT = 1 << 28
LARGEST_MAPPED = 1 << 44
# The most numbers that one signal may hold in memory, and in a file that is read where it is used.
LARGEST_SAMPLES = 1 << 29
LARGEST_STORED = 1 << 36


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


def bounded(what: str | Path, samples: int, advice: str, most: int | None = None) -> None:
    """Raise ValueError for a signal of more numbers than `most`, or than the limit on memory allows."""
    if samples > (most or LARGEST_SAMPLES):
        raise ValueError(f"{what} has {samples} numbers, more than the {most or LARGEST_SAMPLES} supported; {advice}")


@contextmanager
def in_file(path: Path) -> Iterator[None]:
    """Prefix ValueErrors raised inside with the file that is wrong."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def note(text: str) -> None:
    """Print what was found out on the terminal."""
    print(text, file=sys.stderr)


def warn(text: str) -> None:
    """Print a warning on the terminal: what of a file was ignored, repaired or guessed."""
    print(f"warning: {text}", file=sys.stderr)


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its type where it has none."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
