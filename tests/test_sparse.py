"""Properties of sparse kernels, against sums of SciPy B-splines, dense quadrature and closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import bumps, lopsided

from kernels import SparseKernel, combine, minimal_kernel, outer
from kernels.minimal import bspline
from kernels.sparse import ramp

ORDERS = st.integers(0, 4)


def density_of(parts: list[tuple[float, float, float]], order: int, x: np.ndarray) -> np.ndarray:
    """The same sum of B-splines, by SciPy."""
    return sum(share * bspline(order, size)(x - shift) for shift, size, share in parts)


def quadrature(kernel: SparseKernel, f) -> float:
    """The integral of f g by Gauss-Legendre between the Diracs of a 1-D kernel."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    knots = np.unique(kernel.positions[:, 0])
    half = np.diff(knots)[:, None] / 2
    x = knots[:-1, None] + half * (1 + nodes)
    values = kernel.density(x.reshape(-1, 1)).reshape(x.shape)
    return float((values * f(x) * half * weights).sum())


@settings(max_examples=30, deadline=None)
@given(order=ORDERS, seed=st.integers(0, 10**6))
def test_ramps_rebuild_the_kernel_and_vanish_outside(order, seed):
    kernel, parts = bumps(order, seed)
    x = np.linspace(-1.3, 1.3, 257) + 1e-4
    peak = np.abs(density_of(parts, order, x)).max()
    found = kernel.density(x[:, None])
    np.testing.assert_allclose(found, density_of(parts, order, x), atol=1e-7 * peak)
    outside = np.abs(x) > kernel.radius[0]
    assert outside.any()
    assert np.abs(found[outside]).max() <= 1e-7 * peak


@settings(max_examples=30, deadline=None)
@given(order=ORDERS, seed=st.integers(0, 10**6))
def test_moments_vanish_and_mass_is_the_integral(order, seed):
    kernel, parts = bumps(order, seed)
    t, w = kernel.positions[:, 0] / kernel.radius[0], kernel.weights
    for k in range(order + 1):
        assert abs(w @ t**k) <= 1e-12 * np.abs(w).sum()
    assert math.isclose(kernel.mass, sum(share for _, _, share in parts), rel_tol=1e-8)
    assert math.isclose(kernel.mass, quadrature(kernel, lambda x: 1.0), rel_tol=1e-7)


@settings(max_examples=20, deadline=None)
@given(order=ORDERS, scale=st.floats(0.01, 100.0))
def test_scaling_keeps_mass_and_inverts(order, scale):
    kernel, _ = bumps(order, 3)
    scaled = kernel.scaled(scale)
    assert math.isclose(scaled.mass, kernel.mass, rel_tol=1e-9)
    np.testing.assert_allclose(scaled.radius, scale * kernel.radius, rtol=1e-12)
    x = np.linspace(-0.9, 0.9, 50)[:, None]
    np.testing.assert_allclose(scaled.density(scale * x) * scale, kernel.density(x), atol=1e-7)
    back = scaled.scaled(1.0 / scale)
    np.testing.assert_allclose(back.positions, kernel.positions, rtol=1e-12)
    np.testing.assert_allclose(back.weights, kernel.weights, rtol=1e-11)


def test_scaling_per_axis_follows_the_filtered_axes():
    kernel = minimal_kernel(1, 0.2, dim=3, axes=(0, 2)).scaled((0.5, 3.0))
    np.testing.assert_allclose(kernel.radius, [0.1, 0.0, 0.6])
    assert math.isclose(kernel.mass, 1.0, rel_tol=1e-12)


@settings(max_examples=20, deadline=None)
@given(order=ORDERS, rate=st.floats(-3.0, 3.0).filter(lambda a: abs(a) > 0.5), x=st.floats(-1.0, 1.0))
def test_convolution_of_an_exponential_is_not_mirrored(order, rate, x):
    kernel, _ = bumps(order, 11)
    field = np.exp(rate * (x - kernel.positions[:, 0])) / rate ** (order + 1)
    expected = math.exp(rate * x) * quadrature(kernel, lambda t: np.exp(-rate * t))
    mirrored = math.exp(rate * x) * quadrature(kernel, lambda t: np.exp(rate * t))
    assert math.isclose(kernel.weights @ field, expected, rel_tol=1e-7)
    assert not math.isclose(expected, mirrored, rel_tol=1e-2)


