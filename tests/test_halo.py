"""Sound in windows is filtered as the whole recording is, however far a kernel reaches; or it is refused."""

import numpy as np
import pytest
import soundfile

from kernels import minimal_kernel
from modalities import MODALITIES
from modalities.audio import halo_for
from modalities.windows import Windows
from signals import make_ground_truth
from signals.exact import kernel_convolution

AUDIO = MODALITIES["audio"]
WINDOW, SAMPLES = 64, 700
STEP = 2 / (WINDOW - 1)


@pytest.fixture
def recording(tmp_path):
    """A file of noise, the roughest signal there is, and its samples."""
    samples = np.random.default_rng(5).uniform(-0.9, 0.9, SAMPLES).astype(np.float32)
    soundfile.write(tmp_path / "noise.wav", samples, 8000, subtype="FLOAT")
    return tmp_path / "noise.wav", samples.astype(np.float64)


def filtered(samples: np.ndarray, half_size: float, pad: int = 0) -> np.ndarray:
    """The whole recording, interpolated and smoothed by a tent of `half_size`, in windows with `pad` more samples."""
    fine = (np.arange(-20000, 20000) + 0.5) / 20000 * half_size
    share = (1 - np.abs(fine) / half_size) / 20000
    reach = int(np.ceil(half_size / STEP))
    hats = [np.maximum(0, 1 - np.abs(fine / STEP - offset)) @ share for offset in range(-reach, reach + 1)]
    far = 4 * WINDOW + pad + reach
    line = np.convolve(np.pad(samples, far, mode="edge"), hats, mode="same")
    starts = np.arange(-(-(SAMPLES - 1) // (WINDOW - 1)))[:, None] * (WINDOW - 1)
    return line[far + starts + np.arange(-pad, WINDOW + pad)]


@pytest.mark.parametrize("half_size, margin", [(0.05, 0.9), (0.5, 2), (1, 0.4), (0.1, 0.2)])
def test_ground_truth_of_windows_is_that_of_the_recording(recording, half_size, margin):
    path, samples = recording
    signal = AUDIO.load(path, (margin, half_size), window=WINDOW)
    truth = make_ground_truth(signal, 1, half_size, margin, dtype="float64")
    np.testing.assert_allclose(truth.values[..., 0], filtered(samples, half_size, truth.pads[1]), atol=1e-6)


@pytest.mark.parametrize("half_size", [0.1, 0.9, 2.5])
def test_a_signal_read_again_is_known_as_far_as_a_kernel_reaches(recording, half_size):
    path, samples = recording
    kernel = minimal_kernel(1, half_size, 2, (1,))
    metadata = AUDIO.load(path, window=WINDOW, halo=3).metadata
    signal = AUDIO.load_again(path, metadata, [half_size])
    assert signal.metadata == metadata
    np.testing.assert_allclose(kernel_convolution(signal, kernel)[..., 0], filtered(samples, half_size), atol=1e-6)


def test_a_halo_that_is_too_small_is_refused_by_what_is_required(recording):
    for halo in (0, 36):
        with pytest.raises(ValueError, match=f"noise.wav: --halo {halo} is too small.* give 37 or leave it out"):
            AUDIO.load(recording[0], (0.9, 0.2), window=WINDOW, halo=halo)
    assert AUDIO.load(recording[0], (0.9, 0.2), window=WINDOW, halo=37).halo == (0, 37)


def test_halos_are_half_a_window_or_what_kernels_reach():
    """Lengths add up in whole samples, and interpolation takes one more."""
    windows = Windows(SAMPLES, 41)  # 0.05 apart
    assert halo_for(windows, (), None) == halo_for(windows, (0.95,), None) == 20
    assert halo_for(windows, (0.951,), None) == 21
    assert halo_for(windows, (0.5, 0.51), None) == 1 + 10 + 11
    assert halo_for(windows, (), 0) == 0
    assert halo_for(Windows(41, 41), (3.0,), None) == 0  # nothing is known beyond the only window
    assert halo_for(Windows(41, 41), (3.0,), 5) == 5


def test_windows_are_not_mirrored():
    AUDIO.check_boundary("clamp")
    MODALITIES["image"].check_boundary("reflect")
    with pytest.raises(ValueError, match="use --boundary clamp"):
        AUDIO.check_boundary("reflect")
