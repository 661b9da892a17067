"""Fits for a wanted error: few Diracs, growth by the factor that is missing, and what fitting costs."""

import math

import numpy as np
import pytest

from kernels import library
from kernels.fit import fit_errors, fit_kernel
from kernels.target import Target

SIGMA = 1 / 3


def hann(points: np.ndarray) -> np.ndarray:
    """A smooth bump that ends without a step, of mass 1 on [-1, 1]."""
    return np.prod((1 + np.cos(np.pi * points)) ** 2 / 3 * (np.abs(points) <= 1), axis=1)


@pytest.mark.parametrize(("dim", "order"), [(1, 0), (1, 1), (2, 2)])
def test_wanted_error_is_reached_with_few_diracs(dim, order):
    target = Target(hann, (1.0,) * dim, 1.0)
    kernel = fit_kernel(target, order, error=0.01)
    assert fit_errors(kernel, target).relative_l2 <= 0.01
    per_axis = round(len(kernel) ** (1 / dim))
    assert fit_errors(fit_kernel(target, order, per_axis - 3), target).relative_l2 > 0.01


def test_fits_that_miss_their_error_grow_by_the_factor_they_miss_it_by():
    target, tried = library.gaussian(sigma=SIGMA).target(), []
    kernel = fit_kernel(target, 1, error=1e-3, notify=tried.append)
    tries = [text for text in tried if "wanted" in text]
    counts = [int(text.split()[0]) for text in tries]
    assert len(counts) > 1
    assert counts[-1] == len(kernel)
    for i, count in enumerate(counts):
        reached = fit_errors(fit_kernel(target, 1, count), target).relative_l2
        assert tries[i] == f"{count} Diracs: error {reached:.3g}, wanted 0.001"
        assert counts[i + 1 :][:1] == ([] if reached <= 1e-3 else [math.ceil(count * reached / 1e-3)])


def test_axes_share_the_error_and_alike_ones_their_count():
    tried: list[str] = []
    fit_kernel(Target(hann, (1.0, 1.0), 1.0), 1, error=0.05, notify=tried.append)
    searched = [text for text in tried if "along an axis" in text]
    assert all(text.endswith(f"its share is {0.05 / math.sqrt(2):.3g}") for text in searched)
    # One axis was searched, not two.
    assert len({text.split()[0] for text in searched}) == len(searched)


@pytest.mark.parametrize(
    ("dim", "sampled"),
    [
        # 40 (20 in 3-D) a side to see whether it is a product; cells and points in each for knots; for weights; errors.
        (1, [512 * 4, 15 * 16 * 4, 20001]),
        (2, [40**2, (512 * 2) ** 2, (15 * 16 * 2) ** 2, 601**2]),
        (3, [20**3, 96**3, (12 * 4 * 2) ** 3, 81**3]),
    ],
)
def test_targets_are_sampled_no_more_than_it_takes(dim, sampled):
    calls: list[int] = []

    def ball(points: np.ndarray) -> np.ndarray:
        calls.append(len(points))
        return np.exp(-4 * (points**2).sum(axis=1) - 3 * np.abs(points.prod(axis=1)))

    target = Target(ball, (1.0,) * dim)
    fit_errors(fit_kernel(target, 1, {1: 16, 2: 16, 3: 13}[dim]), target)
    assert sum(calls) == sum(sampled)
