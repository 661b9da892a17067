"""Factors of separable fields and the reading of values between even steps, against SciPy."""

import numpy as np
import pytest
import torch
from builders import field_config, lopsided, random_field
from field_cases import brute_force, close
from scipy.interpolate import BSpline, lagrange

from kernels import minimal_kernel, outer
from models.convolution import convolve_points
from models.factors import SPLINE_DEGREE, NetworkFactor, SplineFactor, TableFactor, Tabulated
from models.interpolation import bspline, gather, interpolation, scatter


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


@pytest.mark.parametrize("kind", ["spline", "network", "tabulated"])
def test_combined_is_the_weighted_sum(kind):
    network = random_field(field_config("separable", 1)).factors[0]
    assert isinstance(network, NetworkFactor)
    factor = {"spline": make_spline(1), "network": network, "tabulated": Tabulated(network, -1, 1, 50)}[kind]
    x, w = random_places(12, -1, 1).reshape(4, 3), torch.randn(4, 3, dtype=torch.float64)
    wanted = (factor(x.flatten()).unflatten(0, (4, 3)) * w[..., None]).sum(dim=1)
    np.testing.assert_allclose(factor.combined(x, w), wanted, rtol=1e-9, atol=1e-12)


def test_tables_converge_to_their_factor_with_the_eighth_power():
    factor = random_field(field_config("separable", 1, pe=1)).factors[0]
    x = random_places(200, -1, 1)
    errors = [float((Tabulated(factor, -1.2, 1.2, n)(x) - factor(x)).abs().max()) for n in (30, 59)]
    assert errors[1] > 1e-14
    ends = torch.tensor(np.array([-1.2, 1.2]))
    np.testing.assert_allclose(Tabulated(factor, -1.2, 1.2, 30).values[[0, -1]], factor(ends), atol=1e-12)
    assert np.log2(errors[0] / errors[1]) > 7


@pytest.mark.parametrize("factor", ["swish", "spline"])
def test_many_scattered_points_are_answered_from_tables_alike(factor):
    shape = {"knots": (20, 24), "reach": (0.6, 0.7)} if factor == "spline" else {}
    field = random_field(field_config("separable", 2, 3, factor=factor, **shape))
    kernel = outer(lopsided(6, 0.25, 0)[0], lopsided(5, 0.2, 1)[0])
    generator = torch.Generator().manual_seed(1)
    points = 2 * torch.rand(400, 2, dtype=torch.float64, generator=generator) - 1
    scale = 0.5 + torch.rand(400, 2, dtype=torch.float64, generator=generator)
    seen = []
    for u in field.factors:
        u.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].numel()))
    tabled = convolve_points(field, kernel, points, scale)
    if factor == "swish":
        assert 0 < max(seen) < len(points)
    wanted = brute_force(field, kernel, points, scale)
    np.testing.assert_allclose(tabled, wanted, atol=1e-6 * float(wanted.abs().max()))


def test_tables_have_as_many_rows_as_their_kernel_shows_of_the_field():
    field, seen = random_field(field_config("separable", 2), half_size=(0.2, 0.4)), []
    for u in field.factors:
        u.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].numel()))
    points = torch.rand(400, 2, dtype=torch.float64)
    points[:2] = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
    convolve_points(field, minimal_kernel(1, (0.2, 0.4), 2), points)
    # 12 in a knot of 0.2 and 0.4 over 2.4 and 2.8 domain units, and 8 beyond either end.
    assert seen == [16 + 144, 16 + 84]


def test_points_that_share_a_coordinate_are_answered_from_tables_too():
    field = random_field(field_config("separable", 2, axes=(1,)))
    kernel = minimal_kernel(1, 0.2, 2, (1,))
    points = torch.stack([torch.full((300,), -1.0), torch.linspace(-1, 1, 300)], dim=-1).double()
    np.testing.assert_allclose(
        convolve_points(field, kernel, points), brute_force(field, kernel, points), rtol=1e-6, atol=1e-6
    )


def test_a_few_points_ask_the_field_itself():
    field, kernel, seen = random_field(field_config("separable", 2)), minimal_kernel(1, 0.2, 2), []
    for u in field.factors:
        u.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].numel()))
    points = torch.rand(3, 2, dtype=torch.float64)
    close(convolve_points(field, kernel, points), brute_force(field, kernel, points))
    # 3 Diracs an axis for each of 3 points; brute force asks for 9 Diracs one by one.
    assert seen == [9, 9] + 18 * [3]


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_tables_are_linear_between_their_rows_and_constant_beyond_them(rows):
    factor = TableFactor(rows, 2).double().requires_grad_(False)
    x = np.linspace(-1.2, 1.2, 25)
    wanted = [np.interp(x, np.linspace(-1, 1, rows), column) for column in factor.rows.T.numpy()]
    np.testing.assert_allclose(factor(torch.tensor(x)), np.stack(wanted, axis=-1), atol=1e-12)
