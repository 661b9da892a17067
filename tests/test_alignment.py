"""Lattices where the training kernel is a whole number of samples, and just beside it."""

import numpy as np
import pytest
import torch
from builders import exact_truth, noise_signal, smooth_signal
from scipy.interpolate import make_interp_spline
from training_cases import targets_of

from training.lattice import LatticeTargets


def resampled_positions(targets: LatticeTargets) -> list[torch.Tensor]:
    """Where the values are along every axis, as lattices [q, L] of h lie: phase by phase."""
    grids = [a.origin + a.h * (torch.arange(a.length) + torch.arange(a.phases)[:, None].double() / a.phases)
             for a in targets.axes]  # fmt: skip
    return [grid.flatten() for grid in grids]


@pytest.mark.parametrize("order, samples, pads", [(0, 6, 9), (1, 4, 10), (1, 3, 7), (2, 6, 12), (1, 5, 0)])
def test_lattices_of_whole_samples_are_the_samples(order, samples, pads):
    # A kernel's Diracs lie 2 half_size / (order + 1) apart.
    count, step = 41, 2 / 40
    half_size = samples * step * (order + 1) / 2
    truth = exact_truth(noise_signal((count, 5), axes=(0,)), order, half_size, pads * step)
    targets = targets_of(truth)
    axis, x = targets.axes[0], resampled_positions(targets)[0].numpy()
    assert (axis.phases, axis.length) == (samples, (count + 2 * pads) // samples)
    place = (x + 1) / step + pads
    np.testing.assert_allclose(place, place.round(), atol=1e-9)
    np.testing.assert_array_equal(targets.values, truth.values[place.round().astype(int)])
    # What is left over is shared by both ends, and the margin is the smaller one.
    left, right = round(place.min()), count + 2 * pads - 1 - round(place.max())
    assert 0 <= right - left <= 1 and left + right == (count + 2 * pads) % samples
    assert targets.margin == pytest.approx(pads * step - right * step, abs=1e-9)
    assert axis.end == pytest.approx(x.max(), abs=1e-12)


@pytest.mark.parametrize("share", [1e-7, 1e-3])
def test_lattices_beside_the_samples_are_read_off_splines(share):
    step = 2 / 60
    truth = exact_truth(smooth_signal((61,), 1), 1, 4 * step * (1 + share), 0.3)
    targets = targets_of(truth)
    x = resampled_positions(targets)[0].numpy()
    spline = make_interp_spline(truth.coordinates(0), truth.values, k=5)
    np.testing.assert_allclose(targets.values, spline(x.clip(*truth.bounds[0])), atol=1e-5 if share < 1e-6 else 1e-12)
