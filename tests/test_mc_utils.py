"""mc_utils.py as it is called: the flags people know, and one sentence for what is wrong."""

import os
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from programs import call, refused

import mc_utils
from signals.exact import minimal_convolution
from signals.ground_truth import GroundTruth
from signals.signal import Signal
from utils import load_montecarlo_gt


def test_ground_truth_by_the_flags_of_the_release(tmp_path, picture):
    result = call(mc_utils, path=picture, sample_number=3, save_path=tmp_path / "gts", half_size=0.3, order=0)
    assert result.exit_code == 0, result.output
    (file,) = (tmp_path / "gts").iterdir()
    assert str(file) in result.output
    truth = GroundTruth.load(file)
    assert (truth.order, truth.half_size, truth.shape, truth.channels) == (0, 0.3, (10, 14), 3)
    values = iio.imread(picture).astype(np.float32) / 255
    exact = minimal_convolution(Signal(values, (0, 1), "image"), 0, [0.3, 0.3])
    np.testing.assert_allclose(load_montecarlo_gt(file), exact, atol=1e-6)


@pytest.mark.parametrize("sampler", mc_utils.SAMPLERS)
def test_monte_carlo_ground_truth_says_how_it_was_made(tmp_path, picture, sampler):
    flags = {"method": "monte_carlo", "sample_number": 40, "seed": 5, "sampler": sampler, "dtype": "float64"}
    file = tmp_path / "gt.npz"
    assert call(mc_utils, path=picture, save_path=file, half_size=0.2, boundary="reflect", **flags).exit_code == 0
    truth = GroundTruth.load(file)
    assert (truth.method, truth.samples, truth.seed, truth.boundary) == ("monte_carlo", 40, 5, "reflect")
    assert truth.values.dtype == np.float64
    exact = call(mc_utils, path=picture, save_path=tmp_path / "exact.npz", half_size=0.2, boundary="reflect")
    assert exact.exit_code == 0
    assert np.abs(GroundTruth.load(tmp_path / "exact.npz").values - truth.values).max() < 0.3


def test_margin_axes_and_preview(tmp_path, picture):
    flags = {"margin": 0.7, "axes": "x", "preview": tmp_path / "look" / "preview.png", "save_path": tmp_path / "gt.npz"}
    result = call(mc_utils, path=picture, half_size=0.2, **flags)
    assert result.exit_code == 0, result.output
    truth = GroundTruth.load(tmp_path / "gt.npz")
    assert truth.axes == (1,) and truth.pads[0] == 0 and truth.margin >= 0.7
    assert iio.imread(tmp_path / "look" / "preview.png").ndim == 3


MC_MISTAKES = {
    "missing file": ("not there", {"path": "none.png"}),
    "not an image": ("text.png", {"path": "text.png"}),
    "empty image": ("empty.png", {"path": "empty.png"}),
    "NaN pixels": ("NaN", {"path": "nan.tiff"}),
    "unknown extension": ("no modality", {"path": "notes.xyz"}),
    "order -1": ("--order", {"order": -1}),
    "order 9": ("--order", {"order": 9}),
    "order 9.5": ("--order", {"order": 9.5}),
    "half size 0": ("--half_size", {"half_size": 0}),
    "half size nan": ("--half_size", {"half_size": "nan"}),
    "half size 3": ("--half_size", {"half_size": 3}),
    "margin -1": ("--margin", {"margin": -1}),
    "margin inf": ("--margin", {"margin": "inf"}),
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
    Path("old.npz").write_bytes(b"precious")
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
