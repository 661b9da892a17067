"""The library of kernels: laws at random parameters, closed forms, orientation, and what it refuses."""

import math
from functools import reduce

import imageio.v3 as imageio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import library, minimal_kernel, pictures
from kernels.fit import fit_errors
from kernels.library import build, from_options, is_signed, target
from kernels.recipes import PARAMETERS, RECIPES
from kernels.sparse import SparseKernel

LENGTHS = st.floats(0.01, 0.5)
VALUES = {
    **{name: LENGTHS for name, parameter in PARAMETERS.items() if parameter.kind == "length"},
    "ratio": st.floats(1.2, 4.0),
    "angle": st.floats(-180.0, 180.0),
    "lobes": st.integers(2, 4),
    "degree": st.integers(0, 4),
}
# The laws do not depend on the number of Diracs, and so many are placed without iterating.
MANY, QUICK = 16, 33


@pytest.fixture(scope="session")
def comma(tmp_path_factory) -> str:
    """A lopsided picture: bright upper left, dim lower right, wider than high."""
    path = tmp_path_factory.mktemp("kernel") / "comma.png"
    pixels = np.zeros((12, 20), np.uint8)
    pixels[2:7, 3:9] = 255
    pixels[7:10, 9:15] = 100
    imageio.imwrite(path, pixels)
    return str(path)


@st.composite
def requests(draw, name: str) -> tuple[int, dict]:
    """Filtered axes and parameters that make sense for a kernel; lengths that go together stay together."""
    recipe = RECIPES[name]
    axes = draw(st.integers(recipe.axes[0], min(recipe.axes[1], 2)))
    names = [n for n in recipe.parameters if n in VALUES and not (n == "angle" and axes == 1)]
    values = {n: draw(VALUES[n]) for n in names}
    if name == "ring":
        values["thickness"] = values["radius"] * draw(st.floats(0.2, 0.8))
    if name == "motion":
        values["thickness"] = values["length"] * draw(st.floats(0.1, 1.0))
    if name == "anisotropic":
        values["sigma_across"] = values["sigma"] * draw(st.floats(0.2, 5.0))
    if name == "gabor":
        values["frequency"] = draw(st.floats(0.15, 1.0)) / values["sigma"]
    if "axis" in recipe.parameters:
        values["axis"] = draw(st.integers(0, axes - 1))
    return axes, values


def lines_obey(kernel: SparseKernel) -> float:
    """The largest moment below n of any line of Diracs along any axis, relative to sum |w| r^k, one line at a time."""
    worst, total = 0.0, np.abs(kernel.weights).sum()
    for axis in kernel.axes:
        lines: dict[tuple, list[int]] = {}
        for i, position in enumerate(np.delete(kernel.positions, axis, axis=1).round(12)):
            lines.setdefault(tuple(position), []).append(i)
        r = np.abs(kernel.positions[:, axis]).max()
        for members in lines.values():
            t, w = kernel.positions[members, axis] / r, kernel.weights[members]
            worst = max(worst, *(abs(w @ t**k) / total for k in range(kernel.order + 1)))
    return worst


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "image"])
@settings(max_examples=3, deadline=None)
@given(data=st.data(), order=st.integers(0, 2))
def test_laws_hold_for_everything_at_random_parameters(name, data, order):
    axes, values = data.draw(requests(name))
    recipe = RECIPES[name]
    usual = recipe.count(order, values)
    kernel = build(name, order, axes, count=usual if usual <= MANY else QUICK, **values)
    assert lines_obey(kernel) <= 1e-12
    powers = np.abs(kernel.positions).prod(axis=1) ** (order + 1) / math.factorial(order + 1) ** axes
    assert abs(kernel.mass - recipe.mass) <= 1e-9 + 1e-13 * np.abs(kernel.weights) @ powers
    exact = target(name, axes, **values)
    assert exact.mass == recipe.mass
    assert (kernel.radius <= np.array(exact.radius) * (1 + 1e-9)).all()
    outside = np.array([exact.radius]) * (1.01 + np.random.default_rng(0).random((50, 1)))
    peak = np.abs(exact.on_grid([np.linspace(-r, r, 32) for r in exact.radius])).max()
    rounding = 1e-15 * np.abs(kernel.weights).sum() * np.prod((3 * kernel.radius) ** order)
    assert np.abs(kernel.density(outside)).max() <= 1e-9 * peak + rounding


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "image"])
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_exact_kernels_have_their_mass_and_support(name, data):
    axes, values = data.draw(requests(name))
    exact = target(name, axes, **values)
    edges = [r * np.linspace(-1, 1, 401) for r in exact.radius]
    means = exact.cell_means(edges, 2)
    cell = np.prod([e[1] - e[0] for e in edges])
    absolute = np.abs(means).sum() * cell
    assert abs(means.sum() * cell - RECIPES[name].mass) <= 5e-3 * absolute
    assert (means.min() < -1e-3 * means.max()) == RECIPES[name].signed
    beyond = [1.5 * r * np.array([-1.0, -0.7, 0.7, 1.0]) for r in exact.radius]
    assert not exact.on_grid(beyond)[(0, -1), ...].any()


