"""Formulas of the library's kernels against closed forms: derivatives, waves, angles, lines and areas."""

import math

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from kernels import library
from kernels.sparse import SparseKernel


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


def test_disk_and_ring_are_uniform():
    points = np.array([[0.0, 0.0], [0.03, 0.04], [0.0, -0.09], [0.08, 0.08]])
    disk = library.disk(radius=0.1).target(2).density(points)
    np.testing.assert_allclose(disk, np.array([1, 1, 1, 0]) / (math.pi * 0.01), rtol=1e-12)
    ring = library.ring(radius=0.1, thickness=0.06).target(2).density(points)
    np.testing.assert_allclose(ring, np.array([0, 1, 1, 0]) / (math.pi * (0.1**2 - 0.04**2)), rtol=1e-12)
