"""What every modality must do, asked of the whole table with one small signal of each."""

import json

import cv2
import numpy as np
import pytest
from cases import Case, make_case
from matplotlib.text import Text

from modalities import MODALITIES, find, for_path


@pytest.fixture(params=list(MODALITIES))
def case(request, tmp_path) -> Case:
    return make_case(request.param, tmp_path)


def test_names_numbers_and_extensions_find_each_other(case):
    modality = case.modality
    assert find(modality.name) is find(modality.number) is find(str(modality.number)) is modality
    assert for_path(case.path) is modality
    assert all(for_path(f"x{extension.upper()}") is modality for extension in modality.extensions)


def test_seed_numbers_keep_their_meaning():
    numbers = {entry.name: entry.number for entry in MODALITIES.values()}
    assert numbers == {"image": 1, "geometry": 2, "video": 3, "audio": 4, "motion": 5}
    assert find("sound") is find("Audio") is MODALITIES["audio"]


@pytest.mark.parametrize("wrong", ["images2", 0, 6, "", "1.0"])
def test_unknown_modality_is_refused(wrong):
    with pytest.raises(ValueError, match="choose one of image"):
        find(wrong)


def test_folder_is_a_video_and_other_files_are_refused(tmp_path):
    assert for_path(tmp_path).name == "video"
    with pytest.raises(ValueError, match="no modality reads"):
        for_path("notes.txt")


def test_signal_is_as_announced(case):
    signal = case.modality.load(case.path, **case.options)
    assert signal.core.shape == case.shape
    assert signal.values.dtype == np.float32
    assert signal.dim == len(case.modality.axis_names)
    assert signal.axes == case.modality.axes_of(None)
    assert signal.modality == case.modality.name
    assert signal.name == case.path.name
    assert json.loads(json.dumps(dict(signal.meta))) == dict(signal.meta)


def test_saved_files_are_there_and_values_are_untouched(case, tmp_path):
    signal = case.modality.load(case.path, **case.options)
    files = case.modality.save(signal.core, tmp_path / "new" / "folder", signal.meta)
    assert len(files) >= 2
    assert all(path.stat().st_size for path in files)
    assert not list(tmp_path.rglob("*.part"))
    stored = np.load(tmp_path / "new" / "folder" / "output.npy")
    assert stored.dtype == np.float32
    if case.modality.name != "audio":  # windows are joined
        np.testing.assert_array_equal(stored, signal.core)


def test_metrics_know_equal_from_worse(case):
    signal = case.modality.load(case.path, **case.options)
    truth = signal.core
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(truth.shape).astype(np.float32)
    # Metrics of the windows and, with meta, of what they stand for.
    for meta in ({}, {"meta": signal.meta}):
        same = case.modality.metrics(truth, truth, **meta)
        near, far = (case.modality.metrics(truth + size * noise, truth, **meta) for size in (0.001, 0.1))
        assert same["mse"] == 0
        assert all(np.isfinite(value) for value in (*same.values(), *near.values(), *far.values()))
        assert near["mse"] == pytest.approx(1e-6, rel=0.2)
        assert far["mse"] == pytest.approx(1e-2, rel=0.2)
        better = {"psnr", "snr", "ssim", "iou"}
        for name in same:
            if name != "peak":
                order = (far[name], near[name], same[name])
                assert sorted(order, reverse=name not in better) == list(order), name


def test_metrics_refuse_different_grids(case):
    truth = case.modality.load(case.path, **case.options).core
    with pytest.raises(ValueError, match="not on one grid"):
        case.modality.metrics(truth[:-1], truth)


@pytest.mark.parametrize("with_truth", [True, False])
def test_comparison_is_a_picture(case, with_truth, tmp_path):
    signal = case.modality.load(case.path, **case.options)
    path = tmp_path / "comparison.png"
    truth = signal.core if with_truth else None
    case.modality.compare(signal.core, 0.9 * signal.core, truth, path, signal.meta)
    pixels = cv2.imread(str(path))
    assert min(pixels.shape[:2]) > 200
    assert pixels.std() > 5


def test_missing_empty_and_foreign_files_are_one_sentence(case, tmp_path):
    with pytest.raises(FileNotFoundError, match="is not there"):
        case.modality.load(tmp_path / f"missing{case.path.suffix}")
    for data in (b"", b"\x00\x01", b"hello, this is a letter\n" * 40, np.random.default_rng(0).bytes(5000)):
        wrong = tmp_path / f"wrong{case.path.suffix}"
        wrong.write_bytes(data)
        with pytest.raises(ValueError, match=r"wrong\.") as caught:
            case.modality.load(wrong)
        assert "\n" not in str(caught.value)
        assert ";" in str(caught.value)


def test_truncated_files_are_one_sentence(case, tmp_path):
    data = case.path.read_bytes()
    for share in (0.05, 0.3, 0.6):
        cut = tmp_path / f"cut{case.path.suffix}"
        cut.write_bytes(data[: int(share * len(data))])
        with pytest.raises(ValueError, match="cut") as caught:
            case.modality.load(cut, **case.options)
        assert "\n" not in str(caught.value)


def test_unknown_axis_letters_are_refused(case):
    with pytest.raises(ValueError, match="has the axes"):
        case.modality.axes_of("q")
    names, counted = case.modality.axis_names, case.modality.counted
    free = "".join(letter for letter in names if letter not in counted)
    assert case.modality.axes_of(free) == tuple(axis for axis, letter in enumerate(names) if letter in free)
    for letter in counted:
        with pytest.raises(ValueError, match="only numbers"):
            case.modality.axes_of(free + letter)


@pytest.mark.parametrize("captions", [("signal", "filtered by the field"), ("ground truth", "prediction")])
def test_comparison_says_what_it_shows(case, captions, tmp_path, monkeypatch):
    texts: list[str] = []

    def keep(figure, path):
        texts.extend(text.get_text() for text in figure.findobj(Text))

    monkeypatch.setattr(f"modalities.{case.modality.name}.write_figure", keep)
    signal = case.modality.load(case.path, **case.options)
    told = () if captions[0] == "signal" else (captions,)
    case.modality.compare(signal.core, 0.9 * signal.core, None, tmp_path / "comparison.png", signal.meta, *told)
    known = ("signal", "ground truth", "filtered by the field", "prediction")
    assert {words for words in known if any(words in text for text in texts)} == set(captions)
