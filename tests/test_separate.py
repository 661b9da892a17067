"""Splitting kernels on tensor grids into outer products."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import SparseKernel, combine, minimal_kernel, outer
from kernels.separate import grid_density, tensor_terms, weight_grid
from kernels.splines import SplineBasis


def bump(order: int, knots: np.ndarray) -> SparseKernel:
    """A 1-D kernel of the given order on the given knots."""
    basis = SplineBasis(knots, order)
    centres = (knots[: -order - 1] + knots[order + 1 :]) / 2
    return SparseKernel(knots[:, None], basis.differences @ np.exp(-3 * centres**2), order, (0,))


def random_bump(order: int, count: int, seed: int) -> SparseKernel:
    """A 1-D kernel on uneven knots in [-1, 1]."""
    steps = np.random.default_rng(seed).uniform(0.3, 1.0, count)
    knots = np.cumsum(steps)
    return bump(order, 2 * (knots - knots[0]) / (knots[-1] - knots[0]) - 1)


def square(x: np.ndarray) -> np.ndarray:
    """The points of the grid x by x."""
    return np.stack(np.meshgrid(x, x, indexing="ij"), axis=-1).reshape(-1, 2)


def grid_of(terms, kernel: SparseKernel) -> np.ndarray:
    """The terms added up as a weight grid."""
    return sum(reduce(np.multiply.outer, [weights for _, weights in term]) for term in terms)


@pytest.mark.parametrize("dim", [2, 3])
@settings(max_examples=12, deadline=None)
@given(order=st.integers(0, 3), count=st.integers(6, 12), seed=st.integers(0, 1000))
def test_outer_product_is_one_term(dim, order, count, seed):
    kernel = reduce(outer, [random_bump(order, count, seed + j) for j in range(dim)])
    terms = tensor_terms(kernel)
    assert len(terms) == 1
    weights = kernel.weights.reshape((count,) * dim)
    assert np.abs(grid_of(terms, kernel) - weights).max() <= 1e-10 * np.abs(weights).max()


@settings(max_examples=15, deadline=None)
@given(order=st.integers(0, 2), seed=st.integers(0, 1000))
def test_terms_add_up_to_the_kernel_and_each_meets_the_conditions(order, seed):
    pairs = [outer(random_bump(order, 8, seed + j), random_bump(order, 9, seed - j + 500)) for j in range(3)]
    kernel = combine(pairs, [1.0, -0.5, 0.2])
    terms = tensor_terms(kernel)
    assert len(terms) == 3
    for term in terms:
        for t, w in term:
            for k in range(order + 1):
                assert abs(w @ t**k) <= 1e-9 * np.abs(w).sum()
    products = [reduce(outer, [SparseKernel(t[:, None], w, order, (0,)) for t, w in term]) for term in terms]
    x = np.linspace(-0.95, 0.95, 41)
    expected = kernel.density(square(x)).reshape(41, 41)
    found = sum(product.density(square(x)).reshape(41, 41) for product in products)
    assert np.abs(found - expected).max() <= 1e-7 * np.abs(expected).max()


def test_shuffled_diracs_of_a_video_kernel_keep_their_axes():
    kernel = minimal_kernel(1, (0.3, 0.1), dim=3, axes=(0, 2))
    shuffle = np.random.default_rng(3).permutation(len(kernel))
    terms = tensor_terms(SparseKernel(kernel.positions[shuffle], kernel.weights[shuffle], 1, (0, 2)))
    ((first, _), (second, _)) = terms[0]
    assert len(terms) == 1
    np.testing.assert_allclose(first, [-0.3, 0.0, 0.3], atol=1e-15)
    np.testing.assert_allclose(second, [-0.1, 0.0, 0.1], atol=1e-15)


def test_tolerance_is_the_relative_l2_error_of_the_kernel():
    knots = np.linspace(-1, 1, 21)
    basis = SplineBasis(knots, 1)
    middles = knots[1:-1]
    tilted = np.exp(-4 * (middles[:, None] ** 2 + middles**2 + 1.5 * middles[:, None] * middles))
    weights = basis.differences @ tilted @ basis.differences.T
    grid = np.stack(np.meshgrid(knots, knots, indexing="ij"), axis=-1).reshape(-1, 2)
    kernel = SparseKernel(grid, weights.ravel(), 1, (0, 1))
    gram = basis.gram
    size = np.sqrt(np.sum(tilted * (gram @ tilted @ gram)))
    counts = []
    for tolerance in (1e-1, 1e-2, 1e-4):
        terms = tensor_terms(kernel, tolerance)
        rebuilt = sum(np.outer(basis.coefficients(a), basis.coefficients(b)) for (_, a), (_, b) in terms)
        error = np.sqrt(np.sum((rebuilt - tilted) * (gram @ (rebuilt - tilted) @ gram))) / size
        assert error <= tolerance
        counts.append(len(terms))
    assert counts[0] < counts[1] < counts[2] < 19


def test_scattered_diracs_have_no_grid():
    rng = np.random.default_rng(0)
    tent = minimal_kernel(1, 0.1, 2)
    patches = [tent.positions + rng.uniform(-0.8, 0.8, 2) for _ in range(200)]
    scattered = SparseKernel(np.vstack(patches), np.tile(tent.weights, 200), 1, (0, 1))
    assert tensor_terms(scattered) is None


def test_one_axis_is_one_term():
    kernel = minimal_kernel(2, 0.1, dim=3, axes=(1,))
    [((positions, weights),)] = tensor_terms(kernel)
    np.testing.assert_array_equal(positions, kernel.positions[:, 1])
    np.testing.assert_array_equal(weights, kernel.weights)


def test_kernels_with_defects_are_split_by_their_weights_as_they_are():
    rng = np.random.default_rng(0)
    parts = [
        SparseKernel(k.positions, k.weights * (1 + 1e-3 * rng.standard_normal(len(k))), 1, (0,), tolerance=1e-2)
        for k in (random_bump(1, 9, 1), random_bump(1, 7, 2))
    ]
    kernel = outer(*parts)
    [term] = tensor_terms(kernel)
    np.testing.assert_allclose(np.outer(term[0][1], term[1][1]).ravel(), kernel.weights, rtol=1e-12)
    np.testing.assert_array_equal(term[1][0], parts[1].positions[:, 0])


def test_grids_merge_equal_coordinates_and_refuse_to_be_empty():
    tents = [minimal_kernel(1, 0.1, 2), minimal_kernel(1, 0.2, 2)]
    both = combine(tents, [1.0, 3.0])
    coordinates, weights = weight_grid(both)
    np.testing.assert_allclose(coordinates, [[-0.2, -0.1, 0, 0.1, 0.2]] * 2, atol=1e-15)
    assert weights.shape == (5, 5)
    assert np.isclose(weights[2, 2], 4 * 1e4 + 3 * 4 * 0.2**-4)
    assert np.isclose(weights[0, 4], 3 * 0.2**-4)
    assert weight_grid(both.scaled(1e-5))[1].shape == weight_grid(both.scaled(1e5))[1].shape == (5, 5)
    x = np.linspace(-0.3, 0.3, 7)
    np.testing.assert_allclose(grid_density(both, [x, x]), both.density(square(x)).reshape(7, 7), atol=1e-9)
    # A line of Diracs in one axis and one point in the other: 64 places for a Dirac are allowed, 65 are not.
    for count, found in ((64, True), (65, False)):
        scattered = SparseKernel(np.repeat(np.arange(count)[:, None], 2, axis=1), np.zeros(count), 0, (0, 1))
        assert (weight_grid(scattered) is not None) is found
    np.testing.assert_array_equal(grid_density(scattered, [x, x]), np.zeros((7, 7)))


@pytest.mark.parametrize("dim", [2, 3])
def test_kernels_that_break_the_moment_conditions_are_split_by_their_weights(dim):
    kernel, rng = minimal_kernel(1, 0.3, dim), np.random.default_rng(0)
    noise = reduce(np.multiply.outer, rng.standard_normal((dim, 3)))
    weights = kernel.weights.reshape(noise.shape) + noise
    spoiled = SparseKernel(kernel.positions, weights.ravel(), 1, kernel.axes, tolerance=0.1)
    for tolerance, count in ((1e-12, 2 ** (dim - 1)), (0.5, 1)):
        terms = tensor_terms(spoiled, tolerance)
        assert len(terms) == count
        left = np.linalg.norm(grid_of(terms, spoiled) - weights) / np.linalg.norm(weights)
        assert left < 1e-12 if count > 1 else 1e-7 < left < 0.5
    np.testing.assert_allclose([t for t, _ in terms[0]], [[-0.3, 0, 0.3]] * dim, atol=1e-15)
