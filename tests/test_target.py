"""Targets: sampling, stretching, and splitting into factors with the right moments."""

import math

import numpy as np
import pytest

from kernels.target import Target, factors_with_moments, integral, missing_factor


def parabola(points: np.ndarray) -> np.ndarray:
    """x^2 + 3 y on the plane, x^2 on the line."""
    return points[:, 0] ** 2 + 3 * points[:, 1:].sum(axis=1)


def hill(points: np.ndarray) -> np.ndarray:
    """The product of (1 - x)(1 - x^2) over the axes, on [-1, 1]."""
    return np.prod((1 - points) * (1 - points**2) * (np.abs(points) <= 1), axis=1)


def test_cell_means_are_midpoint_sums():
    edges = [np.array([0.0, 0.5, 2.0]), np.array([-1.0, 1.0, 1.5, 3.5])]
    means = Target(parabola, (4.0, 4.0)).cell_means(edges, 2)
    # The mean of x^2 over [a, b], less h^2 / 12 for the sub-cells of width h.
    rows = [(0.5**3) / 3 / 0.5 - 0.25**2 / 12, (2**3 - 0.5**3) / 3 / 1.5 - 0.75**2 / 12]
    np.testing.assert_allclose(means, np.add.outer(rows, 3 * np.array([0.0, 1.25, 2.5])), atol=1e-12)
    line = Target(parabola, 4.0).cell_means(edges[:1], 4)
    np.testing.assert_allclose(line, [0.25 / 3 - 0.125**2 / 12, (8 - 0.125) / 4.5 - 0.375**2 / 12])


def test_large_grids_are_sampled_in_blocks_of_rows():
    sizes: list[int] = []
    target = Target(lambda points: sizes.append(len(points)) or parabola(points), (1.0, 1.0))
    x, y = np.linspace(-1, 1, 3001), np.linspace(-1, 1, 1000)
    np.testing.assert_allclose(target.on_grid([x, y]), np.add.outer(x**2, 3 * y))
    assert sizes == [1048 * 1000] * 2 + [905 * 1000]


def test_stretching_keeps_mass_and_scales_moments():
    target = Target(hill, (1.0, 1.0), 16 / 9, {(1, 0): -0.5, (2, 3): 0.25})
    wide = target.scaled((2.0, 0.5))
    assert wide.radius == (2.0, 0.5)
    assert wide.mass == 16 / 9
    assert dict(wide.moments) == {(1, 0): -1.0, (2, 3): 0.25 * 4 / 8}
    np.testing.assert_allclose(wide.density(np.array([[0.6, 0.1]])), hill(np.array([[0.3, 0.2]])))
    unit = target.scaled((4.0, 3.0)).unit()
    assert unit.radius == (1.0, 1.0)
    assert unit.moments == pytest.approx(dict(target.moments))
    np.testing.assert_allclose(unit.density(np.array([[0.3, 0.2]])), hill(np.array([[0.3, 0.2]])))


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_products_are_found_and_others_are_not(dim):
    target = Target(lambda points: -5 * hill(points), (1.0,) * dim)
    factors = target.factors()
    points = np.random.default_rng(0).uniform(-1, 1, (50, dim))
    product = np.prod([factor.density(points[:, [j]]) for j, factor in enumerate(factors)], axis=0)
    np.testing.assert_allclose(product, -5 * hill(points), atol=1e-12)
    assert [factor.radius for factor in factors] == [(1.0,)] * dim
    if dim > 1:
        for share, found in ((1e-7, None), (1e-10, dim)):
            near = Target(lambda p, share=share: hill(p) + share * np.cos(p.sum(axis=1)), (1.0,) * dim).factors()
            assert found == (None if near is None else len(near))


def test_integrals_of_powers_are_exact_and_odd_ones_of_even_targets_vanish():
    target = Target(hill, 1.0)
    # The integrals of x^k (1 - x - x^2 + x^3) over [-1, 1].
    for degree in range(4):
        parts = [((1 - (-1) ** (degree + k + 1)) / (degree + k + 1)) for k in range(4)]
        exact = parts[0] - parts[1] - parts[2] + parts[3]
        assert math.isclose(integral(target, degree), exact, rel_tol=1e-5)
    wide = target.scaled(3.0)
    assert math.isclose(integral(wide, 1), 3 * integral(target, 1), rel_tol=1e-9)
    even = Target(lambda points: np.exp(-(points[:, 0] ** 2)), 1.0)
    assert integral(even, 1) == integral(even, 3) == 0.0


def test_factors_keep_the_moments_of_the_whole():
    whole = Target(lambda p: hill(p[:, :1]) * p[:, 1] * hill(p[:, 1:]), (1.0, 1.0), None, {(1, 1): 0.7, (0, 2): 0.1})
    factors = factors_with_moments(whole, whole.factors())
    assert [set(factor.moments) for factor in factors] == [{(1,)}, {(1,), (2,)}]
    for factor in factors:
        assert factor.mass == integral(factor, 0)
        assert all(value == integral(factor, k) for (k,), value in factor.moments.items())
    # A common number is left, from the first moment that is not 0.
    assert math.isclose(missing_factor(whole, factors) * factors[0].moments[1,] * factors[1].moments[1,], 0.7)
    massive = Target(whole.density, whole.radius, 3.0)
    found = factors_with_moments(massive, massive.factors())
    assert math.isclose(missing_factor(massive, found) * found[0].mass * found[1].mass, 3.0)
    assert missing_factor(Target(whole.density, whole.radius, 0.0, {(1, 0): 0.0}), factors) == 1.0


def test_a_product_without_mass_has_one_factor_without():
    # Sampled, the second factor's mass is small against its size but not 0.
    nearly = Target(lambda p: hill(p[:, :1]) * (p[:, 1] + 1e-4) * (1 - p[:, 1] ** 2), (1.0, 1.0), 0.0)
    first, second = factors_with_moments(nearly, nearly.factors())
    assert first.mass != 0.0
    assert second.mass == 0.0
