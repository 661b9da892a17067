"""What pickled NumPy and JAX arrays say, rebuilt as NumPy arrays of plain numbers by functions of our own.

NumPy's own functions would do more than is wanted with what a file hands them (object arrays, field names, flags
that make it follow numbers as pointers), so none of them sees anything that was not checked here first.

Source: `numpy.ndarray.__reduce__`, `numpy.dtype.__reduce__` and `numpy.generic.__reduce__` as NumPy 1 and 2 write
them; `jax._src.array._reconstruct_array` (JAX 0.4 and later) and `jax._src.device_array` (before).
"""

import math
import re
from typing import Any

import numpy as np

from files.pickles import Admitted, PickleError, Vocabulary

PLAIN_TYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|c8|c16)")
OBJECT_TYPES = ("O", "O8", "|O", "|O8")
MOST_AXES = 16


class PickledType:
    """A pickled `numpy.dtype`: plain numbers, or objects, which only the 0-d array around a dictionary may hold."""

    def __init__(self, text: Any) -> None:
        if not isinstance(text, str):
            raise PickleError(f"it holds an array whose type is a {type(text).__name__}")
        if not (PLAIN_TYPE.fullmatch(text) or text in OBJECT_TYPES):
            raise PickleError(f"it holds an array of {text[:40]!r}, not of plain numbers")
        self.dtype = np.dtype(text)

    def set_state(self, state: Any) -> None:
        """Take the byte order from a pickled dtype's state; everything else in it must be as plain numbers have it."""
        if not (isinstance(state, tuple) and len(state) >= 5 and state[1] in ("<", ">", "=", "|")):
            raise PickleError("it holds an array type with an unknown state")
        if any(part is not None for part in state[2:5]):
            raise PickleError("it holds an array of records, not of plain numbers")
        if state[1] in "<>":
            self.dtype = self.dtype.newbyteorder(state[1])


class Arrays:
    """Rebuilds the arrays of one pickle, which together may hold no more than `budget` bytes."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        # Kept here while they are empty: a state is taken once, and never by an array from elsewhere.
        self.blanks: dict[int, np.ndarray] = {}

    def vocabulary(self) -> Vocabulary:
        """The names of NumPy (1 and 2) and JAX arrays, and of the few builtins that protocol 2 writes."""
        array = Admitted("numpy.ndarray")
        named = {
            "numpy.ndarray": array,
            "numpy.dtype": Admitted("numpy.dtype", lambda text, *_: PickledType(text)),
            "_codecs.encode": Admitted("_codecs.encode", _latin1),
            "__builtin__.bytes": Admitted("bytes", lambda: b""),
            "builtins.bytes": Admitted("bytes", lambda: b""),
            "collections.OrderedDict": Admitted("collections.OrderedDict", lambda: {}),
        }
        blank = Admitted("_reconstruct", lambda kind, shape, code: self.blank(kind is array and shape == (0,)))
        for core in ("numpy.core", "numpy._core"):
            named[f"{core}.multiarray._reconstruct"] = blank
            named[f"{core}.multiarray.scalar"] = Admitted("scalar", self.scalar)
            named[f"{core}.numeric._frombuffer"] = Admitted("_frombuffer", self.from_buffer)
        jax = Admitted(
            "jax array", lambda function, given, state, _: self.jax(function is blank, function, given, state)
        )
        for name in ("array._reconstruct_array", "device_array.reconstruct_device_array"):
            named[f"jax._src.{name}"] = jax
        return Vocabulary(named, self.set_state)

    def spend(self, shape: Any, dtype: np.dtype, data: Any) -> None:
        """Check that `data` holds just the values that `shape` claims, and that they are still in the budget."""
        if not is_shape(shape):
            raise PickleError("it holds an array without a proper shape")
        if not isinstance(data, (bytes, bytearray)) or len(data) != math.prod(shape) * dtype.itemsize:
            raise PickleError("it holds an array that is not as large as it claims")
        self.budget -= len(data)
        if self.budget < 0:
            raise PickleError("it holds more numbers than fit into it: refused as a bomb")

    def blank(self, lawful: bool) -> np.ndarray:
        """The empty array that a pickle makes first and gives its state after."""
        if not lawful:
            raise PickleError("it holds a kind of array of its own")
        blank = np.empty(0, np.uint8)
        self.blanks[id(blank)] = blank
        return blank

    def set_state(self, target: Any, state: Any) -> None:
        """What pickle's BUILD does here: byte orders and array contents; attributes of dictionaries are dropped."""
        if isinstance(target, PickledType):
            target.set_state(state)
        elif isinstance(target, np.ndarray) and self.blanks.pop(id(target), None) is target:
            self.fill(target, state)
        elif type(target) is not dict:
            raise PickleError(f"it sets the state of a {type(target).__name__}")

    def fill(self, blank: np.ndarray, state: Any) -> None:
        """Give `blank` the shape, type and values of a pickled array's state."""
        if not (isinstance(state, tuple) and len(state) == 5):
            raise PickleError("it holds an array with an unknown state")
        _, shape, pickled, fortran, data = state
        if isinstance(pickled, PickledType) and pickled.dtype.hasobject:
            # `numpy.save` wraps a dictionary so; nothing else has a use for an array of objects.
            if shape != () or not isinstance(data, list) or len(data) != 1:
                raise PickleError("it holds an array of Python objects, not of plain numbers")
            blank.__setstate__((1, (), np.dtype(object), False, data))
            return
        dtype = plain_type(pickled)
        self.spend(shape, dtype, data)
        blank.__setstate__((1, shape, dtype, fortran is True, bytes(data)))

    def jax(self, lawful: bool, function: Admitted, given: Any, state: Any) -> np.ndarray:
        """A pickled JAX array, which is the pickle of a NumPy array with JAX's facts beside it."""
        if not lawful or not isinstance(given, tuple):
            raise PickleError("it holds a JAX array that is not made of a NumPy array")
        array = function.build(*given)
        self.set_state(array, state)
        return array

    def scalar(self, pickled: Any, data: Any) -> Any:
        """A pickled NumPy scalar."""
        dtype = plain_type(pickled)
        self.spend((), dtype, data)
        return np.frombuffer(data, dtype)[0]

    def from_buffer(self, data: Any, pickled: Any, shape: Any, order: Any, axes: Any = None) -> np.ndarray:
        """An array as protocol 5 writes it."""
        dtype = plain_type(pickled)
        self.spend(shape, dtype, data)
        if order not in ("C", "F") or axes is not None:
            raise PickleError("it holds an array in an unknown order")
        return np.frombuffer(data, dtype).reshape(shape, order=order)


def is_shape(value: Any) -> bool:
    """Whether `value` is a tuple of sides; an empty array may not claim sides that overflow together either."""
    if not (isinstance(value, tuple) and len(value) <= MOST_AXES):
        return False
    return all(type(side) is int and side >= 0 for side in value) and math.prod(side or 1 for side in value) < 1 << 48


def plain_type(pickled: Any) -> np.dtype:
    """The dtype of an array of plain numbers; raises PickleError for anything else."""
    if not isinstance(pickled, PickledType) or pickled.dtype.hasobject:
        raise PickleError("it holds an array of Python objects, not of plain numbers")
    return pickled.dtype


def _latin1(text: Any, encoding: Any) -> bytes:
    """The bytes that protocol 2 writes as text."""
    if not isinstance(text, str) or encoding != "latin1":
        raise PickleError("it encodes something that is not bytes")
    return text.encode("latin1")
