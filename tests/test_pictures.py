"""Kernels from pictures: upright, of unit mass, of any pixels, and read again when they change."""

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile

from kernels import library, pictures
from kernels.fit import fit_errors

COMMA = np.zeros((12, 20), np.uint8)
COMMA[2:7, 3:9] = 255
COMMA[7:10, 9:15] = 100


def test_picture_is_kept_upright_and_of_unit_mass(tmp_path):
    imageio.imwrite(tmp_path / "comma.png", COMMA)
    image = library.image(kernel_image=str(tmp_path / "comma.png"), radius=0.2)
    exact, kernel = image.target(2), image.sparse(1, 2)
    np.testing.assert_allclose(exact.radius, [0.12, 0.2])
    assert abs(kernel.mass - 1) < 1e-9
    assert fit_errors(kernel, exact).relative_l2 <= 0.05
    # Pixel (row 4, column 6) is bright, (8, 12) dim, their mirror images dark.
    places = np.array([[4.0, 6.0], [8.0, 12.0], [4.0, 13.0], [8.0, 7.0]])
    pixel = 0.4 / 20
    centres = (places + 0.5) * pixel - np.array([0.12, 0.2])
    light = 30 + 18 * 100 / 255
    np.testing.assert_allclose(exact.density(centres), np.array([1.0, 100 / 255, 0, 0]) / light / pixel**2, atol=1e-9)
    # Bilinear: half the light on the border between a bright and a dark pixel.
    border = np.array([[4.5, 3.0]]) * pixel - np.array([0.12, 0.2])
    np.testing.assert_allclose(exact.density(border), 0.5 / light / pixel**2, rtol=1e-9)
    assert np.abs(kernel.density(centres)[2:]).max() < 0.05 * kernel.density(centres)[0]


def test_changed_picture_is_fitted_again(tmp_path):
    path = tmp_path / "kernel.png"
    values = []
    for rows in (4, 12):
        imageio.imwrite(path, np.repeat(np.uint8([255] * rows + [0] * (16 - rows))[:, None], 16, axis=1))
        kernel = library.image(kernel_image=str(path), radius=0.1, count=17).sparse(1, 2)
        values.append(kernel.density(np.array([[0.03, 0.0]]))[0])
    assert abs(values[0]) < 0.01 * values[1]


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.array([[0, 255], [51, 0]], np.uint8), [[0, 1], [0.2, 0]]),
        (np.array([[0, 65535], [13107, 0]], np.uint16), [[0, 1], [0.2, 0]]),
        (np.array([[0.0, 4.0], [1.0, 0.0]], np.float32), [[0, 1], [0.25, 0]]),
        (np.array([[[10, 0, 0], [0, 10, 0], [0, 0, 10]]], np.uint8), np.array([[0.2126, 0.7152, 0.0722]]) / 0.7152),
        (np.array([[[255, 0], [255, 255]]], np.uint8), [[0, 1]]),
        (np.array([[[255, 255, 255, 128], [255, 255, 255, 255]]], np.uint8), [[128 / 255, 1]]),
    ],
)
def test_light_of_pixels_of_any_type(tmp_path, pixels, expected):
    colours = {2: "minisblack", 3: "rgb", 4: "rgb"}.get(pixels.shape[-1] if pixels.ndim == 3 else 1, "minisblack")
    alpha = ["unassalpha"] if pixels.ndim == 3 and pixels.shape[-1] in (2, 4) else None
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric=colours, planarconfig="contig", extrasamples=alpha)
    np.testing.assert_allclose(pictures.read_light(tmp_path / "a.tif"), expected, atol=1e-12)


@pytest.mark.parametrize("pixels", [np.zeros((3, 3), np.uint8), np.array([[-1.0, 2.0]]), np.full((2, 2), np.nan)])
def test_pictures_without_light_are_refused(pixels):
    with pytest.raises(ValueError, match="picture"):
        pictures.light(pixels[..., None])


def test_signals_and_kernels_read_pictures_alike(tmp_path, capsys):
    """White is zero, planes are separate, a band is no alpha: the light is that of the colours."""
    pixels = np.random.default_rng(0).integers(0, 65536, (4, 6, 6), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels[0], photometric="miniswhite")
    light = 1 - pixels[0] / 65535
    np.testing.assert_allclose(pictures.read_light(tmp_path / "a.tif"), light / light.max(), atol=1e-12)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", planarconfig="separate", extrasamples=[0])
    light = np.tensordot([0.2126, 0.7152, 0.0722], pixels[:3] / 65535, 1)
    np.testing.assert_allclose(pictures.read_light(tmp_path / "a.tif"), light / light.max(), atol=1e-12)
    assert "a.tif: it has channels not marked as alpha (tag 338), kept as bands: 4" in capsys.readouterr().err
    gap = np.ones((3, 3), np.float32)
    gap[0, 0] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", gap)
    with pytest.raises(ValueError, match=r"^1 of 9 pixels of "):
        pictures.read_light(tmp_path / "a.tif")


def test_large_pictures_are_averaged_without_losing_or_moving_light():
    values = np.zeros((1500, 1100))
    values[:, :300] = 1.0
    exact = pictures.picture_target(values, 0.3)
    # Blocks of 3 pixels, the narrower side padded to a whole number of them.
    np.testing.assert_allclose(exact.radius, [0.3, 0.3 * 1101 / 1500])
    edges = [np.linspace(-r, r, 401) for r in exact.radius]
    cell = np.prod([e[1] - e[0] for e in edges])
    means = exact.cell_means(edges, 2)
    assert abs(means.sum() * cell - 1) < 0.01
    inside, last, beyond = exact.on_grid([np.zeros(1), np.array([-0.2, -0.102, -0.098])])[0]
    np.testing.assert_allclose([inside, last], means.max(), rtol=1e-12)
    assert abs(beyond) < 1e-12
    assert pictures.picture_target(np.ones((512, 2)), 1.0).radius == (1.0, 2 / 512)
    assert pictures.picture_target(np.ones((513, 2)), 1.0).radius == (1.0, 1 / 257)


def test_missing_picture_is_named():
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png does not exist"):
        library.image(kernel_image="nowhere.png", radius=0.1).sparse(1, 2)
