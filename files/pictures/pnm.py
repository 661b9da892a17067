"""PBM, PGM, PPM, PAM and PFM: numbers behind a header of text.

Read here, since OpenCV ignores the maximum of binary files and rounds text to 8 bit, and Pillow rounds to 8 or 16 bit.
"""

import re
from pathlib import Path

import numpy as np

from files.pictures.picture import ADVICE, Picture, check_size, grey_as_colours, missing_pixels

GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
NUMBER = GAP + rb"(\d{1,9})"
BITS = re.compile(rb"P[14]" + 2 * NUMBER + rb"\s")
GREYS = re.compile(rb"P[2356]" + 3 * NUMBER + rb"\s")
FLOATS = re.compile(rb"P[Ff]" + 2 * NUMBER + GAP + rb"([-+.\deE]{1,30})\s")
ARBITRARY = re.compile(rb"P7\s.*?\nENDHDR\n", re.DOTALL)


def read_pnm(path: Path) -> Picture:
    """A PNM or PFM file, integers to be divided by the header's maximum; raises ValueError."""
    data = path.read_bytes()
    kind = data[1:2]
    pattern = BITS if kind in b"14" else FLOATS if kind in b"Ff" else ARBITRARY if kind == b"7" else GREYS
    found = pattern.match(data)
    if found is None:
        raise ValueError(f"{path} has no valid PNM header; {ADVICE}")
    body = data[found.end() :]
    try:
        if kind == b"7":
            return _arbitrary(path, found.group().decode("latin-1"), body)
        width, height = int(found[1]), int(found[2])
        check_size(path, width, height)
        if kind in b"14":
            return Picture(_bits(body, width, height, kind == b"1"), largest=1)
        shape = (height, width, 3 if kind in b"36F" else 1)
        if kind in b"Ff":
            return _floats(body, shape, float(found[3]))
        return _integers(body, shape, int(found[3]), kind in b"23")
    except (ValueError, OverflowError) as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path} is cut off or damaged ({error}); write it again") from None


def _integers(body: bytes, shape: tuple[int, ...], largest: int, text: bool = False) -> Picture:
    """Samples of `shape`, one or two bytes each (or text), as a picture without alpha."""
    if not 1 <= largest <= 65535:
        raise ValueError(f"its maximum is {largest}")
    kind = np.dtype(np.uint8 if largest < 256 else ">u2")
    count = int(np.prod(shape))
    if text:
        words = re.sub(rb"#[^\r\n]*", b"", body).split(None, count)[:count]
        pixels = np.array([int(word) for word in words], np.uint16)
        pixels = pixels.astype(kind.newbyteorder("="))
    else:
        pixels = np.frombuffer(body[: count * kind.itemsize], kind).astype(kind.newbyteorder("="))
    notes = ("it has samples above its maximum, brighter than white",) if pixels.max(initial=0) > largest else ()
    return Picture(_shaped(pixels, shape), largest=largest, notes=notes)


def _bits(body: bytes, width: int, height: int, text: bool) -> np.ndarray:
    """Ones are black; binary rows end at a byte, digits of text need no space between them."""
    if text:
        digits = b"".join(re.sub(rb"#[^\r\n]*", b"", body).split())
        black = np.frombuffer(digits[: width * height], np.uint8) - ord("0")
    else:
        row = -(-width // 8)
        packed = _shaped(np.frombuffer(body[: height * row], np.uint8), (height, row))
        black = np.unpackbits(packed, axis=1)[:, :width]
    if black.max(initial=0) > 1:
        raise ValueError("a bit is neither 0 nor 1")
    return 1 - _shaped(black, (height, width, 1))


def _floats(body: bytes, shape: tuple[int, ...], scale: float) -> Picture:
    """Light from the bottom row up, little endian where `scale` is negative."""
    values = np.frombuffer(body[: 4 * int(np.prod(shape))], "<f4" if scale < 0 else ">f4").astype(np.float32)
    pixels = np.ascontiguousarray(_shaped(values, shape)[::-1])
    return Picture(pixels, linear=True, missing=missing_pixels(pixels))


def _arbitrary(path: Path, header: str, body: bytes) -> Picture:
    """A PAM file: any number of channels, alpha where its tuple type says so."""
    entries = dict(
        line.split(None, 1) for line in header.splitlines()[1:-1] if len(line.split()) > 1 and line[0] != "#"
    )
    try:
        width, height, depth = (int(entries[name]) for name in ("WIDTH", "HEIGHT", "DEPTH"))
        largest = int(entries["MAXVAL"])
    except KeyError as error:
        raise ValueError(f"{error.args[0]} is missing") from None
    check_size(path, width, height * max(depth, 1))
    picture = _integers(body, (height, width, depth), largest)
    alpha = entries.get("TUPLTYPE", "").strip().endswith("_ALPHA")
    pixels = grey_as_colours(picture.pixels) if alpha and depth == 2 else picture.pixels
    return Picture(pixels, alpha, largest=largest, notes=picture.notes)


def _shaped(samples: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`samples` in `shape`; raises ValueError where there are too few or none."""
    if 0 in shape or samples.size != np.prod(shape):
        raise ValueError(f"{samples.size} samples for {' x '.join(map(str, shape))}")
    return samples.reshape(shape)
