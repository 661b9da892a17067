"""train.py and eval.py with signals in tiles: what a run leaves, how it goes on, and what is refused."""

import json
import signal as signals_

import cv2
import numpy as np
import pytest
import torch
from builders import exact_truth, noise_signal, smooth_signal
from programs import call, refused
from training_cases import SILENT

import eval as eval_program
import nfconv
import train as program
from models.tiled import TiledField
from signals import Signal, make_ground_truth
from signals.exact import kernel_convolution
from signals.measures import psnr
from training import PRESETS, source, tile, train
from training.processes import ManyProcesses


def picture_file(folder, shape=(96, 90)):
    """A smooth picture with some noise."""
    values = smooth_signal(shape, 3).values + 0.1 * noise_signal(shape, 3).values
    path = folder / "picture.png"
    cv2.imwrite(str(path), (200 * values).clip(0, 255).astype(np.uint8))
    return path


def flags_of(tmp_path, **other):
    return {"signal": picture_file(tmp_path), "half_size": "3px", "margin": 0.3, "summary": tmp_path / "runs"} | other


def test_a_signal_is_trained_in_tiles_and_filtered_like_any_other(tmp_path):
    flags = flags_of(tmp_path, tile=40, experiment_name="a", core_size=30_000, accuracy=0)
    result = call(program, **flags)
    assert result.exit_code == 0, result.output
    folder = tmp_path / "runs" / "a"
    field, metrics = nfconv.load(folder), json.loads((folder / "metrics.json").read_text())
    assert isinstance(field, TiledField)
    assert metrics["steps"] == 0 and metrics["seconds"] == 0
    assert metrics["tiles"] == sum(np.prod(level.tiling.counts) for level in field.levels)
    assert f"half size {3 * 2 / 95:g} x {3 * 2 / 89:g}: {field.psnr:.1f} dB on the whole signal" in result.output
    signal = nfconv.read(flags["signal"])
    wanted = kernel_convolution(signal, field.kernel)
    assert field.psnr == pytest.approx(psnr(field.filter(field.kernel), wanted), abs=0.1)
    result = call(eval_program, model_path=folder, kernel="gaussian", sigma="5px", save_path=tmp_path / "out",
                  signal=flags["signal"])  # fmt: skip
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert report["field"]["psnr"] > 60 and report["diracs"] == 33**2
    # The same command again goes on, and other options do not.
    refused(program, tmp_path / "runs", "already holds a run", **flags)
    assert call(program, **flags, resume=True).exit_code == 0
    refused(program, tmp_path / "runs", "another signal or with other options", **flags | {"knots": 3}, resume=True)


def test_a_run_that_was_interrupted_says_how_it_goes_on(tmp_path, monkeypatch):
    flags, count, whole = flags_of(tmp_path, tile=40, experiment_name="a"), [], tile.save_tile

    def interrupted(*args):
        count.append(args)
        if len(count) == 3:
            signals_.raise_signal(signals_.SIGTERM)
        return whole(*args)

    monkeypatch.setattr(tile, "save_tile", interrupted)
    result = call(program, **flags)
    assert result.exit_code == 1
    words = ("interrupted after 3 of", "nothing lost; resume with:", "--half_size 3px", "--tile 40", "--resume")
    assert all(text in result.output for text in words)
    result = call(program, **flags, resume=True)
    assert result.exit_code == 0, result.output
    assert len(count) == json.loads((tmp_path / "runs" / "a" / "metrics.json").read_text())["tiles"]


def test_a_small_signal_is_one_field_and_one_that_it_does_not_hold_is_cut(tmp_path, monkeypatch):
    result = call(program, **flags_of(tmp_path, experiment_name="one", factor="spline"))
    assert result.exit_code == 0, result.output
    assert (tmp_path / "runs" / "one" / "model_final.pth").is_file()
    monkeypatch.setitem(source.TILE, 2, 48)
    monkeypatch.setattr(source, "SHARED", {"factor", "core_size"})
    flags = flags_of(tmp_path, experiment_name="cut", factor="spline", core_size=3000)
    result = call(program, **flags)
    assert result.exit_code == 0 and "is fitted in tiles" in result.output
    assert isinstance(nfconv.load(tmp_path / "runs" / "cut"), TiledField)
    # So is a ground truth, whose training kernel is no whole number of samples.
    signal = nfconv.read(flags["signal"])
    make_ground_truth(signal, 1, 0.08, 0.3).save(tmp_path / "truth.npz")
    result = call(program, monte_carlo=tmp_path / "truth.npz", summary=tmp_path / "runs", experiment_name="truth",
                  factor="spline", core_size=3000)  # fmt: skip
    assert result.exit_code == 0 and "is fitted in tiles" in result.output
    assert isinstance(nfconv.load(tmp_path / "runs" / "truth"), TiledField)


