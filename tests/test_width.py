"""How fine kernels are: widths beside the training kernel's, and cutoffs, against closed forms."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq

import nfconv
from kernels import minimal_kernel
from kernels.width import cutoff, profile, relative_width


def tent_median() -> float:
    """The frequency below which half of the energy sinc^4 of the tent of half size 1 lies."""
    x = np.linspace(0, 40, 400001)
    energy = np.cumsum(np.sinc(x) ** 4)
    return float(np.interp(0.5, energy / energy[-1], x))


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_training_kernels_by_their_own_size(dim, scale):
    sizes = [0.05, 0.1, 0.2][:dim]
    kernel = minimal_kernel(1, [scale * size for size in sizes], dim)
    assert relative_width(kernel, 1, sizes) == pytest.approx(scale, rel=0.02)


@pytest.mark.parametrize("angle", [0.0, 30.0, 45.0, 67.0, 90.0])
@pytest.mark.parametrize("across", [0.02, 0.005])
def test_thin_gaussians_at_any_angle(angle, across):
    # The energy of a Gaussian is one of standard deviation 1 / (sqrt(8) pi sigma) over frequencies.
    median = 0.6744898 / (math.sqrt(8) * math.pi * across)
    target = nfconv.anisotropic(sigma=0.15, sigma_across=across, angle=angle).target(2)
    assert relative_width(target, 1, (0.05, 0.05)) == pytest.approx(tent_median() / 0.05 / median, rel=0.1)


def test_waves_are_as_thin_as_they_are_short():
    wave = nfconv.gabor(sigma=0.2, frequency=10.0, angle=20.0).target(2)
    assert relative_width(wave, 1, (0.05, 0.05)) == pytest.approx(tent_median() / 0.05 / 10.0, rel=0.02)
    axis = nfconv.gabor(sigma=0.2, frequency=10.0).target(1)
    assert relative_width(axis, 1, (0.05,)) == pytest.approx(tent_median() / 0.05 / 10.0, rel=0.02)


def test_the_thinnest_of_unequal_training_kernels_counts():
    # As wide as the training kernel along rows, a quarter of it along columns.
    assert relative_width(minimal_kernel(1, (0.1, 0.1), 2), 1, (0.1, 0.4)) == pytest.approx(0.25, rel=0.02)


@pytest.mark.parametrize("kernel, response", [
    (nfconv.box(half_size=0.3), lambda f: np.sinc(0.6 * f)),
    (nfconv.tent(half_size=0.3), lambda f: np.sinc(0.3 * f) ** 2),
    (nfconv.cubic(half_size=0.3), lambda f: np.sinc(0.15 * f) ** 4),
])  # fmt: skip
def test_cutoffs_of_splines(kernel, response):
    wanted = brentq(lambda f: response(f) ** 2 - 0.5, 0.1, 1.6)
    assert cutoff(kernel.target(1)) == pytest.approx(wanted, rel=1e-6)


def test_cutoff_of_the_gaussian_cut_at_three_sigma():
    x = np.linspace(-3, 3, 200001)
    weights = np.exp(-(x**2) / 2)
    found = cutoff(nfconv.gaussian(sigma=1.0).target(1))
    assert (weights @ np.cos(2 * np.pi * found * x) / weights.sum()) ** 2 == pytest.approx(0.5, rel=1e-4)
    # Untruncated it would be sqrt(log 2) / (2 pi sigma).
    assert found == pytest.approx(math.sqrt(math.log(2)) / (2 * math.pi), rel=0.01)


def test_kernels_without_mass_have_no_cutoff():
    with pytest.raises(ValueError, match="mass is 0 has no cutoff"):
        cutoff(nfconv.derivative(sigma=1.0).target(1))


def test_a_profile_is_the_kernel_integrated_over_the_other_axes():
    kernel = nfconv.anisotropic(sigma=0.2, sigma_across=0.1, angle=30.0).sparse(1, 3, (0, 2))
    line = profile(kernel, 2)
    x, y = np.linspace(-0.7, 0.7, 29), np.linspace(-0.7, 0.7, 2001)
    points = np.stack(np.meshgrid(y, [0.0], x, indexing="ij"), axis=-1).reshape(-1, 3)
    wanted = kernel.density(points).reshape(len(y), len(x)).sum(axis=0) * (y[1] - y[0])
    np.testing.assert_allclose(line.density(x[:, None]), wanted, atol=1e-4 * wanted.max())


@pytest.mark.parametrize("dim", [1, 2])
def test_width_is_that_of_the_shape_whatever_the_amplitude(dim):
    kernel = nfconv.gaussian(sigma=0.05).sparse(1, dim)
    faint = replace(kernel, weights=kernel.weights * 1e-9)
    assert relative_width(faint, 1, [0.05] * dim) == pytest.approx(relative_width(kernel, 1, [0.05] * dim))
