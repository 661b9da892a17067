"""The programs as they are called: the flags people know, the files they get, and one sentence for what is wrong."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from builders import checkpoint_of, exact_truth, field_config, lopsided, noise_signal, random_field
from click.testing import CliRunner

import eval as eval_program
import filtering.run
import mc_utils
import train
from kernels import minimal_kernel
from models.checkpoint import Checkpoint
from signals.exact import kernel_convolution, minimal_convolution
from signals.ground_truth import GroundTruth
from signals.signal import Signal
from utils import load_montecarlo_gt

ROOT = Path(__file__).resolve().parent.parent


def call(program, **flags):
    """The program's click command with --flag value for every entry; a flag of True stands alone."""
    words = []
    for name, value in flags.items():
        words += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return CliRunner().invoke(program.main, words)


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def refused(program, folder: Path, words: str, **flags) -> None:
    """The call ends in one sentence with `words` in it, and leaves everything in `folder` as it was."""
    before = snapshot(folder)
    result = call(program, **flags)
    assert result.exit_code != 0
    assert isinstance(result.exception, SystemExit), result.exception
    last = result.output[result.output.index("Error:") :]
    assert last.count("\n") == 1, last
    assert words in last, last
    assert "Traceback" not in result.output
    assert snapshot(folder) == before


@pytest.fixture
def picture(tmp_path):
    """A small colour picture, wider than high."""
    pixels = (255 * noise_signal((10, 14), 3).values).astype(np.uint8)
    iio.imwrite(tmp_path / "picture.png", pixels)
    return tmp_path / "picture.png"


@pytest.fixture
def truth_file(tmp_path):
    """Ground truth of a small picture of a modality that draws nothing."""
    return replace(exact_truth(noise_signal((14, 12)), margin=0.2), modality="test").save(tmp_path / "truth.npz")


@pytest.fixture
def model(tmp_path):
    """An untrained field of 10 x 14 pixels with half size 0.2 and margin 0.3."""
    field = random_field(field_config("separable", 2, 3)).float()
    return checkpoint_of(field, shape=(10, 14), meta={"alpha": False}).save(tmp_path / "model.pth")


# --- mc_utils.py -------------------------------------------------------------------------------------------


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
    "option of another modality": ("--frames", {"frames": 3}),
    "exact on a GPU": ("--backend", {"backend": "cupy"}),
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


# --- eval.py -----------------------------------------------------------------------------------------------


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
    wide = eval_program.choose_kernel(str(tmp_path / "kernel"), "2.5", {}, 1, 2, (0, 1), pytest.fail).kernel
    np.testing.assert_allclose(values, filtered(Checkpoint.load(model).build(), wide, (5, 9)), rtol=1e-5, atol=1e-5)
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


