"""Fields of splines are solved for at once: what they hold, and where their knots are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import exact_truth, noise_signal, smooth_signal
from scipy.ndimage import gaussian_filter1d
from training_cases import parts

import nfconv
from kernels import minimal_kernel
from models.convolution import convolve_grid
from models.filtering import sparse_kernel
from signals.exact import kernel_convolution
from training import setup, train


@pytest.mark.parametrize(
    "shape, axes, order, least",
    [((60, 45), None, 1, 60), ((120,), None, 2, 60), ((24, 22, 20), None, 0, 50), ((50, 5, 4), (0,), 1, 60)],
)
def test_splines_hold_the_truth_without_a_step(shape, axes, order, least):
    truth = exact_truth(smooth_signal(shape, 2, axes), order, 0.25, 0.4)
    field = train(truth, factor="spline", levels=2)
    assert list(field.origin.psnr) == [1.0, 2.0]
    assert min(field.origin.psnr.values()) > least
    assert field.config.tables == tuple(0 if axis in truth.axes else n for axis, n in enumerate(shape))


@pytest.mark.parametrize("half_size", [0.2, 0.33, 0.5])
def test_splines_answer_other_kernels_of_rough_signals(half_size):
    signal = noise_signal((64, 50))
    field = train(exact_truth(signal, 1, 0.2, 0.4), factor="spline").double()
    kernel = minimal_kernel(1, half_size, 2)
    grid = [torch.linspace(-1, 1, n, dtype=torch.float64) for n in signal.shape]
    error = convolve_grid(field, kernel, grid).numpy() - kernel_convolution(signal, kernel)
    assert np.sqrt(np.mean(error**2)) < 2e-3


@pytest.mark.parametrize("per_step", [0.5, 6.0, 64.0])
def test_knots_cover_the_training_queries_and_are_no_finer_than_samples(per_step):
    truth = exact_truth(noise_signal((50, 5, 40), axes=(0, 2)), 1, (0.2, 0.3), 0.3)
    field, targets, _ = parts(truth, factor="spline", knots=per_step)
    config = field.config
    for axis in truth.axes:
        nodes = targets.stencils()[axis].nodes
        assert config.reach[axis] == pytest.approx(float(nodes.abs().max()) - 1, abs=1e-9)
        steps = 2 * float(nodes.abs().max()) / truth.h[axis]
        assert config.knots[axis] == max(8, round(min(per_step, targets.axes[axis].phases) * steps))
    assert (config.knots[1], config.reach[1]) == (0, 0.0)


def test_more_knots_than_can_be_solved_for_are_refused(monkeypatch):
    truth = exact_truth(noise_signal((300,)), 0, 0.01, 0.1)
    knots = parts(truth, factor="spline", knots=1.0)[0].config.knots[0]
    monkeypatch.setattr(setup, "LARGEST_SPLINE", knots - 1)
    with pytest.raises(ValueError, match=rf"{knots} knots along one axis are more than the {knots - 1} .* --knots"):
        parts(truth, factor="spline", knots=1.0)


@pytest.mark.parametrize(
    "count, pixels, knots", [(97, 3.0, 0), (97, 3.02, 0), (97, 3.3, 0), (97, 3.9, 0), (300, 8.2, 8)]
)
def test_borders_are_as_good_as_the_interior_where_kernels_reach_as_far_as_the_margin_answers(count, pixels, knots):
    noise = noise_signal((count,), 3)
    signal = replace(noise, values=gaussian_filter1d(noise.values, 1.0, axis=0))
    half_size = 2 * pixels / (count - 1)
    field = train(exact_truth(signal, 1, half_size, 0.1), factor="spline", knots=knots)
    reach = field.origin.margin + half_size
    kernel = sparse_kernel(field, nfconv.gaussian(sigma=reach / 3.001))
    errors = (field.filter(kernel) - kernel_convolution(signal, kernel)) ** 2
    edge = int(np.ceil(reach * (count - 1) / 2))
    interior = errors[edge:-edge].mean()
    assert interior < 1e-8
    assert errors[:edge].mean() + errors[-edge:].mean() < 20 * interior + 1e-9
