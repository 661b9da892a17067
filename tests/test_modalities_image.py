"""Images: depths, channels, alpha, HDR, what is drawn of them."""

import cv2
import numpy as np
import OpenEXR
import pytest
from PIL import Image

from modalities import find
from modalities.display import is_signed, picture, signed_size
from modalities.figures import Comparison
from modalities.image import ImageMetadata
from signals.masks import divided

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
    assert signal.metadata == ImageMetadata()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_float_tiff_is_kept_as_it_is(tmp_path, dtype, channels):
    pixels = (10 * noise(6, 4, channels) - 2).astype(dtype)
    write(tmp_path / "a.tiff", pixels)
    signal = IMAGE.load(tmp_path / "a.tiff")
    np.testing.assert_array_equal(signal.values, pixels)
    assert signal.values.dtype == dtype
    assert signal.metadata == ImageMetadata(float=True)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_exr_comes_back_exactly(tmp_path, channels):
    values = (20 * noise(7, 5, channels)).astype(np.float32)
    IMAGE.save(values, tmp_path, ImageMetadata(alpha=channels == 4, float=True))
    signal = IMAGE.load(tmp_path / "output.exr")
    np.testing.assert_array_equal(signal.values, values)
    assert signal.metadata == ImageMetadata(alpha=channels == 4, float=True, linear=True)
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
    assert signal.metadata == ImageMetadata(float=True, linear=True)


def test_transparent_colours_do_not_bleed(tmp_path):
    pixels = np.zeros((4, 6, 4), np.uint8)
    pixels[:, :3] = (255, 0, 0, 255)
    pixels[:, 3:] = (0, 255, 0, 0)  # green, but nobody sees it
    write(tmp_path / "a.png", pixels)
    signal = IMAGE.load(tmp_path / "a.png")
    assert signal.metadata == ImageMetadata(alpha=True)
    averaged = np.broadcast_to(signal.values.mean(axis=(0, 1)), signal.values.shape)
    np.testing.assert_array_equal(picture(averaged, alpha=True)[0, 0], (255, 0, 0, 128))


def test_alpha_is_divided_out_again(tmp_path):
    pixels = (255 * noise(6, 5, 4)).astype(np.uint8)
    pixels[..., 3] = np.maximum(pixels[..., 3], 40)
    write(tmp_path / "a.png", pixels)
    signal = IMAGE.load(tmp_path / "a.png")
    IMAGE.save(signal.values, tmp_path / "out", signal.metadata)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / "output.png")), pixels)


@pytest.mark.parametrize("channels", [1, 3])
def test_png_is_clipped_and_numbers_are_not(tmp_path, channels):
    values = np.full((3, 4, channels), 1.5, np.float32)
    values[0] = -0.01
    IMAGE.save(values, tmp_path, ImageMetadata())
    pixels = np.asarray(Image.open(tmp_path / "output.png"))
    assert pixels[0].max() == 0
    assert pixels[1:].min() == 255
    np.testing.assert_array_equal(np.load(tmp_path / "output.npy"), values)


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_results_may_be_named_as_jpeg_and_webp(tmp_path, capsys, channels, alpha):
    y, x = np.mgrid[:40, :60]
    values = np.stack([0.5 + 0.4 * np.sin(x / 9 + y / 7 + c) for c in range(channels)], axis=-1)
    metadata = ImageMetadata(alpha=alpha)
    if alpha:
        opacity = np.clip(x / 50, 0.2, 1)[..., None]
        values = np.concatenate([np.broadcast_to(values, (40, 60, 3)) * opacity, opacity], axis=-1)
    colours = values[..., :3] if alpha else np.broadcast_to(values, (40, 60, 3))
    for name, within in (("a.jpg", 0.03), ("b.JPEG", 0.03), ("c.webp", 0.5 / 255 + (0.003 if alpha else 0))):
        IMAGE.save_as(values, tmp_path / name, metadata)
        assert ("JPEG is lossy" in capsys.readouterr().err) == (name != "c.webp")
        with Image.open(tmp_path / name) as written:
            found = np.asarray(written.convert("RGBA" if alpha else "RGB")) / 255.0
        found = found[..., :3] * found[..., 3:] if alpha else found
        np.testing.assert_allclose(found, colours, atol=within)  # over black where there is alpha
        with pytest.raises(ValueError, match="never overwritten"):
            IMAGE.save_as(values, tmp_path / name, metadata)
    with pytest.raises(ValueError, match=r"\.jpg does not hold 70000 x 1 pixels"):
        IMAGE.save_as(np.zeros((1, 70000, 3)), tmp_path / "d.jpg", ImageMetadata())


