"""B-splines on any knots against quadrature, closed forms and the Diracs that they are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import SparseKernel
from kernels.splines import SplineBasis


@settings(max_examples=25, deadline=None)
@given(order=st.integers(0, 3), seed=st.integers(0, 10**6))
def test_basis_agrees_with_its_diracs(order, seed):
    rng = np.random.default_rng(seed)
    knots = np.cumsum(rng.uniform(0.1, 1.0, order + 7))
    basis = SplineBasis(knots, order)
    c = rng.standard_normal((basis.size, 3))
    weights = basis.differences @ c
    assert basis.size == 6
    x = rng.uniform(knots[0] - 1, knots[-1] + 1, 200)
    for column in range(3):
        kernel = SparseKernel(knots[:, None], weights[:, column], order, (0,))
        np.testing.assert_allclose(basis.values(x) @ c[:, column], kernel.density(x[:, None]), atol=1e-6)
    np.testing.assert_allclose(basis.coefficients(weights), c, atol=1e-6)
    inside = (x > knots[order]) & (x < knots[-order - 1])
    np.testing.assert_allclose(basis.values(x[inside]).sum(axis=1), 1.0, rtol=1e-12)


@pytest.mark.parametrize("order", range(4))
def test_integrals_inner_products_and_moments_are_those_of_quadrature(order):
    knots = np.cumsum(np.random.default_rng(order).uniform(0.2, 1.0, order + 6))
    basis = SplineBasis(knots, order)
    nodes, weights = np.polynomial.legendre.leggauss(12)
    half = np.diff(knots)[:, None] / 2
    x, w = (knots[:-1, None] + half * (1 + nodes)).ravel(), (half * weights).ravel()
    values = basis.values(x)
    np.testing.assert_allclose(basis.integrals, w @ values, rtol=1e-12)
    np.testing.assert_allclose(basis.gram, values.T @ (values * w[:, None]), rtol=1e-10, atol=1e-13)
    for degree in range(4):
        np.testing.assert_allclose(basis.moments(degree), (w * x**degree) @ values, rtol=1e-7)


@pytest.mark.parametrize("order", range(4))
def test_averages_are_integrals_over_cells(order):
    knots = np.array([-1.0, -0.6, -0.5, 0.1, 0.3, 0.8, 0.9, 1.3])
    basis = SplineBasis(knots, order)
    edges = np.array([-2.0, -1.2, -0.9, -0.55, -0.2, 0.3, 0.35, 0.85, 1.2, 1.5, 2.5])
    nodes, weights = np.polynomial.legendre.leggauss(6)
    for low, high, found in zip(edges[:-1], edges[1:], basis.averages(edges), strict=True):
        breaks = np.unique(np.concatenate([[low, high], knots[(knots > low) & (knots < high)]]))
        half = np.diff(breaks)[:, None] / 2
        x, w = (breaks[:-1, None] + half * (1 + nodes)).ravel(), (half * weights).ravel()
        np.testing.assert_allclose(found, w @ basis.values(x) / (high - low), atol=1e-13)
    # Cells without a B-spline have none of it, not even by rounding.
    assert (basis.averages(edges)[[0, -1]] == 0.0).all()


def test_hand_worked_hats():
    basis = SplineBasis(np.array([0.0, 1.0, 3.0, 4.0]), 1)
    np.testing.assert_allclose(basis.values(np.array([-0.5, 0.5, 1.0, 2.0, 3.0, 3.5, 4.5])),
                               [[0, 0], [0.5, 0], [1, 0], [0.5, 0.5], [0, 1], [0, 0.5], [0, 0]])  # fmt: skip
    np.testing.assert_allclose(basis.differences, [[1, 0], [-1.5, 0.5], [0.5, -1.5], [0, 1]])
    np.testing.assert_allclose(basis.integrals, [1.5, 1.5])
    np.testing.assert_allclose(basis.gram, [[1.0, 1 / 3], [1 / 3, 1.0]])


def test_boxes_are_right_continuous_as_ramps_are():
    basis = SplineBasis(np.array([0.0, 1.0, 3.0]), 0)
    np.testing.assert_array_equal(basis.values(np.array([0.0, 1.0, 3.0])), [[1, 0], [0, 1], [0, 0]])


def test_a_defect_in_the_middle_changes_no_coefficient():
    basis = SplineBasis(np.array([0.0, 1.0, 1.5, 3.0, 4.0, 4.5, 6.0]), 0)
    c = np.array([1.0, -2.0, 0.5, 3.0, 1.0, -1.0])
    weights = basis.differences @ c
    weights[3] += 100.0
    np.testing.assert_allclose(basis.coefficients(weights), c, atol=1e-12)


def test_knots_that_carry_no_spline_are_refused():
    with pytest.raises(ValueError, match="a kernel of order 2 needs at least 4 Diracs per axis"):
        SplineBasis(np.array([0.0, 1.0, 2.0]), 2)
    with pytest.raises(ValueError, match="increasing"):
        SplineBasis(np.array([0.0, 1.0, 1.0]), 0)
    assert SplineBasis(np.array([0.0, 1.0, 2.0, 3.0]), 2).size == 1


def test_one_box_is_one_between_its_two_knots():
    found = SplineBasis(np.array([-1.0, 1.0]), 0).averages(np.array([-2.0, -1.0, 0.0, 0.5, 1.0, 2.0]))
    np.testing.assert_allclose(found, [[0], [1], [1], [1], [0]], atol=1e-15)
