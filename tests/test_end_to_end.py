"""Every modality from a file to a filtered file through the command line: mc_utils.py, train.py, eval.py."""

import json
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import soundfile
import trimesh
from cases import BVH, make_case, smooth
from click.testing import CliRunner, Result
from scipy.io import wavfile

import eval as eval_program
import mc_utils
import train
from kernels.minimal import bspline
from modalities import MODALITIES, find, for_path
from modalities.clips import write_clip
from modalities.render import render
from signals.ground_truth import GroundTruth
from signals.signal import coordinates, spacing

# Half size and margin of the training kernel on the small signal of each modality, in domain units.
SIZES = {"image": (0.3, 0.3), "geometry": (0.3, 0.3), "video": (0.6, 0.3), "audio": (0.1, 0.2), "motion": (0.3, 0.3)}
NODES = 4001


def ask(program, *arguments: object) -> Result:
    """Run one of the programs in this process; what it raises beside exits fails the test."""
    result = CliRunner().invoke(program.main, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    return result


def asked(program, *arguments: object) -> Result:
    """Run one of the programs, which must succeed."""
    result = ask(program, *arguments)
    assert result.exit_code == 0, result.output
    return result


@dataclass(frozen=True)
class Passage:
    """The files of one passage through the three programs."""

    signal: Path
    truth: Path
    model: Path
    results: Path

    @property
    def metrics(self) -> dict:
        return json.loads((self.results / "metrics.json").read_text())["whole"]


@pytest.fixture(scope="module", autouse=True)
def small_pictures():
    """Rendered shapes of a few pixels: each full one takes a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("modalities.geometry.render", lambda grid, camera=None: render(grid, camera, size=40))
        yield


def flags(options: dict) -> list[str]:
    return [part for name, value in options.items() for part in (f"--{name}", str(value))]


def make_truth(signal: Path, folder: Path, options: dict, order: int = 1) -> Path:
    half_size, margin = SIZES[for_path(signal).name]
    truth = folder / "truth.npz"
    asked(mc_utils, "--path", signal, "--save_path", truth, "--order", order, "--half_size", half_size,
          "--margin", margin, *flags(options))  # fmt: skip
    return truth


def passage(signal: Path, folder: Path, options: dict | None = None) -> Passage:
    """Ground truth, a tiny field, and the signal filtered by the training kernel, measured against the raw file."""
    truth = make_truth(signal, folder, options or {})
    asked(train, "--monte_carlo", truth, "--summary", folder / "runs", "--experiment_name", "run",
          "--num_channels", 48, "--num_steps", 40, "--core_size", 30_000)  # fmt: skip
    half_size, _ = SIZES[for_path(signal).name]
    model, results = folder / "runs" / "run" / "model_final.pth", folder / "results"
    asked(eval_program, "--model_path", model, "--kernel_scale", 1 / half_size, "--save_path", results,
          "--signal", signal)  # fmt: skip
    return Passage(signal, truth, model, results)


@pytest.fixture(scope="module", params=list(MODALITIES))
def travelled(request, tmp_path_factory) -> Passage:
    folder = tmp_path_factory.mktemp(request.param)
    case = make_case(request.param, folder)
    return passage(case.path, folder, case.options)


def average(values: np.ndarray, pad: int, samples: int, known: int, order: int, half_size: float) -> np.ndarray:
    """Along the first axis: the mean of f(x - t) under the B-spline, by midpoint sums over `NODES` values of t.

    `values` has `known` samples beyond [-1, 1] on either side, the result `pad`.
    """
    t = half_size * (np.arange(NODES) + 0.5 - NODES / 2) * 2 / NODES
    density = bspline(order, half_size)(t)
    x = coordinates(samples, known)
    matrix = np.zeros((samples + 2 * pad, len(x)))
    for row, centre in zip(matrix, coordinates(samples, pad), strict=True):
        place = (centre - t - x[0]) / spacing(samples)
        low = np.clip(np.floor(place).astype(int), 0, len(x) - 2)
        row += np.bincount(low, density * (1 - place + low), len(x)) + np.bincount(
            low + 1, density * (place - low), len(x)
        )
    return np.tensordot(matrix / density.sum(), values, axes=1)


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("name", list(MODALITIES))
def test_ground_truth_is_the_integral(name, order, tmp_path):
    case = make_case(name, tmp_path)
    truth = GroundTruth.load(make_truth(case.path, tmp_path, case.options, order))
    signal = case.modality.load(case.path, **case.options)
    known = [
        p + int(np.ceil(truth.half_size / spacing(n))) + 1 if p else 0
        for p, n in zip(truth.pads, truth.shape, strict=True)
    ]
    values = signal.padded(known, truth.boundary).astype(np.float64)
    for axis in signal.axes:
        shape = (truth.pads[axis], truth.shape[axis], known[axis], order, truth.half_size)
        values = np.moveaxis(average(np.moveaxis(values, axis, 0), *shape), 0, axis)
    np.testing.assert_allclose(truth.values, values, atol=2e-4 * np.ptp(values))


def test_tiny_field_filters_well(travelled):
    kind = for_path(travelled.signal)
    assert json.loads((travelled.results / "metrics.json").read_text())["shape"][:-1] == list(
        GroundTruth.load(travelled.truth).shape
    )
    quality = travelled.metrics.get("snr", travelled.metrics["mse"] and -10 * np.log10(travelled.metrics["mse"]))
    assert quality > 25, (kind.name, travelled.metrics)
    assert cv2.imread(str(travelled.results / "comparison.png")).std() > 5


def test_written_signal_is_the_filtered_one(travelled):
    """What was written, read again by the modality itself, is the truth but for the quality of field and file."""
    kind, truth = for_path(travelled.signal), GroundTruth.load(travelled.truth)
    stored = np.load(travelled.results / "output.npy")
    if kind.name != "audio":  # windows are joined
        assert stored.shape == truth.core.shape
        assert np.square(stored - truth.core).mean() < 0.01 * truth.core.var()


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


OPENERS = {"image": open_image, "geometry": open_geometry, "video": open_video, "audio": open_audio,
           "motion": open_motion}  # fmt: skip


def test_results_open_in_other_readers(travelled):
    OPENERS[for_path(travelled.signal).name](travelled.results, GroundTruth.load(travelled.truth))


def test_kernels_beyond_the_margin_are_refused(travelled, tmp_path):
    result = ask(eval_program, "--model_path", travelled.model, "--kernel_scale", 0.3, "--save_path", tmp_path / "no")
    assert result.exit_code == 1
    assert "--margin" in result.output
    assert not (tmp_path / "no").exists()


def holed(folder: Path) -> tuple[Path, dict]:
    ball = trimesh.creation.icosphere(subdivisions=2)
    ball.update_faces(ball.triangles_center[:, 2] < 0.8)
    assert not ball.is_watertight
    ball.export(folder / "holed.ply")
    return folder / "holed.ply", {"resolution": 16}


def non_manifold(folder: Path) -> tuple[Path, dict]:
    box = trimesh.creation.box()
    fin = np.array([[0.5, 0.5, 0.5], [0.5, 0.5, -0.5], [0.9, 0.9, 0.0]])
    faces = np.concatenate([box.faces, [[8, 9, 10]], box.faces[:1]])
    trimesh.Trimesh(np.concatenate([box.vertices, fin]), faces, process=False).export(folder / "fin.obj")
    return folder / "fin.obj", {"resolution": 16}


def odd_frames(folder: Path) -> tuple[Path, dict]:
    (folder / "odd").mkdir()
    for number, frame in enumerate(np.moveaxis((255 * smooth(15, 23, 4)).astype(np.uint8), -1, 0)):
        cv2.imwrite(str(folder / "odd" / f"{number}.png"), frame)
    return folder / "odd", {"fps": 10}


def one_frame(folder: Path) -> tuple[Path, dict]:
    return write_clip(folder / "one.mp4", [(255 * smooth(16, 24, 3)).astype(np.uint8)], 25), {}


def short_sound(folder: Path) -> tuple[Path, dict]:
    soundfile.write(folder / "short.wav", smooth(70, 1) - 0.5, 8000)
    return folder / "short.wav", {}


def one_joint(folder: Path) -> tuple[Path, dict]:
    joint = "ROOT A\n{\nOFFSET 0 0 0\nCHANNELS 3 Zrotation Yrotation Xrotation\nEnd Site\n{\nOFFSET 0 1 0\n}\n}\n"
    rows = "\n".join(" ".join(f"{value:.4f}" for value in row) for row in 360 * smooth(30, 3) - 180)
    (folder / "one.bvh").write_text(f"HIERARCHY\n{joint}MOTION\nFrames: 30\nFrame Time: 0.02\n{rows}\n")
    return folder / "one.bvh", {}


@pytest.mark.parametrize("make", [holed, non_manifold, odd_frames, one_frame, short_sound, one_joint])
def test_odd_signals_go_all_the_way(make, tmp_path):
    signal, options = make(tmp_path)
    path = passage(signal, tmp_path, options)
    assert path.metrics["mse"] < 0.01
    assert all(file.stat().st_size for file in path.results.rglob("*") if file.is_file())


def test_only_float64_or_separable_fields_hold_two_differences_in_three_axes(tmp_path):
    case = make_case("geometry", tmp_path)
    truth = tmp_path / "truth.npz"
    asked(
        mc_utils, "--path", case.path, "--save_path", truth, "--half_size", 0.05, "--margin", 0.1, *flags(case.options)
    )
    for field in ("siren", "mlp"):
        run = ("--experiment_name", field, "--summary", tmp_path / "runs")
        result = ask(train, "--monte_carlo", truth, "--field", field, "--num_steps", 5, "--num_channels", 32, *run)
        assert result.exit_code == 1
        assert "float32 cannot hold 2 differences" in result.output
        assert not (tmp_path / "runs" / field / "model_final.pth").exists()


@pytest.mark.parametrize("name", list(MODALITIES))
def test_a_field_of_one_modality_is_not_taken_for_another(name, travelled, tmp_path):
    own = for_path(travelled.signal).name
    arguments = ("--model_path", travelled.model, "--modality", name, "--kernel_scale", 1 / SIZES[own][0])
    result = ask(eval_program, *arguments, "--save_path", tmp_path / "results", "--width", 8, "--height", 8)
    assert result.exit_code == (0 if name == own else 1), result.output
    assert find(name).name == own or f"a field of {own}" in result.output
