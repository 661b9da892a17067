"""The library of kernels against closed forms, and the moment conditions at random parameters and sizes."""

import math
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from kernels import library, minimal_kernel
from kernels.fit import fit_errors
from kernels.library import KERNELS, Kernel, is_signed, parameters
from kernels.separate import grid_density
from kernels.sparse import SparseKernel

LENGTHS = st.floats(0.01, 0.5)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    **{name: LENGTHS for name, (parameter, _) in parameters().items() if parameter.kind == "length"},
    "ratio": st.floats(1.2, 4.0),
    "angle": st.floats(-180.0, 180.0),
    "lobes": st.integers(2, 4),
    "degree": st.integers(0, 4),
}
MASSLESS = ("dog", "derivative", "second_derivative", "log", "gabor")
DRAWN = [name for name in KERNELS if name != "image"]
# The conditions do not depend on the number of Diracs, and so many are placed without iterating.
MANY, QUICK = 16, 33


@st.composite
def requests(draw, name: str) -> tuple[int, dict]:
    """Filtered axes and parameters that make sense for a kernel; lengths that go together stay together."""
    entry = KERNELS[name]
    axes = draw(st.integers(entry.axes[0], min(entry.axes[1], 2)))
    names = [n for n in entry.parameters if n in VALUES and not (n == "angle" and axes == 1)]
    values = {n: draw(VALUES[n]) for n in names}
    if name == "ring":
        values["thickness"] = values["radius"] * draw(st.floats(0.2, 0.8))
    if name == "motion":
        values["thickness"] = values["length"] * draw(st.floats(0.1, 1.0))
    if name == "anisotropic":
        values["sigma_across"] = values["sigma"] * draw(st.floats(0.2, 5.0))
    if name == "gabor":
        values["frequency"] = draw(st.floats(0.15, 1.0)) / values["sigma"]
    if "axis" in entry.parameters:
        values["axis"] = draw(st.integers(0, axes - 1))
    return axes, values


def worst_moment(kernel: SparseKernel) -> float:
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


@pytest.mark.parametrize("name", DRAWN)
@settings(max_examples=2, deadline=None)
@given(data=st.data(), order=st.integers(0, 2))
def test_moment_conditions_hold_at_random_parameters(name, data, order):
    axes, values = data.draw(requests(name))
    usual = KERNELS[name].count(order, values)
    request = Kernel(name, values, usual if usual <= MANY else QUICK)
    kernel, exact = request.sparse(order, axes), request.target(axes)
    assert worst_moment(kernel) <= 1e-12
    powers = np.abs(kernel.positions).prod(axis=1) ** (order + 1) / math.factorial(order + 1) ** axes
    assert exact.mass == (0.0 if name in MASSLESS else 1.0)
    assert abs(kernel.mass - exact.mass) <= 1e-9 + 1e-13 * np.abs(kernel.weights) @ powers
    assert (kernel.radius <= np.array(exact.radius) * (1 + 1e-9)).all()
    outside = np.array([exact.radius]) * (1.01 + np.random.default_rng(0).random((50, 1)))
    peak = np.abs(exact.on_grid([np.linspace(-r, r, 32) for r in exact.radius])).max()
    rounding = 1e-15 * np.abs(kernel.weights).sum() * np.prod((3 * kernel.radius) ** order)
    assert np.abs(kernel.density(outside)).max() <= 1e-9 * peak + rounding


@pytest.mark.parametrize("name", DRAWN)
@settings(max_examples=2, deadline=None)
@given(data=st.data())
def test_exact_kernels_have_their_mass_and_support(name, data):
    axes, values = data.draw(requests(name))
    exact = Kernel(name, values).target(axes)
    edges = [r * np.linspace(-1, 1, 401) for r in exact.radius]
    means = exact.cell_means(edges, 2)
    cell = np.prod([e[1] - e[0] for e in edges])
    absolute = np.abs(means).sum() * cell
    assert abs(means.sum() * cell - exact.mass) <= 5e-3 * absolute
    assert (means.min() < -1e-3 * means.max()) == (name in MASSLESS or name == "lanczos")
    # Something is left at the border of the box, and nothing beyond it.
    for axis in range(axes):
        assert np.abs(np.moveaxis(means, axis, 0)[[0, 1, -2, -1]]).max() > 0
    beyond = [r * np.array([-1.001, -0.7, 0.7, 1.001]) for r in exact.radius]
    assert not exact.on_grid(beyond)[(0, -1), ...].any()