def test_light_is_encoded_for_the_screen():
    grey = np.full((1, 1, 3), 0.2140)
    assert picture(grey, linear=True).tolist() == [[[127, 127, 127]]]
    assert picture(grey).tolist() == [[[55, 55, 55]]]
    assert picture(np.full((1, 1, 1), 0.003), linear=True).tolist() == [
        [[10]]
    ]  # 12.92 x 0.003 x 255 in the linear part


def test_signed_values_are_centred():
    ramp = np.linspace(-0.02, 0.02, 101, dtype=np.float32).reshape(1, -1, 1)
    assert is_signed(ramp)
    assert not is_signed(np.linspace(-0.02, 1, 50))  # a little ringing is not a sign
    assert signed_size(ramp) == pytest.approx(np.quantile(np.abs(ramp), 0.998))
    assert signed_size(np.zeros(4)) == 1.0
    grey = picture(ramp, size=0.02)
    assert grey[0, [0, 50, -1]].tolist() == [[5, 48, 97], [247, 247, 247], [102, 0, 31]]  # blue, white, red
    colour = picture(np.repeat(ramp, 3, axis=-1), size=0.01)
    assert colour[0, [0, 25, 50, 75, 100], 0].tolist() == [0, 0, 128, 255, 255]  # saturated at the size
    with_alpha = np.concatenate([np.repeat(ramp, 3, axis=-1), np.ones_like(ramp)], axis=-1)
    np.testing.assert_array_equal(picture(with_alpha, alpha=True, size=0.01), colour)


@pytest.mark.parametrize("signed, corner", [(None, [247, 247, 247]), (True, [247, 247, 247]), (False, [0])])
def test_whether_values_are_signed_may_be_said(tmp_path, signed, corner):
    values = np.linspace(-1, 1, 15, dtype=np.float32).reshape(3, 5, 1)
    IMAGE.save(values, tmp_path, ImageMetadata(), signed)
    pixels = np.asarray(Image.open(tmp_path / "output.png")).reshape(3, 5, -1)
    assert pixels[1, 2].tolist() == corner


@pytest.mark.parametrize("name", [None, "a.png", "a.jpg", "a.webp"])
@pytest.mark.parametrize("channels, ends", [(1, "{} is dark blue, 0 white and {} dark red"),
                                            (3, "{} is black, 0 mid-grey and {} white")])  # fmt: skip
def test_which_values_a_picture_of_differences_shows_is_said(tmp_path, capsys, name, channels, ends):
    values = np.linspace(-1, 1, 300).reshape(20, 15, 1) * np.ones(channels)
    values = np.concatenate([values, np.ones((20, 15, 1))], axis=-1) if channels == 3 else values
    metadata = ImageMetadata(alpha=channels == 3)
    IMAGE.save_as(values, tmp_path / name, metadata) if name else IMAGE.save(values, tmp_path, metadata)
    said, size = capsys.readouterr().err, signed_size(values[..., :channels])
    assert ends.format(f"{-size:.4g}", f"{size:.4g}") + ", values beyond are clipped" in said
    assert said.count("differences") == 1 and ("alpha is left out" in said) == (channels == 3)