@pytest.mark.parametrize(
    ("name", "values", "axes", "allowed"),
    [
        ("gaussian", {"sigma": 0.05}, 2, 0.02),
        ("dog", {"sigma": 0.03, "ratio": 1.6}, 2, 0.03),
        ("derivative", {"sigma": 0.04, "axis": 1}, 2, 0.03),
        ("second_derivative", {"sigma": 0.04}, 2, 0.03),
        ("log", {"sigma": 0.04}, 2, 0.03),
        ("disk", {"radius": 0.1}, 2, 0.05),
        ("gabor", {"sigma": 0.1, "frequency": 5.0, "angle": 30.0}, 2, 0.05),
        ("anisotropic", {"sigma": 0.1, "sigma_across": 0.025, "angle": 30.0}, 2, 0.05),
        ("motion", {"length": 0.2, "thickness": 0.03, "angle": 60.0}, 2, 0.05),
        ("lanczos", {"radius": 0.1}, 2, 0.03),
        ("quadratic", {"half_size": 0.1}, 1, 0.03),
    ],
)
def test_usual_numbers_of_diracs_are_accurate(name, values, axes, allowed):
    assert fit_errors(build(name, 1, axes, **values), target(name, axes, **values)).relative_l2 <= allowed


def test_size_is_free_and_fitted_once():
    for name, values, lengths in (
        ("gaussian", {"sigma": 0.05}, ("sigma",)),
        ("ring", {"radius": 0.1, "thickness": 0.03}, ("radius", "thickness")),
        ("motion", {"length": 0.3, "thickness": 0.1, "angle": 0.0}, ("length", "thickness")),
    ):
        small = build(name, 1, 2, count=9, **values)
        fits = library._unit_kernel.cache_info().misses
        large = build(name, 1, 2, count=9, **{k: v * 3 if k in lengths else v for k, v in values.items()})
        assert library._unit_kernel.cache_info().misses == fits
        np.testing.assert_allclose(large.positions, 3 * small.positions, rtol=1e-9)
        np.testing.assert_allclose(large.weights, small.weights / 3**4, rtol=1e-9)


@pytest.mark.parametrize("degree", range(4))
def test_splines_of_the_fields_order_are_the_minimal_kernels(degree):
    name = ["box", "tent", "quadratic", "cubic"][degree]
    kernel, minimal = build(name, degree, 2, half_size=0.2), minimal_kernel(degree, 0.2, 2)
    np.testing.assert_array_equal(kernel.positions, minimal.positions)
    np.testing.assert_array_equal(kernel.weights, minimal.weights)
    same = build("bspline", degree, 2, half_size=0.2, degree=degree)
    np.testing.assert_array_equal(same.weights, minimal.weights)


