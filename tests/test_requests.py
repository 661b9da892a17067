"""What a signal has no place for: sizes of axes it lacks, single samples, previews that are no picture."""

import numpy as np
import pytest
import soundfile
import torch
from builders import checkpoint_of, exact_truth, field_config, noise_signal, random_field
from cases import make_case
from programs import call, refused

import eval as eval_program
import mc_utils
import train
from eval import output_shape
from modalities import MODALITIES
from signals.ground_truth import GroundTruth
from training.autodiff import AutodiffObjective
from training.lattice import LatticeTargets

NATIVE = {name: tuple(range(5, 5 + len(entry.axis_names))) for name, entry in MODALITIES.items()}


@pytest.mark.parametrize("name, asked, shape", [("image", {"width": 3, "height": 4, "depth": 1}, (4, 3)),
                                                ("video", {"depth": 9}, (5, 6, 9)), ("audio", {"depth": 9}, (5, 9)),
                                                ("geometry", {"width": 3, "height": 4, "depth": 2}, (3, 4, 2)),
                                                ("motion", {"depth": 9, "width": 1}, (9,))])  # fmt: skip
def test_sizes_are_those_of_the_axes(name, asked, shape):
    assert output_shape(MODALITIES[name], NATIVE[name], asked) == shape


@pytest.mark.parametrize("name, flag", [("image", "depth"), ("audio", "width"), ("audio", "height"),
                                        ("motion", "width"), ("motion", "height")])  # fmt: skip
def test_sizes_of_no_axis_are_refused(name, flag):
    with pytest.raises(ValueError, match=f"--{flag} sizes no axis of {name}"):
        output_shape(MODALITIES[name], NATIVE[name], {flag: 9})


@pytest.mark.parametrize("name, words", [("audio", "--depth 2 or more"), ("geometry", "two or more along each axis")])
def test_one_sample_is_too_few(tmp_path, name, words):
    case = make_case(name, tmp_path)
    signal = case.modality.load(case.path, **case.options)
    field = random_field(field_config("separable", signal.dim, signal.channels, axes=signal.axes))
    checkpoint_of(field, modality=name, shape=signal.shape, meta=dict(signal.meta)).save(tmp_path / "model.pth")
    sizes = dict.fromkeys(("width", "height", "depth"), 1)
    refused(eval_program, tmp_path, words, model_path=tmp_path / "model.pth", save_path=tmp_path / "out", **sizes)


@pytest.mark.parametrize("preview", ["look.mp4", "look.xyz", "look", "look.PNG"])
def test_a_preview_is_a_png(tmp_path, picture, preview):
    flags = {"path": picture, "save_path": tmp_path / "gt.npz", "preview": tmp_path / preview}
    refused(mc_utils, tmp_path, "look.png", **flags)


def test_a_preview_says_ground_truth(tmp_path, picture, monkeypatch):
    said = []
    kind = MODALITIES["image"]
    monkeypatch.setattr(mc_utils, "for_path", lambda path: kind)
    monkeypatch.setattr("modalities.image.write_figure", lambda figure, path: said.extend(
        axes.get_title() for axes in figure.axes))  # fmt: skip
    flags = {"path": picture, "save_path": tmp_path / "gt.npz", "preview": tmp_path / "look.png"}
    assert call(mc_utils, **flags).exit_code == 0
    assert said == ["signal", "ground truth"]


def test_pictures_of_a_run_say_ground_truth(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("modalities.image.write_figure", lambda figure, path: said.extend(
        axes.get_title() for axes in figure.axes))  # fmt: skip
    monkeypatch.setattr(train.iio, "imread", lambda path: np.zeros((2, 2, 4)))
    truth = exact_truth(noise_signal((9, 8)))
    train.drawing(truth, tmp_path)(truth.core, truth.core)
    assert said[:3] == ["ground truth", "filtered by the field", "truth"]


def test_autodiff_knows_a_windows_neighbours(tmp_path):
    samples = np.random.default_rng(1).uniform(-0.9, 0.9, 300).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 8000, subtype="FLOAT")
    made = call(mc_utils, path=tmp_path / "a.wav", save_path=tmp_path / "gt.npz", window=51, half_size=0.1, margin=1.5)
    assert made.exit_code == 0, made.output
    truth = GroundTruth.load(tmp_path / "gt.npz")
    signal = train.load_raw(tmp_path / "a.wav", truth)
    assert (signal.shape, signal.channels) == (truth.shape, truth.channels)
    wide = signal.padded(truth.pads, truth.boundary)[2, :, 0]
    np.testing.assert_array_equal(wide, samples[100 - truth.pads[1] : 151 + truth.pads[1]])
    objective = AutodiffObjective(LatticeTargets(truth, torch.device("cpu")), signal, truth.margin, "clamp", 8, "l2")
    np.testing.assert_array_equal(objective.values[2, :, 0], wide)


def test_a_recording_of_one_sample_keeps_its_rate(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([0.5]), 8000, subtype="FLOAT")
    audio = MODALITIES["audio"]
    signal = audio.load(tmp_path / "a.wav")
    for values in (signal.core, np.repeat(signal.core, 5, axis=1)):
        audio.save(values, tmp_path / str(values.shape), signal.meta)
        found, rate = soundfile.read(tmp_path / str(values.shape) / "output.wav")
        assert rate == 8000
        np.testing.assert_allclose(found, [0.5])