@settings(max_examples=30, deadline=None)
@given(order=ORDERS, degree=st.integers(0, 5), x=st.floats(-1.0, 1.0), half_size=st.floats(0.1, 0.6))
def test_convolution_of_polynomials_is_the_closed_form(order, degree, x, half_size):
    n = order + 1
    kernel = minimal_kernel(order, half_size)
    rising = math.factorial(degree) / math.factorial(degree + n)
    found = kernel.weights @ (rising * (x - kernel.positions[:, 0]) ** (degree + n))
    # Central moments of a sum of n independent uniforms of width 2 s / n.
    h = 2 * half_size / n
    second = n * h**2 / 12
    fourth = n * h**4 / 80 + 3 * n * (n - 1) * h**4 / 144
    moments = {0: 1.0, 2: second, 4: fourth}
    expected = sum(math.comb(degree, k) * x ** (degree - k) * moment for k, moment in moments.items() if k <= degree)
    assert math.isclose(found, expected, rel_tol=1e-6, abs_tol=1e-6)


def test_order_zero_learns_plus_the_antiderivative():
    kernel = minimal_kernel(0, 0.25)
    average = kernel.weights @ np.exp(0.3 - kernel.positions[:, 0])
    assert math.isclose(average, (math.exp(0.55) - math.exp(0.05)) / 0.5, rel_tol=1e-12)


def test_lopsided_kernel_is_its_broken_line():
    kernel, knots, values = lopsided(count=8, seed=4)
    x = np.linspace(knots[0], knots[-1], 101)
    np.testing.assert_allclose(kernel.density(x[:, None]), np.interp(x, knots, values), atol=1e-9 * values.max())


def test_outer_product_multiplies_densities_in_their_own_axes():
    first, _, _ = lopsided(seed=1)
    second, _, _ = lopsided(seed=2)
    x = np.random.default_rng(0).uniform(-0.3, 0.3, (60, 2))
    product = outer(first, second)
    np.testing.assert_allclose(
        product.density(x), first.density(x[:, :1]) * second.density(x[:, 1:]), rtol=1e-6, atol=1e-6
    )
    placed = product.embedded((1, 2), 4)
    assert placed.axes == (1, 2)
    np.testing.assert_array_equal(placed.positions[:, [0, 3]], 0.0)
    np.testing.assert_array_equal(placed.positions[:, [1, 2]], product.positions)


def test_times_and_combine_are_linear_and_merge_shared_positions():
    tent, box_sum = minimal_kernel(1, 0.2), minimal_kernel(1, 0.4)
    both = combine([tent, box_sum], [2.0, -1.0])
    assert len(both) == 5
    x = np.linspace(-0.5, 0.5, 41)[:, None]
    np.testing.assert_allclose(both.density(x), 2 * tent.density(x) - box_sum.density(x), atol=1e-9)
    np.testing.assert_allclose(tent.times(-3.0).density(x), -3.0 * tent.density(x), atol=1e-12)
    assert len(combine([tent, tent], [0.5, 0.5])) == len(combine([tent], [2.0])) == 3
    with pytest.raises(ValueError, match="zero everywhere"):
        combine([tent, tent], [1.0, -1.0])


TENT = minimal_kernel(1, 0.2)


@pytest.mark.parametrize(
    ("positions", "weights", "order", "axes", "message"),
    [
        (TENT.positions[:, 0], TENT.weights, 1, (0,), "do not fit"),
        (TENT.positions, TENT.weights[:-1], 1, (0,), "do not fit"),
        (np.zeros((0, 1)), np.zeros(0), 1, (0,), "do not fit"),
        (TENT.positions, TENT.weights * np.nan, 1, (0,), "finite"),
        (TENT.positions, TENT.weights, -1, (0,), "order"),
        (TENT.positions, TENT.weights, 9, (0,), "order"),
        (TENT.positions, TENT.weights, 1.5, (0,), "order"),
        (TENT.positions, TENT.weights, 1, (), "axes"),
        (TENT.positions, TENT.weights, 1, (1,), r"filtered axes \(1,\) do not fit 1 .* within 0\.\.0"),
        (TENT.positions, TENT.weights, 1, (0, 0), "axes"),
        (np.hstack([TENT.positions] * 2), TENT.weights, 1, (0,), "must be 0"),
        (TENT.positions, TENT.weights * [1, 1, 1 + 1e-6], 1, (0,), "moment conditions"),
        (TENT.positions, TENT.weights * [1, 1, 1 + 6e-9], 1, (0,), "moment conditions"),
        (TENT.positions, TENT.weights, 2, (0,), "moment conditions"),
    ],
)
def test_invalid_kernels_are_refused(positions, weights, order, axes, message):
    with pytest.raises(ValueError, match=message):
        SparseKernel(positions, weights, order, axes)


