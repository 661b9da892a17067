"""Every modality from a file to a filtered file through the command line: mc_utils.py, train.py, eval.py."""

import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import trimesh
from cases import BVH, make_case
from passages import NETWORKS, SIZES, SPLINES, Passage, ask, passage
from scipy.interpolate import RegularGridInterpolator
from scipy.io import wavfile

import eval as eval_program
from modalities import MODALITIES, find, for_path
from modalities.audio import joined
from signals import coordinates
from signals.ground_truth import GroundTruth


@pytest.fixture(scope="module", params=list(MODALITIES))
def travelled(request, tmp_path_factory, small_pictures) -> Passage:
    folder = tmp_path_factory.mktemp(request.param)
    case = make_case(request.param, folder)
    return passage(case.path, folder, case.options, NETWORKS if request.param in ("image", "geometry") else SPLINES)


def test_tiny_field_filters_well(travelled):
    kind = for_path(travelled.signal)
    assert json.loads((travelled.results / "metrics.json").read_text())["shape"][:-1] == list(
        GroundTruth.load(travelled.truth).shape
    )
    quality = travelled.metrics.get("snr", travelled.metrics["mse"] and -10 * np.log10(travelled.metrics["mse"]))
    assert quality > 25, (kind.name, travelled.metrics)
    assert cv2.imread(str(travelled.results / "comparison.png")).std() > 5


