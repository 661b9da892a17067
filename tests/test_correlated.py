"""Gaussians of every correlation on common knots, against the Gaussian itself."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from kernels.correlated import (
    CORRELATIONS,
    LEVELS,
    choose_level,
    correlated_gaussians,
    full_correlation,
    half_correlation,
)
from kernels.correlated3 import CORES, _cores, correlated_gaussians_3d
from kernels.splines import SplineBasis
from models.exact import exact_at
from signals import Signal
from signals.gaussians import gaussian_convolution

PHOTOGRAPH = Path(__file__).parents[1] / "data" / "raw" / "images" / "astronaut.png"
# Equal weights integrate what vanishes at both ends to rounding.
X = np.linspace(-8, 8, 801)
STEP = X[1] - X[0]


def gaussian(rho: float) -> np.ndarray:
    """The Gaussian of unit variances and correlation rho on the grid of X."""
    square = (X[:, None] ** 2 - 2 * rho * X[:, None] * X + X**2) / (1 - rho**2)
    return np.exp(-square / 2) / (2 * np.pi * np.sqrt(1 - rho**2))


def density(kernels, rho: float) -> np.ndarray:
    """The kernel of correlation rho on the grid of X, by its splines."""
    basis = SplineBasis(kernels.positions, kernels.order)
    functions = basis.values(X) @ np.linalg.lstsq(basis.differences, kernels.weights.T, rcond=None)[0]
    return functions @ kernels.core(rho) @ functions.T


def smooth_error(kernels, rho: float) -> float:
    """dB of the kernel's error as a signal with a spectrum of 1 / frequency shows it."""
    spectrum = np.fft.fft2(density(kernels, rho) - gaussian(rho)) * STEP**2
    frequency = 2 * np.pi * np.fft.fftfreq(len(X), STEP)
    size = np.hypot(frequency[:, None], frequency)
    size[0, 0] = np.inf
    return -20 * np.log10(np.linalg.norm(spectrum / size) / np.linalg.norm(np.fft.fft2(gaussian(rho)) * STEP**2 / size))


@pytest.mark.parametrize("rho", [-0.88, 0.0, 0.3, 0.885])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_mass_variances_and_covariance_are_exact(order, rho):
    found = correlated_gaussians(order, 0, 0)
    kernel = found.sparse((1.0, 2.0), rho)
    assert kernel.order == order and kernel.radius.tolist() == [3.6, 7.2]
    assert kernel.mass == pytest.approx(1, abs=1e-9)
    # The integral of x^a y^b g is (-1)^n a! n! / (a + n)! ... of the Diracs, per axis.
    n = order + 1

    def moment(a: int, b: int) -> float:
        factor = [np.prod([1.0 / (k + j) for j in range(1, n + 1)]) * (-1) ** n for k in (a, b)]
        return float(
            np.prod(factor) * kernel.weights @ (kernel.positions[:, 0] ** (a + n) * kernel.positions[:, 1] ** (b + n))
        )

    for (a, b), wanted in (((2, 0), 1.0), ((0, 2), 4.0), ((1, 1), 2 * rho), ((1, 0), 0.0), ((0, 1), 0.0)):
        assert moment(a, b) == pytest.approx(wanted, abs=2e-5)


@pytest.mark.parametrize(
    "level, column, decibels", [(0, 0, 36), (0, 1, 26), (1, 0, 48), (1, 1, 37), (2, 0, 60), (2, 2, 32)]
)
def test_finer_levels_come_nearer_to_the_gaussian(level, column, decibels):
    kernels = correlated_gaussians(1, level, column)
    assert kernels.weights.shape == (LEVELS[level].functions[column], LEVELS[level].knots)
    largest = CORRELATIONS[column]
    errors = [smooth_error(kernels, rho) for rho in (0.0, -0.7 * largest, largest)]
    assert errors[2] > decibels
    assert errors[0] > errors[1] > errors[2] - 6


