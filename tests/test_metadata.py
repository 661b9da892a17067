"""Metadata of files: a loader's own is accepted, what none can have written is one sentence."""

import math
from dataclasses import fields

import pytest
from cases import make_case

from files.inputs import LARGEST_STORED
from modalities import MODALITIES
from signals.metadata import (
    Metadata,
    check_number,
    check_whole_number,
    metadata_entries,
    parse_metadata,
)

HUGE, INF, NAN = 10**400, math.inf, math.nan
WRONG = {
    "image": {"alpha": [True, 1, None, "x"], "float": [1, []], "linear": [{}], "signed": [True], "load": [5, [1]]},
    "geometry": {
        "centre": [None, {}, "123", HUGE, [1, 2], [1, 2, NAN], [1, 2, HUGE], ["1", "2", "3"], [1e308] * 3],
        "scale": [None, 0, -1, HUGE, INF, NAN, "1", []], "resolution": [3, 8.0, "8", {"a": 1}],
    },
    "video": {
        "fps": [None, [], 0, -1, HUGE, INF, NAN, 1e300, 1e-300, "25", True],
        "frames": [[], 0, INF, 4, 5.0, "5", True], "start": [-1, INF, True, "1", None], "height": [1e300, HUGE, 0],
        "max_frames": [0, 1.5], "path": ["/etc/passwd"], "load": [5, None, {"path": "x"}],
    },
    "audio": {
        "sample_rate": [None, [], 0, -1, HUGE, INF, NAN, 2**31 - 1, 2**32, 8000.0, "8000", True],
        "samples": [None, [], {}, INF, HUGE, 0, 901.0, "900", 892, 1500],
        "window": [None, [], {}, INF, HUGE, 0, 1, 101],
    },
    "motion": {
        "hierarchy": [None, 5, [], "", "x", "HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\nCHANNELS 1 Xposition\n}\n"],
        "offset": [None, 5, {}, "x", [0.0], ["x"] * 15, [None] * 15, [INF] * 15, [HUGE] * 15, [1e300] * 15, "x" * 15],
        "scale": [None, 5, {}, [0.0] * 15, [-1.0] * 15, ["1"] * 15, {str(i): 1.0 for i in range(15)}, [1e300] * 15],
        "frames": [None, [], INF, 0, HUGE, 19, 20.0], "frame_time": [None, 0, -1, HUGE, INF, NAN, 1e300, 1e-300, "x"],
        "encoding": [None, "zip", 5, []], "first": [None, 5, "x", [0.0], [INF] * 9],
    },
    "series": {
        "start": [None, NAN, "0"], "step": [0, -1, INF, 1e101], "samples": [29, 31, 30.0, 0],
        "offset": [None, [0.0], [0.0, INF]], "scale": [None, [], [1.0, 0.0], [1.0], [1.0] * 3, 5],
        "columns": [None, "abc", ["a", "b"], ["a", "b", 5]], "delimiter": ["x", None, ""], "scaling": ["row", None],
    },
}  # fmt: skip
CHANNELS = {
    "image": (0, 257), "geometry": (0, 3), "video": (2, 4), "audio": (0, 1 << 20), "motion": (1, 14), "series": (1, 3)
}  # fmt: skip


@pytest.fixture(scope="module")
def signals(tmp_path_factory):
    """A signal of every modality, as its loader makes it."""
    cases = {name: make_case(name, tmp_path_factory.mktemp(name)) for name in MODALITIES}
    return {name: case.modality.load(case.path, **case.options) for name, case in cases.items()}


def refusal(modality, entries, shape, channels) -> str:
    with pytest.raises(
        ValueError, match=f"^invalid metadata of modality '{modality}': .*make the file again"
    ) as caught:
        parse_metadata(modality, entries, shape, channels)
    assert type(caught.value) is ValueError
    text = str(caught.value)
    assert len(text) < 400
    assert "\n" not in text
    return text


def entries_of(signal) -> dict:
    return metadata_entries(signal.metadata)


@pytest.mark.parametrize("name, key", [(name, key) for name, wrong in WRONG.items() for key in wrong])
def test_wrong_entries_are_one_sentence(name, key, signals):
    signal = signals[name]
    for value in WRONG[name][key]:
        text = refusal(name, entries_of(signal) | {key: value}, signal.shape, signal.channels)
        assert key in text or key == "load" or {"alpha": "channels"}.get(key, "the") in text


