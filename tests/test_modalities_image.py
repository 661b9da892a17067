"""Images: depths, channels, alpha, HDR, what is drawn of them."""

import zlib

import cv2
import numpy as np
import OpenEXR
import pytest
from PIL import Image

from modalities import find
from modalities.display import is_signed, picture
from modalities.image import save
from modalities.measures import MOST_DECIBELS, peak, psnr, snr, ssim

IMAGE = find("image")


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).random(shape)


def write(path, pixels: np.ndarray) -> None:
    """Write pixels in RGB(A) order with OpenCV, which wants BGR(A)."""
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[pixels.shape[-1]]
    assert cv2.imwrite(str(path), np.ascontiguousarray(pixels[..., order]))


@pytest.mark.parametrize("extension", [".png", ".tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_integers_are_scaled_at_full_depth(tmp_path, extension, dtype, channels):
    pixels = (noise(5, 11, channels) * np.iinfo(dtype).max).astype(dtype)
    write(tmp_path / f"a{extension}", pixels)
    signal = IMAGE.load(tmp_path / f"a{extension}")
    np.testing.assert_allclose(signal.values, pixels / np.iinfo(dtype).max, atol=1e-7)
    assert not signal.meta["float"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_float_tiff_is_kept_as_it_is(tmp_path, dtype, channels):
    pixels = (10 * noise(6, 4, channels) - 2).astype(dtype)
    write(tmp_path / "a.tiff", pixels)
    signal = IMAGE.load(tmp_path / "a.tiff")
    np.testing.assert_array_equal(signal.values, pixels)
    assert signal.values.dtype == dtype
    assert signal.meta["float"]
    assert not signal.meta["linear"]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_exr_comes_back_exactly(tmp_path, channels):
    values = (20 * noise(7, 5, channels)).astype(np.float32)
    save(values, tmp_path, {"float": True})
    signal = IMAGE.load(tmp_path / "output.exr")
    np.testing.assert_array_equal(signal.values, values)
    assert signal.meta == {"alpha": channels == 4, "float": True, "linear": True}
    with OpenEXR.File(str(tmp_path / "output.exr")) as file:
        name = {1: "Y", 3: "RGB", 4: "RGBA"}[channels]
        np.testing.assert_array_equal(file.channels()[name].pixels.reshape(values.shape), values)


def test_half_exr_with_other_channels_gives_its_colours(tmp_path):
    colours = noise(4, 6, 3).astype(np.float16)
    channels = {"RGB": colours, "Z": np.ones((4, 6), np.float32)}
    OpenEXR.File({"type": OpenEXR.scanlineimage}, channels).write(str(tmp_path / "a.exr"))
    np.testing.assert_array_equal(IMAGE.load(tmp_path / "a.exr").values, colours.astype(np.float32))


def test_radiance_hdr_is_read_as_light(tmp_path):
    light = np.full((8, 9, 3), (0.5, 2.0, 16.0))
    write(tmp_path / "a.hdr", light.astype(np.float32))
    signal = IMAGE.load(tmp_path / "a.hdr")
    np.testing.assert_allclose(signal.values, light, rtol=0.02)
    assert signal.meta["linear"]


def test_transparent_colours_do_not_bleed(tmp_path):
    pixels = np.zeros((4, 6, 4), np.uint8)
    pixels[:, :3] = (255, 0, 0, 255)
    pixels[:, 3:] = (0, 255, 0, 0)  # green, but nobody sees it
    write(tmp_path / "a.png", pixels)
    signal = IMAGE.load(tmp_path / "a.png")
    assert signal.meta["alpha"]
    averaged = np.broadcast_to(signal.values.mean(axis=(0, 1)), signal.values.shape)
    np.testing.assert_array_equal(picture(averaged, signal.meta)[0, 0], (255, 0, 0, 128))


def test_alpha_is_divided_out_again(tmp_path):
    pixels = (255 * noise(6, 5, 4)).astype(np.uint8)
    pixels[..., 3] = np.maximum(pixels[..., 3], 40)
    write(tmp_path / "a.png", pixels)
    signal = IMAGE.load(tmp_path / "a.png")
    IMAGE.save(signal.values, tmp_path / "out", signal.meta)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / "output.png")), pixels)


