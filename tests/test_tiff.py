"""TIFF as its tags say: layouts, photometric kinds, alpha, no-data, pages; what is not supported is named."""

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps
from tiff_cases import GREY, NODATA, ORIENTATION, PIXELS, RGB, RNG, TRUTH

from files.pictures import read_picture
from modalities import find


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.tif"


@pytest.mark.parametrize("layout", [{}, {"bigtiff": True}, {"tile": (16, 16)}, {"rowsperstrip": 7}])
@pytest.mark.parametrize("coded", [{}, {"compression": "lzw", "predictor": 2}, {"compression": "zlib"}])
@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_layouts_and_codecs(path, layout, coded, planes, order):
    stored = RGB if planes == "contig" else RGB.transpose(2, 0, 1)
    tifffile.imwrite(path, stored, photometric="rgb", planarconfig=planes, byteorder=order, **layout, **coded)
    picture = read_picture(path)
    np.testing.assert_array_equal(picture.pixels, RGB)
    assert (picture.largest, picture.alpha, picture.missing, picture.notes) == (65535, False, None, ())
    np.testing.assert_allclose(find("image").load(path).values, TRUTH, atol=1e-7)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("coded", [{}, {"compression": "lzw", "predictor": 3}])
def test_floats_are_kept(path, kind, coded):
    values = (8 * TRUTH - 1).astype(kind)
    tifffile.imwrite(path, values, photometric="rgb", **coded)
    signal = find("image").load(path)
    np.testing.assert_array_equal(signal.values, values)
    assert signal.values.dtype == (np.float64 if kind == np.float64 else np.float32)
    assert signal.metadata.float


@pytest.mark.parametrize("kind, largest", [(np.uint8, 255), (np.uint16, 65535), (np.uint32, 2**32 - 1)])
def test_white_is_zero_where_the_tag_says_so(path, kind, largest):
    stored = (GREY / 65535 * largest).astype(kind)
    tifffile.imwrite(path, stored, photometric="miniswhite")
    np.testing.assert_allclose(read_picture(path).values()[..., 0], 1 - stored / largest, atol=1e-7)
    tifffile.imwrite(path, stored, photometric="minisblack")
    np.testing.assert_allclose(read_picture(path).values()[..., 0], stored / largest, atol=1e-7)


@pytest.mark.parametrize("bits", [1, 4, 12])
def test_few_bits_are_divided_by_their_largest(path, bits):
    stored = GREY >> (16 - bits)
    written = stored.astype(bool) if bits == 1 else stored.astype(np.uint8 if bits == 4 else np.uint16)
    tifffile.imwrite(path, written, photometric="minisblack", bitspersample=bits)
    np.testing.assert_allclose(read_picture(path).values()[..., 0], stored / (2**bits - 1), atol=1e-7)


def test_signed_numbers_keep_their_sign(path):
    stored = (GREY.astype(int) - 32768).astype(np.int16)
    tifffile.imwrite(path, stored, photometric="minisblack")
    np.testing.assert_allclose(read_picture(path).values()[..., 0], stored / 32767, atol=1e-7)


@pytest.mark.parametrize("factor, shift", [(1, 0), (1 / 257, 0), (1 / 257, 8)])
def test_palettes_of_16_bit_and_of_8_bit_in_either_byte(path, factor, shift):
    table = RNG.integers(0, 65536, (3, 256), np.uint16)
    written = (table * factor).astype(np.uint16) << shift
    tifffile.imwrite(path, (GREY >> 8).astype(np.uint8), photometric="palette", colormap=written)
    wanted = table.T / 65535 if factor == 1 else (table * factor).astype(np.uint16).T / 255
    np.testing.assert_allclose(read_picture(path).values(), wanted[GREY >> 8], atol=1e-6)


