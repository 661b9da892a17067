"""Factors as tables: splines through their values, up to polynomials that no kernel sees, and their convergence."""

import numpy as np
import pytest
import torch
from builders import field_config, random_field
from scipy.interpolate import BSpline

from models.tables import NODES_PER_KNOT, UnfilteredTable, spline_coefficients, tabulate

FACTOR = random_field(field_config("separable", 1, pe=3)).axis_factors[0]


def differences(values: np.ndarray, n: int) -> np.ndarray:
    """n-th differences along the last but one axis: what a kernel of n differentiations sees."""
    return np.diff(values, n, axis=-2)


@pytest.mark.parametrize("degree", [3, 5])
def test_coefficients_are_of_the_spline_through_the_values(degree):
    values = np.random.default_rng(0).random((17, 2))
    coefficients = spline_coefficients(values, degree)
    spline = BSpline(np.arange(-degree, len(coefficients) + 1.0), coefficients, degree)
    np.testing.assert_allclose(spline(np.arange(17.0)), values, atol=1e-12)
    # Polynomials of the degree are splines of it, to the very ends.
    powers = (np.arange(17.0) / 8 - 1)[:, None] ** np.arange(degree + 1)
    coefficients = spline_coefficients(powers, degree)
    spline = BSpline(np.arange(-degree, len(coefficients) + 1.0), coefficients, degree)
    x = np.linspace(0, 16, 50)
    np.testing.assert_allclose(spline(x), (x / 8 - 1)[:, None] ** np.arange(degree + 1), atol=1e-10)


def test_coefficients_of_a_grid_are_those_of_its_lines():
    values = np.random.default_rng(0).random((6, 9, 2))
    rows = np.stack([spline_coefficients(line, 3) for line in values])
    wanted = np.stack([spline_coefficients(line, 3) for line in rows.swapaxes(0, 1)], axis=1)
    np.testing.assert_allclose(spline_coefficients(values, 3), wanted, atol=1e-12)


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_a_table_differs_from_its_factor_by_a_polynomial_below_degree_n(n):
    x = torch.linspace(-1.1, 0.9, 33, dtype=torch.float64)
    found = tabulate(FACTOR, n, 1.5, 0.3, 5, torch.float64).read(x[None])[0].numpy()
    wanted = FACTOR(x).numpy()
    np.testing.assert_allclose(differences(found, n), differences(wanted, n), atol=1e-8 * np.abs(wanted).max())
    if n:
        assert np.abs(found).max() < np.abs(wanted).max()


@pytest.mark.parametrize("degree, dtype", [(3, torch.float64), (5, torch.float64), (3, torch.float32)])
def test_tables_converge_with_their_degree(degree, dtype):
    # Far from the ends, where the spline is less than its best.
    x = torch.linspace(-0.4, 0.45, 200, dtype=torch.float64)[None]
    errors = []
    for h in (2.0, 1.0):
        table = tabulate(FACTOR, 0, 1.0, h, degree, dtype)
        assert (table.dtype, len(table.coefficients)) == (dtype, NODES_PER_KNOT[degree] * 2 / h + 3 * degree - 1)
        errors.append(float((table.read(x)[0] - FACTOR(x[0])).abs().max()))
    if dtype == torch.float64:
        assert np.log2(errors[0] / errors[1]) > degree - 0.5
    assert errors[1] > 1e-14


def test_combined_is_the_weighted_sum_and_differentiable():
    table = tabulate(FACTOR, 2, 1.5, 0.2, 5, torch.float64)
    x, w = 2 * torch.rand(4, 3, dtype=torch.float64) - 1, torch.randn(4, 3, dtype=torch.float64)
    np.testing.assert_allclose(table.combined(x, w), (table.read(x) * w[..., None]).sum(dim=1), atol=1e-12)
    assert torch.autograd.gradcheck(table.combined, (x.requires_grad_(), w.requires_grad_()))


def test_axes_that_are_not_filtered_are_asked_themselves():
    table = UnfilteredTable(FACTOR, torch.float64)
    x, w = 2 * torch.rand(4, 3, dtype=torch.float64) - 1, torch.randn(4, 3, dtype=torch.float64)
    np.testing.assert_allclose(table.read(x), FACTOR(x.flatten()).unflatten(0, (4, 3)))
    np.testing.assert_allclose(table.combined(x, w), (table.read(x) * w[..., None]).sum(dim=1), atol=1e-12)


def test_tables_are_kept_until_the_weights_change():
    field = random_field(field_config("separable", 2))
    first = field.tables(torch.float64, (1.5, 1.5))
    assert field.tables(torch.float64, (1.5, 1.5))[0] is first[0]
    assert field.tables(torch.float32, (1.5, 1.5))[0] is not first[0]
    field.core.mul_(2.0)
    assert field.tables(torch.float64, (1.5, 1.5))[0] is not first[0]