@pytest.mark.parametrize("level, column", list(np.ndindex(len(LEVELS), len(CORRELATIONS))))
def test_every_level_reaches_on_a_photograph_what_it_promises(level, column):
    signal = Signal(cv2.imread(str(PHOTOGRAPH))[100:228, 150:278] / np.float32(255), (0, 1))
    points = np.stack(np.meshgrid(*[np.linspace(-0.9, 0.9, 12)] * 2), axis=-1).reshape(-1, 2)
    rho, sigma = CORRELATIONS[column], 0.055
    kernel = correlated_gaussians(1, level, column).sparse((sigma, sigma), rho)
    found = exact_at(signal, kernel, torch.as_tensor(points), None, "clamp")
    covariance = np.broadcast_to(sigma**2 * np.array([[1, rho], [rho, 1]]), (144, 2, 2))
    error = found - gaussian_convolution(signal, points, covariance, "clamp")
    assert LEVELS[level].quality[column] == pytest.approx(-10 * np.log10(np.mean(error**2)), abs=5)


def test_half_correlations_are_inverted():
    for rho in (-0.99, -0.3, 0.0, 0.885):
        assert full_correlation(half_correlation(rho)) == pytest.approx(rho)


def test_the_accuracy_chooses_the_level():
    levels = [choose_level(0.5, accuracy) for accuracy in (60, 76, 77, 90, 91, 200)]
    assert levels == [(0, 0), (0, 0), (1, 0), (1, 0), (2, 0), (2, 0)]
    assert choose_level(0.9, 69) == (1, 1) and choose_level(0.885, 69) == (0, 0)
    assert choose_level(0.99 * (1 + 1e-7), 60) == (0, 2)  # rounding
    with pytest.raises(ValueError, match=r"0\.9950 .*20 times as long as wide.*beyond the 0\.99"):
        choose_level(0.995, 60)
    with pytest.raises(ValueError, match=r"beyond the largest, 0\.885"):
        correlated_gaussians(1, 0, 0).core(-0.9)


@pytest.mark.parametrize("node, error", [((6, 6, 6), 0.02), ((9, 8, 10), 0.04), ((2, 10, 4), 0.04), ((0, 6, 6), 0.07),
                                         ((6, 12, 6), 0.07), ((6, 6, 1), 0.04), ((3, 11, 12), 1)])  # fmt: skip
def test_three_axes_have_the_gaussian_of_independent_normal_variables(node, error):
    """x = u, y and z are sums of independent u, v, w by r12, r13 and the partial correlation."""
    found = correlated_gaussians_3d(1, 0, 0)
    half = half_correlation(CORRELATIONS[0])
    r12, r13, p = (full_correlation(half * (index / 6 - 1)) for index in node)
    sums = np.array([[1, 0, 0], [r12, (1 - r12**2) ** 0.5, 0], [r13, p * (1 - r13**2) ** 0.5, 0]])
    sums[2, 2] = (1 - (sums[2] ** 2).sum()) ** 0.5
    covariance = sums @ sums.T
    core = np.zeros((len(found.even),) * 3)
    core[tuple(found.kept.T)] = found.samples[node]
    # The integral of x^k times a function is that of its Diracs' x^(k + 2) / ((k + 1) (k + 2)).
    moments = found.weights @ (found.positions[:, None] ** [2, 3, 4] / [2, 6, 12])
    second = [np.einsum("abe,a,b,e", core, *(moments[:, power] for power in np.bincount(pair, minlength=3)))
              for pair in np.ndindex(3, 3)]  # fmt: skip
    np.testing.assert_allclose(np.reshape(second, (3, 3)), covariance, atol=1e-12)
    assert np.einsum("abe,a,b,e", core, *[moments[:, 0]] * 3) == pytest.approx(1, abs=1e-12)
    x = np.linspace(-4, 4, 33)
    lines = SplineBasis(found.positions, 1).values(x) @ found.functions.T
    density = np.einsum("abe,xa,yb,ze->xyz", core, lines, lines, lines, optimize=True)
    at = np.stack(np.meshgrid(x, x, x, indexing="ij"), axis=-1)
    square = np.einsum("...i,ij,...j", at, np.linalg.inv(covariance), at, optimize=True)
    wanted = np.exp(-square / 2) / ((2 * np.pi) ** 1.5 * np.linalg.det(covariance) ** 0.5)
    assert np.linalg.norm(density - wanted) < error * np.linalg.norm(wanted)


def test_odd_functions_have_no_mean_where_nothing_is_correlated():
    pairs = correlated_gaussians(1, 0, 0)
    odd = (~pairs.even).astype(int)
    core = _cores(pairs, np.zeros(CORES))[0, 0, 0]
    assert np.abs(core[(odd[:, None, None] + odd[:, None] + odd) % 2 == 1]).max() < 1e-12
