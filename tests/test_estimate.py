"""What the error of a grid of samples is estimated with."""

import math
from dataclasses import replace

import numpy as np
import pytest
from sampling_cases import FOLDS, convolved, decibels, integral

from kernels.minimal import bspline
from signals.callables import SamplingRequest, SamplingSettings
from signals.estimate import hat_integrals
from signals.probing import continuous
from signals.sampling import sample


def test_hats_and_b_splines_add_up_and_agree_with_fine_sums():
    samples = np.linspace(-1.5, 1.5, 31)
    for order in (0, 1, 2):
        matrix = hat_integrals(np.linspace(-0.9, 0.9, 7), samples, order, 0.33)
        np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-13)
        y = np.linspace(-0.33, 0.33, 400_001)[:-1] + 0.33 / 400_000
        density = bspline(order, 0.33)(y)
        place = np.clip(1 - np.abs(0.6 - y[:, None] - samples) / 0.1, 0, None)
        np.testing.assert_allclose(matrix[5], density @ place * 0.66 / 400_000, atol=1e-7)


@pytest.mark.parametrize("evaluations", [1100, 1500, 2000, 3000, 5000, 10_000, 30_000, 100_000])
def test_a_wave_that_aliases_is_not_taken_for_a_smooth_one(evaluations):
    """cos(160 pi x) in the plane with a slow wave: never more than 6 dB too optimistic, whatever the budget."""

    def trap(p):
        return 0.5 + 0.25 * (np.cos(160 * np.pi * p[:, :1]) + np.cos(2 * p[:, 1:]))

    source = replace(continuous(trap, dim=2), settings=SamplingSettings((0,), 100.0, evaluations))
    request = SamplingRequest((0, 1), 1, (0.05, 0.05), 0.2, "clamp")
    found = sample(source, request)
    points = np.random.default_rng(1).uniform(-1, 1, (150, 2))
    truth = integral(trap, 0.05, points, [0, 1], FOLDS["clamp"], 16)
    assert not found.met and found.evaluations <= evaluations
    measured = decibels(convolved(found.signal, request, points), truth)
    assert found.estimate <= measured + 6


@pytest.mark.parametrize("half_size", [0.4, 0.2, 0.13, 0.07])
@pytest.mark.parametrize("phase", [0, 1.6, 3])
def test_a_wave_of_one_coordinate_that_aliases_is_not_taken_for_a_smooth_one(half_size, phase):
    """cos(160 pi x + phase) at budgets that end at any grid: never more than 6 dB too optimistic."""
    points = np.random.default_rng(1).uniform(-1, 1, (100, 1))

    def wave(p):
        return 0.5 + 0.5 * np.cos(160 * np.pi * p + phase)

    truth = integral(wave, half_size, points, [0], FOLDS["clamp"], math.ceil(640 * half_size))
    for evaluations in (100, 300, 700, 1300, 4000):
        source = replace(continuous(wave, dim=1), settings=SamplingSettings((0,), 100.0, evaluations))
        request = SamplingRequest((0,), 1, (half_size,), 0.2, "clamp")
        found = sample(source, request)
        measured = decibels(convolved(found.signal, request, points), truth)
        assert found.estimate <= measured + 6


@pytest.mark.parametrize("phase", [0, 1.6, 3])
def test_what_aliasing_adds_to_the_range_is_no_range_of_the_truth(phase):
    def wave(p):
        return 0.3 * np.sin(3 * p) + 0.5 * np.cos(160 * np.pi * p + phase)

    points, request = np.random.default_rng(1).uniform(-1, 1, (100, 1)), SamplingRequest((0,), 1, (0.2,), 0.2, "clamp")
    truth = integral(wave, 0.2, points, [0], FOLDS["clamp"], 128)
    for evaluations in (100, 300, 700, 1300):
        settings = SamplingSettings((0,), 100.0, evaluations)
        found = sample(replace(continuous(wave, dim=1), settings=settings), request)
        assert found.estimate <= decibels(convolved(found.signal, request, points), truth) + 6
