"""train.py as it is called: what a run leaves, and one sentence for what is wrong."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from builders import checkpoint_of, exact_truth, field_config, noise_signal, random_field, undrawn_truth
from programs import call, refused

import train
from models.checkpoint import Checkpoint
from signals.ground_truth import GroundTruth

TINY = {"field": "mlp", "num_channels": 6, "batch": 64, "levels": 1}


@pytest.fixture
def truth_file(tmp_path):
    return undrawn_truth().save(tmp_path / "truth.npz")


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
    "start of another shape": ("another kind", {"init_ckpt": "model.pth"}),
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


def test_a_disk_full_from_the_start_leaves_nothing_to_go_on_with(tmp_path, truth_file, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "current.pth"))

    monkeypatch.setattr("training.loop.Trainer.save", full)
    flags = {"monte_carlo": truth_file, "summary": tmp_path / "runs", "experiment_name": "a"} | TINY
    result = call(train, **flags, num_steps=2)
    assert result.exit_code == 1
    assert "No space left" in result.output and "start again" in result.output
    assert "--resume" not in result.output


@pytest.mark.parametrize("factor", ["swish", "spline"])
def test_options_nobody_reads_are_told_and_solved_fields_take_no_step(tmp_path, truth_file, factor):
    flags = {"monte_carlo": truth_file, "summary": tmp_path, "experiment_name": factor, "num_channels": 6}
    result = call(train, **flags, factor=factor, num_steps=2, batch=7, learn_rate=0.01)
    assert result.exit_code == 0, result.output
    assert "--batch is not read" in result.output
    assert ("--learn_rate is not read" in result.output) == (factor == "spline")
    assert json.loads((tmp_path / factor / "metrics.json").read_text())["steps"] == (0 if factor == "spline" else 2)