def near(found: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether values are the wanted ones to within a tenth of how far those spread."""
    return found.shape == wanted.shape and np.square(found - wanted).mean() < 0.01 * wanted.var()


def image_again(results: Path, stored: np.ndarray, truth: GroundTruth) -> None:
    shown = find("image").load(results / "output.png").values
    np.testing.assert_allclose(shown, np.clip(stored, 0, 1), atol=0.51 / 255)
    assert near(shown, truth.core)


def geometry_again(results: Path, stored: np.ndarray, truth: GroundTruth) -> None:
    """The mesh has its own frame: distances to it have the signs of the stored ones at the same places in space."""
    mesh, scale = find("geometry").load(results / "mesh.ply", resolution=16), truth.metadata.scale
    places = [
        (centre + mesh.metadata.scale * coordinates(16) - before) / scale
        for centre, before in zip(mesh.metadata.centre, truth.metadata.centre, strict=True)
    ]
    points = np.stack(np.meshgrid(*places, indexing="ij"), axis=-1)
    distances = mesh.values * mesh.metadata.scale / scale
    for values, apart in ((stored, 0.01), (truth.core, 0.05)):
        wanted = RegularGridInterpolator([coordinates(n) for n in truth.shape], values)(points)
        beyond = np.abs(distances) > apart
        np.testing.assert_array_equal(distances[beyond] < 0, wanted[beyond] < 0)


def video_again(results: Path, stored: np.ndarray, truth: GroundTruth) -> None:
    shown = find("video").load(results / "frames").values
    np.testing.assert_allclose(shown, np.clip(stored, 0, 1), atol=0.51 / 255)
    clip = find("video").load(results / "output.mp4").values
    assert np.abs(clip - shown).max() < 0.1  # lossy
    assert near(shown, truth.core) and near(clip, truth.core)


def audio_again(results: Path, stored: np.ndarray, truth: GroundTruth) -> None:
    """Cut into windows again, and so compared without the code that joined them."""
    recording = find("audio").load(results / "output.wav", window=0)
    np.testing.assert_array_equal(recording.core[0], stored)
    windows = find("audio").load(results / "output.wav", window=truth.metadata.window).core
    place = np.arange(len(windows))[:, None] * (truth.metadata.window - 1) + np.arange(truth.metadata.window)
    known = place < truth.metadata.samples  # the last window is filled up
    assert near(windows[known], truth.core[known])


def motion_again(results: Path, stored: np.ndarray, truth: GroundTruth) -> None:
    """A file has offsets and sizes of its own, and rotations where the stored columns are near some."""
    motion = find("motion").load(results / "output.bvh")
    values = (motion.metadata.numbers(motion.values) - truth.metadata.offset) / truth.metadata.scale
    np.testing.assert_allclose(values[:, :3], stored[:, :3], atol=1e-5)
    assert near(values[:, :3], truth.core[:, :3])
    assert find("motion").metrics(values, stored, truth.metadata)["angle_error_max"] < 1e-4
    assert find("motion").metrics(values, truth.core, truth.metadata)["angle_error"] < 2


def series_again(results: Path, stored: np.ndarray, truth: GroundTruth) -> None:
    """A file has offsets and sizes of its own."""
    table = find("series").load(results / "output.csv")
    values = (table.metadata.original(table.values) - truth.metadata.offset) / truth.metadata.scale
    np.testing.assert_allclose(values, stored, atol=1e-5)
    assert near(values, truth.core)


AGAIN = {"image": image_again, "geometry": geometry_again, "video": video_again, "audio": audio_again,
         "motion": motion_again, "series": series_again}  # fmt: skip


def test_written_signal_is_the_filtered_one(travelled):
    """What was written, read again by the modality itself, is the truth but for the quality of field and file."""
    kind, truth = for_path(travelled.signal), GroundTruth.load(travelled.truth)
    stored = np.load(travelled.results / "output.npy")
    assert near(stored, joined(truth.core, truth.metadata)[0] if kind.name == "audio" else truth.core)
    AGAIN[kind.name](travelled.results, stored, truth)


def open_image(results: Path, truth: GroundTruth) -> None:
    assert cv2.imread(str(results / "output.png")).shape == truth.core.shape


def open_geometry(results: Path, truth: GroundTruth) -> None:
    mesh = trimesh.load(results / "mesh.ply")
    assert mesh.is_watertight
    assert mesh.volume > 0
    # The ball of radius 3 about (10, 0, 0), in its own units.
    np.testing.assert_allclose(mesh.bounds, [[7, -3, -3], [13, 3, 3]], atol=0.5)


def open_video(results: Path, truth: GroundTruth) -> None:
    with av.open(str(results / "output.mp4")) as clip:
        (stream,) = clip.streams.video
        assert float(stream.average_rate) == pytest.approx(12.5)
        assert sum(1 for _ in clip.decode(video=0)) == truth.shape[2]
    assert len(list((results / "frames").glob("*.png"))) == truth.shape[2]


def open_audio(results: Path, truth: GroundTruth) -> None:
    rate, samples = wavfile.read(results / "output.wav")
    assert rate == 8000
    assert samples.shape == (900, 2)


def open_motion(results: Path, truth: GroundTruth) -> None:
    text = (results / "output.bvh").read_text()
    hierarchy, motion = text.split("MOTION")
    assert hierarchy.split() == BVH.split()
    lines = motion.strip().splitlines()
    assert lines[0].split() == ["Frames:", "20"]
    assert float(lines[1].split(":")[1]) == pytest.approx(0.01)
    assert np.loadtxt(lines[2:]).shape == (20, 9)


def open_series(results: Path, truth: GroundTruth) -> None:
    table = np.loadtxt(results / "output.csv", delimiter=";", skiprows=1)
    assert (results / "output.csv").read_text().splitlines()[0] == "time;left;right"
    np.testing.assert_allclose(table[:, 0], 0.5 * np.arange(30), atol=1e-9)
    assert table.shape == (30, 3) and -5 < table[:, 1:].min() < table[:, 1:].max() < 15


OPENERS = {"image": open_image, "geometry": open_geometry, "video": open_video, "audio": open_audio,
           "motion": open_motion, "series": open_series}  # fmt: skip


def test_results_open_in_other_readers(travelled):
    OPENERS[for_path(travelled.signal).name](travelled.results, GroundTruth.load(travelled.truth))


def test_kernels_beyond_the_margin_are_refused(travelled, tmp_path):
    result = ask(eval_program, "--model_path", travelled.model, "--kernel_scale", 0.3, "--save_path", tmp_path / "no")
    assert result.exit_code == 1
    assert "--margin" in result.output
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("name", list(MODALITIES))
def test_a_field_of_one_modality_is_not_taken_for_another(name, travelled, tmp_path):
    own = for_path(travelled.signal).name
    arguments = ("--model_path", travelled.model, "--modality", name, "--kernel_scale", 1 / SIZES[own][0])
    result = ask(eval_program, *arguments, "--save_path", tmp_path / "results")
    assert result.exit_code == (0 if name == own else 1), result.output
    assert find(name).name == own or f"a field of {own}" in result.output
