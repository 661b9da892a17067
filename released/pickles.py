"""A reader of pickles that builds plain values and nothing else: it imports nothing and calls nothing a file names.

A pickle is a program that names functions and has them called. Here a name is looked up in a table of replacements
(`released.arrays`), and a name outside the table ends the reading, so a file can only choose among plain values.

Source: the instructions as Python's `pickletools` documents them, as far as protocols 2 to 4 write plain values.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, Protocol

from files import ArchiveError

# Ten times what the largest file of the release needs, and few enough to be read in a second.
MOST_INSTRUCTIONS = 200_000
# Keys that are made to collide cost the square of their number.
MOST_KEYS = 10_000


@dataclass(frozen=True)
class Name:
    """A name a pickle may use; `build(*arguments)` is called in its place (None: it is only ever an argument)."""

    name: str
    build: Callable[..., Any] | None = None


class Builder(Protocol):
    """What gives a pickle's names, states and persistent ids their meaning; its methods raise ArchiveError."""

    names: dict[str, Name]

    def set_state(self, target: Any, state: Any) -> None:
        """Give `target` the `state` that follows it in the pickle."""

    def persistent(self, reference: Any) -> Any:
        """The data outside the pickle that `reference` stands for."""


def read_pickle(stream: IO[bytes], builder: Builder) -> Any:
    """The value of the one pickle at the position of `stream`, which is left behind it.

    Raises ArchiveError (without the path) for names that `builder` does not know and instructions that plain data
    does not need, IndexError, KeyError, TypeError or ValueError for a damaged pickle.
    """
    stack = _Stack(builder)
    for count, (instruction, argument, _) in enumerate(pickletools.genops(stream)):
        if instruction.name == "STOP":
            return stack.items.pop()
        if count >= MOST_INSTRUCTIONS:
            raise ArchiveError(f"has more than {MOST_INSTRUCTIONS} instructions")
        step = INSTRUCTIONS.get(instruction.name)
        if step is None:
            raise ArchiveError(f"uses {instruction.name} ({_quote(argument)}), which plain data does not need")
        step(stack, argument)
    raise ArchiveError("is cut off")


class _Stack:
    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.items: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def push(self, value: Any) -> None:
        self.items.append(value)

    def mark(self, _: Any) -> None:
        self.below.append(self.items)
        self.items = []

    def since_mark(self) -> list[Any]:
        items, self.items = self.items, self.below.pop()
        return items

    def put(self, index: int | None) -> None:
        self.memo[len(self.memo) if index is None else index] = self.items[-1]

    def get(self, index: int) -> None:
        self.push(self.memo[index])

    def pack(self, count: int) -> None:
        parts = [self.items.pop() for _ in range(count)]
        self.push(tuple(reversed(parts)))

    def extend(self, items: list[Any]) -> None:
        if not isinstance(self.items[-1], list):
            raise ArchiveError("appends to something that is not a list")
        self.items[-1].extend(items)

    def fill(self, items: list[Any]) -> None:
        target = self.items[-1]
        if type(target) is not dict:
            raise ArchiveError("sets items of something that is not a dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[_plain_key(key)] = value
        if len(target) > MOST_KEYS:
            raise ArchiveError(f"has a dictionary of more than {MOST_KEYS} keys")

    def name(self, text: str) -> None:
        name = self.builder.names.get(text)
        if name is None:
            raise ArchiveError(f"names {_quote(text)}, which was not run: only arrays and plain containers are read")
        self.push(name)

    def name_on_stack(self, _: Any) -> None:
        name, module = self.items.pop(), self.items.pop()
        self.name(f"{module}.{name}" if isinstance(name, str) and isinstance(module, str) else "?")

    def call(self, _: Any) -> None:
        arguments, function = self.items.pop(), self.items.pop()
        if not isinstance(function, Name) or function.build is None or not isinstance(arguments, tuple):
            raise ArchiveError(f"calls {_quote(getattr(function, 'name', type(function).__name__))}")
        self.push(function.build(*arguments))

    def build(self, _: Any) -> None:
        state = self.items.pop()
        self.builder.set_state(self.items[-1], state)

    def persist(self, _: Any) -> None:
        self.push(self.builder.persistent(self.items.pop()))


def _plain_key(key: Any) -> Any:
    """`key` if it hashes in no time: a nested tuple could exhaust the C stack, a huge integer the processor."""
    if isinstance(key, int) and key.bit_length() <= 64:
        return key
    if isinstance(key, (str, bytes, float, type(None))):
        return key
    raise ArchiveError(f"has a key that is a {type(key).__name__}")


def _quote(value: Any) -> str:
    text = repr(value) if isinstance(value, (str, type(None))) else type(value).__name__
    return text if len(text) <= 120 else f"{text[:120]}..."


INSTRUCTIONS: dict[str, Callable[[_Stack, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME"), lambda s, _: None),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"), _Stack.push),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"), _Stack.push),
    **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), _Stack.push),
    "NONE": lambda s, _: s.push(None),
    "NEWTRUE": lambda s, _: s.push(True),
    "NEWFALSE": lambda s, _: s.push(False),
    "EMPTY_LIST": lambda s, _: s.push([]),
    "EMPTY_DICT": lambda s, _: s.push({}),
    "EMPTY_TUPLE": lambda s, _: s.push(()),
    "MARK": _Stack.mark,
    "TUPLE": lambda s, _: s.push(tuple(s.since_mark())),
    "TUPLE1": lambda s, _: s.pack(1),
    "TUPLE2": lambda s, _: s.pack(2),
    "TUPLE3": lambda s, _: s.pack(3),
    "APPEND": lambda s, _: s.extend([s.items.pop()]),
    "APPENDS": lambda s, _: s.extend(s.since_mark()),
    "SETITEM": lambda s, _: s.fill([s.items.pop(-2), s.items.pop()]),
    "SETITEMS": lambda s, _: s.fill(s.since_mark()),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT", "MEMOIZE"), _Stack.put),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _Stack.get),
    "GLOBAL": lambda s, text: s.name(text.replace(" ", ".", 1)),
    "STACK_GLOBAL": _Stack.name_on_stack,
    "REDUCE": _Stack.call,
    "BUILD": _Stack.build,
    "BINPERSID": _Stack.persist,
}
