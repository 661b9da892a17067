"""Signals on grids: where samples lie, what lies beyond them, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import noise_signal

from kernels import minimal_kernel
from models.convolution import convolve_grid
from models.exact import ExactField
from signals import Signal, coordinates, make_ground_truth, spacing
from signals.exact import kernel_convolution
from signals.masks import masked
from signals.metadata import Metadata
from signals.signal import boundary_rules, crop


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


def rolled(boundary: str, axis: int, shift: int, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Results on a shifted signal, and shifted results on the signal, on its own grid."""
    signal = noise_signal((12, 9), 2)
    kernel = minimal_kernel(order, (0.5, 0.7), 2)
    moved = replace(signal, values=np.roll(signal.values, shift, axis))
    return kernel_convolution(moved, kernel, boundary), np.roll(
        kernel_convolution(signal, kernel, boundary), shift, axis
    )


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("boundary, axis", [("periodic", 0), ("periodic", 1), ("clamp,periodic", 1)])
def test_shifting_a_periodic_signal_shifts_the_result(boundary, axis, order):
    """By any number of samples: the first follows the last, which does not repeat it."""
    for shift in (1, 5, -3, 40):
        found, wanted = rolled(boundary, axis, shift, order)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)
    found, wanted = rolled("clamp,periodic", 0, 1, order)
    assert np.abs(found - wanted).max() > 1e-3


def test_ground_truth_of_a_periodic_signal_repeats_in_its_margin_and_monte_carlo_agrees():
    """N samples are a period: values N samples apart are the same, and filtering the exact field agrees at the seam."""
    signal = noise_signal((10, 8), 1)
    truth = make_ground_truth(signal, 1, 0.4, 1.0, "periodic,clamp", dtype="float64")
    np.testing.assert_allclose(truth.values[10:], truth.values[:-10], rtol=0, atol=1e-12)
    rough = make_ground_truth(signal, 1, 0.4, 1.0, "periodic,clamp", "monte_carlo", 400, dtype="float64")
    assert np.abs(rough.values - truth.values).max() < 0.03
    kernel = minimal_kernel(1, (0.6, 0.6), 2)
    field = ExactField(signal, 1, 0.7, "periodic,clamp")
    grid = [torch.as_tensor(coordinates(n)) for n in signal.shape]
    wanted = kernel_convolution(signal, kernel, "periodic,clamp")
    np.testing.assert_allclose(convolve_grid(field, kernel, grid).numpy(), wanted, atol=1e-10)


def test_periods_of_callables_join_their_ends():
    """Both ends of a callable's box are one point: N - 1 samples are its period."""
    signal = Signal(np.arange(4.0)[:, None], (0,), function=len)
    assert signal.padded((3,), "periodic")[:, 0].tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    assert noise_signal((4,)).padded((5,), "periodic")[5:9].tolist() == noise_signal((4,)).values.tolist()
    with pytest.raises(ValueError, match="extend asks a callable"):
        noise_signal((4,)).padded((1,), "extend")
    assert noise_signal((4,), halo=(2,)).padded((1,), "extend").shape == (6, 1)


def test_rules_are_one_or_one_per_filtered_axis():
    assert boundary_rules("reflect", (0, 2), 3) == ("reflect", "clamp", "reflect")
    assert boundary_rules("reflect,periodic", (0, 2), 3) == ("reflect", "clamp", "periodic")
    for wrong in ("wrap", "clamp,clamp,clamp", "", "clamp,"):
        with pytest.raises(ValueError, match="or 2 of them with commas, not"):
            boundary_rules(wrong, (0, 2), 3)


@pytest.mark.parametrize(
    "count, boundary, said",
    [(13, "periodic,clamp", 1), (12, "periodic,clamp", 0), (13, "clamp,periodic", 0), (13, "clamp", 0)],
)
def test_a_closed_loop_that_is_read_as_a_period_is_told_of_once(count, boundary, said, capsys):
    """Twelve samples of a turn, or thirteen with the first once more; the other axis is no loop."""
    angle = (np.arange(count) * (2 * np.pi / 12)).astype(np.float32)
    values = np.stack([np.cos(angle), np.sin(angle)], -1)[:, None] * np.linspace(1, 2, 5)[:, None]
    make_ground_truth(Signal(values, (0, 1), name="turn"), 1, 0.5, 0.1, boundary)
    words = "turn: the last of 13 samples along axis 1 repeats the first, but 13 samples are one period: drop the last"
    assert capsys.readouterr().err.count(words) == said


@pytest.mark.parametrize("hidden, said", [(4, 1), (8, 0)])
def test_a_loop_that_closes_at_zero_is_seen_unless_its_last_sample_is_unknown(hidden, said, capsys):
    wave = np.array([0.0, 1, 2, 1, 0, -1, -2, -1, 0])[:, None]
    signal = masked(Signal(wave, (0,), name="wave", metadata=Metadata()), np.arange(9) != hidden)
    make_ground_truth(signal, 1, 0.5, 0.1, "periodic")
    assert capsys.readouterr().err.count("wave: the last of 9 samples along axis 1 repeats the first") == said


def test_black_borders_are_no_loop(capsys):
    values = np.pad(np.random.default_rng(0).random((8, 1)), ((2, 2), (0, 0)))
    make_ground_truth(Signal(values, (0,)), 1, 0.5, 0.1, "periodic")
    assert "warning" not in capsys.readouterr().err
