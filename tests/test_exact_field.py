"""The exact integral field against exact convolution, with kernels that are not symmetric."""

from functools import reduce

import numpy as np
import pytest
import torch
from builders import bumps, lopsided, noise_signal

from kernels import SparseKernel, combine, minimal_kernel, outer
from models.convolution import convolve_grid, convolve_points
from models.exact import ExactField
from signals import Signal, coordinates
from signals.exact import kernel_convolution

SHAPE = (13, 10, 7)


def uneven(order: int, dim: int) -> SparseKernel:
    """A product of asymmetric kernels, another one along every axis."""
    lines = [lopsided(seed=j)[0] if order == 1 else bumps(order, j)[0].scaled(0.4) for j in range(dim)]
    return reduce(outer, lines)


def on_grid(signal: Signal, kernel: SparseKernel, boundary: str = "clamp") -> np.ndarray:
    """The signal filtered by way of its exact field, on its own grid."""
    field = ExactField(signal, kernel.order, float(kernel.radius.max()), boundary)
    grid = [torch.as_tensor(coordinates(n)) for n in signal.shape]
    return convolve_grid(field, kernel, grid).numpy()


def assert_close(found: np.ndarray, truth: np.ndarray) -> None:
    np.testing.assert_allclose(found, truth, rtol=0, atol=1e-6 * np.abs(truth).max())


@pytest.mark.parametrize("boundary", ["clamp", "reflect"])
@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("kind", ["minimal", "uneven"])
def test_filtering_with_the_exact_field_is_exact_convolution(kind, order, dim, boundary):
    signal = noise_signal(SHAPE[:dim], 2)
    kernel = uneven(order, dim) if kind == "uneven" else minimal_kernel(order, 0.3, dim)
    assert_close(on_grid(signal, kernel, boundary), kernel_convolution(signal, kernel, boundary))


@pytest.mark.parametrize("boundary", ["clamp", "reflect"])
def test_kernels_that_are_no_product_are_exact_too(boundary):
    signal, lines = noise_signal(SHAPE[:2], 2), [lopsided(seed=seed)[0] for seed in range(4)]
    kernel = combine([outer(*lines[:2]), outer(*lines[2:])], [1.0, -0.5])
    assert_close(on_grid(signal, kernel, boundary), kernel_convolution(signal, kernel, boundary))


def test_diracs_on_no_grid_are_summed_one_by_one():
    signal, tent = noise_signal(SHAPE[:2], 2), minimal_kernel(1, 0.2, 2)
    shifts = np.random.default_rng(0).uniform(-0.2, 0.2, (90, 2))
    kernel = combine([SparseKernel(tent.positions + s, tent.weights, 1, (0, 1)) for s in shifts], [1 / 90] * 90)
    points = torch.tensor([[coordinates(13)[4], coordinates(10)[9]]])
    found = convolve_points(ExactField(signal, 1, 0.4), kernel, points)
    assert_close(found.numpy()[0], kernel_convolution(signal, kernel)[4, 9])


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 2)])
def test_axes_that_are_not_filtered_stay_as_they_are(axes):
    signal = noise_signal(SHAPE, 2, axes)
    kernel = uneven(1, len(axes)).embedded(axes, 3)
    assert_close(on_grid(signal, kernel), kernel_convolution(signal, kernel))


def test_what_is_known_beyond_the_border_is_used():
    signal = noise_signal((5, 12), 2, (1,), halo=(0, 3))
    kernel = uneven(1, 1).embedded((1,), 2)
    truth = kernel_convolution(signal, kernel)
    assert_close(on_grid(signal, kernel), truth)
    alone = Signal(signal.core, signal.axes, signal.modality)
    assert np.abs(kernel_convolution(alone, kernel) - truth).max() > 0.01 * np.abs(truth).max()


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_scattered_points_agree_with_the_grid(order, dim):
    signal, kernel = noise_signal(SHAPE[:dim], 2), uneven(order, dim)
    truth = kernel_convolution(signal, kernel)
    chosen = np.random.default_rng(0).integers(truth.shape[:-1], size=(20, dim))
    points = np.stack([coordinates(n)[i] for n, i in zip(signal.shape, chosen.T, strict=True)], axis=-1)
    field = ExactField(signal, order, float(kernel.radius.max()))
    assert_close(convolve_points(field, kernel, torch.as_tensor(points)).numpy(), truth[tuple(chosen.T)])
