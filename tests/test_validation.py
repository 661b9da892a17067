"""What a run is measured against while it lives, and supervision by derivatives of the signal itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import exact_truth, field_config, noise_signal, random_field, smooth_signal
from scipy.interpolate import RegularGridInterpolator
from training_cases import CPU, generator, network_for, targets_of, trainer_of

from kernels import minimal_kernel
from models.convolution import convolve_points
from signals.exact import minimal_convolution
from signals.measures import psnr
from training import resolve
from training.autodiff import AutodiffObjective, LinearSampler, derivative
from training.record import half_size_label
from training.setup import make_trainer
from training.validation import Validation, binomial_average, finished


@pytest.mark.parametrize("order", range(3))
def test_validation_truth_at_larger_sizes_is_the_convolution_there(order):
    n = order + 1
    # Samples a whole number to the kernel step, so that reading between them costs nothing.
    sizes = (n * 4 / 80, n * 2 / 80)
    signal = noise_signal((81, 81), 2)
    validation = Validation(exact_truth(signal, order, sizes, 0.6, "reflect"), 4)
    # The shifts of eight times the training kernel, 7 / 2 n h, are wider than the margin.
    assert [level.factor for level in validation.levels] == [f for f in (1, 2, 4, 8) if sizes[0] * (f - 1) <= 0.6]
    for level in validation.levels:
        np.testing.assert_allclose(level.kernel.radius, np.multiply(sizes, level.factor))
        exact = minimal_convolution(signal, order, [size * level.factor for size in sizes], "reflect")
        np.testing.assert_allclose(level.truth, exact, atol=1e-9)


def test_validation_stops_at_the_margin():
    truth = exact_truth(noise_signal((41,)), 1, 0.2, 0.2)
    assert [level.factor for level in Validation(truth, 4).levels] == [1, 2]
    assert [level.factor for level in Validation(replace(truth, half_size=(0.201,)), 4).levels] == [1]


def test_larger_kernels_are_binomial_averages():
    shifts, weights = binomial_average(2, 4)
    assert shifts.tolist() == [-3, -2, -1, 0, 1, 2, 3]
    assert (16 * weights).tolist() == [1, 2, 3, 4, 3, 2, 1]


def test_validation_between_samples_is_close_to_the_convolution_there():
    signal = smooth_signal((70, 50), 1)
    for level in Validation(exact_truth(signal, 1, 0.123, 0.5), 3).levels:
        assert psnr(level.truth, minimal_convolution(signal, 1, [0.123 * level.factor] * 2)) > 90


def test_a_validated_field_is_compared_on_the_signals_grid():
    truth = exact_truth(smooth_signal((9, 12), 2), 1, 0.2, 0.3)
    field = network_for(truth, "separable")
    validation = Validation(truth, 1)
    predicted = validation.predict(field, validation.levels[0])
    points = torch.cartesian_prod(*[torch.linspace(-1, 1, n, dtype=torch.float64) for n in (9, 12)])
    wanted = convolve_points(field, truth.kernel, points).reshape(9, 12, 2)
    np.testing.assert_allclose(predicted, wanted.numpy(), atol=1e-8)
    assert validation.measure(field) == {1.0: pytest.approx(psnr(predicted, truth.core))}


def test_a_finished_field_is_measured_as_users_filter():
    truth = exact_truth(smooth_signal((9, 12), 2), 1, 0.05, 0.3)
    field = network_for(truth).requires_grad_(True)
    field.origin = replace(field.origin, shape=truth.shape)
    done = finished(field, Validation(truth, 2).measure)
    assert done.dtype == torch.float32 and not done.training
    assert not any(p.requires_grad for p in done.parameters())
    assert list(done.origin.psnr) == [1.0, 2.0]
    assert done.psnr == pytest.approx(psnr(done.filter(truth.kernel), truth.core.astype(np.float32)), abs=1e-3)
    # float32 would have cost it accuracy, which validation on the way does not avoid.
    validation = Validation(truth, 1)
    precise, fast = (validation.predict(done, validation.levels[0], last=last) for last in (True, False))
    assert 1e-6 < np.abs(precise - fast).max() < 1


@pytest.mark.parametrize(
    "thin, modality, sizes",
    [(1 << 18, "", [40, 60]), (1000, "audio", [40, 20]), (1000, "image", [20, 30]), (599, "", [14, 20]),
     (30, "", [5, 7]), (24, "", [40, 6])],
)  # fmt: skip
def test_large_grids_are_thinned_but_never_what_numbers_pieces(monkeypatch, thin, modality, sizes):
    monkeypatch.setattr("training.validation.LARGEST_GRID", thin)
    truth = exact_truth(noise_signal((40, 60), axes=(1,)), 1, 0.2, 0.3)
    grid = Validation(replace(truth, modality=modality), 1).grid
    assert [len(x) for x in grid] == sizes
    for x, count in zip(grid, (40, 60), strict=True):
        assert set(np.round(x, 9)) <= set(np.round(np.linspace(-1, 1, count), 9)) and x[0] == -1


def test_half_sizes_are_named_once_where_axes_agree():
    assert half_size_label((0.05, 0.05), 2) == "0.1"
    assert half_size_label((0.05, 0.2), 4) == "0.2 x 0.8"


@pytest.mark.parametrize("axes, order", [((0, 1), 1), ((1,), 2)])
def test_derivatives_undo_the_integrations_of_the_polynomial_part(axes, order):
    field = random_field(field_config("mlp", 2, 2, axes=axes, order=order))
    points = torch.rand(7, 2, dtype=torch.float64, generator=generator())
    powers = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    wanted = sum(field.polynomial.coefficients[tuple(k)] * (points**k).prod(dim=1, keepdim=True) for k in powers)
    torch.testing.assert_close(derivative(field.polynomial, field.config.n)(points), wanted)


@pytest.mark.parametrize("kind", ["siren", "mlp"])
def test_autodiff_supervises_what_fine_differences_measure(kind):
    signal = smooth_signal((20, 16), 2)
    truth = exact_truth(signal, 1, 0.2, 0.3)
    field = random_field(field_config(kind, 2, 2, num_channels=6))
    objective = AutodiffObjective(targets_of(truth), signal, truth.bounds, "clamp", 200, "l2")
    uniform = torch.rand(200, 2, dtype=torch.float64, generator=generator(5))
    points = torch.as_tensor(truth.bounds[:, 0]) + uniform * torch.as_tensor(truth.bounds[:, 1] - truth.bounds[:, 0])
    # The smallest minimal kernel that differences can bear is close to a Dirac.
    seen = convolve_points(field, minimal_kernel(1, 2e-3, 2), points)
    places = (points.clamp(-1, 1) + 1) / 2 * torch.tensor([19.0, 15.0], dtype=torch.float64)
    read = RegularGridInterpolator([np.arange(20), np.arange(16)], signal.values)
    residual = seen - torch.as_tensor(read(places.numpy()))
    loss = objective.loss(field, generator(5))
    assert float(loss.total.detach()) == pytest.approx(float(residual.square().mean()), rel=1e-3)
    assert loss.points == 200


@pytest.mark.parametrize("boundary", ["clamp", "reflect"])
def test_the_signal_is_linear_between_its_samples_and_beyond_them(boundary):
    signal, points = noise_signal((7, 1, 9), 2), np.random.default_rng(0).uniform(-1.5, 1.5, (300, 3))
    rules = {"clamp": lambda x: np.clip(x, -1, 1), "reflect": lambda x: 1 - np.abs((x + 1) % 4 - 2)}
    lines = [np.linspace(-1, 1, 7), np.linspace(-1, 1, 2), np.linspace(-1, 1, 9)]
    wanted = RegularGridInterpolator(lines, np.repeat(signal.values, 2, axis=1))(rules[boundary](points))
    found = LinearSampler(signal, boundary, [0.5, 0.5, 0.5], torch.device("cpu"))(torch.as_tensor(points))
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_a_single_sample_of_an_axis_that_is_not_filtered_is_read():
    signal, x = noise_signal((1, 9), 2, axes=(1,)), np.linspace(-1.4, 1.4, 40)
    points = np.stack([np.full(40, -1.0), x], axis=1)
    found = LinearSampler(signal, "clamp", [0.0, 0.5], torch.device("cpu"))(torch.as_tensor(points))
    for channel in range(2):
        wanted = np.interp(x, np.linspace(-1, 1, 9), signal.values[0, :, channel])
        np.testing.assert_allclose(found[:, channel], wanted, atol=1e-12)


def test_autodiff_asks_axes_that_are_not_filtered_at_their_samples():
    signal = noise_signal((5, 30), 2, axes=(1,))
    truth = exact_truth(signal, 1, 0.2, 0.3)
    objective = AutodiffObjective(targets_of(truth), signal, truth.bounds, "clamp", 400, "l2")
    points, values = objective.draw(generator())
    rows = (points[:, 0] + 1) * 2
    assert set(rows.tolist()) == {0.0, 1.0, 2.0, 3.0, 4.0}
    assert points[:, 1].min() < -1.25 and points[:, 1].max() > 1.25
    for row in range(5):
        at = points[rows == row][:, 1].clamp(-1, 1)
        for channel in range(2):
            wanted = np.interp(at, np.linspace(-1, 1, 30), signal.values[row, :, channel])
            np.testing.assert_allclose(values[rows == row][:, channel], wanted, atol=1e-12)


@pytest.mark.parametrize("change", [None, {"values": np.zeros((9, 8, 1))}, {"values": np.zeros((10, 8, 3))}])
def test_autodiff_requires_the_signal_of_the_ground_truth(change):
    signal = smooth_signal((9, 8), 3)
    options = resolve({"field": "mlp", "supervision": "autodiff", "num_channels": 4, "num_steps": 1})
    other = change and replace(signal, **change)
    with pytest.raises(ValueError, match="--supervision autodiff requires --signal, the raw signal"):
        make_trainer(exact_truth(signal, 1, 0.3, 0.3), options, CPU, other)


@pytest.mark.parametrize("supervision, levels", [("points", 1), ("lattice", 3)])
def test_networks_learn_by_the_supervision_that_is_asked_for(supervision, levels):
    truth = exact_truth(smooth_signal((40, 31)), 1, 0.1, 0.3)
    trainer = trainer_of(truth, field="mlp", supervision=supervision, levels=3, batch=900)
    loss = trainer.advance()
    assert len(loss.rms) == levels
    assert loss.points == 900 if supervision == "points" else 400 < loss.points < 1800
