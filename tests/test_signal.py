"""Signals on grids: where samples lie, what lies beyond them, and what is refused."""

import numpy as np
import pytest
from builders import noise_signal

from signals import Signal, coordinates, spacing
from signals.signal import crop


@pytest.mark.parametrize("count, pad", [(1, 0), (2, 0), (5, 3), (64, 7)])
def test_samples_include_both_ends_and_stay_evenly_spaced(count, pad):
    x = coordinates(count, pad)
    assert len(x) == count + 2 * pad
    assert x[pad] == -1
    np.testing.assert_allclose(np.diff(x), spacing(count))
    if count > 1:
        assert x[-1 - pad] == pytest.approx(1)


def test_padding_takes_the_halo_before_the_boundary_rule():
    values = np.arange(7.0)[:, None]
    signal = Signal(values, (0,), "audio", halo=(2,))
    assert signal.shape == (3,)
    np.testing.assert_array_equal(signal.core[:, 0], [2, 3, 4])
    np.testing.assert_array_equal(signal.padded([1], "clamp")[:, 0], [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(signal.padded([3], "clamp")[:, 0], [0, 0, 1, 2, 3, 4, 5, 6, 6])
    np.testing.assert_array_equal(signal.padded([4], "reflect")[:, 0], [2, 1, 0, 1, 2, 3, 4, 5, 6, 5, 4])


def test_cropping_undoes_padding():
    signal = noise_signal((4, 5), 3)
    np.testing.assert_array_equal(crop(signal.padded([2, 1], "reflect"), [2, 1]), signal.values)


@pytest.mark.parametrize(
    "values, axes, halo, words",
    [
        (np.zeros((0, 3)), (0,), (), "empty"),
        (np.zeros(4), (0,), (), "empty"),
        (np.zeros((4, 0)), (0,), (), "empty"),
        (np.zeros((4, 1), int), (0,), (), "floating-point"),
        (np.array([[0.0], [np.nan]]), (0,), (), "NaN"),
        (np.array([[0.0], [np.inf]]), (0,), (), "NaN or infinite"),
        (np.zeros((4, 4, 1)), (), (), "axes"),
        (np.zeros((4, 4, 1)), (1, 0), (), "axes"),
        (np.zeros((4, 4, 1)), (0, 2), (), "axes"),
        (np.zeros((4, 4, 1)), (-1,), (), "axes"),
        (np.zeros((4, 1)), (0,), (2,), "halo"),
        (np.zeros((4, 1)), (0,), (1, 1), "halo"),
        (np.zeros((4, 1)), (0,), (-1,), "halo"),
    ],
)
def test_what_is_no_signal_is_refused(values, axes, halo, words):
    with pytest.raises(ValueError, match=words):
        Signal(values, axes, "image", halo=halo)
