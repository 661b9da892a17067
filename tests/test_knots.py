"""Knots and the splines on them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import SparseKernel
from kernels.knots import Line, best_knots, prune
from kernels.splines import SplineBasis


def test_pruning_drops_the_knot_that_is_missed_least():
    x = np.linspace(-1, 1, 401)
    kinks = np.array([-1.0, -0.5, 0.2, 0.6, 1.0])
    line = Line(x, np.interp((x[1:] + x[:-1]) / 2, kinks, [0.0, 1.0, 0.3, 0.8, 0.0])[:, None])
    found = prune(line, 1, np.sort(np.append(kinks, [-0.8, 0.35])), 5)
    np.testing.assert_allclose(found, kinks, atol=1e-12)


def test_knots_of_symmetric_targets_are_symmetric_and_end_with_them():
    edges = np.linspace(-1, 1, 401)
    middles = (edges[1:] + edges[:-1]) / 2
    line = Line.of_axis(edges, np.where(np.abs(middles) < 0.5, np.cos(np.pi * middles), 0.0), 0)
    knots = best_knots(line, 1, 8)
    np.testing.assert_allclose(knots, -knots[::-1], atol=1e-15)
    np.testing.assert_allclose(knots[[0, -1]], [-0.5, 0.5], atol=0.01)
    even = np.linspace(knots[0], knots[-1], 8)
    assert line.error(knots, 1) < 0.9 * line.error(even, 1)


@settings(max_examples=25, deadline=None)
@given(order=st.integers(0, 3), seed=st.integers(0, 10**6))
def test_spline_basis_agrees_with_its_diracs(order, seed):
    rng = np.random.default_rng(seed)
    knots = np.cumsum(rng.uniform(0.1, 1.0, order + 7))
    basis = SplineBasis(knots, order)
    c = rng.standard_normal(basis.size)
    kernel = SparseKernel(knots[:, None], basis.differences @ c, order, (0,))
    x = rng.uniform(knots[0] - 1, knots[-1] + 1, 200)
    np.testing.assert_allclose(basis.values(x) @ c, kernel.density(x[:, None]), atol=1e-6)
    np.testing.assert_allclose(basis.coefficients(kernel.weights), c, atol=1e-6)
    edges = np.sort(x[:40])
    fine = edges[:-1, None] + np.diff(edges)[:, None] * (np.arange(400) + 0.5) / 400
    sampled = (basis.values(fine.ravel()) @ c).reshape(fine.shape).mean(axis=1)
    np.testing.assert_allclose(basis.averages(edges) @ c, sampled, atol=2e-2 if order == 0 else 1e-3)
    inside = (x > knots[order]) & (x < knots[-order - 1])
    np.testing.assert_allclose(basis.values(x[inside]).sum(axis=1), 1.0, rtol=1e-12)
