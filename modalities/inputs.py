"""What every loader does first: find the file, bound its size, or say in one sentence what is wrong."""

from pathlib import Path

# Far above any honest input, far below what a machine cannot hold.
LARGEST_FILE = 1 << 32
LARGEST_SAMPLES = 1 << 29


def existing_file(path: str | Path, what: str, advice: str) -> Path:
    """`path`, known to be a readable file that is not empty and not absurdly large.

    Raises FileNotFoundError, or ValueError that says that it is not `what` and gives `advice`.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not {what}; {advice}")
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; check the path")
    size = path.stat().st_size
    if size == 0:
        raise ValueError(f"{path} is empty, not {what}; {advice}")
    if size > LARGEST_FILE:
        raise ValueError(f"{path} has {size} bytes, more than the {LARGEST_FILE} that are read; cut it down first")
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); check its permissions") from None


def bounded(path: Path, samples: int, advice: str) -> None:
    """Refuse, with a ValueError, a signal of more numbers than memory should be trusted with."""
    if samples > LARGEST_SAMPLES:
        raise ValueError(f"{path} holds {samples} numbers, more than the {LARGEST_SAMPLES} supported; {advice}")


def whole_number(name: str, value: int | str | None, least: int) -> int:
    """The option `name` as an integer of at least `least`; raises ValueError."""
    try:
        number = int(str(value))
    except ValueError:
        raise ValueError(f"{name} must be a whole number, not {value!r}") from None
    if number < least:
        raise ValueError(f"{name} must be at least {least}, not {number}")
    return number
