"""What a file says of its signal, believed only as far as a loader can have said it.

A modality's facts are a frozen dataclass that checks itself; its fields are the names under which `meta` has them, and
its `fit(shape, channels)` refuses a signal they do not belong to.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Protocol, TypeVar

# Beyond any honest number, and well within what numbers are.
LARGEST_NUMBER = 1e300
LARGEST_COUNT = 1 << 31
# More than there is may be asked for: it means all.
LARGEST_OPTION = 1 << 53


class Facts(Protocol):
    """The facts of one signal; its construction and `fit` raise ValueError."""

    def fit(self, shape: tuple[int, ...], channels: int) -> None:
        """Refuse, with a ValueError, a signal of this shape and number of channels."""


Kind = TypeVar("Kind", bound=Facts)


def taken(kind: type[Kind], meta: Mapping[str, Any], what: str) -> Kind:
    """The facts that `meta`, of a signal loaded as `what`, holds; raises ValueError for missing and wrong ones."""
    missing = [entry.name for entry in fields(kind) if entry.default is MISSING and entry.name not in meta]
    if missing:
        raise ValueError(f"this signal does not say its {', '.join(missing)}; load it as {what}")
    return kind(**{entry.name: meta[entry.name] for entry in fields(kind) if entry.name in meta})


@contextmanager
def told_by(path: Path) -> Iterator[None]:
    """Wrong facts are named with the file that they were read from."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}; mend the file first") from None


def check(name: str, value: Any, fine: bool, wanted: str) -> None:
    """Raise ValueError where the fact `name` is not `fine`."""
    if not fine:
        raise ValueError(f"{name} must be {wanted}, not {f'{value!r:.60}'}")


def check_number(name: str, value: Any, least: float = -LARGEST_NUMBER, most: float = LARGEST_NUMBER) -> None:
    """Refuse, with a ValueError, what is not a number within bounds (NaN is within none)."""
    check(name, value, type(value) in (int, float) and least <= value <= most, f"a number from {least:g} to {most:g}")


def check_whole_number(name: str, value: Any, least: int = 1, most: int = LARGEST_COUNT) -> None:
    """Refuse, with a ValueError, what is not a whole number within bounds."""
    check(name, value, type(value) is int and least <= value <= most, f"a whole number from {least} to {most}")


def check_numbers(
    name: str, values: Any, count: int, least: float = -LARGEST_NUMBER, most: float = LARGEST_NUMBER
) -> None:
    """Refuse, with a ValueError, what is not a list of `count` numbers within bounds."""
    check(name, values, isinstance(values, list | tuple) and len(values) == count, f"a list of {count} numbers")
    for value in values:
        check_number(name, value, least, most)


def check_flag(name: str, value: Any) -> None:
    """Refuse, with a ValueError, what is neither true nor false."""
    check(name, value, type(value) is bool, "true or false")


def check_channels(channels: int, allowed: tuple[int, ...]) -> None:
    """Refuse, with a ValueError, a number of channels that is not among the `allowed` ones."""
    check("the number of channels", channels, channels in allowed, " or ".join(map(str, allowed)))


def option(kind: type, value: Any) -> Any:
    """A loader's option as a file says it was given; raises ValueError for one that no command line gives."""
    if kind is int:
        check_whole_number("it", value, 0, LARGEST_OPTION)
    elif kind is float:
        check_number("it", value)
    return kind(value)