@pytest.mark.parametrize("name", list(MODALITIES))
def test_metadata_of_other_signals_are_one_sentence(name, signals):
    signal = signals[name]
    for shape in (signal.shape[1:], (*signal.shape, 3)):
        assert "the number of axes must be" in refusal(name, entries_of(signal), shape, signal.channels)
    for channels in CHANNELS[name]:
        assert "the number of" in refusal(name, entries_of(signal), signal.shape, channels)
    assert "the number of values" in refusal(name, entries_of(signal), (1 << 32,) * signal.dim, 64)
    if name in ("video", "audio", "motion", "series"):
        refusal(name, entries_of(signal), tuple(n + 1 for n in signal.shape), signal.channels)


@pytest.mark.parametrize("name", list(MODALITIES))
def test_some_modalities_require_entries(name, signals):
    signal = signals[name]
    required = [entry.name for entry in fields(signal.metadata) if entry.name in WRONG[name]]
    for entries in ({}, {"released": True}):
        if name in ("image", "geometry", "video"):
            assert parse_metadata(name, entries, signal.shape, signal.channels) == type(signal.metadata)()
        else:
            text = refusal(name, entries, signal.shape, signal.channels)
            assert required[0] in text
            assert "missing" in text


def test_options_of_older_files_are_fields():
    entries = {"fps": 10.0, "frames": 4, "load": {"height": 180, "start": 2, "fps": 10.0}, "released": True}
    video = parse_metadata("video", entries, (180, 20, 4), 3)
    assert (video.fps, video.frames, video.height, video.start, video.max_frames) == (10.0, 4, 180, 2, None)
    for load in ({"start": -1}, {"height": "x"}, {"max_frames": 1e300}):
        refusal("video", {"fps": 10.0, "load": load}, (180, 20, 4), 3)
    entries = {"sample_rate": 8000, "samples": 19, "window": 10, "load": {"window": 0, "halo": 3}}
    assert parse_metadata("audio", entries, (2, 10), 1).window == 10
    entries = {"centre": [1, 2, 3], "scale": 2.0, "load": {"resolution": 9}}
    assert metadata_entries(parse_metadata("geometry", entries, (9, 9, 9), 1)) == {
        "centre": (1, 2, 3), "scale": 2.0, "resolution": 9, "unit": ""
    }  # fmt: skip


def test_signals_without_modality_have_no_entries():
    assert parse_metadata("", {}, (3,), 1) == Metadata()
    assert parse_metadata("", {"released": True}, (3, 4, 5), 7) == Metadata()
    with pytest.raises(ValueError, match=r"^invalid metadata: unknown a; make"):
        parse_metadata("", {"a": 1}, (3,), 1)
    with pytest.raises(ValueError, match=r"^invalid metadata: it must be a dictionary, not 5;"):
        parse_metadata("", 5, (3,), 1)


def test_the_largest_signal_is_accepted():
    Metadata().check_signal((LARGEST_STORED,), 1)
    with pytest.raises(ValueError, match="the number of values must be a whole number from 1 to 68719476736"):
        Metadata().check_signal((LARGEST_STORED // 2 + 1,), 2)


def test_shapes_have_two_samples_along_every_axis():
    assert "two samples or more" in refusal("geometry", {}, (2, 2, 1), 1)
    parse_metadata("geometry", {}, (2, 2, 2), 1)


def test_alpha_requires_its_channel():
    for channels in (1, 3):
        assert "the number of channels must be 4 or more" in refusal("image", {"alpha": True}, (9, 9), channels)
    assert parse_metadata("image", {"alpha": True}, (9, 9), 4).alpha


@pytest.mark.parametrize("letter, encoding", [("\ud800", "utf-8"), ("\u2026", "latin-1")])
def test_names_that_an_encoding_lacks_are_refused(letter, encoding, signals):
    entries = entries_of(signals["motion"]) | {"encoding": encoding}
    entries["hierarchy"] = entries["hierarchy"].replace("Knee", letter)
    assert f"hierarchy has letters that {encoding} lacks" in refusal("motion", entries, (20,), 15)


def test_bounds_belong_to_their_range():
    check_number("x", 2, 2, 3)
    check_number("x", 3.0, 2, 3)
    check_whole_number("x", 1)
    check_whole_number("x", 1 << 31)
    for wrong in (2 - 1e-9, 3 + 1e-9, NAN):
        with pytest.raises(ValueError, match=r"^x must be a number from 2 to 3, not "):
            check_number("x", wrong, 2, 3)
    for wrong in (0, (1 << 31) + 1, True, 1.0):
        with pytest.raises(ValueError, match=r"^x must be a whole number from 1 to 2147483648, not "):
            check_whole_number("x", wrong)
