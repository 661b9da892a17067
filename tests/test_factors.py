"""Factors of separable fields and the reading of values between even steps, against SciPy."""

import numpy as np
import pytest
import torch
from builders import field_config, random_field
from scipy.interpolate import BSpline, lagrange

from models.factors import SPLINE_DEGREE, SplineFactor, TableFactor
from models.interpolation import bspline, gather, gather_grid, interpolation, scatter


def random_places(count: int, low: float, high: float) -> torch.Tensor:
    return low + (high - low) * torch.rand(count, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("count", [1, 3, 8, 20])
def test_interpolation_is_the_polynomial_through_the_nearest_samples(count):
    place = random_places(30, 0, count - 1)
    first, local = interpolation(place, count)
    width = local.shape[-1]
    samples = np.random.default_rng(0).random(count)
    for x, start, weights in zip(place.numpy(), first.numpy(), local.numpy(), strict=True):
        near = np.arange(start, start + width)
        assert set(near) == set(np.argsort(np.abs(np.arange(count) - x))[:width])
        assert weights @ samples[near] == pytest.approx(lagrange(near - near[0], samples[near])(x - near[0]), abs=1e-9)


@pytest.mark.parametrize("degree", [0, 1, 3, 5])
def test_bspline_weights_are_scipys_and_go_on_beyond_the_ends(degree):
    count = degree + 4
    coefficients = torch.randn(count, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    reference = BSpline(np.arange(-degree, count + 1, dtype=float), coefficients.numpy(), degree)
    place = random_places(60, -1.5 if degree else 0.0, 5.5 if degree else 4.0)
    first, local = bspline(place[:, None], degree, count)
    np.testing.assert_allclose(gather(coefficients, first, local), reference(place.numpy()), atol=1e-9)


def test_gathering_and_its_matrix_agree():
    place = random_places(12, 0, 9).reshape(4, 3)
    first, local = interpolation(place, 10)
    values = torch.randn(10, 5, dtype=torch.float64)
    wanted = [sum(local[n, k] @ values[first[n, k] + torch.arange(8)] for k in range(3)) for n in range(4)]
    np.testing.assert_allclose(gather(values, first, local), torch.stack(wanted), atol=1e-12)
    np.testing.assert_allclose(scatter(first, local, 10) @ values, torch.stack(wanted), atol=1e-12)


def test_a_grid_is_read_along_one_axis_after_the_other():
    shape, values = (5, 9, 7), torch.randn(5, 9, 7, 2, dtype=torch.float64)
    taps = [interpolation(random_places(6, 0, n - 1), n, width) for n, width in zip(shape, (2, 4, 1), strict=True)]
    lines = [scatter(first[:, None], local[:, None], n) for (first, local), n in zip(taps, shape, strict=True)]
    wanted = torch.einsum("na,nb,nc,abcr->nr", *lines, values)
    np.testing.assert_allclose(gather_grid(values, taps), wanted, atol=1e-12)
    np.testing.assert_allclose(gather_grid(values.float(), taps), wanted, atol=1e-5)


def make_spline(n: int, knots: int = 11, reach: float = 0.4, rank: int = 3) -> SplineFactor:
    torch.manual_seed(n)
    return SplineFactor(n, knots, reach, rank).double().requires_grad_(False)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_spline_factor_is_an_exact_repeated_integral_of_a_cubic_spline(n):
    factor = make_spline(n)
    cubic = BSpline(
        factor.start + factor.step * np.arange(-3, len(factor.coefficients) + 1), factor.coefficients.numpy(), 3
    )
    # Any two n-fold integrals differ by a polynomial below degree n, which n-th differences do not see.
    x, h = np.linspace(-1.2, 0.9, 40), 0.07
    reference = cubic.antiderivative(n)
    shifted = [factor(torch.as_tensor(x + k * h)).numpy() - reference(x + k * h) for k in range(n + 1)]
    differences = sum((-1) ** (n - k) * np.prod(range(k + 1, n + 1)) / np.prod(range(1, n - k + 1), initial=1.0) * s
                      for k, s in enumerate(shifted))  # fmt: skip
    np.testing.assert_allclose(differences, 0, atol=1e-10)
    assert factor.degree == SPLINE_DEGREE + n


def test_features_times_heads_are_the_factor():
    x = random_places(25, -1.6, 1.6)
    for factor in (make_spline(2), random_field(field_config("separable", 1)).factors[0]):
        heads = torch.randn(factor.features(x).shape[1], 4 if isinstance(factor, SplineFactor) else 6).double()
        wanted = factor.features(x) @ heads
        if isinstance(factor, SplineFactor):
            factor = SplineFactor(2, 11, 0.4, 4).double().requires_grad_(False)
        factor.set_heads(heads)
        np.testing.assert_allclose(factor(x), wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_tables_are_linear_between_their_rows_and_constant_beyond_them(rows):
    factor = TableFactor(rows, 2).double().requires_grad_(False)
    x = np.linspace(-1.2, 1.2, 25)
    wanted = [np.interp(x, np.linspace(-1, 1, rows), column) for column in factor.rows.T.numpy()]
    np.testing.assert_allclose(factor(torch.tensor(x)), np.stack(wanted, axis=-1), atol=1e-12)
