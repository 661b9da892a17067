"""Constrained least squares on tensor grids against a dense solve of the same equations, and where it is pruned."""

from functools import reduce

import numpy as np
import pytest

from kernels import leastsquares
from kernels.leastsquares import FLAT_SHARES, SplineFit, along_all, flat_regions
from kernels.splines import SplineBasis

ROWS = np.array([-1.0, -0.5, -0.1, 0.2, 0.6, 1.0])
COLUMNS = np.linspace(-1, 1, 8)


def problem(moments: dict, dim: int = 2) -> SplineFit:
    """A lopsided bump sampled on uneven cells, finer in one axis than in the other."""
    bases = (SplineBasis(ROWS, 1), SplineBasis(COLUMNS, 1))[:dim]
    edges = (np.sort(np.append(np.linspace(-1, 1, 17), 0.93)), np.linspace(-1, 1, 29))[:dim]
    middles = [(e[1:] + e[:-1]) / 2 for e in edges]
    means = reduce(np.multiply.outer, [np.exp(-2 * (x - 0.2) ** 2) for x in middles])
    return SplineFit(bases, edges, means, moments)


def dense(fit: SplineFit, free: np.ndarray | None = None, fixed: np.ndarray | None = None) -> np.ndarray:
    """The same minimum by one system of normal equations with Lagrange multipliers."""
    cells = reduce(np.multiply.outer, [np.diff(e) for e in fit.edges]).ravel()
    averages = [basis.averages(edges) for basis, edges in zip(fit.bases, fit.edges, strict=True)]
    A = reduce(np.kron, averages) * np.sqrt(cells)[:, None]
    G = fit.means.ravel() * np.sqrt(cells)
    V = np.array([
        reduce(np.kron, [basis.moments(k) for basis, k in zip(fit.bases, exponents, strict=True)])
        for exponents in fit.moments
    ]).reshape(-1, A.shape[1])  # fmt: skip
    mu = np.array(list(fit.moments.values()))
    c = np.zeros(A.shape[1]) if fixed is None else fixed.ravel().copy()
    free = np.ones(len(c), bool) if free is None else free.ravel()
    c[free] = 0.0
    size, rest = free.sum(), len(mu)
    system = np.block([[A[:, free].T @ A[:, free], V[:, free].T], [V[:, free], np.zeros((rest, rest))]])
    right = np.concatenate([A[:, free].T @ (G - A @ c), mu - V @ c])
    c[free] = np.linalg.solve(system, right)[:size]
    return c.reshape([basis.size for basis in fit.bases])


@pytest.mark.parametrize("moments", [{}, {(0, 0): 1.3}, {(0, 0): 1.0, (1, 0): 0.4, (0, 2): 0.1}])
def test_solution_is_that_of_the_dense_equations(moments):
    fit = problem(moments)
    found = fit.solve()
    np.testing.assert_allclose(found, dense(fit), rtol=1e-9, atol=1e-11)
    cells = np.multiply.outer(*[np.diff(e) for e in fit.edges])
    values = fit.bases[0].averages(fit.edges[0]) @ found @ fit.bases[1].averages(fit.edges[1]).T
    assert np.isclose(fit.residual(found), np.sqrt(((values - fit.means) ** 2 * cells).sum()))


def test_solution_around_fixed_coefficients_is_that_of_the_dense_equations():
    fit = problem({(0, 0): 1.0, (1, 0): 0.4})
    frozen = fit.solve()
    free = np.random.default_rng(0).random(frozen.shape) < 0.6
    found = fit._solve_around(np.where(free, np.nan, frozen))
    np.testing.assert_allclose(found, dense(fit, free, frozen), rtol=1e-9, atol=1e-11)


def test_too_few_splines_for_the_moments_are_refused():
    basis, edges = SplineBasis(np.array([-1.0, 0.0, 1.0]), 1), np.linspace(-1, 1, 9)
    fit = SplineFit((basis,), (edges,), np.ones(8), {(0,): 1.0, (1,): 0.2, (2,): 1.0})
    with pytest.raises(ValueError, match="so few Diracs cannot keep the moments of this kernel: request more"):
        fit.solve()


def test_flat_regions_are_frozen_at_their_means_and_outside_at_zero():
    values = np.zeros((9, 11))
    values[2:7, 3:8] = 10.0
    values[4, 5] = 10.3
    found = flat_regions(values, 0.05)
    inner = np.full((9, 11), False)
    inner[3:6, 4:7] = True
    np.testing.assert_allclose(found[inner], 10 + 0.3 / 9)
    # The ring of neighbours of the step is free, the rest outside is 0.
    ring = np.full((9, 11), False)
    ring[1:8, 2:9] = True
    assert np.isnan(found[ring & ~inner]).all()
    assert (found[~ring] == 0.0).all()
    # 0.3 of 10.3 is more than 1 %: the middle varies as well.
    assert np.isnan(flat_regions(values, 0.02)[inner]).all()


def test_pruning_stays_within_its_slack_and_freezes_what_it_can(monkeypatch):
    bases = (SplineBasis(np.linspace(-1, 1, 34), 1),) * 2
    edges = (np.linspace(-1, 1, 133),) * 2
    middles = (edges[0][1:] + edges[0][:-1]) / 2
    means = (np.hypot(middles[:, None], middles) < 0.8).astype(float)
    fit = SplineFit(bases, edges, means, {(0, 0): float(means.mean() * 4)})
    full, pruned = fit.solve(), fit.solve_pruned(0.05)
    assert fit.residual(full) < fit.residual(pruned) <= 1.05 * fit.residual(full)
    moments = np.multiply.outer(*[basis.moments(0) for basis in bases])
    assert np.isclose((moments * pruned).sum(), fit.moments[0, 0], rtol=1e-12)
    assert np.isclose(pruned[14:18, 14:18], pruned[15, 15], rtol=1e-12).all()
    np.testing.assert_array_equal(pruned[:4, :4], 0.0)
    # What is not flat is left free, unless that is too much to solve or nearly all of it.
    free = int(np.isnan(flat_regions(full, FLAT_SHARES[0])).sum())
    for name, value, solution in (
        ("LARGEST_FREE", {2: free}, pruned),
        ("LARGEST_FREE", {2: free - 1}, full),
        ("LEAST_FROZEN", 1 - free / full.size, pruned),
        ("LEAST_FROZEN", 1.001 - free / full.size, full),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(leastsquares, name, value)
            np.testing.assert_array_equal(fit.solve_pruned(0.05), solution)
    # Nothing fits a slack that small.
    np.testing.assert_array_equal(fit.solve_pruned(1e-9), full)


def test_matrices_apply_along_their_own_axes():
    rng = np.random.default_rng(0)
    matrices = [rng.random((2, 3)), rng.random((4, 5)), rng.random((6, 7))]
    tensor = rng.random((3, 5, 7))
    np.testing.assert_allclose(along_all(matrices, tensor), np.einsum("ai,bj,ck,ijk->abc", *matrices, tensor))
