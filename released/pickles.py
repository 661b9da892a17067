"""A pickle machine that builds plain values and nothing else; it imports nothing and calls nothing a file names.

A pickle is a program: it names functions and has them called. Here a name is looked up in a table that the reader
gives, and stands for a function of that reader's (`files.arrays`); a name outside the table ends the reading. So a
file can only choose among values that were meant to be in it.

Source: the instruction set as Python's `pickletools` documents it, protocols 0 to 5.
"""

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

# Ten times what the largest file of the release needs, and few enough to be read in a second.
MOST_INSTRUCTIONS = 200_000
# Keys that are made to collide cost the square of their number.
MOST_KEYS = 10_000


class PickleError(ValueError):
    """The pickle is damaged or asks for something that is not plain data; the message names it."""


@dataclass(frozen=True)
class Admitted:
    """A name a pickle may use, and what takes the place of the thing it names: `build(*args)` -> value."""

    name: str
    build: Callable[..., Any] | None = None


@dataclass
class Vocabulary:
    """What a pickle may say: its names, what a state does to a value, and what a persistent id stands for."""

    names: Mapping[str, Admitted]
    set_state: Callable[[Any, Any], None]
    persistent: Callable[[Any], Any] | None = None


def read_pickle(stream: IO[bytes], vocabulary: Vocabulary) -> Any:
    """The value of the one pickle at the position of `stream`, which is left behind it.

    Raises PickleError for names outside `vocabulary`, instructions that plain data has no use for, and
    anything damaged; nothing a file says is imported or called.
    """
    machine = _Machine(vocabulary)
    try:
        for count, (instruction, argument, _) in enumerate(pickletools.genops(stream)):
            if instruction.name == "STOP":
                return machine.stack.pop()
            if count > MOST_INSTRUCTIONS:
                raise PickleError(f"it has more than {MOST_INSTRUCTIONS} instructions")
            step = INSTRUCTIONS.get(instruction.name)
            if step is None:
                raise PickleError(f"it uses {instruction.name} ({_quote(argument)}), which plain data does not need")
            step(machine, argument)
    except PickleError:
        raise
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise PickleError(f"its pickle is damaged ({type(error).__name__})") from None
    raise PickleError("its pickle is cut off")


@dataclass
class _Machine:
    vocabulary: Vocabulary
    stack: list[Any] = field(default_factory=list)
    below: list[list[Any]] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def mark(self, _: Any) -> None:
        self.below.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def put(self, index: int | None) -> None:
        index = len(self.memo) if index is None else int(index)
        if not 0 <= index < 1 << 32:
            raise PickleError("it has a memo index beyond all use")
        self.memo[index] = self.stack[-1]

    def get(self, index: int) -> None:
        self.push(self.memo[int(index)])

    def last(self, count: int) -> None:
        items = [self.stack.pop() for _ in range(count)]
        self.push(tuple(reversed(items)))

    def extend(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise PickleError("it appends to something that is not a list")
        self.stack[-1].extend(items)

    def fill(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict:
            raise PickleError("it sets items of something that is not a dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[_plain_key(key)] = value
        if len(target) > MOST_KEYS:
            raise PickleError(f"it has a dictionary of more than {MOST_KEYS} keys")

    def add(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], set):
            raise PickleError("it adds to something that is not a set")
        self.stack[-1].update(map(_plain_key, items))
        if len(self.stack[-1]) > MOST_KEYS:
            raise PickleError(f"it has a set of more than {MOST_KEYS} elements")

    def name(self, text: str) -> None:
        admitted = self.vocabulary.names.get(text)
        if admitted is None:
            raise PickleError(f"it names {_quote(text)}, which was not run: only arrays and plain containers are read")
        self.push(admitted)

    def name_on_stack(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise PickleError("it names something that has no name")
        self.name(f"{module}.{name}")

    def call(self, _: Any) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Admitted) or function.build is None or not isinstance(arguments, tuple):
            raise PickleError(f"it calls {_quote(getattr(function, 'name', type(function).__name__))}")
        self.push(function.build(*arguments))

    def build(self, _: Any) -> None:
        state = self.stack.pop()
        self.vocabulary.set_state(self.stack[-1], state)

    def persist(self, _: Any) -> None:
        if self.vocabulary.persistent is None:
            raise PickleError("it refers to data outside itself")
        self.push(self.vocabulary.persistent(self.stack.pop()))


def _plain_key(key: Any) -> Any:
    """`key` if it hashes in no time: a nested tuple could exhaust the C stack, a huge integer the processor."""
    if isinstance(key, int) and key.bit_length() <= 64:
        return key
    if isinstance(key, (str, bytes, float, type(None))):
        return key
    raise PickleError(f"it has a key that is a {type(key).__name__}")


def _quote(value: Any) -> str:
    text = repr(value) if isinstance(value, (str, type(None))) else type(value).__name__
    return text if len(text) <= 120 else f"{text[:120]}..."


def _pairs(items: list[Any], machine: _Machine) -> None:
    machine.push({})
    machine.fill(items)


INSTRUCTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME"), lambda m, _: None),
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"), _Machine.push),
    **dict.fromkeys(("FLOAT", "BINFLOAT"), _Machine.push),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"), _Machine.push),
    **dict.fromkeys(("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), _Machine.push),
    "NONE": lambda m, _: m.push(None),
    "NEWTRUE": lambda m, _: m.push(True),
    "NEWFALSE": lambda m, _: m.push(False),
    "EMPTY_LIST": lambda m, _: m.push([]),
    "EMPTY_DICT": lambda m, _: m.push({}),
    "EMPTY_TUPLE": lambda m, _: m.push(()),
    "EMPTY_SET": lambda m, _: m.push(set()),
    "MARK": _Machine.mark,
    "POP": lambda m, _: m.stack.pop(),
    "POP_MARK": lambda m, _: m.since_mark(),
    "LIST": lambda m, _: m.push(m.since_mark()),
    "TUPLE": lambda m, _: m.push(tuple(m.since_mark())),
    "TUPLE1": lambda m, _: m.last(1),
    "TUPLE2": lambda m, _: m.last(2),
    "TUPLE3": lambda m, _: m.last(3),
    "DICT": lambda m, _: _pairs(m.since_mark(), m),
    "APPEND": lambda m, _: m.extend([m.stack.pop()]),
    "APPENDS": lambda m, _: m.extend(m.since_mark()),
    "SETITEM": lambda m, _: m.fill([m.stack.pop(-2), m.stack.pop()]),
    "SETITEMS": lambda m, _: m.fill(m.since_mark()),
    "ADDITEMS": lambda m, _: m.add(m.since_mark()),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    "GLOBAL": lambda m, text: m.name(text.replace(" ", ".", 1)),
    "STACK_GLOBAL": _Machine.name_on_stack,
    "REDUCE": _Machine.call,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.persist,
}
