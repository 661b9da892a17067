"""Minimal kernels against SciPy's B-splines and repeated convolutions of boxes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BSpline

from kernels import minimal_kernel
from kernels.minimal import bspline, difference_weights, knot_spacing


@settings(max_examples=30, deadline=None)
@given(order=st.integers(0, 6), half_size=st.floats(0.02, 2.0))
def test_equals_the_b_spline(order, half_size):
    knots = np.linspace(-half_size, half_size, order + 2)
    reference = BSpline.basis_element(knots, extrapolate=False)
    x = half_size * (np.linspace(-1.2, 1.2, 121) + 1e-5)
    expected = np.nan_to_num(reference(x)) * (order + 1) / (2 * half_size)
    kernel = minimal_kernel(order, half_size)
    np.testing.assert_allclose(kernel.density(x[:, None]), expected, atol=1e-6 * expected.max())
    np.testing.assert_allclose(bspline(order, half_size)(x), expected, atol=1e-12 * expected.max())
    assert math.isclose(kernel.mass, 1.0, rel_tol=1e-8)
    assert len(kernel) == order + 2


@pytest.mark.parametrize("order", range(5))
def test_equals_the_convolution_of_boxes(order):
    n, half_size, cells = order + 1, 0.4, 200
    step = knot_spacing(order, half_size) / cells
    box = np.full(cells, 1.0 / (cells * step))
    convolved = box
    for _ in range(order):
        convolved = np.convolve(convolved, box) * step
    # n boxes of `cells` samples give a result centred on 0; box sums converge with the first power of the step.
    x = (np.arange(len(convolved)) - (len(convolved) - 1) / 2) * step
    assert len(convolved) == n * cells - n + 1
    found = minimal_kernel(order, half_size).density(x[:, None])
    np.testing.assert_allclose(found, convolved, atol=2e-2 * convolved.max() if order else 1e-12)


@pytest.mark.parametrize(("order", "binomials"), [(0, [1, -1]), (1, [1, -2, 1]), (2, [1, -3, 3, -1])])
def test_weights_are_binomials_over_the_spacing(order, binomials):
    kernel = minimal_kernel(order, 0.3)
    h = 0.6 / (order + 1)
    np.testing.assert_allclose(kernel.weights, np.array(binomials) / h ** (order + 1), rtol=1e-12)
    np.testing.assert_allclose(kernel.positions[:, 0], -0.3 + h * np.arange(order + 2), atol=1e-15)
    np.testing.assert_array_equal(difference_weights(order + 1, 1.0), binomials)


def test_tensor_product_over_the_filtered_axes():
    kernel = minimal_kernel(2, (0.1, 0.3), dim=3, axes=(0, 2))
    assert len(kernel) == 16
    np.testing.assert_allclose(kernel.radius, [0.1, 0.0, 0.3])
    points = np.random.default_rng(0).uniform(-0.1, 0.1, (50, 3))
    first, second = minimal_kernel(2, 0.1), minimal_kernel(2, 0.3)
    expected = first.density(points[:, :1]) * second.density(points[:, 2:])
    np.testing.assert_allclose(kernel.density(points), expected, atol=1e-7 * expected.max())
    assert minimal_kernel(1, 0.2, dim=2).axes == (0, 1)


@pytest.mark.parametrize(
    ("order", "half_size"),
    [(-1, 0.1), (9, 0.1), (9.5, 0.1), (1, 0.0), (1, -0.2), (1, math.nan), (1, 0.9e-9), (1, 1.1e9)],
)
def test_invalid_orders_and_sizes_are_refused(order, half_size):
    with pytest.raises(
        ValueError, match="order" if half_size == 0.1 else "half size must be positive, from 1e-09 to 1e\\+09"
    ):
        minimal_kernel(order, half_size)


def test_limits_of_half_sizes_are_allowed():
    np.testing.assert_array_equal(minimal_kernel(0, [1e-9, 1e9], 2).radius, [1e-9, 1e9])