class Greedy(torch.nn.Module):
    """A network for which memory never suffices for more than 70 points at once."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        if len(points) > 70:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate")
        return self.network(points)


def test_filtering_goes_on_in_smaller_blocks_where_memory_does_not_suffice():
    field, said = random_field(field_config("mlp", 2, 1)), []
    kernel = minimal_kernel(1, 0.2, 2)
    wanted = filtered(field, kernel, (6, 7))
    field.network = Greedy(field.network)
    result = filtering.run.filter_signal(field, kernel, (6, 7), 0.2, 1 << 10, said.append)
    np.testing.assert_allclose(result, wanted, rtol=1e-6, atol=1e-6)
    assert said and "64 points" in said[-1]


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


# --- train.py ----------------------------------------------------------------------------------------------

TINY = {"field": "mlp", "num_channels": 6, "batch": 64, "levels": 1}


def test_a_run_writes_its_field_its_options_and_its_quality(tmp_path, truth_file):
    flags = {"monte_carlo": truth_file, "summary": tmp_path / "runs", "experiment_name": "a"} | TINY
    result = call(train, **flags, num_steps=12, checkpoint_steps=5, seed=3)
    assert result.exit_code == 0, result.output
    folder = tmp_path / "runs" / "a"
    names = {path.name for path in folder.iterdir()}
    assert {"model_final.pth", "current.pth", "checkpoint_5.pth", "checkpoint_10.pth", "options.json"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert json.loads((folder / "options.json").read_text())["seed"] == 3
    quality = json.loads((folder / "metrics.json").read_text())
    assert quality["steps"] == 12 and "0.2" in quality["psnr"]
    final = Checkpoint.load(folder / "model_final.pth")
    assert final.build().dtype == torch.float32
    assert (final.origin.half_size, final.origin.shape) == (0.2, (14, 12))
    assert final.origin.digest == GroundTruth.load(truth_file).digest
    again = call(train, **(flags | {"experiment_name": "b"}), num_steps=12, seed=3)
    assert again.exit_code == 0
    other = Checkpoint.load(tmp_path / "runs" / "b" / "model_final.pth")
    assert all(torch.equal(value, other.state[name]) for name, value in final.state.items())
    warm = call(train, **(flags | {"experiment_name": "c"}), num_steps=1, init_ckpt=folder / "model_final.pth")
    assert warm.exit_code == 0, warm.output


TRAIN_MISTAKES = {
    "missing ground truth": ("not there", {"monte_carlo": "none.npz"}),
    "truncated ground truth": ("short.npz", {"monte_carlo": "short.npz"}),
    "an image": ("picture.png", {"monte_carlo": "picture.png"}),
    "existing run": ("never overwritten", {"experiment_name": "old"}),
    "a folder of its own": ("never overwritten", {"experiment_name": "mine"}),
    "no folder name": ("--experiment_name", {"experiment_name": "../up"}),
    "nothing to resume": ("nothing to resume", {"resume": True}),
    "other ground truth": ("has changed", {"experiment_name": "old", "resume": True, "monte_carlo": "other.npz"}),
    "other options": ("--seed", {"experiment_name": "old", "resume": True, "seed": 7}),
    "no state of a run": ("not the state", {"experiment_name": "model", "resume": True}),
    "no budget": ("budget", {"num_steps": 0, "time_budget": 0}),
    "negative steps": ("--num_steps", {"num_steps": -4}),
    "no channels": ("--num_channels", {"num_channels": 0}),
    "words for numbers": ("--learn_rate", {"learn_rate": "fast"}),
    "learning rate nan": ("--learn_rate", {"learn_rate": "nan"}),
    "preset": ("--preset", {"preset": "authors"}),
    "field": ("--field", {"field": "kan"}),
    "projection of a network": ("--supervision", {"supervision": "projection"}),
    "checkpoint_steps -1": ("--checkpoint_steps", {"checkpoint_steps": -1}),
    "save_seconds -1": ("--save_seconds", {"save_seconds": -1}),
    "device": ("--device", {"device": "cuda:77"}),
    "missing start": ("none.pth", {"init_ckpt": "none.pth"}),
    "start of another shape": ("another shape", {"init_ckpt": "model.pth"}),
    "below a file": ("", {"summary": "picture.png"}),
    "no folder can be made": ("", {"summary": "/proc/nowhere"}),
}


@pytest.mark.parametrize("name", TRAIN_MISTAKES)
def test_wrong_input_to_train_is_one_sentence_and_changes_nothing(
    tmp_path, model, picture, truth_file, name, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("short.npz").write_bytes(truth_file.read_bytes()[:-99])
    exact_truth(noise_signal((14, 12), seed=1), margin=0.2).save("other.npz")
    for run in ("old", "mine", "model"):
        Path("runs", run).mkdir(parents=True)
    Path("runs/mine/precious.txt").write_text("mine")
    origin = {"digest": GroundTruth.load(truth_file).digest, "shape": (14, 12)}
    state = checkpoint_of(random_field(field_config("mlp", 2, 1)), **origin)
    state.save("runs/model/current.pth")
    options = train.resolve(TINY | {"num_steps": 5}).to_dict()
    replace(state, training={"options": options}).save("runs/old/current.pth")
    words, flags = TRAIN_MISTAKES[name]
    plain = {"monte_carlo": truth_file, "summary": "runs", "experiment_name": "new"}
    # Opening a folder to resume leaves its lock there, which is what the lock is for.
    Path("runs/old/.lock").touch()
    Path("runs/model/.lock").touch()
    asked = {} if flags.get("resume") else TINY | {"num_steps": 5}
    refused(train, tmp_path, words, **(plain | asked | flags))


# --- as programs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", ["mc_utils.py", "train.py", "eval.py"])
def test_programs_start_from_anywhere_and_fail_in_one_sentence(tmp_path, program):
    words = {"mc_utils.py": "--path x.png --save_path y", "train.py": "--monte_carlo x.npz", "eval.py":
             "--model_path x.pth --save_path y"}[program]  # fmt: skip
    command = [sys.executable, str(ROOT / program), *words.split()]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert result.returncode == 1
    assert result.stderr.startswith("Error: x.") and result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
