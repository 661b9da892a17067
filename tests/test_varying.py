"""Kernels that vary over the signal, against the slow and obvious answer at every point."""

import math

import numpy as np
import pytest
from builders import field_config, noise_signal, random_field

import nfconv
from kernels import minimal_kernel
from models import varying
from models.exact import ExactField, exact_at
from models.filtering import grid_points
from models.varying import Filter, blend_weights, resampled, resampled_angles
from signals import coordinates
from signals.exact import kernel_convolution

TENT, LONG = minimal_kernel(1, 0.2, 2), minimal_kernel(1, [0.05, 0.3], 2)


@pytest.mark.parametrize(
    "chosen, widest, fixed",
    [
        (Filter((LONG,)), 0.3, True),
        (Filter((TENT,), factors=np.array([[[0.5], [2.0]]])), 0.4, False),
        (Filter((TENT, LONG), angles=np.zeros((2, 2, 1))), 0.3, False),
    ],
)
def test_filters_know_their_widest_kernel(chosen, widest, fixed):
    assert chosen.widest.radius.max() == pytest.approx(widest)
    assert chosen.fixed is fixed


@pytest.mark.parametrize("factor", [0.0, -1.0, np.nan, np.inf])
def test_factors_are_positive(factor):
    with pytest.raises(ValueError, match="positive and finite"):
        Filter((TENT,), factors=np.full((2, 2, 1), factor))


@pytest.mark.parametrize("channels", [1, 2])
def test_every_point_has_its_own_size(channels):
    signal, kernel = noise_signal((19, 14), 2), minimal_kernel(1, 0.15, 2)
    factors = 0.5 + np.random.default_rng(1).random((19, 14, channels))
    result = Filter((kernel,), factors=factors).apply(ExactField(signal, 1, 0.5), (19, 14))
    for row, column in [(0, 0), (5, 13), (18, 7)]:
        own = kernel.scaled(np.broadcast_to(factors[row, column], (2,)))
        np.testing.assert_allclose(result[row, column], kernel_convolution(signal, own)[row, column], atol=1e-6)


@pytest.mark.parametrize("factor", [(1.5,), (1.0, 0.5)])
def test_results_of_varying_size_are_checked_at_points_drawn_without_repetition(monkeypatch, factor):
    signal, kernel = noise_signal((19, 14), 2), minimal_kernel(0, 0.3, 2)
    monkeypatch.setattr(varying, "CHECKED_POINTS", 100)
    exact, rows = Filter((kernel,), factors=np.ones((3, 2, 1)) * factor).exact(signal, "reflect")
    truth = kernel_convolution(signal, kernel.scaled(np.broadcast_to(factor, (2,))), "reflect").reshape(-1, 2)[rows]
    np.testing.assert_allclose(exact, truth, atol=1e-9)
    assert len(set(rows)) == 100


def test_exact_answers_without_a_scale_are_the_convolution():
    signal = noise_signal((9, 8), 2)
    found = exact_at(signal, TENT, grid_points((9, 8)), None, "clamp")
    np.testing.assert_allclose(found.reshape(9, 8, 2), kernel_convolution(signal, TENT), atol=1e-9)


def test_one_kernel_is_the_fields_own_filter():
    field, signal = random_field(field_config("separable", 2, 2), shape=(9, 8)), noise_signal((9, 8), 2)
    np.testing.assert_array_equal(Filter((TENT,)).apply(field, (9, 8)), field.filter(TENT))
    exact, rows = Filter((TENT,)).exact(signal, "clamp")
    assert rows is None
    np.testing.assert_array_equal(exact, kernel_convolution(signal, TENT))


def test_blends_are_blends_of_what_their_kernels_give():
    signal, shares = noise_signal((9, 8), 2), []
    chosen = Filter((TENT, LONG), angles=np.full((2, 2, 1), 0.125))
    truth, rows = chosen.exact(signal, "clamp")
    exact = [kernel_convolution(signal, kernel) for kernel in (TENT, LONG)]
    assert rows is None
    share = math.cos(math.radians(22.5)) ** 2
    np.testing.assert_allclose(truth, share * exact[0] + (1 - share) * exact[1], atol=1e-12)
    result = chosen.apply(ExactField(signal, 1, 0.3), (9, 8), shares.append)
    assert result.dtype == np.float32 and shares == [0.5, 1.0]
    np.testing.assert_allclose(result, truth, atol=1e-6)


def test_maps_are_resampled_linearly():
    ramp = np.linspace(0, 1, 5)[:, None, None] * np.ones((5, 3, 1))
    expected = np.broadcast_to(np.linspace(0, 1, 9)[:, None, None], (9, 4, 1))
    np.testing.assert_allclose(resampled(ramp, (9, 4)), expected, atol=1e-12)


def test_angles_are_resampled_by_the_shorter_way():
    # 174.6 and 10.8 degrees: half way lies 2.7 degrees, near 0 and not near 90.
    angles = np.array([0.97, 0.06])[:, None]
    np.testing.assert_allclose(resampled_angles(angles, (3,)), [0.97, 0.015, 0.06], atol=1e-9)


@pytest.mark.parametrize("count", [2, 5, 12])
def test_blends_are_partitions_of_unity_that_wrap_around(count):
    values = np.random.default_rng(2).random((7, 3))
    weights = blend_weights(values, count)
    np.testing.assert_allclose(weights.sum(axis=0), 1.0, atol=1e-12)
    np.testing.assert_allclose(blend_weights(values + 1.0, count), weights, atol=1e-12)
    np.testing.assert_allclose(blend_weights(np.arange(count) / count, count), np.eye(count), atol=1e-12)


@pytest.mark.parametrize("count", [5, 12])
def test_blends_hold_every_wave_of_the_angle_that_so_many_kernels_resolve(count):
    turn, values = 2 * np.pi * np.arange(count) / count, np.random.default_rng(3).random(9)
    for wave in range((count + 1) // 2):
        for f in (np.cos, np.sin):
            np.testing.assert_allclose(
                f(wave * turn) @ blend_weights(values, count), f(2 * np.pi * wave * values), atol=1e-12
            )


def test_a_dozen_gabors_are_all_of_them():
    """Their blend is the kernel at an angle between theirs, to 50 dB."""
    points = np.random.default_rng(4).uniform(-0.3, 0.3, (500, 2))

    def density(angle):
        return nfconv.gabor(sigma=0.08, frequency=6, angle=angle).target(2).density(points)

    found = np.stack([density(15.0 * k) for k in range(12)]).T @ blend_weights(np.array(67.0 / 180), 12)
    assert np.linalg.norm(found - density(67.0)) < 10 ** (-50 / 20) * np.linalg.norm(density(67.0))


def test_grids_of_points_run_over_the_last_axis_first():
    y, x = coordinates(3), coordinates(2)
    assert grid_points((3, 2)).tolist() == [[a, b] for a in y for b in x]
