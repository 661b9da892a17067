"""Sound: windows that join sample by sample, files that other programs read."""

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import wavfile

from modalities import find
from modalities.audio import LARGEST_RATE, AudioMetadata, joined, spectrogram
from modalities.figures import Comparison
from modalities.windows import Windows

AUDIO = find("audio")


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(2).uniform(-0.9, 0.9, shape).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(samples=st.integers(1, 200), window=st.integers(2, 60), halo=st.integers(0, 70))
def test_windows_hold_their_own_samples_and_their_neighbours(samples, window, halo):
    recording = np.arange(samples, dtype=np.float32)[:, None]
    windows = Windows(samples, window)
    cut = windows.cut(recording, halo)
    assert cut.shape == (windows.count, window + 2 * halo, 1)
    starts = np.arange(windows.count)[:, None] * (window - 1)
    expected = np.clip(starts + np.arange(-halo, window + halo), 0, samples - 1)
    np.testing.assert_array_equal(cut[..., 0], expected)
    core = cut[:, halo : halo + window]
    np.testing.assert_array_equal(windows.join(core), recording)
    assert windows.count == 1 or core[-1, 1, 0] < samples - 1 or samples == (windows.count - 1) * (window - 1) + 2


@pytest.mark.parametrize("finer", [2, 3])
def test_finer_windows_join_into_even_samples(finer):
    windows = Windows(31, 8)
    position = np.arange(windows.count)[:, None] * 7.0 + np.arange(7 * finer + 1) / finer
    joined_positions = windows.join(position[..., None])[:, 0]
    np.testing.assert_allclose(joined_positions, np.arange(30 * finer + 1) / finer)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", [1, 2])
def test_recordings_come_back_in_another_reader(tmp_path, subtype, channels):
    recording = noise(1234, channels)
    soundfile.write(tmp_path / "a.wav", recording, 22050, subtype=subtype)
    signal = AUDIO.load(tmp_path / "a.wav", window=100)
    assert signal.shape == (13, 100)
    assert signal.halo == (0, 50)
    AUDIO.save(signal.core, tmp_path, signal.metadata)
    rate, samples = wavfile.read(tmp_path / "output.wav")
    assert (rate, samples.dtype) == (22050, np.float32)
    np.testing.assert_allclose(
        samples.reshape(-1, channels), recording, atol=1 / 32768 if subtype == "PCM_16" else 1e-6
    )
    np.testing.assert_array_equal(np.load(tmp_path / "output.npy"), samples.reshape(-1, channels))
    again, rate = soundfile.read(tmp_path / "output.wav", always_2d=True)
    assert rate == 22050
    np.testing.assert_array_equal(again, samples.reshape(-1, channels))


@pytest.mark.parametrize(("extension", "error"), [(".flac", 1e-4), (".ogg", 0.2)])
def test_compressed_files_are_read(tmp_path, extension, error):
    tone = 0.5 * np.sin(np.arange(8000) / 8)
    soundfile.write(tmp_path / f"a{extension}", tone, 8000)
    signal = AUDIO.load(tmp_path / f"a{extension}")
    assert signal.metadata == AudioMetadata(8000, 8000, 512)
    assert np.abs(joined(signal.core, signal.metadata)[0][:, 0] - tone).max() < error


def test_loud_values_are_not_clipped(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(100), 8000)
    signal = AUDIO.load(tmp_path / "a.wav", window=0)
    assert signal.shape == (1, 100)
    AUDIO.save(3 * signal.core, tmp_path, signal.metadata)
    assert np.abs(wavfile.read(tmp_path / "output.wav")[1]).max() > 1.5


def test_a_filter_over_windows_is_the_filter_over_the_recording(tmp_path):
    recording = noise(500, 1)
    soundfile.write(tmp_path / "a.wav", recording, 8000, subtype="FLOAT")
    signal = AUDIO.load(tmp_path / "a.wav", window=64, halo=10)
    taps = np.array([0.1, 0.2, 0.4, 0.2, 0.1])
    wide = signal.padded((0, 2), "clamp")[..., 0]
    filtered = np.stack([np.convolve(row, taps, mode="valid") for row in wide])[..., None]
    expected = np.convolve(np.pad(recording[:, 0], 2, mode="edge"), taps, mode="valid")
    np.testing.assert_allclose(joined(filtered, signal.metadata)[0][:, 0], expected, atol=1e-6)


def test_units_of_time():
    time = AudioMetadata(8000, 5000, 401).rulers((13, 401))[1]
    assert 400 / 8000 * time.units["s"] == pytest.approx(2.0)
    assert 100 * time.units["sample"] == pytest.approx(0.5)


