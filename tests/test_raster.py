"""What OpenCV ignores in PNG, JPEG, WebP and BMP, against Pillow and numbers written by hand."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from files.pictures import read_picture
from modalities import find

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(1, 256, (12, 19, 4), np.uint8)
COLOURS = np.ascontiguousarray(PIXELS[..., :3])
SMOOTH = cv2.resize(COLOURS, (190, 120), interpolation=cv2.INTER_CUBIC)
ORIENTATION = 0x0112


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(pixels: np.ndarray, depth: int, see_through: tuple[int, ...]) -> bytes:
    """Grey or RGB samples [H, W, C] of `depth` bits, one of them transparent."""
    height, width, channels = pixels.shape
    bits = np.unpackbits(pixels.astype(">u2").view(np.uint8).reshape(height, -1, 2), axis=-1)[..., 16 - depth :]
    rows = np.packbits(bits.reshape(height, -1), axis=1)
    header = struct.pack(">IIBBBBB", width, height, depth, 2 if channels == 3 else 0, 0, 0, 0)
    transparent = struct.pack(f">{channels}H", *see_through)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    parts = ((b"IHDR", header), (b"tRNS", transparent), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def multiplied(pixels: np.ndarray) -> np.ndarray:
    """RGBA [H, W, 4] of 8 bit as values whose colours are multiplied by alpha."""
    values = pixels / 255
    return np.concatenate([values[..., :3] * values[..., 3:], values[..., 3:]], axis=-1)


@pytest.mark.parametrize("channels, depth", [(1, 1), (1, 2), (1, 4), (1, 8), (1, 16), (3, 8), (3, 16)])
def test_a_transparent_grey_or_colour_is_alpha(tmp_path, channels, depth):
    pixels = RNG.integers(0, 2**depth, (6, 9, channels))
    hidden = tuple(pixels[2, 3])
    (tmp_path / "a.png").write_bytes(png(pixels, depth, hidden))
    signal = find("image").load(tmp_path / "a.png")
    alpha = (pixels != hidden).any(axis=-1, keepdims=True)
    shown = np.broadcast_to(pixels / (2**depth - 1), (6, 9, 3)) * alpha
    assert signal.metadata.alpha
    np.testing.assert_allclose(signal.values, np.concatenate([shown, alpha], axis=-1), atol=1e-7)


@pytest.mark.parametrize("apart", [True, False])
def test_of_an_animated_png_the_default_picture_is_read(tmp_path, apart, capsys):
    frames = [Image.fromarray(np.roll(COLOURS, shift, axis=1)) for shift in range(3)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:], default_image=apart)
    np.testing.assert_allclose(find("image").load(tmp_path / "a.png").values, COLOURS / 255, atol=1e-7)
    assert capsys.readouterr().err == "warning: a.png: it is animated: only its default picture is read\n"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name, options", [("a.png", {}), ("a.webp", {"lossless": True, "exact": True}), ("a.jpg", {})])
def test_pictures_are_turned_upright(tmp_path, orientation, name, options):
    turned = Image.Exif()
    turned[ORIENTATION] = orientation
    picture = Image.fromarray(COLOURS if name == "a.jpg" else PIXELS)
    picture.save(tmp_path / name, exif=turned, **options)
    with Image.open(tmp_path / name) as stored:
        upright = np.asarray(ImageOps.exif_transpose(stored))
    wanted = upright / 255 if name == "a.jpg" else multiplied(upright)
    np.testing.assert_allclose(find("image").load(tmp_path / name).values, wanted, atol=2 / 255)


def test_kinds_are_known_by_content(tmp_path):
    Image.fromarray(COLOURS).save(tmp_path / "a.bmp")
    (tmp_path / "a.bmp").rename(tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png").pixels, COLOURS)


def test_bitmaps_that_are_transparent_everywhere_are_opaque_and_said(tmp_path):
    def notes(alpha, write):
        pixels = np.dstack([COLOURS, alpha])
        if write == "header names alpha":
            cv2.imwrite(str(tmp_path / "a.bmp"), pixels[..., [2, 1, 0, 3]])
        else:
            Image.fromarray(pixels).save(tmp_path / "a.bmp")
        picture = read_picture(tmp_path / "a.bmp")
        wanted = multiplied(pixels) if picture.alpha else COLOURS / 255
        np.testing.assert_allclose(picture.values(), wanted, atol=1e-6)
        return picture.alpha, picture.notes

    nowhere = "its alpha is 0 everywhere, as programs without alpha write 32-bit BMP: read as opaque"
    for write in ("header names alpha", "no header"):
        assert notes(0 * PIXELS[..., 3], write) == (False, (nowhere,))
    assert notes(PIXELS[..., 3], "header names alpha") == (True, ())
    assert notes(PIXELS[..., 3], "no header") == (False, ("its fourth channel is left out: the header names no alpha",))
    assert notes(0 * PIXELS[..., 3] + 255, "no header") == (False, ())


def test_other_pictures_that_are_transparent_everywhere_are_said(tmp_path):
    Image.fromarray(PIXELS * np.uint8([1, 1, 1, 0])).save(tmp_path / "a.png")
    note = "it is transparent everywhere: its alpha is 0, and so are all values"
    assert read_picture(tmp_path / "a.png").notes == (note,)


def jpeg(**options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(SMOOTH).save(stream, "JPEG", quality=95, **options)
    return stream.getvalue()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"subsampling": 0}])
def test_cut_and_damaged_photographs_are_noticed(tmp_path, options):
    path, data = tmp_path / "a.jpg", jpeg(**options)
    path.write_bytes(data)
    picture = read_picture(path)
    assert picture.notes == ()
    np.testing.assert_allclose(picture.pixels, np.asarray(Image.open(path)), atol=3)  # decoders round differently
    path.write_bytes(data + b"what other programs append")
    assert read_picture(path).notes == ()
    for cut in (1, 2, 100, len(data) // 2):
        path.write_bytes(data[:-cut])
        with pytest.raises(ValueError, match=r"a\.jpg is cut off; copy it again"):
            read_picture(path)
    # No checksum: damage that leaves valid codes is not seen; this much is.
    damaged = bytearray(data)
    for place in range(len(data) // 2, len(data) // 2 + 400, 8):
        damaged[place] ^= 0x55
    path.write_bytes(damaged)
    try:
        said = read_picture(path).notes[0]
    except ValueError as error:
        said = str(error)
    assert "it may be damaged" in said or "it is damaged" in said


@pytest.mark.parametrize("cut", [1, 30])
def test_a_webp_that_ends_early_is_refused(tmp_path, cut):
    Image.fromarray(PIXELS).save(tmp_path / "a.webp", lossless=True)
    (tmp_path / "a.webp").write_bytes((tmp_path / "a.webp").read_bytes()[:-cut])
    with pytest.raises(ValueError, match="is cut off"):
        read_picture(tmp_path / "a.webp")
