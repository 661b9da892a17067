"""Weights corrected to meet the moment conditions: with the least change, or refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import SparseKernel, minimal_kernel, moments, outer
from kernels.moments import corrected_weights


@settings(max_examples=25, deadline=None)
@given(order=st.integers(0, 2), seed=st.integers(0, 10**6), noise=st.floats(1e-6, 1e-2))
def test_corrected_weights_meet_the_conditions_and_are_near(order, seed, noise):
    rng = np.random.default_rng(seed)
    kernel = outer(minimal_kernel(order, 0.7), minimal_kernel(order, 1.3))
    spoiled = kernel.weights * (1 + noise * rng.uniform(-1, 1, len(kernel)))
    found = corrected_weights(kernel.positions, spoiled, order, (0, 1))
    corrected = SparseKernel(kernel.positions, found, order, (0, 1))
    assert np.abs(found / spoiled - 1).max() <= 20 * noise
    # On these positions the conditions leave one kernel only, of any mass.
    np.testing.assert_allclose(found / corrected.mass, kernel.weights, rtol=1e-8)


def test_corrected_weights_leave_good_ones_alone_and_change_least():
    knots = np.linspace(-1, 1, 9)[:, None]
    weights = np.array([1.0, -2.0, 0.5, 0.3, 1.5, -0.7, 0.0, 2.0, -1.0])
    found = corrected_weights(knots, weights, 1, (0,))
    np.testing.assert_allclose(corrected_weights(knots, found, 1, (0,)), found, rtol=1e-12)
    assert found[6] == 0.0
    change = np.linalg.norm((found - weights)[weights != 0] / weights[weights != 0])
    for seed in range(5):
        other = found + 0.1 * corrected_weights(
            knots, np.random.default_rng(seed).standard_normal(9) * weights, 1, (0,)
        )
        assert np.linalg.norm((other - weights)[weights != 0] / weights[weights != 0]) >= change


def test_weights_that_cannot_be_corrected_are_refused():
    scattered = np.random.default_rng(0).uniform(-1, 1, (20, 2))
    with pytest.raises(ValueError, match="share lines"):
        corrected_weights(scattered, np.ones(20), 1, (0, 1))


@pytest.mark.parametrize("order", [1, 3])
def test_corrections_do_not_depend_on_size(order):
    kernel = outer(minimal_kernel(order, 0.7), minimal_kernel(order, 1.3))
    spoiled = kernel.weights * (1 + 1e-3 * np.arange(len(kernel)))
    found = corrected_weights(kernel.positions, spoiled, order, (0, 1))
    for size in (1e-6, 1e6):
        np.testing.assert_allclose(corrected_weights(size * kernel.positions, spoiled, order, (0, 1)), found, rtol=1e-8)


def test_systems_of_corrections_have_a_limit(monkeypatch):
    kernel = outer(minimal_kernel(1, 0.7), minimal_kernel(1, 1.3))
    spoiled = kernel.weights * (1 + 1e-3 * np.arange(9))
    idle = minimal_kernel(1, 0.7, 2, (1,))
    np.testing.assert_allclose(corrected_weights(idle.positions, idle.weights, 1, (1,)), idle.weights, rtol=1e-12)
    # 3 lines of 9 Diracs with 2 conditions each.
    monkeypatch.setattr(moments, "LARGEST_SYSTEM", 3 * 2 * 9)
    corrected_weights(kernel.positions, spoiled, 1, (0, 1))
    monkeypatch.setattr(moments, "LARGEST_SYSTEM", 3 * 2 * 9 - 1)
    with pytest.raises(ValueError, match="9 Diracs on 3 lines are too many to correct at once"):
        corrected_weights(kernel.positions, spoiled, 1, (0, 1))