def test_metrics_count_each_sample_once():
    metadata = AudioMetadata(8000, 12, 10)
    truth = Windows(12, 10).cut(np.arange(12, dtype=np.float32)[:, None], 0)
    values = truth.copy()
    values[1, 3:] += 100  # only the filling behind the last sample
    assert AUDIO.metrics(values, truth, metadata)["mse"] == 0
    values[1, 2] += 1
    assert AUDIO.metrics(values, truth, metadata)["mse"] == pytest.approx(1 / 12)


def test_arrays_are_recordings():
    signal = AUDIO.from_array(noise(300), sample_rate=8000, window=100, halo=4)
    assert signal.metadata == AudioMetadata(8000, 300, 100)
    assert (signal.shape, signal.halo, signal.axes) == ((4, 100), (0, 4), (1,))
    np.testing.assert_array_equal(joined(signal.core, signal.metadata)[0], noise(300)[:, None])
    whole = AUDIO.from_array(np.array([[-32768, 0], [16384, 1]], np.int16), sample_rate=8000)
    assert whole.core.tolist() == [[[-1.0, 0.0], [0.5, 1 / 32768]]]


def test_every_spectrogram_has_its_own_range():
    """A tone of amplitude a has the power a^2 / 2; a quiet result is not black beside a loud signal."""
    rate, time = 8000, np.arange(16000) / 8000
    tone = np.sin(2 * np.pi * 1000 * time)
    _, frequencies, power = spectrogram(tone, rate)
    assert power.max() == pytest.approx(10 * np.log10(0.5), abs=0.1)
    assert frequencies[power.max(axis=1).argmax()] == pytest.approx(1000, abs=rate / 256)
    signal = AUDIO.from_array(tone, sample_rate=rate, window=0)
    figure = AUDIO.draw(Comparison(signal.core, 0.001 * signal.core, None), signal.metadata)
    meshes = [axes.collections[0] for axes in figure.axes if axes.collections and axes.get_ylabel() == "kHz"]
    loud, quiet = (mesh.get_clim() for mesh in meshes)
    assert np.subtract(loud, quiet) == pytest.approx([60, 60])
    assert loud[1] - loud[0] == 80
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert {"dB, peak -3", "dB, peak -63"} <= set(labels)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 1}, "window must be a whole number from 2"),
        ({"window": -5}, "window must be a whole number from 0"),
        ({"window": "long"}, "not 'long'"),
        ({"halo": -1}, "halo must be a whole number from 0"),
        ({"halo": 10**8, "window": 10}, "choose a smaller halo"),
    ],
)
def test_wrong_options_are_one_sentence(tmp_path, options, message):
    soundfile.write(tmp_path / "a.wav", noise(100), 8000)
    with pytest.raises(ValueError, match=rf"a\.wav: .*{message}"):
        AUDIO.load(tmp_path / "a.wav", **options)


def test_recordings_without_numbers_are_refused(tmp_path):
    for name, samples in (("a.wav", np.full(10, np.nan)), ("b.wav", np.full(10, 1e300))):
        soundfile.write(tmp_path / name, samples, 8000, subtype="DOUBLE")
        with pytest.raises(ValueError, match="NaN, infinite or beyond 32-bit floats; fix the file first"):
            AUDIO.load(tmp_path / name)
    soundfile.write(tmp_path / "c.wav", np.zeros(0), 8000)
    with pytest.raises(ValueError, match="announces 0 samples and has 0"):
        AUDIO.load(tmp_path / "c.wav")


def test_more_samples_a_window_are_a_higher_rate():
    samples, rate = joined(np.array([[[0.0], [0.5], [1.0]]]), AudioMetadata(8000, 2, 2))
    assert (samples[:, 0].tolist(), rate) == ([0.0, 0.5, 1.0], 16000)


def test_one_sample_is_a_recording(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full(1, 0.5), 8000, subtype="FLOAT")
    signal = AUDIO.load(tmp_path / "a.wav")
    assert (signal.shape, signal.metadata) == ((1, 1), AudioMetadata(8000, 1, 1))
    AUDIO.save(signal.core, tmp_path, signal.metadata)
    assert wavfile.read(tmp_path / "output.wav")[0] == 8000


def test_what_a_file_does_not_hold_is_refused_with_nothing_written(tmp_path):
    with pytest.raises(ValueError, match="are not the 2 windows of a recording"):
        AUDIO.save(np.zeros((5, 10, 1)), tmp_path, AudioMetadata(8000, 19, 10))
    with pytest.raises(ValueError, match="at most the 1073741823 Hz"):
        AUDIO.save(np.zeros((1, 9, 1), np.float32), tmp_path, AudioMetadata(LARGEST_RATE, 2, 2))
    with pytest.raises(ValueError, match="a window of one sample has no duration"):
        AUDIO.save(np.zeros((2, 1, 1), np.float32), tmp_path, AudioMetadata(8000, 19, 10))
    assert not list(tmp_path.iterdir())
