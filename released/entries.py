"""The dictionaries in released files, their entries read as plain numbers."""

from typing import Any

import numpy as np

from files import ArchiveError
from signals.metadata import LARGEST_NUMBER


class OtherKindError(ArchiveError):
    """The file holds none of what the authors' files of this kind hold, or not all of it."""


class Entries:
    """The dictionary of a released file; raises ArchiveError (without the path) naming the entry that is wrong."""

    def __init__(self, found: Any, keys: tuple[str, ...]) -> None:
        if not isinstance(found, dict):
            raise OtherKindError(f"holds a {type(found).__name__}, not a dictionary with {', '.join(keys)}")
        if missing := [key for key in keys if key not in found]:
            raise OtherKindError(f"lacks {', '.join(missing)}: it is another kind of file")
        self.found = found

    def positive(self, key: str) -> float:
        """The positive number `key`."""
        value = self._scalar(key)
        # Compared as it is: huge integers do not fit floats.
        if not 0 < value <= LARGEST_NUMBER:
            raise ArchiveError(f"has {key} that is not a positive number")
        return float(value)

    def whole(self, key: str, most: int, least: int = 1) -> int:
        """The whole number `key` from `least` to `most`."""
        value = self._scalar(key)
        if not least <= value <= most or int(value) != value:
            raise ArchiveError(f"has {key} that is not a whole number from {least} to {most}")
        return int(value)

    def _scalar(self, key: str) -> Any:
        """A Python number from a number, a NumPy scalar or an array of one element."""
        value = self.found[key]
        if isinstance(value, np.ndarray | np.generic) and value.size == 1:
            value = value.item()
        if not isinstance(value, bool | int | float):
            raise ArchiveError(f"has {key} that is not a number")
        return value


def numbers(value: Any, key: str) -> np.ndarray:
    """`value` as an array of its own of finite float64; raises ArchiveError naming `key`."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        raise ArchiveError(f"has {key} that is not an array of numbers")
    array = np.array(value, dtype=np.float64, order="C")
    if not np.isfinite(array).all():
        raise ArchiveError(f"has {key} with values that are NaN or infinite")
    return array