@pytest.mark.parametrize("coded", ["raw", "tiff_lzw"])
def test_inks_are_light_left_over(path, coded):
    inks = (PIXELS[..., :4] >> 8).astype(np.uint8)
    Image.fromarray(inks, "CMYK").save(path, compression=coded)
    picture = read_picture(path)
    light = 1 - inks / 255
    np.testing.assert_allclose(picture.values(), light[..., :3] * light[..., 3:], atol=1e-5)
    assert picture.notes == ("its inks are converted to RGB without their colour profile",)


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_alpha_is_what_extra_samples_say(path, kind, planes, colours, depth):
    stored = (PIXELS[..., : colours + 1] >> (8 if depth == np.uint8 else 0)).astype(depth)
    written = stored if planes == "contig" else stored.transpose(2, 0, 1)
    photometric = {1: "minisblack", 3: "rgb"}[colours]
    tifffile.imwrite(path, written, photometric=photometric, planarconfig=planes, extrasamples=[kind], bigtiff=True)
    signal = find("image").load(path)
    truth = stored / np.iinfo(depth).max
    shown, last = truth[..., :colours], truth[..., colours:]
    if kind == 0:
        wanted = truth
    else:
        wanted = np.concatenate([np.repeat(shown, 3 // colours, axis=-1) * (last if kind == 2 else 1), last], axis=-1)
    assert signal.metadata.alpha == (kind != 0)
    np.testing.assert_allclose(signal.values, wanted, atol=1e-6)


def test_bands_are_kept_beside_colours_and_alpha(path, tmp_path, capsys):
    """Red, green, blue, near infrared, alpha, heat: alpha comes last, pictures show the colours, numbers have all."""
    tifffile.imwrite(path, PIXELS, photometric="rgb", extrasamples=[0, 2, 0])
    signal = find("image").load(path)
    assert capsys.readouterr().err == (
        "warning: a.tif: it has channels not marked as alpha (tag 338), kept as bands: 4, 6\n"
    )
    values = PIXELS / 65535
    wanted = np.concatenate([values[..., [0, 1, 2, 3, 5]] * values[..., 4:5], values[..., 4:5]], axis=-1)
    np.testing.assert_allclose(signal.values, wanted, atol=1e-6)
    find("image").save(signal.values, tmp_path, signal.metadata)
    shown = np.asarray(Image.open(tmp_path / "output.png"))
    seen = values[..., 4] > 0.1
    np.testing.assert_allclose(shown[seen] / 255, values[..., [0, 1, 2, 4]][seen], atol=0.51 / 255)
    np.testing.assert_array_equal(np.load(tmp_path / "output.npy"), signal.values)


@pytest.mark.parametrize(
    "kind, number, text",
    [
        (np.float32, -3.4028234663852886e38, "-3.4028235e+38"),  # only rounds to the largest float
        (np.float32, -9999, "-9999"),
        (np.float64, 1e32, None),
        (np.float32, np.nan, "nan"),
        (np.float16, np.inf, None),
        (np.int16, -32768, "-32768 "),
        (np.uint8, 7, "7"),
    ],
)
def test_no_data_is_missing(path, kind, number, text):
    values = np.full((6, 5), 3, kind)
    tags = [] if text is None else [(NODATA, "s", 0, text, True)]
    tifffile.imwrite(path, values, photometric="minisblack", extratags=tags)
    assert read_picture(path).missing is None
    values[2, 3:] = number
    tifffile.imwrite(path, values, photometric="minisblack", extratags=tags)
    np.testing.assert_array_equal(read_picture(path).missing, values != 3)
    np.testing.assert_array_equal(find("image").load(path).values[..., -1], values == 3)


def test_no_data_of_colours_is_all_of_them_and_seen(path):
    colours = np.ones((4, 5, 4), np.uint8)
    colours[0, 0, 0] = 0  # a colour with a black channel
    colours[1] = 0  # transparent
    tags = [(NODATA, "s", 0, "0", True)]
    tifffile.imwrite(path, colours, photometric="rgb", extrasamples=[2], extratags=tags)
    assert read_picture(path).missing is None
    colours[3, 2, :3] = 0
    tifffile.imwrite(path, colours, photometric="rgb", extrasamples=[2], extratags=tags)
    assert np.argwhere(read_picture(path).missing).tolist() == [[3, 2]]


def test_first_page_that_is_no_thumbnail_is_read_and_others_are_mentioned(path):
    def written(*pages):
        with tifffile.TiffWriter(path) as file:
            for pixels, options in pages:
                file.write(pixels, photometric="rgb", **options)
        picture = read_picture(path)
        np.testing.assert_array_equal(picture.pixels, RGB)
        return picture.notes

    small, other = RGB[::2, ::2], RGB // 2
    assert written((small, {"subfiletype": 1}), (RGB, {})) == ("page 2 of 2 is read: those before it are thumbnails",)
    assert written((RGB, {}), (other, {}), (other, {})) == ("page 1 of 3 is read",)
    assert written((RGB, {}), (small, {"subfiletype": 1})) == ()
    assert written((RGB, {"subifds": 1}), (small, {"subfiletype": 1})) == ()  # a pyramid
    assert written((small, {"subfiletype": 1, "subifds": 1}), (RGB, {"subfiletype": 0})) == (
        "its first pages are thumbnails: the picture within them is read",
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pages_are_turned_upright(path, orientation):
    tifffile.imwrite(
        path, RGB.astype(np.uint8), photometric="rgb", extratags=[(ORIENTATION, "H", 1, orientation, True)]
    )
    with Image.open(path) as stored:
        np.testing.assert_array_equal(read_picture(path).pixels, np.asarray(ImageOps.exif_transpose(stored)))


def test_alpha_beside_inks_is_scaled_with_them(path):
    stored = (PIXELS[..., :5] >> 8).astype(np.uint8)
    tifffile.imwrite(path, stored, photometric="separated", extrasamples=[1])
    picture = read_picture(path)
    light = 1 - stored / 255
    np.testing.assert_allclose(picture.values()[..., :3], light[..., :3] * light[..., 3:4], atol=1e-5)
    np.testing.assert_allclose(picture.values()[..., 3], stored[..., 4] / 255, atol=1e-5)


def test_pixels_that_a_mask_hides_have_no_value(path):
    """GDAL_TIFF_INTERNAL_MASK: a second page of bits, 0 where there is no data."""
    mask = np.ones(GREY.shape, bool)

    def written() -> None:
        with tifffile.TiffWriter(path) as file:
            file.write((RGB >> 8).astype(np.uint8), photometric="rgb")
            file.write(mask, photometric="mask", subfiletype=4)

    written()
    np.testing.assert_array_equal(read_picture(path).pixels, RGB >> 8)
    mask[3:5, 7] = False
    written()
    np.testing.assert_array_equal(read_picture(path).missing, ~mask)
    np.testing.assert_array_equal(find("image").load(path).values[..., -1], mask)


def test_what_nobody_sees_needs_no_value(path):
    values = np.ones((3, 4, 4), np.float32)
    values[1, 2] = (np.nan, -1e38, 5, 0)
    tifffile.imwrite(path, values, photometric="rgb", extrasamples=[1])
    values[1, 2] = 0
    np.testing.assert_array_equal(find("image").load(path).values, values)


def test_thumbnails_of_the_older_kind(path):
    with tifffile.TiffWriter(path) as file:
        file.write(RGB[::2, ::2], photometric="rgb", extratags=[(255, "H", 1, 2, True)])
        file.write(RGB, photometric="rgb", extratags=[(255, "H", 1, 1, True)])
    np.testing.assert_array_equal(read_picture(path).pixels, RGB)
