"""mc_utils.py as it is called: the flags people know, and one sentence for what is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from programs import call, refused

import mc_utils
from modalities import find
from signals import make_ground_truth
from signals.exact import minimal_convolution
from signals.ground_truth import GroundTruth
from signals.monte_carlo import SAMPLERS
from signals.signal import Signal
from utils import load_montecarlo_gt


def made(folder: Path, **flags) -> GroundTruth:
    """The ground truth that the program writes to `folder`, which must be a file of its own."""
    before = set(folder.rglob("*.npz"))
    result = call(mc_utils, save_path=folder, **flags)
    assert result.exit_code == 0, result.output
    (file,) = set(folder.rglob("*.npz")) - before
    assert str(file) in result.output
    return GroundTruth.load(file)


def test_ground_truth_is_exact_unless_asked_otherwise(tmp_path, picture):
    truth = made(tmp_path / "gts", path=picture, half_size=0.3, order=0)
    assert [file.name for file in (tmp_path / "gts").iterdir()] == ["picture_order_0_0.3_exact.npz"]
    assert (truth.order, truth.half_size, truth.shape, truth.channels) == (0, (0.3, 0.3), (10, 14), 3)
    assert (truth.method, truth.samples, truth.modality, truth.source) == ("exact", 0, "image", "picture.png")
    values = iio.imread(picture).astype(np.float32) / 255
    exact = minimal_convolution(Signal(values, (0, 1), "image"), 0, [0.3, 0.3])
    np.testing.assert_allclose(load_montecarlo_gt(tmp_path / "gts/picture_order_0_0.3_exact.npz"), exact, atol=1e-6)


def test_a_number_of_samples_means_monte_carlo(tmp_path, picture):
    truth = made(tmp_path, path=picture, sample_number=50, half_size=0.2, seed=5)
    assert (truth.method, truth.samples, truth.seed) == ("monte_carlo", 50, 5)
    assert (tmp_path / "picture_order_1_0.2_samples_50.npz").exists()
    exact = made(tmp_path, path=picture, sample_number=50, half_size=0.2, method="exact")
    assert (exact.method, exact.samples) == ("exact", 0)
    assert 1e-4 < np.abs(exact.values - truth.values).max() < 0.3
    assert made(tmp_path, path=picture, method="monte_carlo", half_size=0.3).samples == 100


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_monte_carlo_is_drawn_as_asked(tmp_path, picture, sampler):
    flags = {"sample_number": 4, "sampler": sampler, "dtype": "float64", "half_size": 0.2, "boundary": "reflect"}
    truth = made(tmp_path, path=picture, **flags)
    signal = find("image").load(picture)
    wanted = make_ground_truth(signal, 1, 0.2, 0.4, "reflect", "monte_carlo", 4, sampler=sampler, dtype="float64")
    np.testing.assert_array_equal(truth.values, wanted.values)
    assert truth.boundary == "reflect" and truth.values.dtype == np.float64


def test_margin_axes_and_preview(tmp_path, picture):
    flags = {"margin": 0.7, "axes": "x", "preview": tmp_path / "look" / "preview.png", "save_path": tmp_path / "gt.npz"}
    result = call(mc_utils, path=picture, half_size=0.2, **flags)
    assert result.exit_code == 0, result.output
    truth = GroundTruth.load(tmp_path / "gt.npz")
    assert truth.axes == (1,) and truth.pads[0] == 0 and truth.margin >= 0.7
    assert iio.imread(tmp_path / "look" / "preview.png").ndim == 3


def test_a_preview_shows_the_signal_and_its_ground_truth(tmp_path, picture, monkeypatch):
    titles = []
    monkeypatch.setattr("modalities.modality.write_figure", lambda figure, path: titles.extend(
        axes.get_title() for axes in figure.axes))  # fmt: skip
    made(tmp_path, path=picture, half_size=0.2, preview=tmp_path / "look.png")
    assert titles == ["signal", "ground truth"]


@pytest.mark.parametrize("half_size, warned", [(0.2, False), (0.15, True)])
def test_kernels_finer_than_the_samples_get_a_warning(tmp_path, picture, half_size, warned):
    # 10 rows are 0.22 apart, 14 columns 0.15.
    flags = {"path": picture, "save_path": tmp_path / "gt.npz", "axes": "x" if half_size == 0.2 else "yx"}
    result = call(mc_utils, half_size=half_size, **flags)
    assert result.exit_code == 0
    assert ("warning: the samples are 0.222 apart" in result.output) == warned


def test_the_program_starts_without_pytorch():
    code = "import sys, mc_utils; assert not {'torch', 'cv2', 'av', 'matplotlib', 'trimesh'} & set(sys.modules)"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=Path(mc_utils.__file__).parent, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")


MC_MISTAKES = {
    "missing file": ("none.png", {"path": "none.png"}),
    "not an image": ("text.png", {"path": "text.png"}),
    "empty image": ("empty.png", {"path": "empty.png"}),
    "NaN pixels": ("NaN", {"path": "nan.tiff"}),
    "unknown extension": ("no modality", {"path": "notes.xyz"}),
    "order -1": ("--order", {"order": -1}),
    "order 9": ("--order", {"order": 9}),
    "half size 0": ("--half_size", {"half_size": 0}),
    "half size nan": ("--half_size", {"half_size": "nan"}),
    "half size 1.1": ("--half_size", {"half_size": 1.1}),
    "margin -1": ("margin", {"margin": -1}),
    "margin 4.1": ("margin", {"margin": 4.1}),
    "preview that is no PNG": ("look.png", {"preview": "look.mp4"}),
    "preview in capitals": ("look.png", {"preview": "look.PNG"}),
    "existing preview": ("exists", {"preview": "old.png"}),
    "no samples": ("--sample_number", {"sample_number": 0}),
    "seed -1": ("--seed", {"seed": -1, "method": "monte_carlo"}),
    "boundary": ("--boundary", {"boundary": "wrap"}),
    "method": ("--method", {"method": "magic"}),
    "modality": ("modality", {"modality": 99}),
    "axes": ("axes", {"axes": "q"}),
    "option of another modality": ("image has no option --max_frames", {"max_frames": 3}),
    "exact on a GPU": ("exact method runs on the CPU", {"backend": "cupy"}),
    "below a file": ("", {"save_path": "text.png/gt.npz"}),
    "no folder can be made": ("", {"save_path": "/proc/nowhere/gt.npz"}),
    "existing": ("exists", {"save_path": "old.npz"}),
}


@pytest.mark.parametrize("name", MC_MISTAKES)
def test_wrong_input_to_mc_utils_is_one_sentence_and_changes_nothing(tmp_path, picture, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("text.png").write_text("no picture")
    Path("empty.png").touch()
    Path("notes.xyz").touch()
    for precious in ("old.npz", "old.png"):
        Path(precious).write_bytes(b"precious")
    iio.imwrite("nan.tiff", np.full((4, 4), np.nan, np.float32))
    words, flags = MC_MISTAKES[name]
    refused(mc_utils, tmp_path, words, **({"path": picture, "save_path": "gt.npz"} | flags))


def test_cupy_without_cuda_is_one_sentence(tmp_path, picture):
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    flags = {"path": picture, "save_path": tmp_path / "gt.npz", "method": "monte_carlo", "backend": "cupy"}
    refused(mc_utils, tmp_path, "--backend cupy", **flags)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_one_sentence(tmp_path, picture):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    refused(mc_utils, tmp_path, "ermission", path=picture, save_path=locked / "gt.npz")
