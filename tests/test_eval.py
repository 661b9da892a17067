"""eval.py as it is called: the flags people know, the files they get, and one sentence for what is wrong."""

import json
import os
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from builders import exact_truth, lopsided, noise_signal
from programs import call, refused

import eval as eval_program
import filtering.run
from kernels import minimal_kernel
from models.checkpoint import Checkpoint
from signals.exact import kernel_convolution
from signals.signal import Signal


def filtered(field, kernel, shape) -> np.ndarray:
    return filtering.run.filter_signal(field.double(), kernel, shape, 0.2, 1 << 16, pytest.fail)


def test_filtering_by_the_flags_of_the_release(tmp_path, model):
    kernel = lopsided(6, 1.0)[0]
    kernel.save(tmp_path / "kernel.npz")
    flags = {"model_path": model, "kernel_path": tmp_path / "kernel", "save_path": tmp_path / "out", "modality": 1}
    result = call(eval_program, **flags, width=9, height=5, depth=1, block_size=64, kernel_scale=2.5)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["metrics.json", "output.npy", "output.png"]
    values = np.load(tmp_path / "out" / "output.npy")
    assert values.dtype == np.float32 and values.shape == (5, 9, 3)
    shown = iio.imread(tmp_path / "out" / "output.png")
    assert shown.dtype == np.uint8 and shown.shape == (5, 9, 3)
    field = Checkpoint.load(model).build()
    wide = eval_program.choose_kernel(str(tmp_path / "kernel"), "2.5", {}, field.config, 0.2, pytest.fail).kernel
    np.testing.assert_allclose(values, filtered(field, wide, (5, 9)), rtol=1e-5, atol=1e-5)
    report = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert report["diracs"] == 36 and report["order"] == 1
    assert report["radius"] == pytest.approx([0.4, 0.4])


@pytest.mark.parametrize("scale, radius", [("4", (0.25, 0.25)), ("2.5", (0.4, 0.4)), ("4,8", (0.25, 0.125))])
def test_scale_is_fractional_and_per_axis(tmp_path, model, scale, radius):
    result = call(eval_program, model_path=model, save_path=tmp_path / "out", kernel_scale=scale)
    assert result.exit_code == 0, result.output
    wanted = filtered(Checkpoint.load(model).build(), minimal_kernel(1, radius, 2), (10, 14))
    np.testing.assert_allclose(np.load(tmp_path / "out" / "output.npy"), wanted, rtol=1e-5, atol=1e-5)


def test_a_known_signal_gives_measures_and_a_comparison(tmp_path, model, picture):
    flags = {"model_path": model, "save_path": tmp_path / "out", "kernel_scale": 5, "signal": picture}
    result = call(eval_program, **flags)
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "metrics.json").read_text())
    values = iio.imread(picture).astype(np.float64) / 255
    exact = kernel_convolution(Signal(values, (0, 1), "image"), minimal_kernel(1, 0.2, 2))
    error = np.load(tmp_path / "out" / "output.npy") - exact
    assert report["whole"]["mse"] == pytest.approx(np.mean(error**2), rel=1e-4)
    assert report["interior"]["mse"] == pytest.approx(np.mean(error[1:-1, 2:-2] ** 2), rel=1e-4)
    assert (tmp_path / "out" / "comparison.png").is_file()


EVAL_MISTAKES = {
    "missing model": ("not there", {"model_path": "none.pth"}),
    "foreign model": ("foreign.pth", {"model_path": "foreign.pth"}),
    "truncated model": ("short.pth", {"model_path": "short.pth"}),
    "payload in the model": ("payload.pth", {"model_path": "payload.pth"}),
    "model of no modality": ("modality", {"model_path": "odd.pth"}),
    "model read with unknown options": ("read with", {"model_path": "load.pth", "signal": "picture.png"}),
    "missing kernel": ("not there", {"kernel_path": "none"}),
    "truncated kernel": ("short.npz", {"kernel_path": "short.npz"}),
    "payload in the kernel": ("payload.npz", {"kernel_path": "payload.npz"}),
    "order of the kernel": ("order 0", {"kernel_path": "box.npz"}),
    "axes of the kernel": ("axes", {"kernel_path": "three.npz"}),
    "kernel beyond the margin": ("--margin", {"kernel_scale": 1}),
    "scale 0": ("--kernel_scale", {"kernel_scale": 0}),
    "scale -2": ("--kernel_scale", {"kernel_scale": -2}),
    "scale nan": ("--kernel_scale", {"kernel_scale": "nan"}),
    "scale of words": ("--kernel_scale", {"kernel_scale": "wide"}),
    "scale of three": ("--kernel_scale", {"kernel_scale": "4,4,4"}),
    "width 0": ("--width", {"width": 0}),
    "height -3": ("--height", {"height": -3}),
    "width beyond all": ("samples", {"width": 10**9}),
    "block 0": ("--block_size", {"block_size": 0}),
    "other modality": ("image", {"modality": 3}),
    "unknown modality": ("modality", {"modality": "smell"}),
    "signal of other channels": ("channels", {"signal": "grey.png"}),
    "missing signal": ("none.png", {"signal": "none.png"}),
    "ground truth of another kernel": ("another", {"gt_path": "truth.npz", "kernel_scale": 4}),
    "no such device": ("--device", {"device": "abacus"}),
    "full folder": ("not empty", {"save_path": "full"}),
    "a file": ("not empty", {"save_path": "picture.png"}),
    "below a file": ("", {"save_path": "picture.png/out"}),
    "no folder can be made": ("", {"save_path": "/proc/nowhere/out"}),
}


class Payload:
    def __reduce__(self):
        return os.mkdir, ("trace",)


@pytest.fixture
def mistakes(tmp_path, model, picture, monkeypatch):
    """A folder with everything in it that is wrong about models, kernels and signals."""
    monkeypatch.chdir(tmp_path)
    Path("foreign.pth").write_bytes(b"something else")
    Path("short.pth").write_bytes(model.read_bytes()[:-500])
    torch.save({"state": Payload()}, "payload.pth")
    checkpoint = Checkpoint.load(model)
    replace(checkpoint, origin=replace(checkpoint.origin, modality="smell")).save("odd.pth")
    replace(checkpoint, origin=replace(checkpoint.origin, meta={"load": {"path": "/etc/passwd"}})).save("load.pth")
    minimal_kernel(1, 1.0).save("tent.npz")
    minimal_kernel(0, 1.0).save("box.npz")
    minimal_kernel(1, 1.0, 3).save("three.npz")
    Path("short.npz").write_bytes(Path("tent.npz").read_bytes()[:-60])
    pickled = {"weights": np.array([Payload()], dtype=object), "order": 1, "axes": [0]}
    np.savez("payload.npz", positions=np.zeros((1, 1)), **pickled)
    iio.imwrite("grey.png", np.zeros((10, 14), np.uint8))
    exact_truth(noise_signal((10, 14), 3), half_size=0.1).save("truth.npz")
    Path("full").mkdir()
    Path("full/precious.txt").write_text("mine")
    return tmp_path


@pytest.mark.parametrize("name", EVAL_MISTAKES)
def test_wrong_input_to_eval_is_one_sentence_and_changes_nothing(mistakes, name):
    words, flags = EVAL_MISTAKES[name]
    refused(
        eval_program, mistakes, words, **({"model_path": "model.pth", "save_path": "out", "kernel_scale": 4} | flags)
    )