@pytest.mark.parametrize("boundary", ["clamp", "periodic"])
def test_ground_truths_of_any_half_size_in_tiles(boundary):
    values = smooth_signal((90, 84), 1).values + 0.1 * noise_signal((90, 84), 1).values
    signal = Signal(values, (0, 1))
    truth = exact_truth(signal, 1, 0.083, 0.5, boundary, "float32")
    field = train(truth, tile=36, core_size=30_000, accuracy=0, display=SILENT)
    assert isinstance(field, TiledField) and len(field.levels) > 1
    assert field.origin.half_size == pytest.approx((0.083, 0.083))
    for size in (0.083, 0.2, 0.45):
        kernel = nfconv.minimal_kernel(1, size, 2)
        error = field.filter(kernel) - kernel_convolution(signal, kernel, boundary)
        assert np.sqrt(np.mean(error**2)) < 3e-4


def test_networks_are_factors_of_tiles_where_they_are_asked_for():
    signal = smooth_signal((60, 52), 1)
    field = nfconv.fit(Signal(signal.values.astype(np.float32), (0, 1)), 0.15, margin=0.3, tile=32, factor="swish",
                       num_steps=30, num_channels=24)  # fmt: skip
    assert field.tile(0, (0, 0)).config.factor == "swish"
    kernel = nfconv.minimal_kernel(1, 0.3, 2)
    assert np.abs(field.filter(kernel) - kernel_convolution(signal, kernel)).max() < 0.03


def test_tiles_have_the_options_of_a_preset(monkeypatch):
    monkeypatch.setitem(PRESETS, "rough", {"factor": "swish", "num_channels": 20, "num_steps": 2, "time_budget": 0.0})
    config = nfconv.fit(noise_signal((60, 52)), 0.2, tile=32, preset="rough").tile(0, (0, 0)).config
    assert (config.factor, config.num_channels) == ("swish", 20)
    with pytest.raises(ValueError, match="--preset must be one of"):
        nfconv.fit(noise_signal((60, 52)), 0.2, tile=32, preset="none")


def test_what_does_not_go_together_is_refused(tmp_path):
    flags = flags_of(tmp_path, experiment_name="a")
    (tmp_path / "runs").mkdir()
    refused(program, tmp_path, "--monte_carlo is missing", summary=tmp_path / "runs", signal=flags["signal"])
    refused(program, tmp_path, "number of samples", **flags, tile="x")
    start = nfconv.fit(smooth_signal((20, 20)), 0.3, factor="spline").save(tmp_path / "start.pth")
    refused(program, tmp_path, "--init_ckpt is the start of one field", **flags, tile=40, init_ckpt=start)
    truth = make_ground_truth(smooth_signal((20, 20)), 1, 0.3, 0.3).save(tmp_path / "truth.npz")
    refused(program, tmp_path, "leave --half_size out", monte_carlo=truth, half_size=0.1, summary=tmp_path / "runs")


def test_a_run_in_tiles_goes_on_without_naming_them(tmp_path):
    flags = flags_of(tmp_path, tile=40, experiment_name="a", core_size=30_000, accuracy=0)
    assert call(program, **flags).exit_code == 0
    before = nfconv.load(tmp_path / "runs" / "a").levels[0].tiling.tile
    del flags["tile"]
    result = call(program, **flags, resume=True)
    assert result.exit_code == 0, result.output
    assert nfconv.load(tmp_path / "runs" / "a").levels[0].tiling.tile == before


def test_tiles_are_not_for_torchrun(tmp_path):
    signal = source.Source(noise_signal((40, 40)), 1, 0.2, 0.3, "clamp")
    with pytest.raises(ValueError, match="not for torchrun: start this without it"):
        train(signal, folder=tmp_path / "run", tile=20, processes=ManyProcesses(0, 2, torch.device("cpu")))
    assert not list(tmp_path.iterdir())
