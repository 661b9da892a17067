"""TIFF files that are cut, damaged, or of a codec that is lacking: read by another reader, or named."""

import struct

import numpy as np
import pytest
import tifffile
from PIL import Image
from tiff_cases import COMPRESSION, GREY, PHOTOMETRIC, RGB, patch

from files.pictures import read_picture


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.tif"


def test_what_tifffile_lacks_opencv_reads_or_it_is_named(path):
    pixels = RGB.astype(np.uint8)
    Image.fromarray(pixels).convert("YCbCr").save(path)  # uncompressed: tifffile would hand out Y, Cb and Cr
    np.testing.assert_allclose(read_picture(path).values(), pixels / 255, atol=0.02)
    Image.fromarray(pixels[..., 0] > 99).save(path, compression="group4")
    np.testing.assert_array_equal(read_picture(path).values()[..., 0], pixels[..., 0] > 99)
    smooth = np.broadcast_to(np.arange(33, dtype=np.uint8)[:, None] * 7, (20, 33, 3))
    Image.fromarray(np.ascontiguousarray(smooth)).save(path, compression="jpeg", quality=95)
    np.testing.assert_allclose(read_picture(path).values(), smooth / 255, atol=0.02)


def test_grey_that_tifffile_refuses_is_read_as_it_is(path):
    """A predictor that nobody knows changes nothing of pixels that are not compressed."""
    pixels = GREY.astype(np.uint8)
    tags = {256: 33, 257: 20, 258: 8, COMPRESSION: 1, PHOTOMETRIC: 1, 273: 8, 277: 1, 278: 20, 279: 660, 317: 5}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    path.write_bytes(struct.pack("<2sHI", b"II", 42, 8 + pixels.size) + pixels.tobytes() +
                     struct.pack("<H", len(tags)) + entries + bytes(4))  # fmt: skip
    picture = read_picture(path)
    np.testing.assert_array_equal(picture.pixels[..., 0], pixels)
    assert (picture.pixels.shape, picture.largest) == ((20, 33, 1), 255)


@pytest.mark.parametrize(
    "tag, value, words",
    [
        (COMPRESSION, 9, r"Compression JBIG_BW \(9\) \(tag 259\)"),
        (COMPRESSION, 34676, r"Compression SGILOG \(34676\) \(tag 259\)"),
        (PHOTOMETRIC, 32803, r"PhotometricInterpretation CFA \(32803\) \(tag 262\)"),
        (PHOTOMETRIC, 777, r"PhotometricInterpretation 777 \(tag 262\)"),
    ],
)
def test_what_nothing_reads_is_refused_by_its_tag(path, tag, value, words):
    tifffile.imwrite(path, GREY, photometric="minisblack", compression="zlib")
    patch(path, tag, value)
    with pytest.raises(ValueError, match=f"has {words}, which is not supported; save it as a plain TIFF"):
        read_picture(path)


def test_samples_without_a_meaning_are_named(path):
    tifffile.imwrite(path, GREY.astype(np.complex64), photometric="minisblack")
    with pytest.raises(ValueError, match=r"SampleFormat COMPLEXIEEEFP \(6\) of 64 bits \(tag 339\)"):
        read_picture(path)
    tifffile.imwrite(path, GREY.astype(np.float32), photometric="miniswhite")
    with pytest.raises(ValueError, match=r"MINISWHITE \(tag 262\) with samples that have no white"):
        read_picture(path)


@pytest.mark.parametrize("coded", [{}, {"compression": "zlib"}, {"compression": "lzw", "tile": (16, 16)}])
def test_cut_and_damaged_files_are_one_sentence(path, coded):
    tifffile.imwrite(path, RGB, photometric="rgb", **coded)
    data = path.read_bytes()
    for end in (9, 200, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:end])
        with pytest.raises(ValueError, match=r"a\.tif is cut off") as caught:
            read_picture(path)
        assert "\n" not in str(caught.value)
    if coded:
        damaged = bytearray(data)
        damaged[len(data) * 2 // 3 : len(data) * 2 // 3 + 40] = bytes(40)
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged"):
            read_picture(path)


def test_pages_that_claim_too_much_are_refused(path):
    tifffile.imwrite(path, np.zeros((2, 2, 257), np.uint8), photometric="minisblack", planarconfig="contig")
    with pytest.raises(ValueError, match=r"257 samples per pixel \(tag 277\), too many"):
        read_picture(path)
    tifffile.imwrite(path, np.zeros((2, 2, 256), np.uint8), photometric="minisblack", planarconfig="contig")
    assert read_picture(path).pixels.shape == (2, 2, 256)
    for size in (60_000, 11_586):  # the second is just beyond 2^27 pixels
        tifffile.imwrite(path, np.zeros((4, 4), np.uint8), photometric="minisblack")
        patch(path, 256, size, 4)
        patch(path, 257, size, 4)
        with pytest.raises(ValueError, match="claims more than the 134217728 pixels supported"):
            read_picture(path)