@pytest.mark.parametrize("sigma", [0.05, 0.2])
def test_derivatives_differentiate_polynomials(sigma):
    """f * g for f = x^a y^b is sum w F(x - t) with F its twofold antiderivative in both axes (order 1)."""

    def filtered(kernel: SparseKernel, a: int, b: int, x: float, y: float) -> float:
        t = np.array([x, y]) - kernel.positions
        rising = (a + 1) * (a + 2) * (b + 1) * (b + 2)
        return float(kernel.weights @ (t[:, 0] ** (a + 2) * t[:, 1] ** (b + 2)) / rising)

    x, y = 0.3, -0.4
    first = build("derivative", 1, 2, sigma=sigma, axis=1)
    assert math.isclose(filtered(first, 0, 1, x, y), 1.0, rel_tol=1e-9)
    assert abs(filtered(first, 1, 0, x, y)) < 1e-9
    assert math.isclose(filtered(first, 0, 2, x, y), 2 * y, rel_tol=1e-3)
    second = build("second_derivative", 1, 2, sigma=sigma)
    assert math.isclose(filtered(second, 2, 0, x, y), 2.0, rel_tol=1e-9)
    assert math.isclose(filtered(second, 3, 0, x, y), 6 * x, rel_tol=1e-3)
    assert abs(filtered(second, 0, 2, x, y)) < 1e-7
    laplacian = build("log", 1, 2, sigma=sigma)
    assert math.isclose(filtered(laplacian, 2, 0, x, y), 2.0, rel_tol=1e-8)
    assert math.isclose(filtered(laplacian, 0, 2, x, y), 2.0, rel_tol=1e-8)
    assert abs(filtered(laplacian, 1, 1, x, y)) < 1e-7


def test_derivatives_take_coordinates_of_the_domain():
    kernel = build("derivative", 1, 3, axes=(0, 2), sigma=0.1, axis=2)
    assert (kernel.dim, kernel.axes) == (3, (0, 2))
    along = np.array([[0.0, 0.0, 0.1], [0.0, 0.0, -0.1], [0.1, 0.0, 0.0]])
    right, left, down = kernel.density(along)
    assert right < 0 < left
    assert abs(down) < 1e-6 * left
    with pytest.raises(ValueError, match="axis 1 is not among"):
        build("derivative", 1, 3, axes=(0, 2), sigma=0.1, axis=1)
    assert build("derivative", 1, 3, axes=(2,), sigma=0.1).axes == (2,)


def test_a_wave_passes_its_gabor_with_gain_one():
    sigma, frequency, angle = 0.1, 4.0, 30.0
    kernel = build("gabor", 1, 2, sigma=sigma, frequency=frequency, angle=angle)
    turn = math.radians(angle)
    # Counter-clockwise from the columns, rows running downwards.
    k = 2 * math.pi * frequency * np.array([-math.sin(turn), math.cos(turn)])
    # F of exp(i k x), integrated twice in both axes, is exp(i k x) / (i k_0)^2 (i k_1)^2.
    gain = kernel.weights @ np.exp(-1j * kernel.positions @ k) / np.prod((1j * k) ** 2)
    assert abs(gain - 1) < 0.02
    across = 2 * math.pi * frequency * np.array([math.cos(turn), math.sin(turn)])
    assert abs(kernel.weights @ np.exp(-1j * kernel.positions @ across) / np.prod((1j * across) ** 2)) < 0.02
    assert abs(kernel.mass) < 1e-9


@pytest.mark.parametrize(("name", "values"), [
    ("motion", {"length": 0.4, "thickness": 0.1}), ("anisotropic", {"sigma": 0.2, "sigma_across": 0.05}),
])  # fmt: skip
def test_angles_turn_counter_clockwise_from_the_columns(name, values):
    exact = target(name, 2, angle=30.0, **values)
    r, turn = 0.15, math.radians(30)
    up_right, down_right = np.array([[-math.sin(turn), math.cos(turn)], [math.sin(turn), math.cos(turn)]]) * r
    along, mirrored = exact.density(np.array([up_right, down_right]))
    assert along > 3 * mirrored
    flat = target(name, 2, angle=0.0, **values)
    assert flat.radius[1] > 2 * flat.radius[0]
    upright = target(name, 2, angle=90.0, **values)
    np.testing.assert_allclose(upright.radius, flat.radius[::-1])
    assert len(build(name, 1, 2, count=9, angle=90.0, **values)) <= 81


def test_disk_and_ring_are_uniform():
    points = np.array([[0.0, 0.0], [0.03, 0.04], [0.0, -0.09], [0.08, 0.08]])
    np.testing.assert_allclose(
        target("disk", 2, radius=0.1).density(points), np.array([1, 1, 1, 0]) / (math.pi * 0.01), rtol=1e-12
    )
    area = math.pi * (0.1**2 - 0.04**2)
    ring = target("ring", 2, radius=0.1, thickness=0.06).density(points)
    np.testing.assert_allclose(ring, np.array([0, 1, 1, 0]) / area, rtol=1e-12)


