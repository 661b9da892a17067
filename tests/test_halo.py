"""Sound in windows is filtered as the whole recording is, however far a kernel reaches; or it is refused."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
from builders import checkpoint_of, field_config, random_field
from cases import make_case
from programs import call, refused

import mc_utils
from filtering.reference import read_signal
from kernels import minimal_kernel
from modalities import MODALITIES
from signals.exact import kernel_convolution
from signals.ground_truth import GroundTruth

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


@pytest.mark.parametrize("half_size, margin", [(0.05, 0.9), (0.2, 0.9), (0.5, 1), (0.5, 2), (1, 0.4), (0.1, 0.2)])
def test_ground_truth_of_windows_is_that_of_the_recording(tmp_path, recording, half_size, margin):
    path, samples = recording
    flags = {"half_size": half_size, "margin": margin, "window": WINDOW, "dtype": "float64"}
    result = call(mc_utils, path=path, save_path=tmp_path / "gt.npz", **flags)
    assert result.exit_code == 0, result.output
    truth = GroundTruth.load(tmp_path / "gt.npz")
    wanted = filtered(samples, half_size, truth.pads[1])
    np.testing.assert_allclose(truth.values[..., 0], wanted, atol=1e-6)
    assert truth.meta["load"] == {"window": WINDOW}  # whoever reads it again takes what that one needs


@pytest.mark.parametrize("halo", [0, 31, 35])
def test_a_halo_that_is_too_small_is_refused_by_what_is_needed(tmp_path, recording, halo):
    flags = {"path": recording[0], "half_size": 0.2, "margin": 0.9, "window": WINDOW, "save_path": tmp_path / "gt.npz"}
    refused(mc_utils, tmp_path, "give 37 or leave it out", halo=halo, **flags)
    result = call(mc_utils, halo=37, **flags)
    assert result.exit_code == 0, result.output


def checkpoint(**origin):
    config = field_config("separable", 2, 1, axes=(1,))
    return checkpoint_of(random_field(config), **({"modality": "audio", "shape": (12, WINDOW)} | origin))


@pytest.mark.parametrize("half_size", [0.1, 0.9, 2.5])
def test_results_are_measured_against_the_whole_recording(recording, half_size):
    path, samples = recording
    kernel = minimal_kernel(1, half_size, 2, (1,))
    signal = read_signal(path, AUDIO, kernel, checkpoint(meta={"load": {"window": WINDOW}}))
    np.testing.assert_allclose(kernel_convolution(signal, kernel)[..., 0], filtered(samples, half_size), atol=1e-6)


def test_a_halo_that_a_kernel_reaches_beyond_is_refused(recording):
    meta = {"load": {"window": WINDOW, "halo": 10}}
    read_signal(recording[0], AUDIO, minimal_kernel(1, 0.2, 2, (1,)), checkpoint(meta=meta))
    with pytest.raises(ValueError, match=r"--halo 10 is too small.* give 17 or leave it out"):
        read_signal(recording[0], AUDIO, minimal_kernel(1, 0.5, 2, (1,)), checkpoint(meta=meta))


def test_one_window_needs_no_neighbours(tmp_path, recording):
    flags = {"window": 0, "halo": 0, "save_path": tmp_path / "gt.npz"}
    assert call(mc_utils, path=recording[0], **flags).exit_code == 0


@pytest.mark.parametrize("flags, words", [({"boundary": "reflect"}, "--boundary clamp"), ({"axes": "w"}, "--axes"),
                                          ({"axes": "wt"}, "--axes")])  # fmt: skip
def test_windows_are_neither_mirrored_nor_filtered_across(tmp_path, recording, flags, words):
    refused(mc_utils, tmp_path, words, path=recording[0], save_path=tmp_path / "gt.npz", **flags)


@pytest.mark.parametrize("name", list(MODALITIES))
def test_a_signal_is_read_twice_only_for_more_of_it(name, tmp_path):
    case, loads = make_case(name, tmp_path), []
    options = {key: value for key, value in case.options.items() if key != "halo"}

    def load(path, **told):
        loads.append(told)
        return case.modality.load(path, **told)

    counted = replace(case.modality, load=load)
    signal = counted.load_to(case.path, [0.3], **options)
    assert loads == [options]
    far = counted.load_to(case.path, [1.5, 0.5], **options)
    assert len(loads) == 2 + bool(case.modality.halo)
    np.testing.assert_array_equal(far.core, signal.core)


def test_a_halo_is_an_option():
    with pytest.raises(ValueError, match="no load option 'beyond'"):
        replace(AUDIO, halo="beyond")


@pytest.mark.parametrize("released", [False, True])
def test_another_signal_than_the_fields_is_refused(recording, released):
    kernel, other = minimal_kernel(1, 0.1, 2, (1,)), checkpoint(shape=(9, WINDOW), meta={"load": {"window": WINDOW}})
    if released:  # what the authors' fields were trained on is a guess
        other = replace(other, origin=replace(other.origin, meta=dict(other.origin.meta) | {"released": True}))
        assert read_signal(recording[0], AUDIO, kernel, other).shape == (12, WINDOW)
        return
    with pytest.raises(ValueError, match=r"has 12 x 64 samples, the field was trained on 9 x 64"):
        read_signal(recording[0], AUDIO, kernel, other)
