"""PBM, PGM, PPM, PAM and PFM, written by hand, against the numbers in them."""

import numpy as np
import pytest

from files.pictures import read_picture
from modalities import find

PIXELS = np.random.default_rng(0).integers(0, 1024, (6, 11, 4))
BITS = PIXELS[..., 0] > 400


@pytest.fixture
def read(tmp_path):
    def written(data: bytes):
        (tmp_path / "a.pgm").write_bytes(data)
        return read_picture(tmp_path / "a.pgm")

    return written


@pytest.mark.parametrize("largest", [1, 7, 100, 255, 256, 1023, 65535])
@pytest.mark.parametrize("channels, text, binary", [(1, b"P2", b"P5"), (3, b"P3", b"P6")])
def test_samples_are_divided_by_the_maximum(read, largest, channels, text, binary):
    stored = PIXELS[..., :channels] * largest // 1023
    header = b"\n# by hand 9 9\n11 #columns\n6\t%d\n" % largest
    for data in (
        binary + header + stored.astype(">u2" if largest > 255 else np.uint8).tobytes() + b"more",
        text + header + b" # rows\n ".join(b"%d" % sample for sample in stored.ravel()) + b"\n",
    ):
        picture = read(data)
        np.testing.assert_allclose(picture.values(), stored / largest, atol=1e-7)
        assert (picture.largest, picture.notes, picture.linear) == (largest, (), False)


def test_bits_are_black_and_rows_end_at_bytes(read):
    black = ~BITS
    packed = b"P4 11 6\n" + np.packbits(black, axis=1).tobytes()
    text = b"P1\n11 6\n" + b"\n# row\n".join(bytes(48 + row) for row in black.astype(np.uint8))
    for data in (packed, text):
        np.testing.assert_array_equal(read(data).values()[..., 0], BITS)


@pytest.mark.parametrize(
    "tuple_type, channels", [("GRAYSCALE", 1), ("GRAYSCALE_ALPHA", 2), ("RGB", 3), ("RGB_ALPHA", 4)]
)
def test_pam_has_alpha_where_it_says_so(read, tuple_type, channels):
    header = f"P7\nWIDTH 11\nHEIGHT 6\n# by hand\nDEPTH {channels}\nMAXVAL 1023\nTUPLTYPE {tuple_type}\nENDHDR\n"
    stored = PIXELS[..., :channels]
    picture = read(header.encode() + stored.astype(">u2").tobytes())
    alpha = channels in (2, 4)
    assert picture.alpha == alpha
    wanted = stored / 1023
    if alpha:
        shown = np.broadcast_to(wanted[..., :-1], (6, 11, 3))
        wanted = np.concatenate([shown * wanted[..., -1:], wanted[..., -1:]], axis=-1)
    np.testing.assert_allclose(picture.values(), wanted, atol=1e-7)


@pytest.mark.parametrize("scale, order", [(b"-1.0", "<f4"), (b"1", ">f4")])
@pytest.mark.parametrize("start, channels", [(b"PF", 3), (b"Pf", 1)])
def test_pfm_is_light_from_the_bottom_up(tmp_path, scale, order, start, channels):
    light = (PIXELS[..., :channels] / 100 - 1).astype(np.float32)
    (tmp_path / "a.pfm").write_bytes(start + b"\n11 6\n" + scale + b"\n" + light[::-1].astype(order).tobytes())
    signal = find("image").load(tmp_path / "a.pfm")
    np.testing.assert_array_equal(signal.values, light)
    assert (signal.metadata.float, signal.metadata.linear) == (True, True)


def test_samples_above_the_maximum_are_said(read):
    assert read(b"P5 2 1 100\n" + bytes([100, 101])).notes == ("it has samples above its maximum, brighter than white",)
    assert read(b"P5 2 1 100\n" + bytes([100, 99])).notes == ()


@pytest.mark.parametrize(
    "data, words",
    [
        (b"P5 3 2 255\n12345", "cut off or damaged .5 samples for 2 x 3 x 1"),
        (b"P5 3 2 1023\n" + bytes(11), "cut off or damaged"),
        (b"P4 9 2\n" + bytes(3), "cut off or damaged"),
        (b"P1 3 1\n01", "cut off or damaged"),
        (b"P1 3 1\n012", "neither 0 nor 1"),
        (b"P2 2 1 255\n1 x", "damaged"),
        (b"P2 2 1 255\n1", "1 samples for 1 x 2 x 1"),
        (b"Pf 2 1 -1\n1234567", "cut off or damaged"),
        (b"P5 2 2 0\n1234", "its maximum is 0"),
        (b"P5 2 2 65536\n12341234", "its maximum is 65536"),
        (b"P5 0 2 255\n", "0 samples"),
        (b"P5 60000 60000 255\n", "pgm claims more than the 134217728 pixels"),
        (b"P7\nWIDTH 2\nHEIGHT 2\nMAXVAL 9\nENDHDR\n1234", "DEPTH is missing"),
        (b"P5 wide", "has no valid PNM header; give a PNG"),
    ],
)
def test_damaged_files_are_one_sentence(read, data, words):
    with pytest.raises(ValueError, match=words) as caught:
        read(data)
    assert "\n" not in str(caught.value)
    assert "a.pgm" in str(caught.value)
