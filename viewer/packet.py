"""One answer to the page: facts as JSON, then arrays and files as they are.

Four bytes (the length of the JSON, little-endian), the JSON, padding to a multiple of 8, the parts, each padded so too.
The JSON lists every part with its name, type, shape and place among the parts.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

ALIGNMENT = 8
TYPES = {"u1": "uint8", "u4": "uint32", "f4": "float32"}


def pack(facts: Mapping[str, Any], parts: Mapping[str, np.ndarray | bytes]) -> bytes:
    """Facts and parts as bytes; arrays become uint8, uint32 or float32, `bytes` stay what they are."""
    listed, blobs, place = [], [], 0
    for name, part in parts.items():
        values = np.frombuffer(part, np.uint8) if isinstance(part, bytes) else _plain(part)
        blob = values.tobytes()
        listed.append({"name": name, "type": TYPES[values.dtype.str[1:]], "shape": list(values.shape), "start": place})
        blobs.append(blob + bytes(-len(blob) % ALIGNMENT))
        place += len(blobs[-1])
    head = json.dumps({**facts, "parts": listed}).encode()
    start = len(head).to_bytes(4, "little") + head
    return b"".join([start + bytes(-len(start) % ALIGNMENT), *blobs])


def _plain(values: np.ndarray) -> np.ndarray:
    """An array in one of the types the page reads."""
    if values.dtype == np.uint8:
        return values
    return np.asarray(values, "<u4" if values.dtype.kind in "iu" else "<f4")
