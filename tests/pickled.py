"""Pickles written by hand, instruction by instruction, for the tests of their reader."""

import io
import struct
from typing import Any

from files import ArchiveError
from released.arrays import Arrays
from released.pickles import read_pickle

# What a damaged pickle may raise; `files.reading` makes one sentence of it.
DAMAGE = (ArchiveError, IndexError, KeyError, TypeError, ValueError, OverflowError)


def read(data: bytes, budget: int | None = None) -> Any:
    return read_pickle(io.BytesIO(data), Arrays(len(data) if budget is None else budget))


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


BLANK = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"


def dtype(code: str, order: str = "<", flags: int = 0) -> bytes:
    state = b"(K\x03" + text(order) + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK" + bytes([flags]) + b"tb"
    return b"cnumpy\ndtype\n" + text(code) + b"\x89\x88\x87R" + state


def integer(value: int) -> bytes:
    return b"\x8a\x08" + value.to_bytes(8, "little", signed=True)


def array(shape: bytes, kind: bytes, data: bytes) -> bytes:
    return BLANK + b"(K\x01" + shape + kind + b"\x89" + data + b"tb"


ONE = integer(1) + b"\x85"
EIGHT = b"C\x08" + b"\x00" * 8
STATE = b"(K\x01" + ONE + dtype("f8") + b"\x89" + EIGHT + b"tb"
