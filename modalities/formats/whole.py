"""Whether a file is as long as its container says: decoders silently play what is left of a truncated one."""

import mmap
import struct
from collections.abc import Callable
from pathlib import Path

from files.inputs import warn

# Placeholder sizes (0x7ffff000, 0xffffffff; of 8 bytes, all ones or the largest number), written while the length is
# not known yet, and the end of what never learnt it.
STREAMED, STREAMED_WIDE, UNSTATED = 0x7FFF_F000, 1 << 62, -1
SEGMENT = b"\x18\x53\x80\x67"


def check_whole(path: Path, advice: str, slack: int = 0) -> None:
    """Raise ValueError, with `advice`, for a container that claims to continue beyond the end of its file.

    Knows PNG, GIF, RIFF and RF64 (WAV, AVI), AIFF, W64, CAF, AU, Ogg, Matroska and WebM, and MP4; others, and lengths
    that were never filled in, are left to the decoder. All but the pictures and the last three may lack up to `slack`
    bytes: recorders count their own header; a warning is printed then, for sound that states no length, and for a WAV
    file that continues behind the length it states.
    """
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = next((end for at, magic, end in CONTAINERS if data[at : at + len(magic)] == magic), None)
        if found is None:
            return
        try:
            end = found(data)
        except (IndexError, struct.error):  # it ends inside a length
            end = 2 * len(data)
        missing = end - len(data)
        unread = 0 if found is not _riff_end or missing >= 0 else _unread(data, len(data) + missing)
    if missing > (slack if found in (_riff_end, _w64_end, _caf_end, _au_end) else 0):
        raise ValueError(
            f"{path} is cut off: its container continues beyond the end of the file; copy it again, or {advice}"
        )
    if end == UNSTATED:
        warn(f"{path.name} states no length: read up to its end")
    if missing > 0:
        warn(f"{path.name} states {missing} bytes more than it has: read up to its end")
    if unread:
        warn(f"{path.name} continues for {unread} bytes behind the length it states: they are not read")


def _unread(data: mmap.mmap, end: int) -> int:
    """Bytes of a WAV file behind its samples that are no chunk (whose name would be four letters, or padding)."""
    stated = end > 0 and data[8:12] == b"WAVE" and data[end - 8 : end - 4] != b"data"
    end += end % 2
    name = bytes(data[end : end + 4])
    is_chunk = len(name) < 4 or all(32 <= letter < 127 for letter in name) or not any(name)
    return 0 if is_chunk or not stated else len(data) - end


def _png_end(data: mmap.mmap) -> int:
    """The end of the last chunk of a PNG: IEND, where there is one; raises struct.error where it ends inside a head."""
    place = 8
    while place < len(data):
        size, name = struct.unpack(">I4s", data[place : place + 8])
        place += 12 + size
        if name == b"IEND":
            break
    return place


def _gif_end(data: mmap.mmap) -> int:
    """The place behind the trailer of a GIF; raises IndexError where there is none."""
    place = 13 + _table_size(data[10])
    while (kind := data[place]) != 0x3B:
        if kind == 0x21:
            place += 2
        elif kind == 0x2C:
            place += 11 + _table_size(data[place + 9])
        else:
            return 0  # an unknown block: left to the decoder
        while length := data[place]:
            place += 1 + length
        place += 1
    return place + 1


def _table_size(flags: int) -> int:
    """Bytes of the colour table that these flags announce."""
    return 3 * 2 ** (flags % 8 + 1) if flags & 0x80 else 0


def _riff_end(data: mmap.mmap) -> int:
    """The end of the samples of a WAV (in RF64 their length is kept apart) or AIFF, or of the lists of an AVI."""
    watched = {b"WAVE": b"data", b"AVI ": b"LIST", b"AIFF": b"SSND", b"AIFC": b"SSND"}.get(data[8:12])
    order = ">" if data[:4] in (b"RIFX", b"FORM") else "<"
    place, end, apart = 12, 0, 0
    while place + 8 <= len(data):
        name, size = struct.unpack(f"{order}4sI", data[place : place + 8])
        if name == b"ds64":
            (apart,) = struct.unpack("<Q", data[place + 16 : place + 24])
        elif name == watched:
            if size >= STREAMED:
                return place + 8 + apart if 0 < apart < STREAMED_WIDE else UNSTATED
            end = place + 8 + size
            if name != b"LIST" or size == 0:
                return end
        place += 8 + size + size % 2
    return end


