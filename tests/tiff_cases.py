"""Samples of TIFF files, and a way to overwrite their tags."""

import struct

import numpy as np

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 65536, (20, 33, 6), np.uint16)
RGB, GREY = PIXELS[..., :3], PIXELS[..., 0]
TRUTH = RGB / 65535
NODATA, ORIENTATION, COMPRESSION, PHOTOMETRIC = 42113, 274, 259, 262


def patch(path, tag: int, value: int, kind: int = 3) -> None:
    """Overwrite a tag of one number (kind 3: short, 4: long) in a little-endian file."""
    data = bytearray(path.read_bytes())
    place = data.index(struct.pack("<HHI", tag, kind, 1)) + 8
    data[place : place + 4] = struct.pack("<I", value)
    path.write_bytes(data)
