"""Image files that claim more than they hold, and what a TIFF says of its alpha."""

import resource
import struct
import zlib

import numpy as np
import OpenEXR
import pytest
from PIL import Image

from files.pictures import read_picture, write_png
from modalities import find
from modalities.formats.whole import check_whole

PIXELS = np.random.default_rng(0).integers(0, 256, (7, 9, 4), np.uint8)


@pytest.fixture
def png(tmp_path):
    return write_png(tmp_path / "a.png", PIXELS)


def chunk(name: bytes, data: bytes, claimed: int | None = None) -> bytes:
    size = len(data) if claimed is None else claimed
    return struct.pack(">I", size) + name + data + struct.pack(">I", zlib.crc32(name + data))


def memory() -> int:
    """Most bytes this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_written_pixels_are_read_by_others(tmp_path, channels):
    path = write_png(tmp_path / "a.png", PIXELS[..., :channels])
    np.testing.assert_array_equal(np.asarray(Image.open(path)).reshape(7, 9, channels), PIXELS[..., :channels])
    np.testing.assert_array_equal(read_picture(path).pixels, PIXELS[..., :channels])


@pytest.mark.parametrize("name, claimed", [(b"IDAT", 1000), (b"tEXt", 0x7FFF_FFFF), (b"\xff\xffID", 0xFFFF_FFFF)])
def test_chunks_beyond_the_end_are_refused_before_memory_is_allocated(png, name, claimed):
    data = png.read_bytes()
    place = data.index(b"IDAT") - 4
    png.write_bytes(data[:place] + chunk(name, b"abc", claimed) + data[place:])
    before = memory()
    with pytest.raises(ValueError, match=r"a\.png is cut off") as caught:
        read_picture(png)
    assert "\n" not in str(caught.value)
    assert memory() - before < 1 << 27
    with pytest.raises(ValueError, match="is cut off"):
        find("video").load(png.parent)


@pytest.mark.parametrize("cut", [1, 13, 57])
def test_a_png_that_ends_early_is_cut_off(png, cut):
    png.write_bytes(png.read_bytes()[:-cut])
    with pytest.raises(ValueError, match="is cut off"):
        read_picture(png)


def test_what_follows_a_png_and_unknown_chunks_are_ignored(png):
    data = png.read_bytes()
    place = data.index(b"IDAT") - 4
    png.write_bytes(data[:place] + chunk(b"tEXt", b"Title\0a") + data[place:] + b"\xff" * 9)
    check_whole(png, "")
    np.testing.assert_array_equal(read_picture(png).pixels, PIXELS)


def test_claimed_sizes_are_refused_before_they_are_decoded(png, tmp_path):
    data = bytearray(png.read_bytes())
    data[16:24] = (60000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    png.write_bytes(bytes(data))
    with pytest.raises(ValueError, match="claims more than the 134217728 pixels supported"):
        read_picture(png)
    OpenEXR.File({"type": OpenEXR.scanlineimage}, {"Y": np.ones((4, 4), np.float32)}).write(str(tmp_path / "a.exr"))
    data = (tmp_path / "a.exr").read_bytes()
    place = data.index(b"dataWindow\0box2i\0") + 21
    (tmp_path / "a.exr").write_bytes(data[:place] + struct.pack("<4i", 0, 0, 59999, 59999) + data[place + 16 :])
    with pytest.raises(ValueError, match="claims more than the 134217728 pixels supported"):
        read_picture(tmp_path / "a.exr")


@pytest.mark.parametrize("kind", [1, 2])
def test_alpha_of_a_tiff_is_multiplied_once(tmp_path, kind):
    """Tag 338 is 1 for colours multiplied by alpha, 2 for others."""
    Image.fromarray(PIXELS).save(tmp_path / "a.tif")
    data = bytearray((tmp_path / "a.tif").read_bytes())
    place = data.index(struct.pack("<HHI", 338, 3, 1)) + 8
    data[place : place + 2] = struct.pack("<H", kind)
    (tmp_path / "a.tif").write_bytes(data)
    values = find("image").load(tmp_path / "a.tif").values
    colours, alpha = PIXELS[..., :3] / 255, PIXELS[..., 3:] / 255
    np.testing.assert_allclose(values[..., :3], colours * alpha if kind == 2 else colours, atol=0.51 / 255)
    np.testing.assert_allclose(values[..., 3:], alpha, atol=1e-6)


def test_folders_are_no_images_and_foreign_channels_are_named(tmp_path):
    with pytest.raises(ValueError, match="is a folder, not an image"):
        read_picture(tmp_path)
    depth = {"Z": np.ones((4, 4), np.uint32)}
    OpenEXR.File({"type": OpenEXR.scanlineimage}, depth).write(str(tmp_path / "a.exr"))
    with pytest.raises(ValueError, match="has the channels Z; save it with float RGB, RGBA or Y"):
        read_picture(tmp_path / "a.exr")
