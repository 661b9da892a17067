"""What a file says of its signal: a loader's own facts pass, and what none can have said is one sentence at once."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from builders import checkpoint_of, exact_truth, field_config, noise_signal, random_field
from cases import make_case
from programs import call, refused

import eval as eval_program
import train
from modalities import MODALITIES
from modalities.clips import Cut, write_clip

HUGE, INF, NAN = 10**400, math.inf, math.nan
WRONG = {
    "image": {
        "alpha": [True, 1, None, "x"], "float": [1, "x", []], "linear": [{}], "signed": [True], "size": ["x", INF],
        "released": ["x"],
    },
    "geometry": {
        "centre": [None, {}, "x", "123", HUGE, [1, 2], [1, 2, NAN], [1, 2, HUGE], ["1", "2", "3"], [1e308] * 3],
        "scale": [None, 0, -1, HUGE, INF, NAN, "1", []], "signed": [True],
    },
    "video": {
        "fps": [None, [], 0, -1, HUGE, INF, NAN, 1e300, 1e-300, "25", True],
        "frames": [[], 0, 1e-300, INF, HUGE, 4, 5.0, "5", True], "alpha": [True], "linear": [True],
    },
    "audio": {
        "sample_rate": [None, [], 0, -1, HUGE, INF, NAN, 2**31 - 1, 2**32, 1e300, 8000.0, "8000", True],
        "samples": [None, [], {}, INF, HUGE, 0, 901.0, "900", 892, 1500],
        "window": [None, [], {}, INF, HUGE, 0, 1, 101],
    },
    "motion": {
        "hierarchy": [None, 5, [], "", "x", "HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\nCHANNELS 1 Xposition\n}\n"],
        "offset": [None, 5, {}, "x", [0.0], ["x"] * 15, [None] * 15, [INF] * 15, [HUGE] * 15, [1e300] * 15, "x" * 15],
        "scale": [None, 5, {}, [0.0] * 15, [-1.0] * 15, ["1"] * 15, {str(i): 1.0 for i in range(15)}, [1e300] * 15],
        "frames": [None, [], INF, 0, HUGE, 19, 20.0], "frame_time": [None, 0, -1, HUGE, INF, NAN, 1e300, 1e-300, "x"],
        "encoding": [None, "zip", 5, []],
    },
}  # fmt: skip
NEEDED = {"image": (), "geometry": (), "video": (), "audio": ("sample_rate", "samples", "window"),
          "motion": ("hierarchy", "offset", "scale", "frames", "frame_time")}  # fmt: skip
CHANNELS = {"image": (0, 2, 5), "geometry": (0, 3), "video": (2, 4), "audio": (0, 1 << 20), "motion": (1, 14)}
CUTS = [{"start": INF}, {"start": -1}, {"start": True}, {"start": "1"}, {"height": 1e300}, {"height": HUGE},
        {"fps": INF}, {"path": "/etc/passwd"}, [1], 5, None]  # fmt: skip


@pytest.fixture(scope="module")
def signals(tmp_path_factory):
    """A signal of every modality, as its loader makes it."""
    cases = {name: make_case(name, tmp_path_factory.mktemp(name)) for name in MODALITIES}
    return {name: case.modality.load(case.path, **case.options) for name, case in cases.items()}


def sentence(kind, meta, shape, channels) -> str:
    with pytest.raises(ValueError, match=r"\w") as caught:
        kind.check(meta, shape, channels)
    assert type(caught.value) is ValueError
    text = str(caught.value)
    assert len(text) < 400
    assert "\n" not in text
    return text


@pytest.mark.parametrize("name", list(MODALITIES))
def test_what_loaders_say_is_believed(name, signals):
    kind, signal = MODALITIES[name], signals[name]
    kind.check(signal.meta, signal.shape, signal.channels)
    kind.check(dict(signal.meta) | {"load": {}}, list(signal.shape), signal.channels)
    assert set(signal.meta) == set(kind.facts.__dataclass_fields__)


@pytest.mark.parametrize("meta", [{}, {"released": True}])
@pytest.mark.parametrize("name", list(MODALITIES))
def test_only_some_modalities_need_facts(name, meta, signals):
    kind, signal = MODALITIES[name], signals[name]
    if NEEDED[name]:
        assert f"does not say its {NEEDED[name][0]}" in sentence(kind, meta, signal.shape, signal.channels)
    else:
        kind.check(meta, signal.shape, signal.channels)


@pytest.mark.parametrize("name, key", [(name, key) for name, wrong in WRONG.items() for key in wrong])
def test_facts_no_loader_states_are_one_sentence(name, key, signals):
    signal = signals[name]
    for value in WRONG[name][key]:
        text = sentence(MODALITIES[name], dict(signal.meta) | {key: value}, signal.shape, signal.channels)
        assert f"what the file says of its {name} cannot be" in text


@pytest.mark.parametrize("name", list(MODALITIES))
def test_signals_of_another_form_are_one_sentence(name, signals):
    kind, signal = MODALITIES[name], signals[name]
    for shape in (signal.shape[1:], (*signal.shape, 3)):
        assert "it has the axes" in sentence(kind, signal.meta, shape, signal.channels)
    for channels in CHANNELS[name]:
        assert re.search("channels|number of its values", sentence(kind, signal.meta, signal.shape, channels))
    assert "number of its values" in sentence(kind, signal.meta, (1 << 24,) * signal.dim, 64)
    if name in ("video", "audio", "motion"):
        sentence(kind, signal.meta, tuple(n + 1 for n in signal.shape), signal.channels)


def test_shapes_have_two_samples_along_every_axis():
    assert "two samples or more" in sentence(MODALITIES["geometry"], {}, (1 << 24, 1, 1), 1)


def test_alpha_needs_its_channel():
    for channels in (1, 3):
        assert "must be 4" in sentence(MODALITIES["image"], {"alpha": True}, (9, 9), channels)
    MODALITIES["image"].check({"alpha": True}, (9, 9), 4)


@pytest.mark.parametrize("letter", ["\ud800", "\u2026"])
def test_names_a_file_cannot_hold_are_refused(letter, signals):
    meta = dict(signals["motion"].meta) | {"encoding": "latin-1" if letter == "\u2026" else "utf-8"}
    meta["hierarchy"] = meta["hierarchy"].replace("Knee", letter)
    assert "hierarchy has letters" in sentence(MODALITIES["motion"], meta, (20,), 15)


@pytest.mark.parametrize("name", ["$\\frac$", "$x^$\x00\x1b", "x" * 10_000])
def test_names_are_drawn_as_they_are(tmp_path, name, signals):
    signal = signals["motion"]
    meta = dict(signal.meta) | {"hierarchy": signal.meta["hierarchy"].replace("Hips", name)}
    MODALITIES["motion"].compare(signal.core, signal.core, None, tmp_path / "a.png", meta)
    assert (tmp_path / "a.png").stat().st_size


@pytest.mark.parametrize("told", CUTS)
def test_options_no_command_line_gives_are_refused(told, signals):
    signal = signals["video"]
    with pytest.raises(ValueError, match="which nothing can be"):
        MODALITIES["video"].check(dict(signal.meta) | {"load": told}, signal.shape, signal.channels)


def test_options_of_a_command_line_are_kept():
    told = {"start": 0, "max_frames": 10**12, "height": 20, "fps": 25}
    assert MODALITIES["video"].options_of(told) == told


def test_frames_are_not_scaled_beyond_what_is_decoded():
    with pytest.raises(ValueError, match="lower the height"):
        Cut(height=1 << 50).scale(np.zeros((4, 4, 3), np.uint8))


@pytest.mark.parametrize("rate", [1e-300, 1e-5, 1e10, 1e300])
def test_rates_no_encoder_takes_are_brought_near(tmp_path, rate):
    assert write_clip(tmp_path / "a.mp4", [np.zeros((4, 4, 3), np.uint8)] * 3, rate).stat().st_size


def test_more_samples_a_second_than_a_file_holds_are_refused_with_nothing_written(tmp_path):
    meta = {"sample_rate": 1 << 29, "samples": 2, "window": 2}
    with pytest.raises(ValueError, match="at most the 1073741823 Hz"):
        MODALITIES["audio"].save(np.zeros((1, 9, 1), np.float32), tmp_path, meta)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name, meta", [("image", {"size": "x"}), ("video", {"fps": HUGE}), ("audio", {}),
                                        ("motion", {"scale": {}}), ("geometry", {"scale": 0})])  # fmt: skip
def test_eval_refuses_before_any_work(tmp_path, name, meta, signals, monkeypatch):
    signal = signals[name]
    field = random_field(field_config("separable", signal.dim, signal.channels, axes=signal.axes))
    facts = dict(signal.meta) | meta if meta else {}
    checkpoint_of(field, modality=name, shape=signal.shape, meta=facts).save(tmp_path / "model.pth")
    monkeypatch.setattr(eval_program, "field_for", lambda *_: pytest.fail("it has begun"))
    refused(eval_program, tmp_path, "make it again", model_path=tmp_path / "model.pth", save_path=tmp_path / "out")


@pytest.mark.parametrize("shape, name", [((20,), "image"), ((20,), "video"), ((5, 5, 5), "image")])
def test_train_refuses_before_any_work(tmp_path, shape, name, monkeypatch):
    truth = replace(exact_truth(noise_signal(shape)), modality=name)
    truth.save(tmp_path / "gt.npz")
    monkeypatch.setattr(train, "make_trainer", lambda *_: pytest.fail("it has begun"))
    refused(train, tmp_path, "make it again", monte_carlo=tmp_path / "gt.npz", summary=tmp_path / "logs")


def test_train_takes_a_modality_nobody_knows(tmp_path, monkeypatch):
    replace(exact_truth(noise_signal((20,))), modality="test", meta={"a": 1}).save(tmp_path / "gt.npz")
    reached = []
    monkeypatch.setattr(train, "make_trainer", lambda *_: reached.append(1) or pytest.skip.Exception())
    call(train, monte_carlo=tmp_path / "gt.npz", summary=tmp_path / "logs")
    assert reached
