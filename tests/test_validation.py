"""What a run is measured against while it lives, and supervision by derivatives of the signal itself."""

import numpy as np
import pytest
import torch
from builders import exact_truth, field_config, noise_signal, random_field, smooth_signal
from scipy.interpolate import RegularGridInterpolator
from training_cases import generator, targets_of, training_kernel

from kernels import minimal_kernel
from models.convolution import convolve_points
from signals.exact import minimal_convolution
from training.autodiff import AutodiffObjective, derivative, multilinear
from training.validation import Validation, psnr


@pytest.mark.parametrize("order", range(3))
def test_validation_truth_at_larger_sizes_is_the_convolution_there(order):
    n = order + 1
    # Samples a whole number to the kernel step, so that reading between them costs nothing.
    size = n * 4 / 80
    signal = noise_signal((81, 81), 2)
    truth = exact_truth(signal, order, size / 2 * 2, 0.6, "reflect")
    validation = Validation(truth, 3)
    assert [level.half_size for level in validation.levels] == [size * k for k in (1, 2, 4) if size * k < 0.6 + size]
    for level in validation.levels:
        exact = minimal_convolution(signal, order, [level.half_size] * 2, "reflect")
        np.testing.assert_allclose(level.truth, exact, atol=1e-9)


def test_validation_stops_at_the_margin():
    truth = exact_truth(noise_signal((41,)), 1, 0.2, 0.0)
    assert [level.half_size for level in Validation(truth, 4).levels] == [0.2]


def test_validation_between_samples_is_close_to_the_convolution_there():
    signal = smooth_signal((70, 50), 1)
    for level in Validation(exact_truth(signal, 1, 0.123, 0.5), 3).levels:
        assert psnr(level.truth, minimal_convolution(signal, 1, [level.half_size] * 2)) > 90


def test_a_validated_field_is_compared_on_the_signals_grid():
    truth = exact_truth(smooth_signal((9, 12), 2), 1, 0.2, 0.3)
    field = random_field(field_config("separable", 2, 2))
    validation = Validation(truth, 1)
    predicted = validation.predict(field, 0.2)
    points = torch.cartesian_prod(*[torch.linspace(-1, 1, n, dtype=torch.float64) for n in (9, 12)])
    wanted = convolve_points(field, training_kernel(truth), points).reshape(9, 12, 2)
    np.testing.assert_allclose(predicted, wanted.numpy(), atol=1e-8)
    assert validation.measure(field)[0.2] == psnr(predicted, truth.core)


@pytest.mark.parametrize("axes, order", [((0, 1), 1), ((1,), 2)])
def test_derivatives_undo_the_integrations_of_the_polynomial_part(axes, order):
    field = random_field(field_config("mlp", 2, 2, axes=axes, order=order))
    points = torch.rand(7, 2, dtype=torch.float64, generator=generator())
    powers = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    wanted = sum(field.polynomial.coefficients[tuple(k)] * (points**k).prod(dim=1, keepdim=True) for k in powers)
    torch.testing.assert_close(derivative(field.polynomial, field.config.n)(points), wanted)


@pytest.mark.parametrize("kind", ["siren", "separable"])
def test_autodiff_supervises_what_fine_differences_measure(kind):
    signal = smooth_signal((20, 16), 2)
    truth = exact_truth(signal, 1, 0.2, 0.3)
    field, targets = random_field(field_config(kind, 2, 2, num_channels=6)), targets_of(truth)
    objective = AutodiffObjective(targets, signal, truth.margin, "clamp", 200, "l2")
    uniform = torch.rand(200, 2, dtype=torch.float64, generator=generator(5))
    points = torch.as_tensor(truth.bounds[:, 0]) + uniform * torch.as_tensor(truth.bounds[:, 1] - truth.bounds[:, 0])
    # The smallest minimal kernel that differences can bear is close to a Dirac.
    seen = convolve_points(field, minimal_kernel(1, 2e-3, 2), points)
    places = (points.clamp(-1, 1) + 1) / 2 * torch.tensor([19.0, 15.0], dtype=torch.float64)
    read = RegularGridInterpolator([np.arange(20), np.arange(16)], signal.values)
    residual = seen - torch.as_tensor(read(places.numpy()))
    loss = objective.loss(field, generator(5))
    assert float(loss.total.detach()) == pytest.approx(float(residual.square().mean()), rel=1e-3)
    assert (loss.points, loss.queries) == (200, 200)


def test_what_numbers_things_is_never_thinned(monkeypatch):
    monkeypatch.setattr("training.validation.LARGEST_GRID", 1000)
    truth = exact_truth(noise_signal((40, 60), axes=(1,)), 1, 0.2, 0.3)
    assert [len(x) for x in Validation(truth, 1, whole=(0,)).grid] == [40, 20]
    assert len(Validation(truth, 1).grid[0]) < 40


def test_a_grid_is_read_linearly_between_its_samples():
    values = torch.rand(5, 1, 4, 2, dtype=torch.float64, generator=generator())
    places = torch.rand(30, 3, dtype=torch.float64, generator=generator(1)) * torch.tensor([4.0, 0.0, 3.0])
    read = RegularGridInterpolator([np.arange(5), np.arange(4)], values[:, 0].numpy())
    np.testing.assert_allclose(multilinear(values, places), read(places[:, [0, 2]].numpy()), atol=1e-12)