@pytest.mark.parametrize("channels", [1, 3])
def test_png_is_clipped_and_numbers_are_not(tmp_path, channels):
    values = np.full((3, 4, channels), 1.5, np.float32)
    values[0] = -0.01
    IMAGE.save(values, tmp_path, {})
    pixels = np.asarray(Image.open(tmp_path / "output.png"))
    assert pixels[0].max() == 0
    assert pixels[1:].min() == 255
    np.testing.assert_array_equal(np.load(tmp_path / "output.npy"), values)


def test_light_is_encoded_for_the_screen():
    assert picture(np.full((1, 1, 3), 0.2140), {"linear": True}).tolist() == [[[127, 127, 127]]]
    assert picture(np.full((1, 1, 3), 0.2140), {}).tolist() == [[[55, 55, 55]]]


def test_signed_values_are_centred():
    ramp = np.linspace(-0.02, 0.02, 101, dtype=np.float32).reshape(1, -1, 1)
    assert is_signed(ramp, {})
    assert not is_signed(ramp, {"signed": False})
    assert not is_signed(np.linspace(-0.02, 1, 50), {})  # a little ringing is not a sign
    grey = picture(ramp, {}).astype(int)
    assert grey.shape == (1, 101, 3)
    assert grey[0, 0, 2] > grey[0, 0, 0] + 50  # blue below zero
    assert grey[0, -1, 0] > grey[0, -1, 2] + 50  # red above
    assert np.ptp(grey[0, 50]) == 0
    colour = picture(np.repeat(ramp, 3, axis=-1), {})
    assert abs(int(colour[0, 50, 0]) - 128) <= 1
    assert colour[0, 0, 0] == 0
    assert colour[0, -1, 0] == 255


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("extension", [".tif", ".exr"])
def test_pixels_that_are_no_numbers_are_refused(tmp_path, bad, extension):
    values = np.ones((4, 4, 3), np.float32)
    values[1, 2, 0] = bad
    if extension == ".tif":
        write(tmp_path / "a.tif", values)
    else:
        OpenEXR.File({"type": OpenEXR.scanlineimage}, {"RGB": values}).write(str(tmp_path / "a.exr"))
    with pytest.raises(ValueError, match="NaN or infinite; mend the file"):
        IMAGE.load(tmp_path / f"a{extension}")


def test_single_rows_columns_and_pixels_work(tmp_path):
    for shape in [(1, 9, 3), (9, 1, 3), (1, 1, 3)]:
        write(tmp_path / "a.png", np.full(shape, 51, np.uint8))
        signal = IMAGE.load(tmp_path / "a.png")
        assert signal.values.shape == shape
        np.testing.assert_allclose(signal.values, 0.2, rtol=1e-6)
        IMAGE.save(signal.values, tmp_path, signal.meta)
        assert "ssim" not in IMAGE.metrics(signal.values, signal.values)


def test_claimed_size_is_not_believed(tmp_path):
    write(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8))
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[16:24] = (60000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(bytes(data))
    with pytest.raises(ValueError, match="claims more than"):
        IMAGE.load(tmp_path / "a.png")


def test_folder_is_not_an_image(tmp_path):
    with pytest.raises(ValueError, match="is a folder"):
        IMAGE.load(tmp_path)


def test_measures_against_their_formulas():
    truth = noise(12, 9, 3)
    values = truth + 0.01
    assert psnr(values, truth) == pytest.approx(40.0)
    assert snr(values, truth) == pytest.approx(10 * np.log10(truth.var(axis=(0, 1)).mean() / 1e-4))
    assert psnr(truth, truth) == MOST_DECIBELS
    assert ssim(truth, truth) == pytest.approx(1.0)
    assert ssim(truth[::-1], truth) < 0.5
    assert peak(truth) == 1.0
    assert peak(4 * truth - 1) == pytest.approx(4 * np.ptp(truth))
