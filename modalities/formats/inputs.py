"""The checks every reader begins with: the file exists, is readable, and no larger than memory allows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from files.inputs import LARGEST_FILE, LARGEST_TEXT, existing_file, warn
from signals.metadata import LARGEST_SAMPLES, LARGEST_STORED

__all__ = [
    "LARGEST_FILE",
    "LARGEST_SAMPLES",
    "LARGEST_STORED",
    "LARGEST_TEXT",
    "bounded",
    "existing_file",
    "in_file",
    "warn",
]


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