def _w64_end(data: mmap.mmap) -> int:
    """The end of the samples of a W64, whose chunks are named by 16 bytes and count themselves; UNSTATED where their
    length was never filled in."""
    place = 40
    while place + 24 <= len(data):
        name, size = struct.unpack("<4s12xq", data[place : place + 24])
        if name == b"data" and not 0 < size < STREAMED_WIDE:
            return UNSTATED
        if name == b"data" or size < 24:
            return place + max(size, 0)
        place += (size + 7) // 8 * 8
    return place


def _caf_end(data: mmap.mmap) -> int:
    """The end of the samples of a CAF; UNSTATED where their length was never filled in (-1)."""
    place = 8
    while place + 12 <= len(data):
        name, size = struct.unpack(">4sq", data[place : place + 12])
        if name == b"data" or size < 0:
            return place + 12 + size if size >= 0 else UNSTATED
        place += 12 + size
    return place


def _au_end(data: mmap.mmap) -> int:
    """The end of the samples of an AU; UNSTATED where their length was never filled in."""
    start, size = struct.unpack(">II", data[4:12])
    return start + size if size < STREAMED else UNSTATED


def _matroska_end(data: mmap.mmap) -> int:
    """The end of the segment behind the header of a Matroska file; 0 where it was written as a stream."""
    size, place = _ebml_size(data, 4)
    place += size
    if data[place : place + 4] != SEGMENT:
        return 0
    size, place = _ebml_size(data, place + 4)
    return place + size


def _ebml_size(data: mmap.mmap, place: int) -> tuple[int, int]:
    """The size (0 for 'not known') that stands at `place`, and the place behind it."""
    length = 9 - data[place].bit_length()
    if length > 8:  # not a valid size: left to the decoder
        return 0, place
    if place + length > len(data):
        raise IndexError(place)
    bits = 7 * length
    size = int.from_bytes(data[place : place + length], "big") & ((1 << bits) - 1)
    return (0 if size == (1 << bits) - 1 else size), place + length


def _ogg_end(data: mmap.mmap) -> int:
    """The end of the last page of an Ogg file; whether another should follow is unknown."""
    place = 0
    while data[place : place + 4] == b"OggS":
        lengths = place + 27
        place = lengths + data[place + 26]
        place += sum(data[lengths:place])
    return place


def _boxes_end(data: mmap.mmap) -> int:
    """The end of the frames of an MP4 and of what describes them; other boxes are left to the decoder."""
    place = end = 0
    while place + 8 <= len(data):
        size, name = struct.unpack(">I4s", data[place : place + 8])
        if size == 1:
            (size,) = struct.unpack(">Q", data[place + 8 : place + 16])
        if size < 8:  # 0: up to the end of the file
            return end
        place += size
        end = place if name in (b"mdat", b"moov", b"moof") else end
    return end


CONTAINERS: tuple[tuple[int, bytes, Callable[[mmap.mmap], int]], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", _png_end),
    (0, b"GIF8", _gif_end),
    (0, b"RIFF", _riff_end),
    (0, b"RIFX", _riff_end),
    (0, b"RF64", _riff_end),
    (8, b"AIFF", _riff_end),
    (8, b"AIFC", _riff_end),
    (0, b"riff\x2e\x91\xcf\x11", _w64_end),
    (0, b"caff", _caf_end),
    (0, b".snd", _au_end),
    (0, b"OggS", _ogg_end),
    (0, b"\x1a\x45\xdf\xa3", _matroska_end),
    (4, b"ftyp", _boxes_end),
)