def test_what_eight_bits_leave_out_is_said(tmp_path, capsys):
    values = noise(20, 15, 3)
    for metadata, others in ((ImageMetadata(), ".npy or .tif"), (ImageMetadata(float=True), ".npy, .tif or .exr")):
        for name in ("a.png", "a.webp"):
            IMAGE.save_as(values, tmp_path / str(metadata.float) / name, metadata)
            said = f"{name} has 8 bits per channel, what is below 0 and above 1 clipped; name a {others} for the values"
            assert said in capsys.readouterr().err
    for name in ("b.npy", "b.tif", "b.exr"):
        IMAGE.save_as(values - 0.5, tmp_path / name, metadata)
        assert capsys.readouterr().err == ""
    np.testing.assert_array_equal(IMAGE.load(tmp_path / "b.exr").values, (values - 0.5).astype(np.float32))
    with pytest.raises(ValueError, match="never overwritten"):
        IMAGE.save_as(values, tmp_path / "b.exr", metadata)


def test_result_and_truth_are_shown_on_one_scale():
    truth = np.random.default_rng(0).standard_normal((12, 9, 1))
    figure = IMAGE.draw(Comparison(np.abs(truth), 0.5 * truth, truth), ImageMetadata())
    shown = [axes.images[0].get_array() for axes in figure.axes[:3]]
    assert shown[0].ndim == 2  # the signal itself is not signed
    np.testing.assert_array_equal(shown[1], picture(0.5 * truth, size=signed_size(truth)))
    np.testing.assert_array_equal(shown[2], picture(truth, size=signed_size(truth)))


def test_arrays_are_images():
    pixels = (255 * noise(4, 6)).astype(np.uint8)
    signal = IMAGE.from_array(pixels)
    np.testing.assert_allclose(signal.values[..., 0], pixels / 255, atol=1e-7)
    assert (signal.axes, signal.name, signal.metadata) == ((0, 1), "array", ImageMetadata())
    values = noise(4, 6, 4)
    signal = IMAGE.from_array(values, alpha=True, linear=True)
    np.testing.assert_array_equal(signal.values, values)
    assert signal.metadata == ImageMetadata(alpha=True, float=True, linear=True)
    with pytest.raises(ValueError, match="the number of channels must be 1 or more, at most 256, not 257"):
        IMAGE.from_array(noise(2, 2, 257))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("extension", [".tif", ".exr"])
def test_pixels_that_are_no_numbers_are_missing_samples(tmp_path, capsys, bad, extension):
    values = noise(4, 4, 3).astype(np.float32)
    values[1, 2, 0] = bad
    if extension == ".tif":
        write(tmp_path / "a.tif", values)
    else:
        OpenEXR.File({"type": OpenEXR.scanlineimage}, {"RGB": values}).write(str(tmp_path / "a.exr"))
    signal = IMAGE.load(tmp_path / f"a{extension}")
    assert "1 of 16 pixels are no-data, NaN, infinite or beyond 1e30" in capsys.readouterr().err
    found, share = divided(signal.values, signal.metadata.known)
    known = np.isfinite(values).all(axis=-1)
    np.testing.assert_array_equal(share[..., 0], known)
    np.testing.assert_allclose(found[known], values[known], atol=1e-6)


def test_single_rows_columns_and_pixels_work(tmp_path):
    for shape in [(1, 9, 3), (9, 1, 3), (1, 1, 3)]:
        write(tmp_path / "a.png", np.full(shape, 51, np.uint8))
        signal = IMAGE.load(tmp_path / "a.png")
        assert signal.values.shape == shape
        np.testing.assert_allclose(signal.values, 0.2, rtol=1e-6)
        IMAGE.save(signal.values, tmp_path, signal.metadata)
        assert "ssim" not in IMAGE.metrics(signal.values, signal.values, signal.metadata)


@pytest.mark.parametrize("kind", [np.int32, np.uint32, np.int64])
def test_long_whole_numbers_that_do_not_say_what_is_white_are_refused(kind):
    values = np.arange(60).reshape(5, 4, 3).astype(kind)
    with pytest.raises(ValueError, match=r"ends at 59: convert it to uint8, uint16 or floats"):
        IMAGE.from_array(values)
    white = values * (np.iinfo(kind).max // 59)
    np.testing.assert_allclose(IMAGE.from_array(white).values, values / 59, atol=1e-6)
