"""Kernels of the library against closed forms: splines, derivatives, waves, angles and areas."""

import math

import numpy as np
import pytest

from kernels import minimal_kernel
from kernels.library import build, target
from kernels.sparse import SparseKernel


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