@pytest.mark.parametrize(
    ("kernel", "axes", "allowed"),
    [
        (library.gaussian(sigma=0.05), 2, 0.02),
        (library.dog(sigma=0.03), 2, 0.03),
        (library.derivative(sigma=0.04, axis=1), 2, 0.03),
        (library.second_derivative(sigma=0.04), 2, 0.03),
        (library.log(sigma=0.04), 2, 0.03),
        (library.disk(radius=0.1), 2, 0.05),
        (library.hexagon(radius=0.1), 2, 0.06),
        (library.gabor(sigma=0.1, frequency=5.0, angle=30.0), 2, 0.05),
        (library.anisotropic(sigma=0.1, sigma_across=0.025, angle=30.0), 2, 0.05),
        (library.motion(length=0.2, thickness=0.03, angle=60.0), 2, 0.05),
        (library.lanczos(radius=0.1), 2, 0.03),
        (library.quadratic(half_size=0.1), 1, 0.03),
        (library.box(half_size=0.1), 1, 0.06),
    ],
)
def test_usual_numbers_of_diracs_are_accurate(kernel, axes, allowed):
    assert fit_errors(kernel.sparse(1, axes), kernel.target(axes)).relative_l2 <= allowed


def test_gaussian_is_that_of_scipy_and_a_product_in_any_number_of_axes():
    x = np.linspace(-0.14, 0.14, 9)
    single = library.gaussian(sigma=0.05).sparse(1).density(x[:, None])
    for dim in (1, 2, 3):
        sparse = library.gaussian(sigma=0.05).sparse(1, dim)
        product = reduce(np.multiply.outer, [single] * dim)
        np.testing.assert_allclose(grid_density(sparse, [x] * dim), product, rtol=1e-5, atol=1e-6 * product.max())
        points = np.random.default_rng(0).uniform(-0.14, 0.14, (20, dim))
        inside = math.erf(3 / math.sqrt(2)) ** dim
        exact = multivariate_normal(np.zeros(dim), 0.05**2 * np.eye(dim)).pdf(points) / inside
        np.testing.assert_allclose(library.gaussian(sigma=0.05).target(dim).density(points), exact, rtol=1e-12)
        wide = multivariate_normal(np.zeros(dim), 0.1**2 * np.eye(dim)).pdf(points) / inside
        found = library.dog(sigma=0.05, ratio=2).target(dim).density(points)
        np.testing.assert_allclose(found, exact - wide, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("degree", range(4))
def test_splines_of_the_fields_order_are_the_minimal_kernels(degree):
    minimal = minimal_kernel(degree, 0.2, 2)
    same = library.bspline(half_size=0.2, degree=degree)
    for kernel in (Kernel(["box", "tent", "quadratic", "cubic"][degree], {"half_size": 0.2}), same):
        found = kernel.sparse(degree, 2)
        np.testing.assert_array_equal(found.positions, minimal.positions)
        np.testing.assert_array_equal(found.weights, minimal.weights)
        # Of another order it is fitted, to the same target.
        assert len(kernel.sparse(degree + 1)) > degree + 3
        x = np.linspace(-0.21, 0.21, 50)
        expected = minimal_kernel(degree, 0.2).density(x[:, None])
        np.testing.assert_allclose(kernel.target(1).density(x[:, None]), expected, atol=1e-6)


@pytest.mark.parametrize("sigma", [0.05, 0.2])
def test_derivatives_differentiate_polynomials(sigma):
    """f * g for f = x^a y^b is sum w F(x - t) with F its twofold antiderivative in both axes (order 1)."""

    def filtered(kernel: SparseKernel, a: int, b: int, x: float, y: float) -> float:
        t = np.array([x, y]) - kernel.positions
        rising = (a + 1) * (a + 2) * (b + 1) * (b + 2)
        return float(kernel.weights @ (t[:, 0] ** (a + 2) * t[:, 1] ** (b + 2)) / rising)

    x, y = 0.3, -0.4
    first = library.derivative(sigma=sigma, axis=1).sparse(1, 2)
    assert math.isclose(filtered(first, 0, 1, x, y), 1.0, rel_tol=1e-9)
    assert abs(filtered(first, 1, 0, x, y)) < 1e-9
    assert math.isclose(filtered(first, 0, 2, x, y), 2 * y, rel_tol=1e-3)
    second = library.second_derivative(sigma=sigma).sparse(1, 2)
    assert math.isclose(filtered(second, 2, 0, x, y), 2.0, rel_tol=1e-9)
    assert math.isclose(filtered(second, 3, 0, x, y), 6 * x, rel_tol=1e-3)
    assert abs(filtered(second, 0, 2, x, y)) < 1e-7
    laplacian = library.log(sigma=sigma).sparse(1, 2)
    assert math.isclose(filtered(laplacian, 2, 0, x, y), 2.0, rel_tol=1e-8)
    assert math.isclose(filtered(laplacian, 0, 2, x, y), 2.0, rel_tol=1e-8)
    assert abs(filtered(laplacian, 1, 1, x, y)) < 1e-7


def test_derivatives_take_coordinates_of_the_domain():
    kernel = library.derivative(sigma=0.1, axis=2).sparse(1, 3, (0, 2))
    assert (kernel.dim, kernel.axes) == (3, (0, 2))
    right, left, down = kernel.density(np.array([[0.0, 0.0, 0.1], [0.0, 0.0, -0.1], [0.1, 0.0, 0.0]]))
    assert right < 0 < left
    assert abs(down) < 1e-6 * left
    with pytest.raises(ValueError, match=r"axis 1 is not among the filtered axes \(0, 2\)"):
        library.derivative(sigma=0.1, axis=1).sparse(1, 3, (0, 2))
    assert library.derivative(sigma=0.1).sparse(1, 3, (2,)).axes == (2,)


def test_a_wave_passes_its_gabor_with_gain_one():
    sigma, frequency, angle = 0.1, 4.0, 30.0
    kernel = library.gabor(sigma=sigma, frequency=frequency, angle=angle).sparse(1, 2)
    turn = math.radians(angle)
    # Counter-clockwise from the columns, rows running downwards.
    k = 2 * math.pi * frequency * np.array([-math.sin(turn), math.cos(turn)])
    # F of exp(i k x), integrated twice in both axes, is exp(i k x) / (i k_0)^2 (i k_1)^2.
    gain = kernel.weights @ np.exp(-1j * kernel.positions @ k) / np.prod((1j * k) ** 2)
    assert abs(gain - 1) < 0.02
    across = 2 * math.pi * frequency * np.array([math.cos(turn), math.sin(turn)])
    assert abs(kernel.weights @ np.exp(-1j * kernel.positions @ across) / np.prod((1j * across) ** 2)) < 0.02
    assert abs(kernel.mass) < 1e-9


@pytest.mark.parametrize("frequency", [1.5, 4.0])
def test_exact_gabor_passes_its_wave_by_quadrature(frequency):
    exact = library.gabor(sigma=0.1, frequency=frequency).target(1)
    x = 0.3 * (np.arange(20000) + 0.5) / 10000 - 0.3
    values = exact.density(x[:, None]) * 0.3 / 10000
    assert abs(values.sum()) < 1e-7
    assert math.isclose(values @ np.cos(2 * math.pi * frequency * x), 1.0, abs_tol=1e-7)


@pytest.mark.parametrize(
    ("kernel", "values"),
    [
        (library.motion, {"length": 0.4, "thickness": 0.1}),
        (library.anisotropic, {"sigma": 0.2, "sigma_across": 0.05}),
    ],
)
def test_angles_turn_counter_clockwise_from_the_columns(kernel, values):
    exact = kernel(angle=30.0, **values).target(2)
    r, turn = 0.15, math.radians(30)
    up_right, down_right = np.array([[-math.sin(turn), math.cos(turn)], [math.sin(turn), math.cos(turn)]]) * r
    along, mirrored = exact.density(np.array([up_right, down_right]))
    assert along > 3 * mirrored
    flat, upright = kernel(**values).target(2), kernel(angle=90.0, **values).target(2)
    assert flat.radius[1] > 2 * flat.radius[0]
    np.testing.assert_allclose(upright.radius, flat.radius[::-1])
    # Axis-aligned ones are products of lines.
    assert len(flat.factors() or upright.factors()) == 2
    assert len(kernel(angle=90.0, count=9, **values).sparse(1, 2)) <= 81


def test_anisotropic_gaussian_is_that_of_scipy():
    turn = math.radians(30)
    along = np.array([-math.sin(turn), math.cos(turn)])
    across = np.array([math.cos(turn), math.sin(turn)])
    points = np.random.default_rng(0).uniform(-0.1, 0.1, (20, 2))
    for angle, covariance, inside in (
        (30.0, 0.04 * np.outer(along, along) + 0.01 * np.outer(across, across), 1 - math.exp(-4.5)),
        (0.0, np.diag([0.01, 0.04]), math.erf(3 / math.sqrt(2)) ** 2),
    ):
        exact = library.anisotropic(sigma=0.2, sigma_across=0.1, angle=angle).target(2)
        expected = multivariate_normal(np.zeros(2), covariance).pdf(points) / inside
        np.testing.assert_allclose(exact.density(points), expected, rtol=1e-10)


def test_motion_is_a_blurred_line():
    exact = library.motion(length=0.4, thickness=0.1).target(2)
    middle, half, end, edge = exact.density(np.array([[0.0, 0.0], [0.05, 0.0], [0.0, 0.2], [0.05, -0.2]]))
    # Half the height at half the thickness to either side, and at both ends.
    np.testing.assert_allclose([half / middle, end / middle, edge / middle], [0.5, 0.5, 0.25], rtol=1e-5)
    # Along the line the mean is 1 / length, across it a Gaussian.
    sigma = 0.1 / (2 * math.sqrt(2 * math.log(2)))
    np.testing.assert_allclose(middle, 2.5 / (math.sqrt(2 * math.pi) * sigma), rtol=5e-3)
    np.testing.assert_allclose(exact.radius, [3 * sigma, 0.2 + 3 * sigma])


def test_lanczos_is_the_windowed_sinc():
    exact = library.lanczos(radius=0.3, lobes=3).target(1)
    x = np.array([0.0, 0.05, 0.1, 0.15, 0.29])
    found = exact.density(x[:, None])
    u = 10 * x[1:]
    window = np.sin(np.pi * u) * np.sin(np.pi * u / 3) * 3 / (np.pi * u) ** 2
    np.testing.assert_allclose(found[1:] / found[0], window, atol=1e-12)


def test_hexagon_is_uniform_between_its_sides_and_turns_with_its_angle():
    # Rows run downwards: a corner at 90 degrees points up, to smaller y. The sides are sqrt(3) / 2 from the centre.
    points = np.array([[0, 0], [0, 0.099], [0.086, 0], [0, 0.101], [0.087, 0], [0.08, 0.06], [-0.099, 0.0]])
    upright = library.hexagon(radius=0.1).target(2)
    area = 3 * math.sqrt(3) / 2 * 0.01
    np.testing.assert_allclose(upright.density(points), np.array([1, 1, 1, 0, 0, 0, 0]) / area, rtol=1e-12)
    np.testing.assert_allclose(upright.radius, [math.sqrt(3) / 20, 0.1], rtol=1e-12)
    turned = library.hexagon(radius=0.1, angle=90).target(2)
    np.testing.assert_allclose(turned.density(points), np.array([1, 0, 1, 0, 1, 0, 1]) / area, rtol=1e-12)
    np.testing.assert_allclose(turned.radius, [0.1, math.sqrt(3) / 20], rtol=1e-12)


def test_disk_and_ring_are_uniform():
    points = np.array([[0.0, 0.0], [0.03, 0.04], [0.0, -0.09], [0.08, 0.08]])
    disk = library.disk(radius=0.1).target(2).density(points)
    np.testing.assert_allclose(disk, np.array([1, 1, 1, 0]) / (math.pi * 0.01), rtol=1e-12)
    ring = library.ring(radius=0.1, thickness=0.06).target(2).density(points)
    np.testing.assert_allclose(ring, np.array([0, 1, 1, 0]) / (math.pi * (0.1**2 - 0.04**2)), rtol=1e-12)


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        (library.gaussian(sigma=0.1), False),
        (library.lanczos(radius=0.1), False),
        (library.log(sigma=0.1), True),
        (library.derivative(sigma=0.1), True),
        (library.dog(sigma=0.1), True),
    ],
)
def test_kernels_to_be_shown_around_grey_are_known_from_their_diracs(kernel, expected):
    assert is_signed(kernel.sparse(1, 1)) is expected