def test_gaussian_in_any_number_of_axes_is_the_product():
    x = np.linspace(-0.14, 0.14, 9)
    single = build("gaussian", 1, 1, sigma=0.05).density(x[:, None])
    for dim in (2, 3):
        product = build("gaussian", 1, dim, sigma=0.05).density_grid([x] * dim)
        np.testing.assert_allclose(
            product, reduce(np.multiply.outer, [single] * dim), rtol=1e-5, atol=1e-6 * product.max()
        )


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


@pytest.mark.parametrize(
    ("name", "dim", "values", "message"),
    [
        ("gausian", 1, {"sigma": 0.1}, "no kernel called 'gausian'.*gaussian"),
        ("gaussian", 1, {}, "gaussian needs sigma"),
        ("gaussian", 1, {"sigma": 0.1, "radius": 0.2}, "no parameter 'radius'; it takes sigma"),
        ("gaussian", 1, {"sigma": 0.0}, "sigma must be positive"),
        ("gaussian", 1, {"sigma": math.nan}, "sigma must be positive"),
        ("gaussian", 1, {"sigma": "wide"}, "sigma must be a length"),
        ("dog", 1, {"sigma": 0.1, "ratio": 0.5}, "ratio above 1"),
        ("ring", 2, {"radius": 0.1, "thickness": 0.2}, "thickness between"),
        ("disk", 1, {"radius": 0.1}, "disk needs 2 filtered axes"),
        ("disk", 3, {"radius": 0.1}, "disk needs 2 filtered axes"),
        ("gabor", 2, {"sigma": 0.1, "frequency": 0.1}, "frequency of at least"),
        ("gabor", 1, {"sigma": 0.1, "frequency": 9.0, "angle": 20.0}, "no angle"),
        ("lanczos", 1, {"radius": 0.1, "lobes": 2.5}, "whole lobes"),
        ("bspline", 1, {"half_size": 0.1, "degree": 9}, "degree"),
        ("image", 2, {"radius": 0.1, "kernel_image": __file__}, "cannot be read as a picture"),
    ],
)
def test_wrong_requests_are_one_clear_sentence(name, dim, values, message):
    with pytest.raises(ValueError, match=message) as caught:
        build(name, 1, dim, **values)
    assert "\n" not in str(caught.value)


def test_missing_picture_is_named():
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        build("image", 1, 2, kernel_image="nowhere.png", radius=0.1)


def test_options_of_a_command_line_become_a_kernel():
    options = dict.fromkeys(["kernel", *PARAMETERS])
    assert from_options(options, 1, 2) is None
    kernel = from_options({**options, "kernel": "tent", "half_size": 0.1}, 1, 3, (0, 1))
    np.testing.assert_array_equal(kernel.positions, minimal_kernel(1, 0.1, 3, (0, 1)).positions)
    with pytest.raises(ValueError, match="--sigma describes a kernel: name one with --kernel"):
        from_options({**options, "sigma": 0.1}, 1, 2)
    with pytest.raises(ValueError, match="no parameter 'sigma'"):
        from_options({**options, "kernel": "tent", "half_size": 0.1, "sigma": 0.1}, 1, 2)


def test_every_parameter_is_some_kernels_and_every_kernel_has_a_size():
    used = {name for recipe in RECIPES.values() for name in recipe.parameters}
    assert used == set(PARAMETERS)
    for recipe in RECIPES.values():
        assert any(PARAMETERS[name].kind == "length" for name in recipe.parameters)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [("gaussian", {"sigma": 0.1}, False), ("lanczos", {"radius": 0.1}, False), ("log", {"sigma": 0.1}, True),
     ("derivative", {"sigma": 0.1}, True), ("dog", {"sigma": 0.1}, True)],
)  # fmt: skip
def test_kernels_to_be_shown_around_grey_are_known_from_their_diracs(name, values, expected):
    assert is_signed(build(name, 1, 1, **values)) is expected