def test_moment_conditions_hold_line_by_line_and_not_just_in_sum():
    tent = minimal_kernel(0, 0.2)
    twisted = SparseKernel(outer(tent, tent).positions, outer(tent, tent).weights, 0, (0, 1))
    assert twisted.moment_defect() < 1e-12
    # These weights add up to 0 but the lines along each axis do not.
    with pytest.raises(ValueError, match="moment conditions"):
        SparseKernel(twisted.positions, np.abs(twisted.weights) * [1, 1, -1, -1], 0, (0, 1))


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan])
def test_invalid_scales_are_refused(scale):
    with pytest.raises(ValueError, match=r"a kernel's scale must be positive, from 1e-09 to 1e\+09, not"):
        TENT.scaled(scale)


def test_kernels_of_different_order_do_not_mix():
    with pytest.raises(ValueError, match="order"):
        outer(minimal_kernel(0, 0.1), minimal_kernel(1, 0.1))
    with pytest.raises(ValueError, match="order"):
        combine([minimal_kernel(0, 0.1), minimal_kernel(1, 0.1)], [1.0, 1.0])


def test_kernels_cannot_be_changed_in_place():
    with pytest.raises(ValueError, match="read-only"):
        minimal_kernel(1, 0.1).weights[0] = 1.0


def test_kernels_keep_the_defect_that_they_are_allowed():
    spoiled = TENT.weights * [1, 1, 1 + 1e-3]
    kernel = SparseKernel(TENT.positions, spoiled, 1, (0,), tolerance=1e-3)
    assert math.isclose(kernel.moment_defect(), 1e-3 / 4.001)
    with pytest.raises(ValueError, match=r"moment conditions of order 1 by 2\.5e-04 \(relative\): correct them with"):
        SparseKernel(TENT.positions, spoiled, 1, (0,), tolerance=2e-4)
    for other in (kernel.scaled(3.0), kernel.times(2.0), kernel.embedded((1,), 2), outer(TENT, kernel),
                  outer(kernel, TENT), kernel.merged(), combine([TENT, kernel], [1.0, 1.0])):  # fmt: skip
        assert other.tolerance == 1e-3
    np.testing.assert_array_equal(kernel.times(2.0).weights, 2 * spoiled)


def test_kernels_beyond_every_bound_are_refused():
    with pytest.raises(ValueError, match="2097153 x 2 coordinates of Diracs are more than 4194304"):
        SparseKernel(np.zeros(((1 << 21) + 1, 2)), np.zeros((1 << 21) + 1), 0, (0,))
    with pytest.raises(ValueError, match="1 x 9 coordinates"):
        SparseKernel(np.zeros((1, 9)), np.zeros(1), 0, (0,))
    assert SparseKernel(TENT.positions, TENT.weights * [1, 1, 1 + 3e-9], 1, (0,)).order == 1
    nothing = SparseKernel(np.zeros((1, 8)), np.zeros(1), 8, (7,))
    assert nothing.mass == nothing.moment_defect() == 0.0
    with pytest.raises(ValueError, match="too large to be added up"):
        SparseKernel([[0.0], [1.0]], [1e308, -1e308], 0, (0,))
    np.testing.assert_allclose(TENT.scaled(1e9).scaled(1e-9).weights, TENT.weights)


def test_ramps_are_right_continuous_powers():
    x = np.array([-1.0, 0.0, 3.0])
    for order, expected in enumerate([[0, 1, 1], [0, 0, 3], [0, 0, 4.5], [0, 0, 4.5]]):
        np.testing.assert_array_equal(ramp(x, order), expected)


def test_merging_is_relative_to_the_radius_and_the_weights():
    t = np.array([[-1.0], [0.0], [0.4e-12], [1.0]])
    kernel = SparseKernel(t, np.array([1.0, -1.5, -0.5, 1.0]), 1, (0,)).scaled(5.0)
    assert len(kernel.merged()) == 3
    assert len(kernel.merged(1e-13)) == 4
    apart = SparseKernel(t + np.array([[0], [0], [4e-12], [0]]), kernel.weights, 1, (0,), tolerance=1e-8)
    assert len(apart.merged()) == 4
    for rest, count in ((1.9e-14, 3), (2.1e-14, 4)):
        weights = np.array([1.0, -2.0 + rest, 1.0 - 2 * rest, rest])
        assert len(SparseKernel(np.arange(4.0)[:, None], weights, 1, (0,)).merged()) == count


@pytest.mark.parametrize("scale", [1e-5, 1.0])
def test_lines_are_told_apart_at_every_size(scale):
    product = outer(minimal_kernel(0, 0.2), minimal_kernel(0, 0.2))
    with pytest.raises(ValueError, match="moment conditions"):
        SparseKernel(scale * product.positions, np.abs(product.weights) * [1, 1, -1, -1], 0, (0, 1))
