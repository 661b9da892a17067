"""Profiles and geometry of the library's kernels against quadrature and hand-worked values."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from kernels import shapes


@pytest.mark.parametrize("cut", [2.0, 3.0, 4.0])
def test_moments_of_the_truncated_gaussian_are_those_of_quadrature(cut):
    sigma = 0.4
    second, fourth = shapes.truncated_moments(sigma, cut)

    def moment(k: int) -> float:
        return quad(lambda x: x**k * float(shapes.truncated_gaussian(x, sigma, cut)), -cut * sigma, cut * sigma)[0]

    np.testing.assert_allclose([moment(0), moment(2), moment(4)], [1.0, second, fourth], rtol=1e-9)
    x = np.array([-1.01, -0.99, 0.3, 0.99, 1.01]) * cut * sigma
    inside = norm.cdf(cut) - norm.cdf(-cut)
    expected = norm.pdf(x, scale=sigma) / inside * (np.abs(x) <= cut * sigma)
    np.testing.assert_allclose(shapes.truncated_gaussian(x, sigma, cut), expected, rtol=1e-12)


@pytest.mark.parametrize(("profile", "degree", "value"), [("first_derivative", 1, -1.0), ("second_derivative", 2, 2.0)])
def test_derivatives_of_the_gaussian_have_their_moments(profile, degree, value):
    def moment(k: int) -> float:
        return quad(lambda x: x**k * float(getattr(shapes, profile)(x, 0.3)), -1.2, 1.2)[0]

    assert math.isclose(moment(degree), value, rel_tol=1e-9)
    assert abs(moment(0)) < 1e-9
    # They end at 4 sigma, and are nearly the derivatives of the Gaussian itself.
    assert getattr(shapes, profile)(np.array([-1.21, 1.21]), 0.3).tolist() == [0.0, 0.0]
    exact = {1: -0.2 / 0.09, 2: (0.04 - 0.09) / 0.09**2}[degree] * norm.pdf(0.2, scale=0.3)
    assert math.isclose(float(getattr(shapes, profile)(0.2, 0.3)), exact, rel_tol=1e-2)


def test_profiles_are_divided_by_their_integral():
    assert math.isclose(float(shapes.unit_mass(np.ones_like, 0.7)(np.zeros(1))[0]), 1 / 1.4)
    assert math.isclose(float(shapes.unit_mass(lambda x: np.exp(40 * x), 0.7)(0.0)), 40 / (2 * math.sinh(28)))
    tent = shapes.unit_mass(lambda x: np.maximum(0, 1 - np.abs(x - 0.1)), 2.0)
    assert math.isclose(float(tent(0.1)), 1.0, rel_tol=1e-5)


def test_mean_of_a_wave_is_that_of_quadrature():
    def mean(wave: float) -> float:
        return quad(lambda x: math.cos(wave * x) * float(shapes.truncated_gaussian(x, 0.2)), -0.6, 0.6)[0]

    assert math.isclose(shapes.cosine_mean(np.array([7.0]), 0.2), mean(7.0), rel_tol=1e-9)
    assert math.isclose(shapes.cosine_mean(np.array([7.0, 3.0]), 0.2), mean(7.0) * mean(3.0), rel_tol=1e-9)


def test_directions_turn_counter_clockwise_in_rows_and_columns():
    assert shapes.direction(90.0) == (0.0, 1.0)
    np.testing.assert_allclose(shapes.direction(30.0), (math.sqrt(3) / 2, 0.5))
    # Up (rows downwards) is along 90 degrees, right along 0; across is a quarter turn clockwise.
    points = np.array([[-1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(shapes.rotated(points, 0.0), [[0.0, 1.0], [-1.0, 0.0]])
    np.testing.assert_allclose(shapes.rotated(points, 90.0), [[1.0, 0.0], [0.0, 1.0]], atol=1e-15)
    np.testing.assert_allclose(shapes.rotated_box(2.0, 1.0, 0.0), (1.0, 2.0))
    turn = math.radians(150.0)
    corners = np.array([[i, j] for i in (-1, 1) for j in (-2, 2)]) @ [[math.cos(turn), -math.sin(turn)],
                                                                     [math.sin(turn), math.cos(turn)]]  # fmt: skip
    np.testing.assert_allclose(shapes.rotated_box(2.0, 1.0, 150.0), np.abs(corners).max(axis=0))


def test_products_and_profiles_along_an_axis():
    target = shapes.product(lambda x: 1.0 + x, 0.5, 2)
    np.testing.assert_allclose(target.density(np.array([[0.1, 0.2]])), 1.1 * 1.2)
    assert (target.radius, target.mass) == ((0.5, 0.5), 1.0)
    points = np.array([[0.1, 0.2, 0.3]])
    found = shapes.along_axis(1, lambda x: 5.0 * x, 0.2)(points)
    expected = np.prod(shapes.truncated_gaussian(points[:, [0, 2]], 0.2, 4.0), axis=1)
    np.testing.assert_allclose(found, expected)
    assert shapes.exponents(1, 2, 3) == (0, 2, 0)
