"""PNG files that claim more than they hold: OpenCV would make room for gigabytes."""

import resource
import struct
import zlib

import numpy as np
import pytest

from modalities import find
from modalities.pixels import read_pixels, write_png
from modalities.whole import check_whole

PIXELS = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)


@pytest.fixture
def png(tmp_path):
    return write_png(tmp_path / "a.png", PIXELS)


def chunk(name: bytes, data: bytes, claimed: int | None = None) -> bytes:
    size = len(data) if claimed is None else claimed
    return struct.pack(">I", size) + name + data + struct.pack(">I", zlib.crc32(name + data))


def memory() -> int:
    """Most bytes this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("name", [b"IDAT", b"tEXt", b"\xff\xffID", b"DATI"])
@pytest.mark.parametrize("claimed", [1000, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_chunks_beyond_the_end_are_refused_before_room_is_made(png, name, claimed):
    data = png.read_bytes()
    place = data.index(b"IDAT") - 4
    png.write_bytes(data[:place] + chunk(name, b"abc", claimed) + data[place:])
    before = memory()
    with pytest.raises(ValueError, match=r"a\.png is cut off") as caught:
        read_pixels(png)
    assert "\n" not in str(caught.value)
    assert memory() - before < 1 << 27
    with pytest.raises(ValueError, match="is cut off"):
        find("video").load(png.parent)


@pytest.mark.parametrize("cut", range(1, 60, 4))
def test_a_png_that_ends_early_is_cut_off(png, cut):
    png.write_bytes(png.read_bytes()[:-cut])
    with pytest.raises(ValueError, match=r"cut off|damaged"):
        read_pixels(png)


def test_what_follows_a_png_and_chunks_nobody_knows_are_no_matter(png):
    data = png.read_bytes()
    place = data.index(b"IDAT") - 4
    png.write_bytes(data[:place] + chunk(b"tEXt", b"Title\0a") + data[place:] + b"\xff" * 9)
    check_whole(png, "")
    np.testing.assert_array_equal(read_pixels(png), PIXELS)
