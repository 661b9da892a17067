"""Pickled NumPy and JAX arrays, rebuilt as NumPy arrays of plain numbers.

NumPy's own functions would do more with what a file hands them than is wanted (object arrays, field names, flags that
make it follow numbers as pointers), so none of them sees anything that was not checked here first.

Source: `numpy.ndarray.__reduce__`, `numpy.dtype.__reduce__` and `numpy.generic.__reduce__` of NumPy 1 and 2;
`jax._src.array._reconstruct_array` (JAX 0.4 and later) and `jax._src.device_array` (before).
"""

import math
import re
from typing import Any

import numpy as np

from files import ArchiveError
from released.pickles import Name

PLAIN_TYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|c8|c16)")
OBJECT_TYPES = ("O", "O8", "|O", "|O8")
MOST_AXES = 16
# Sides that multiply to less do not overflow, whatever the size of a number.
LARGEST_PRODUCT = 1 << 48


class PickledType:
    """A pickled `numpy.dtype`: plain numbers, or objects, which only the 0-d array around a dictionary may hold."""

    def __init__(self, text: Any) -> None:
        kind = text if isinstance(text, str) else type(text).__name__
        if not PLAIN_TYPE.fullmatch(kind) and kind not in OBJECT_TYPES:
            raise ArchiveError(f"holds an array of {kind[:40]!r}, not of plain numbers")
        self.dtype = np.dtype(kind)

    def set_state(self, state: Any) -> None:
        """Set the byte order from a pickled dtype's state (version, order, subarray, names, fields, ...)."""
        if not (isinstance(state, tuple) and len(state) >= 5 and state[1] in ("<", ">", "=", "|")):
            raise ArchiveError("holds an array type with an unknown state")
        if any(part is not None for part in state[2:5]):
            raise ArchiveError("holds an array of records, not of plain numbers")
        if state[1] in "<>":
            self.dtype = self.dtype.newbyteorder(state[1])


class Arrays:
    """Builds the arrays of one pickle (a `Builder`), which together may hold no more than `budget` bytes."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        # Kept here while they are empty: a state is set once, and never in an array from elsewhere.
        self.blanks: dict[int, np.ndarray] = {}
        array = Name("numpy.ndarray")
        blank = Name("_reconstruct", lambda kind, shape, code: self.blank(kind is array and shape == (0,)))
        self.names = {
            "numpy.ndarray": array,
            "numpy.dtype": Name("numpy.dtype", lambda text, *_: PickledType(text)),
            "_codecs.encode": Name("_codecs.encode", _latin1),
            "__builtin__.bytes": Name("bytes", lambda: b""),
            "collections.OrderedDict": Name("collections.OrderedDict", lambda: {}),
        }
        for core in ("numpy.core", "numpy._core"):
            self.names[f"{core}.multiarray._reconstruct"] = blank
            self.names[f"{core}.multiarray.scalar"] = Name("scalar", self.scalar)
        jax = Name("JAX array", lambda function, given, state, _: self.jax(function is blank, function, given, state))
        for name in ("array._reconstruct_array", "device_array.reconstruct_device_array"):
            self.names[f"jax._src.{name}"] = jax

    def spend(self, shape: Any, dtype: np.dtype, data: Any) -> None:
        """Check that `data` holds just the values that `shape` claims, and that they are still in the budget."""
        if not is_shape(shape):
            raise ArchiveError("holds an array without a proper shape")
        if not isinstance(data, bytes) or len(data) != math.prod(shape) * dtype.itemsize:
            raise ArchiveError("holds an array that is not as large as it claims")
        self.budget -= len(data)
        if self.budget < 0:
            raise ArchiveError("claims more numbers than it holds: not loaded")

    def blank(self, plain: bool) -> np.ndarray:
        """The empty array that a pickle makes first and gives its state after."""
        if not plain:
            raise ArchiveError("holds a kind of array of its own")
        blank = np.empty(0, np.uint8)
        self.blanks[id(blank)] = blank
        return blank

    def set_state(self, target: Any, state: Any) -> None:
        """Set byte orders and array contents; attributes of dictionaries are dropped."""
        if isinstance(target, PickledType):
            target.set_state(state)
        elif isinstance(target, np.ndarray) and self.blanks.pop(id(target), None) is target:
            self.fill(target, state)
        elif type(target) is not dict:
            raise ArchiveError(f"sets the state of a {type(target).__name__}")

    def persistent(self, reference: Any) -> Any:
        """Nothing: arrays are inside their pickle."""
        raise ArchiveError("refers to data outside itself")

    def fill(self, blank: np.ndarray, state: Any) -> None:
        """Give `blank` the shape, type and values of a pickled array's state."""
        if not (isinstance(state, tuple) and len(state) == 5):
            raise ArchiveError("holds an array with an unknown state")
        _, shape, pickled, fortran, data = state
        contents: Any
        if isinstance(pickled, PickledType) and pickled.dtype.hasobject:
            # `numpy.save` wraps a dictionary so; nothing else has a use for an array of objects.
            if shape != () or not isinstance(data, list) or len(data) != 1:
                raise ArchiveError("holds an array of Python objects, not of plain numbers")
            contents = (1, (), np.dtype(object), False, data)
        else:
            dtype = plain_type(pickled)
            self.spend(shape, dtype, data)
            contents = (1, shape, dtype, fortran is True, data)
        blank.__setstate__(contents)

    def jax(self, plain: bool, function: Name, given: Any, state: Any) -> np.ndarray:
        """A pickled JAX array: the pickle of a NumPy array, and a state of JAX's that is dropped."""
        if not plain or function.build is None or not isinstance(given, tuple):
            raise ArchiveError("holds a JAX array that is not made of a NumPy array")
        array = function.build(*given)
        self.set_state(array, state)
        return array

    def scalar(self, pickled: Any, data: Any) -> Any:
        """A pickled NumPy scalar."""
        dtype = plain_type(pickled)
        self.spend((), dtype, data)
        return np.frombuffer(data, dtype)[0]


def is_shape(value: Any) -> bool:
    """Whether `value` is a tuple of sides; an empty array may not claim sides that overflow together either."""
    if not (isinstance(value, tuple) and len(value) <= MOST_AXES):
        return False
    sides = all(type(side) is int and side >= 0 for side in value)
    return sides and math.prod(side or 1 for side in value) < LARGEST_PRODUCT


def plain_type(pickled: Any) -> np.dtype:
    """The dtype of an array of plain numbers; raises ArchiveError for anything else."""
    if not isinstance(pickled, PickledType) or pickled.dtype.hasobject:
        raise ArchiveError("holds an array of Python objects, not of plain numbers")
    return pickled.dtype


def _latin1(text: Any, encoding: Any) -> bytes:
    """The bytes that protocol 2 writes as text."""
    if not isinstance(text, str) or encoding != "latin1":
        raise ArchiveError("encodes something that is not bytes")
    return text.encode("latin1")
