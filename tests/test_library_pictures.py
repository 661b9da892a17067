"""Kernels from pictures: upright, of unit mass, of any pixels, and read again when they change."""

import imageio.v3 as imageio
import numpy as np
import pytest

from kernels import pictures
from kernels.fit import fit_errors
from kernels.library import build, target


@pytest.fixture(scope="session")
def comma(tmp_path_factory) -> str:
    """A lopsided picture: bright upper left, dim lower right, wider than high."""
    path = tmp_path_factory.mktemp("kernel") / "comma.png"
    pixels = np.zeros((12, 20), np.uint8)
    pixels[2:7, 3:9] = 255
    pixels[7:10, 9:15] = 100
    imageio.imwrite(path, pixels)
    return str(path)


def test_picture_is_kept_upright_and_of_unit_mass(comma):
    exact = target("image", 2, kernel_image=comma, radius=0.2)
    np.testing.assert_allclose(exact.radius, [0.12, 0.2])
    kernel = build("image", 1, 2, kernel_image=comma, radius=0.2)
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
    values = kernel.density(centres)
    np.testing.assert_allclose(values[:2], np.array([1.0, 100 / 255]) / light / pixel**2, rtol=0.1)
    assert np.abs(values[2:]).max() < 0.05 * values[0]


def test_changed_picture_is_fitted_again(tmp_path):
    path = tmp_path / "kernel.png"
    masses = []
    for rows in (4, 12):
        pixels = np.zeros((16, 16), np.uint8)
        pixels[:rows] = 255
        imageio.imwrite(path, pixels)
        kernel = build("image", 1, 2, count=17, kernel_image=str(path), radius=0.1)
        masses.append(kernel.density(np.array([[0.03, 0.0]]))[0])
    assert abs(masses[0]) < 0.01 * masses[1]


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.array([[0, 255], [51, 0]], np.uint8), [[0, 1], [0.2, 0]]),
        (np.array([[0, 65535], [13107, 0]], np.uint16), [[0, 1], [0.2, 0]]),
        (np.array([[0.0, 4.0], [1.0, 0.0]], np.float32), [[0, 1], [0.25, 0]]),
        (np.full((2, 2, 3), 7, np.uint8), np.ones((2, 2))),
        (np.array([[[255, 0], [255, 255]]], np.uint8), [[0, 1]]),
        (np.array([[[255, 255, 255, 128], [255, 255, 255, 255]]], np.uint8), [[128 / 255, 1]]),
    ],
)
def test_light_of_pixels_of_any_type(pixels, expected):
    np.testing.assert_allclose(pictures.light(pixels), expected, atol=1e-12)


@pytest.mark.parametrize(
    "pixels", [np.zeros((3, 3), np.uint8), np.zeros((2, 2, 5), np.uint8), -np.ones((2, 2)), np.full((2, 2), np.nan)]
)
def test_senseless_pictures_are_refused(pixels):
    with pytest.raises(ValueError, match="picture"):
        pictures.light(pixels)


def test_large_pictures_are_reduced_without_losing_light():
    rng = np.random.default_rng(0)
    exact = pictures.picture_target(rng.random((1500, 1100)), 0.3)
    np.testing.assert_allclose(exact.radius, [0.3, 0.22], rtol=0.01)
    edges = [np.linspace(-r, r, 401) for r in exact.radius]
    cell = np.prod([e[1] - e[0] for e in edges])
    assert abs(exact.cell_means(edges, 2).sum() * cell - 1) < 0.01


def test_missing_picture_is_named():
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        build("image", 1, 2, kernel_image="nowhere.png", radius=0.1)
