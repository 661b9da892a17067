"""What every modality must do, asked of the whole table with one small signal of each."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from cases import Case, make_case
from matplotlib.text import Text

from modalities import CALLABLES, CAPTIONS, MODALITIES, figure_pixels, find, for_path
from modalities.figures import Comparison
from signals.metadata import Metadata, metadata_entries, parse_metadata

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(params=list(MODALITIES))
def case(request, tmp_path, small_pictures) -> Case:
    return make_case(request.param, tmp_path)


def test_names_numbers_and_extensions_find_each_other(case):
    modality = case.modality
    assert find(modality.name) is find(modality.number) is find(str(modality.number)) is modality
    assert for_path(case.path) is modality
    assert all(for_path(f"x{extension.upper()}") is modality for extension in modality.extensions)


def test_numbers_keep_their_meaning():
    numbers = {entry.name: entry.number for entry in MODALITIES.values()}
    assert numbers == {"image": 1, "geometry": 2, "video": 3, "audio": 4, "motion": 5, "series": 6}
    assert find("field") is find(7) is CALLABLES
    assert find("sound") is find("Audio") is MODALITIES["audio"]
    for wrong in ("images2", 0, 8, "", "1.0"):
        with pytest.raises(ValueError, match="choose one of image"):
            find(wrong)


def test_folder_is_a_video_and_other_files_are_refused(tmp_path):
    assert for_path(tmp_path).name == "video"
    with pytest.raises(ValueError, match=r"no modality reads '\.txt'"):
        for_path("notes.txt")


def test_importing_modalities_loads_no_library_for_files_or_figures():
    slow = "{'torch', 'cv2', 'av', 'trimesh', 'igl', 'OpenEXR', 'matplotlib', 'skimage', 'soundfile', 'PIL'}"
    code = f"import sys, modalities; print(sorted({slow} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_samples_are_shipped_and_trained_with_a_kernel_they_can_hold(case):
    sample = case.modality.sample
    assert (ROOT / "data" / "raw" / sample.folder / sample.raw).is_file()
    assert all(size >= sample.half_size for _, size in sample.filters)
    assert sample.margin >= sample.half_size


def test_signal_is_as_announced_and_loads_again(case):
    signal = case.modality.load(case.path, **case.options)
    assert signal.core.shape == case.shape
    assert signal.values.dtype == np.float32
    assert signal.dim == len(case.modality.axis_names)
    assert signal.axes == case.modality.axes_of(None)
    assert (signal.modality, signal.name) == (case.modality.name, case.path.name)
    entries = json.loads(json.dumps(metadata_entries(signal.metadata)))
    metadata = parse_metadata(signal.modality, entries, signal.shape, signal.channels)
    assert metadata == signal.metadata
    again = case.modality.load_again(case.path, metadata)
    assert again.metadata == metadata
    np.testing.assert_array_equal(again.core, signal.core)


def test_saved_files_are_there_and_values_are_untouched(case, tmp_path):
    signal = case.modality.load(case.path, **case.options)
    files = case.modality.save(signal.core, tmp_path / "new" / "folder", signal.metadata)
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
    noise = np.random.default_rng(0).standard_normal(truth.shape).astype(np.float32)
    same, near, far = (case.modality.metrics(truth + size * noise, truth, signal.metadata) for size in (0, 0.001, 0.1))
    assert all(np.isfinite(value) for measured in (same, near, far) for value in measured.values())
    assert (same["mse"], near["mse"]) == (0, pytest.approx(1e-6, rel=0.2))
    assert far["mse"] == pytest.approx(1e-2, rel=0.2)
    for name in set(same) - {"peak"}:
        order = [far[name], near[name], same[name]]
        assert sorted(order, reverse=name not in {"psnr", "snr", "ssim", "iou"}) == order, name
    if case.modality.name != "audio":  # another number of windows is refused first
        with pytest.raises(ValueError, match="not on one grid"):
            case.modality.metrics(truth[:-1], truth, signal.metadata)


@pytest.mark.parametrize("captions, with_truth", [(CAPTIONS, True), (("ground truth", "prediction"), False)])
def test_figure_is_a_picture_that_says_what_it_shows(case, captions, with_truth, tmp_path):
    signal = case.modality.load(case.path, **case.options)
    shown = (signal.core, 0.9 * signal.core, signal.core if with_truth else None)
    figure = case.modality.draw(Comparison(*shown, captions), signal.metadata)
    texts = [text.get_text() for text in figure.findobj(Text)]
    known = {"signal", "ground truth", "filtered by the field", "prediction"}
    assert {words for words in known if any(text.startswith(words) for text in texts)} == set(captions)
    assert any("error" in text or "true surface" in text for text in texts) == with_truth
    pixels = figure_pixels(figure)
    assert pixels.dtype == np.uint8
    assert pixels.std() > 5
    files = case.modality.save_figure(Comparison(*shown, captions), tmp_path / "comparison.png", signal.metadata)
    assert [file.suffix for file in files] == list(case.modality.figure_suffixes)
    np.testing.assert_array_equal(cv2.imread(str(files[0]))[..., ::-1], pixels)


def test_missing_empty_and_foreign_files_are_one_sentence(case, tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist; check the path"):
        case.modality.load(tmp_path / f"missing{case.path.suffix}")
    for data in (b"", b"\x00\x01", b"hello, this is a letter\n" * 40, np.random.default_rng(0).bytes(5000)):
        wrong = tmp_path / f"wrong{case.path.suffix}"
        wrong.write_bytes(data)
        with pytest.raises(ValueError, match=r"wrong\.") as caught:
            case.modality.load(wrong)
        assert "\n" not in str(caught.value)
        assert ";" in str(caught.value)


def test_truncated_files_are_one_sentence(case, tmp_path):
    if case.modality.name == "series":
        return  # a shorter table is a table
    data = case.path.read_bytes()
    for share in (0.05, 0.3, 0.6):
        cut = tmp_path / f"cut{case.path.suffix}"
        cut.write_bytes(data[: int(share * len(data))])
        with pytest.raises(ValueError, match="cut") as caught:
            case.modality.load(cut, **case.options)
        assert "\n" not in str(caught.value)


def test_axes_are_chosen_by_their_letters(case):
    with pytest.raises(ValueError, match="has the axes"):
        case.modality.axes_of("q")
    names, counted = case.modality.axis_names, case.modality.counted
    free = "".join(letter for letter in names if letter not in counted)
    assert case.modality.axes_of(free) == tuple(axis for axis, letter in enumerate(names) if letter in free)
    assert case.modality.counted_axes == tuple(axis for axis, letter in enumerate(names) if letter in counted)
    for letter in counted:
        with pytest.raises(ValueError, match="only numbers"):
            case.modality.axes_of(free + letter)


def test_options_of_other_loaders_are_refused(case):
    asked = {option.name: None for option in case.modality.options}
    assert case.modality.given(asked | {"other": None}) == {}
    assert case.modality.given(asked | case.options) == case.options
    with pytest.raises(ValueError, match=f"{case.modality.name} has no option --other"):
        case.modality.given({"other": 0})


def test_metadata_of_another_modality_is_refused(case, tmp_path):
    other = find("image" if case.modality.name != "image" else "video").metadata_type()
    with pytest.raises(ValueError, match="does not describe a signal of"):
        case.modality.save(np.zeros(case.shape, np.float32), tmp_path / "out", other)
    if case.modality.name in ("audio", "motion", "series"):
        with pytest.raises(ValueError, match="requires its metadata"):
            case.modality.save(np.zeros(case.shape, np.float32), tmp_path / "out", Metadata())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name, text, axes", [
    ("image", "rows,columns", (0, 1)), ("image", "Y,X", (0, 1)), ("image", "XY", (0, 1)), ("image", "Columns", (1,)),
    ("video", "time", (2,)), ("video", "T, rows", (0, 2)), ("video", "height frames", (0, 2)), ("audio", "TIME", (1,)),
    ("geometry", "Z,x", (0, 2)), ("geometry", "depth", (2,)),
])  # fmt: skip
def test_axes_by_letter_or_name(name, text, axes):
    assert MODALITIES[name].axes_of(text) == axes


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("image", "time", "has the axes y, x"),
        ("geometry", "rows", "has the axes"),
        ("audio", "windows", "only numbers"),
    ],
)
def test_axes_of_others_are_refused(name, text, words):
    with pytest.raises(ValueError, match=words):
        MODALITIES[name].axes_of(text)
