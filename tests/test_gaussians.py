"""Exact convolution with a Gaussian of its own covariance at every point, by quadrature, against other references."""

import numpy as np
import pytest
from builders import noise_signal
from scipy.ndimage import gaussian_filter
from test_covariance import quadrature, random_covariances

import nfconv
from signals.exact import kernel_convolution
from signals.gaussians import gaussian_convolution
from signals.signal import Signal


@pytest.mark.parametrize("boundary", ["clamp", "reflect"])
def test_dense_quadrature_is_the_gaussian_filter_of_finer_samples(boundary):
    signal, sizes = noise_signal((9, 7), 2), (0.3, 0.21)
    lines = [np.interp(np.linspace(0, n - 1, 60 * (n - 1) + 1), np.arange(n), np.arange(n)) for n in (9, 7)]
    values = signal.values
    for axis, line in enumerate(lines):
        low = np.minimum(line.astype(int), values.shape[axis] - 2)
        part = (line - low).reshape([-1 if j == axis else 1 for j in range(3)])
        values = values.take(low, axis) * (1 - part) + values.take(low + 1, axis) * part
    mode = {"clamp": "nearest", "reflect": "mirror"}[boundary]
    deviations = [60 * s / (2 / (n - 1)) for s, n in zip(sizes, (9, 7), strict=True)]
    wanted = gaussian_filter(values, [*deviations, 0], mode=mode, truncate=8)[::60, ::60]
    at = np.stack(np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 7), indexing="ij"), axis=-1).reshape(-1, 2)
    found = gaussian_convolution(signal, at, np.broadcast_to(np.diag(np.square(sizes)), (63, 2, 2)), boundary)
    np.testing.assert_allclose(found.reshape(9, 7, 2), wanted, atol=2e-5)


def test_dense_quadrature_of_one_and_three_axes_and_of_any_angle():
    line = noise_signal((30,), 1)
    kernel = nfconv.gaussian(sigma=0.1, count=61).sparse(1)
    found = gaussian_convolution(line, np.linspace(-1, 1, 30)[:, None], np.full((30, 1, 1), 0.01))
    assert np.abs(found - kernel_convolution(line, kernel)).max() < 2e-3
    signal, (at, sigmas) = noise_signal((61, 54), 2), random_covariances(5)
    sigmas = 4 * sigmas
    np.testing.assert_allclose(gaussian_convolution(signal, at, sigmas), quadrature(signal, at, sigmas), atol=3e-6)
    # A volume that is the same along its last axis is filtered as its slices are.
    volume = Signal(np.repeat(signal.values[:, :, None], 5, axis=2), (0, 1, 2))
    full = np.zeros((5, 3, 3))
    full[:, :2, :2], full[:, 2, 2], full[:, 0, 2], full[:, 2, 0] = sigmas, 0.04, 1e-3, 1e-3
    found = gaussian_convolution(volume, np.pad(at, [(0, 0), (0, 1)]), full)
    np.testing.assert_allclose(found, quadrature(signal, at, sigmas), atol=1e-5)
