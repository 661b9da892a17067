"""Kernels that vary over the signal, against the slow and obvious answer at every point."""

import numpy as np
import pytest

from filtering.maps import depth, flow, fovea
from filtering.varying import blend_weights, exact_varying, filter_varying, resampled
from kernels import minimal_kernel
from models.exact import ExactField
from signals import Signal
from signals.exact import kernel_convolution


def make_signal(shape: tuple[int, ...] = (19, 14)) -> Signal:
    values = np.random.default_rng(0).random((*shape, 2))
    return Signal(values, tuple(range(len(shape))), "image")


def test_a_constant_map_is_the_constant_kernel() -> None:
    signal, kernel = make_signal(), minimal_kernel(1, 0.2, 2)
    exact, rows = exact_varying(signal, kernel, np.full((*signal.shape, 1), 1.5), "clamp")
    truth = kernel_convolution(signal, kernel.scaled(1.5)).reshape(-1, 2)[rows]
    np.testing.assert_allclose(exact, truth, atol=1e-9)


@pytest.mark.parametrize("channels", [1, 2])
def test_every_point_has_its_own_size(channels: int) -> None:
    signal, kernel = make_signal(), minimal_kernel(1, 0.15, 2)
    factors = 0.5 + np.random.default_rng(1).random((*signal.shape, channels))
    field = ExactField(signal, 1, 0.5)
    result = filter_varying(field, kernel, factors, block=1 << 12)
    for row, column in [(0, 0), (5, 13), (18, 7)]:
        own = kernel.scaled(np.broadcast_to(factors[row, column], (2,)))
        np.testing.assert_allclose(result[row, column], kernel_convolution(signal, own)[row, column], atol=1e-6)


def test_maps_are_resampled_linearly() -> None:
    ramp = np.linspace(0, 1, 5)[:, None, None] * np.ones((5, 3, 1))
    expected = np.broadcast_to(np.linspace(0, 1, 9)[:, None, None], (9, 4, 1))
    np.testing.assert_allclose(resampled(ramp, (9, 4)), expected, atol=1e-12)


@pytest.mark.parametrize("count", [2, 5, 12])
def test_blends_are_partitions_of_unity_that_wrap_around(count: int) -> None:
    values = np.random.default_rng(2).random((7, 3))
    weights = blend_weights(values, count)
    np.testing.assert_allclose(weights.sum(axis=0), 1.0, atol=1e-12)
    assert (weights >= 0).all()
    np.testing.assert_allclose(blend_weights(values + 1.0, count), weights, atol=1e-12)


def test_the_fovea_and_the_focus_are_sharp() -> None:
    assert fovea((21, 31), 0.0, 0.0)[10, 15] == pytest.approx(0.0, abs=1e-12)
    assert depth((21, 31), 0.4)[14].max() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("degrees", [0.0, 30.0, 90.0, 135.0])
def test_flow_follows_stripes(degrees: float) -> None:
    y, x = np.mgrid[0:64, 0:64]
    angle = np.radians(degrees)
    # Rows count downwards: along (cos, -sin) in (columns, rows) the stripes do not change.
    stripes = np.sin(0.5 * (np.sin(angle) * x + np.cos(angle) * y))
    found = flow(stripes[..., None])[20:44, 20:44] * 180
    difference = (found - degrees + 90) % 180 - 90
    assert np.abs(difference).max() < 3


def test_the_exact_field_takes_scales_per_axis() -> None:
    signal, kernel = make_signal((11, 9)), minimal_kernel(0, 0.3, 2)
    factors = np.ones((11, 9, 2)) * [1.0, 0.5]
    exact, rows = exact_varying(signal, kernel, factors, "reflect")
    truth = kernel_convolution(signal, kernel.scaled([1.0, 0.5]), "reflect").reshape(-1, 2)[rows]
    np.testing.assert_allclose(exact, truth, atol=1e-9)
