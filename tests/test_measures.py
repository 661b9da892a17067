"""Measures of agreement against their formulas."""

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from signals.measures import MOST_DECIBELS, decibels, mse, peak, psnr, snr, ssim

TRUTH = np.random.default_rng(1).random((12, 9, 3))


def test_measures_against_their_formulas():
    values = TRUTH + 0.01
    assert mse(values, TRUTH) == pytest.approx(1e-4)
    assert psnr(values, TRUTH) == pytest.approx(40.0)
    assert psnr(4 * values, 4 * TRUTH) == pytest.approx(20 * np.log10(np.ptp(TRUTH) / 0.01))
    assert snr(values, TRUTH) == pytest.approx(10 * np.log10(TRUTH.var(axis=(0, 1)).mean() / 1e-4))
    assert psnr(TRUTH, TRUTH) == snr(TRUTH, TRUTH) == MOST_DECIBELS


def test_constants_have_no_power_of_their_own_so_that_errors_are_related_to_the_peak():
    constant = np.full((50, 2), (0.3, -7.0), np.float32)
    rounded = constant * (1 + np.float32(1e-7) * np.sign(np.arange(50) % 2 - 0.5)[:, None]).astype(np.float32)
    for truth in (np.zeros((50, 2)), constant, rounded):
        assert snr(truth, truth) == MOST_DECIBELS
        values = truth + 1e-3
        assert snr(values, truth) == psnr(values, truth) > 50
    faint = 1e-9 * TRUTH
    assert snr(1.1 * faint, faint) == pytest.approx(snr(1.1 * TRUTH, TRUTH))


def test_mse_in_blocks_is_that_of_the_whole(monkeypatch):
    values = TRUTH.astype(np.float32) + np.linspace(0, 1, 12, dtype=np.float32)[:, None, None]
    monkeypatch.setattr("files.stored.BLOCK", 60)
    assert mse(values, TRUTH) == pytest.approx(float(np.mean((values.astype(float) - TRUTH) ** 2)), rel=1e-12)
    with pytest.raises(ValueError, match="not on one grid"):
        mse(values[:-1], TRUTH)


def test_peak_is_one_within_the_unit_range_and_the_range_beyond():
    assert peak(TRUTH) == peak(np.array([-0.001, 1.001])) == 1.0
    assert peak(np.array([-0.002, 0.5])) == pytest.approx(0.502)
    assert peak(np.array([0.25, 1.5])) == 1.25
    assert peak(np.full(3, 7.0)) == 1.0
    assert peak(4 * TRUTH - 1) == pytest.approx(4 * np.ptp(TRUTH))


def test_decibels_are_finite():
    assert decibels(100.0, 1.0) == pytest.approx(20)
    assert decibels(1.0, 0.0) == decibels(0.0, 0.0) == 300
    assert decibels(0.0, 1.0) == pytest.approx(-300)


def test_ssim_needs_a_window_of_seven_pixels():
    assert ssim(TRUTH, TRUTH) == pytest.approx(1.0)
    assert ssim(TRUTH[::-1], TRUTH) < 0.5
    assert ssim(TRUTH[:7, :7], TRUTH[:7, :7]) == pytest.approx(1.0)
    assert ssim(TRUTH[:6], TRUTH[:6]) is None


@pytest.mark.parametrize("block", [1, 200, 1 << 22])
def test_measures_in_bands_are_those_of_the_whole(monkeypatch, block):
    truth = np.random.default_rng(2).random((40, 31, 3))
    values = truth + 0.1 * np.random.default_rng(3).random(truth.shape)
    monkeypatch.setattr("files.stored.BLOCK", block)
    whole = structural_similarity(truth, values, data_range=1.0, channel_axis=-1)
    assert ssim(values, truth) == pytest.approx(whole, abs=1e-12)
    power = truth.var(axis=(0, 1)).mean()
    assert snr(values, truth) == pytest.approx(10 * np.log10(power / np.mean((values - truth) ** 2)), abs=1e-9)
