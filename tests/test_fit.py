"""Fitted kernels: accuracy against their targets, moments kept exactly, errors and numbers of Diracs."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import SparseKernel, library, minimal_kernel, outer
from kernels.fit import _aligned_edges, best_weights, fit_errors, fit_kernel
from kernels.moments import corrected_weights
from kernels.target import Target

SIGMA = 1 / 3


def hann(points: np.ndarray) -> np.ndarray:
    """A smooth bump that ends without a step, of mass 1 on [-1, 1]."""
    return np.prod((1 + np.cos(np.pi * points)) ** 2 / 3 * (np.abs(points) <= 1), axis=1)


def lopsided_hill(points: np.ndarray) -> np.ndarray:
    """Steep on the left and slow on the right; not of mass 1."""
    x = points[:, 0]
    return np.where(np.abs(x) <= 1, (1 + x) ** 2 * (1 - x) ** 4, 0.0)


def truncated_gaussian(x: np.ndarray) -> np.ndarray:
    """The Gaussian of sigma 1/3 on [-1, 1], written down independently of the library."""
    return np.exp(-4.5 * x**2) / (SIGMA * math.sqrt(2 * math.pi) * math.erf(3 / math.sqrt(2)))


@pytest.mark.parametrize(("count", "allowed"), [(9, 0.04), (13, 0.02)])
def test_gaussian_of_order_one_is_within_the_papers_error(count, allowed):
    kernel = fit_kernel(library.gaussian(sigma=SIGMA).target(), 1, count)
    x = np.linspace(-1, 1, 4001)
    error = np.abs(kernel.density(x[:, None]) - truncated_gaussian(x)).max()
    assert error <= allowed * truncated_gaussian(np.zeros(1))[0]
    assert len(kernel) == count
    assert abs(kernel.mass - 1) <= 1e-9
    t, w = kernel.positions[:, 0], kernel.weights
    for k in range(2):
        assert abs(w @ t**k) <= 1e-12 * (np.abs(w) @ np.abs(t) ** k)
    assert np.abs(kernel.density(np.array([[-1.5], [1.0001], [40.0]]))).max() < 1e-9


@pytest.mark.parametrize("order", [0, 1, 2])
def test_error_falls_like_the_order_says(order):
    counts = [6, 12, 24]
    errors = [fit_errors(fit_kernel(Target(hann, 1.0, 1.0), order, count), Target(hann, 1.0, 1.0)) for count in counts]
    for measure in ("relative_l2", "max_error"):
        found = [getattr(error, measure) for error in errors]
        rate = math.log(found[0] / found[-1]) / math.log(counts[-1] / counts[0])
        assert rate >= 0.95 * (order + 1), (measure, found)


@settings(max_examples=5, deadline=None)
@given(scale=st.floats(1e-3, 1e3), order=st.integers(0, 2))
def test_fit_is_invariant_to_scaling(scale, order):
    target = Target(lopsided_hill, 1.0)
    kernel = fit_kernel(target, order, 8)
    stretched = fit_kernel(target.scaled(scale), order, 8)
    assert math.isclose(stretched.mass, kernel.mass, rel_tol=1e-9)
    # Knots come out of an iteration that stops at a tolerance, so they agree less well than its equations.
    np.testing.assert_allclose(stretched.positions / scale, kernel.positions, atol=1e-3)
    errors = fit_errors(kernel, target), fit_errors(stretched, target.scaled(scale))
    assert math.isclose(errors[0].relative_l2, errors[1].relative_l2, rel_tol=1e-3)


def test_asymmetric_target_is_not_mirrored():
    target = Target(lopsided_hill, 1.0)
    kernel = fit_kernel(target, 1, 12)
    errors = fit_errors(kernel, target)
    assert errors.relative_l2 < 0.02
    assert fit_errors(kernel, Target(lambda points: lopsided_hill(-points), 1.0)).relative_l2 > 0.5
    # The integral of the polynomial itself: 64 B(3, 5) 2 = 128 / 105 by substitution.
    assert math.isclose(kernel.mass, 128 / 105, rel_tol=1e-6)


def test_prescribed_moments_are_exact():
    target = Target(
        lambda p: p[:, 0] * (1 - p[:, 0] ** 2) * (np.abs(p[:, 0]) <= 1), 1.0, 0.0, {(1,): -2.5, (3,): 0.125}
    )
    kernel = fit_kernel(target, 1, 10)
    nodes, weights = np.polynomial.legendre.leggauss(6)
    knots = kernel.positions[:, 0]
    half = np.diff(knots)[:, None] / 2
    x = knots[:-1, None] + half * (1 + nodes)
    values = kernel.density(x.reshape(-1, 1)).reshape(x.shape) * half * weights
    for degree, wanted in ((0, 0.0), (1, -2.5), (3, 0.125)):
        assert abs((values * x**degree).sum() - wanted) < 1e-11


def test_weights_are_the_best_at_their_positions():
    knots = np.array([-1.0, -0.7, -0.2, 0.1, 0.4, 0.8, 1.0])
    target = Target(hann, 1.0, 1.0)
    kernel = best_weights(target, [knots], 1)
    np.testing.assert_allclose(kernel.positions[:, 0], knots)
    x = (np.arange(4000) + 0.5) / 2000 - 1
    residual = kernel.density(x[:, None]) - hann(x[:, None])
    for change in np.random.default_rng(0).standard_normal((6, 7)):
        other = SparseKernel(knots[:, None], corrected_weights(knots[:, None], change, 1, (0,)), 1, (0,))
        step = other.density(x[:, None]) - other.mass * kernel.density(x[:, None])
        # No change of mass 0 that meets the conditions lowers the error: the residual is orthogonal to all of them.
        assert abs(residual @ step) <= 1e-3 * np.linalg.norm(residual) * np.linalg.norm(step)


def test_separable_targets_become_outer_products():
    target = Target(lambda p: hann(p[:, :1]) * lopsided_hill(p[:, 1:] / 2), (1.0, 2.0))
    kernel = fit_kernel(target, 1, (9, 7))
    assert len(kernel) == 63
    line = fit_kernel(Target(hann, 1.0), 1, 9)
    np.testing.assert_allclose(np.unique(kernel.positions[:, 0].round(9)), line.positions[:, 0], atol=1e-4)
    assert fit_errors(kernel, target).relative_l2 < 0.06


def test_alike_axes_share_their_knots_in_three_dimensions():
    kernel = fit_kernel(Target(hann, (1.0,) * 3, 1.0), 1, 7)
    coordinates = [np.unique(kernel.positions[:, j]) for j in range(3)]
    assert len(kernel) == 343
    for other in coordinates[1:]:
        np.testing.assert_array_equal(coordinates[0], other)
    assert abs(kernel.mass - 1) < 1e-9
    assert fit_errors(kernel, Target(hann, (1.0,) * 3, 1.0)).relative_l2 < 0.06


def test_tensor_grid_drops_the_diracs_of_flat_parts():
    disk = library.disk(radius=1.0).target(2)
    pruned = fit_kernel(disk, 1, 41)
    full = fit_kernel(disk, 1, 41, slack=0.0)
    assert len(pruned) < 0.7 * len(full) <= 0.7 * 41**2
    assert fit_errors(pruned, disk).relative_l2 <= 1.06 * fit_errors(full, disk).relative_l2
    # Flat means flat: the middle of the disk is one value, and there is nothing in the corners.
    inner = pruned.density(np.random.default_rng(0).uniform(-0.3, 0.3, (200, 2)))
    assert np.ptp(inner) < 1e-9
    assert abs(inner.mean() - 1 / math.pi) < 0.02 / math.pi
    assert np.abs(pruned.density(np.array([[0.9, 0.9], [-0.95, 0.9], [1.2, 0.0]]))).max() < 1e-9
    assert abs(pruned.mass - 1) < 1e-9


def test_low_tails_are_not_dropped_for_being_low():
    target = library.dog(sigma=0.2, ratio=3.0).target(2)
    pruned, full = (fit_errors(fit_kernel(target, 0, 33, slack=slack), target) for slack in (0.05, 0.0))
    assert pruned.relative_l2 <= 1.06 * full.relative_l2


def test_mixed_moments_are_exact_on_a_tensor_grid():
    target = library.log(sigma=0.25).target(2)
    kernel = fit_kernel(target, 1, 13)
    w, (x, y) = kernel.weights, kernel.positions.T
    # The integral of x^a y^b g is sum w x^(a + 2) y^(b + 2) over the rising factorials.
    assert abs(w @ (x**2 * y**2)) < 1e-11
    assert math.isclose(w @ (x**4 * y**2) * 2 / (24 * 2), 2.0, rel_tol=1e-9)
    assert math.isclose(w @ (x**2 * y**4) * 2 / (24 * 2), 2.0, rel_tol=1e-9)


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("count", [5, 10, 37, 300])
def test_cells_divide_every_gap_evenly_and_every_spline_has_some(count, dim):
    knots = np.sort(np.random.default_rng(count).uniform(-1, 1, count))
    cells = np.diff(_aligned_edges(knots, dim)).reshape(count - 1, -1)
    parts = cells.shape[1]
    np.testing.assert_allclose(cells * parts, np.repeat(np.diff(knots)[:, None], parts, axis=1), atol=1e-12)
    assert parts >= 2


def test_errors_are_those_of_the_density():
    target = Target(hann, (1.0, 1.0), 1.0)
    kernel = outer(minimal_kernel(1, 0.8), minimal_kernel(1, 0.9))
    errors = fit_errors(kernel, target)
    points = np.random.default_rng(1).uniform(-1, 1, (20000, 2))
    difference = kernel.density(points) - hann(points)
    assert math.isclose(errors.relative_l2, np.linalg.norm(difference) / np.linalg.norm(hann(points)), rel_tol=0.03)
    assert math.isclose(errors.max_error, np.abs(difference).max() / (16 / 9), rel_tol=0.03)
    assert (errors.diracs, errors.mass_error) == (9, abs(kernel.mass - 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"order": 9, "count": 13}, "order"),
        ({"order": 1, "count": 2}, "at least 3"),
        ({"order": 1, "count": (5, 5)}, "number of Diracs"),
        ({"order": 1, "count": 5.5}, "number of Diracs"),
        ({"order": 1}, "either"),
        ({"order": 1, "count": 5, "error": 0.1}, "either"),
        ({"order": 1, "error": 1.5}, "between 0 and 1"),
        ({"order": 1, "count": 50, "smallest_gap": 0.1}, "do not fit"),
        ({"order": 1, "count": 1025}, "1025 Diracs are too many to fit"),
    ],
)
def test_wrong_requests_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        fit_kernel(Target(hann, 1.0, 1.0), **arguments)


def test_targets_that_contradict_themselves_are_refused():
    for mass in (0.75, 1.3):
        with pytest.raises(ValueError, match="not its mass"):
            fit_kernel(Target(hann, 1.0, mass), 1, 7)
    assert math.isclose(fit_kernel(Target(hann, 1.0, 1.19), 1, 7).mass, 1.19, rel_tol=1e-9)
    with pytest.raises(ValueError, match="zero everywhere"):
        fit_kernel(Target(lambda points: np.zeros(len(points)), 1.0), 1, 7)
    with pytest.raises(ValueError, match="finite"):
        fit_kernel(Target(lambda points: np.full(len(points), np.nan), 1.0), 1, 7)
    with pytest.raises(ValueError, match="one finite number"):
        fit_kernel(Target(lambda points: 1.0, 1.0), 1, 7)
    with pytest.raises(ValueError, match="radius"):
        Target(hann, (1.0, 0.0))
    with pytest.raises(ValueError, match="exponents"):
        Target(hann, 1.0, 1.0, {(1, 0): 0.0})
