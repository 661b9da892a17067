"""train.py as it is called: what a run leaves, and one sentence for what is wrong."""

import json
from pathlib import Path

import pytest
import torch
from builders import exact_truth, field_config, noise_signal, random_field, smooth_signal, undrawn_truth
from programs import call, refused
from training_cases import SILENT

import nfconv
import train as program
from models.checkpoint import load_checkpoint, save_checkpoint
from training import resolve, train
from training.run import initialise

TINY = {"field": "mlp", "num_channels": 6, "batch": 64, "levels": 1}


@pytest.fixture
def truth_file(tmp_path):
    return undrawn_truth().save(tmp_path / "truth.npz")


def test_the_program_and_the_function_train_the_same_field(tmp_path, truth_file):
    flags = {"monte_carlo": truth_file, "summary": tmp_path / "runs", "experiment_name": "a"} | TINY
    result = call(program, **flags, num_steps=12, seed=3, precision=64)
    assert result.exit_code == 0, result.output
    assert result.output.count("device: ") == result.output.count("device: cpu (1 threads)\n") == 1
    final, _ = load_checkpoint(tmp_path / "runs" / "a" / "model_final.pth")
    field = train(undrawn_truth(), **TINY, num_steps=12, seed=3, precision=64, display=SILENT)
    assert all(torch.equal(value, final.state_dict()[name]) for name, value in field.state_dict().items())
    assert (final.dtype, final.origin) == (torch.float32, field.origin)
    assert (final.origin.half_size, final.origin.shape, final.origin.digest) == (
        (0.2, 0.2), (14, 12), undrawn_truth().digest
    )  # fmt: skip
    first, last = result.output.strip().splitlines()[-2:]
    assert first == f"half size 0.2: {field.psnr:.1f} dB on the whole signal"
    parameters = sum(p.numel() for p in field.parameters())
    assert last.startswith(f"{tmp_path / 'runs' / 'a' / 'model_final.pth'}: {parameters} parameters, prepared in ")
    assert last.endswith("12 steps in 0 s")


@pytest.mark.parametrize("factor", ["swish", "spline"])
def test_options_without_effect_are_named_and_solved_fields_take_no_step(tmp_path, truth_file, factor):
    flags = {"monte_carlo": truth_file, "summary": tmp_path, "experiment_name": factor, "num_channels": 6}
    result = call(program, **flags, factor=factor, num_steps=2, batch=7, learn_rate=0.01)
    assert result.exit_code == 0, result.output
    assert "warning: --batch has no effect with --field separable\n" in result.output
    assert ("--learn_rate has no effect with --factor spline" in result.output) == (factor == "spline")
    assert ("no steps" in result.output) == (factor == "spline")
    assert json.loads((tmp_path / factor / "metrics.json").read_text())["steps"] == (0 if factor == "spline" else 2)


def test_warnings_reach_callers_of_the_function():
    with pytest.warns(UserWarning, match="^--batch has no effect with --field separable$"):
        train(undrawn_truth(), num_steps=1, num_channels=6, batch=9, display=SILENT)


def test_a_run_starts_from_the_weights_of_another(tmp_path, truth_file):
    start = train(undrawn_truth(), **TINY, num_steps=3, seed=9, display=SILENT)
    flags = {"monte_carlo": truth_file, "summary": tmp_path, "experiment_name": "warm"} | TINY
    warm = call(program, **flags, num_steps=1, learn_rate=1e-9, init_ckpt=start.save(tmp_path / "start.pth"))
    assert warm.exit_code == 0, warm.output
    final = nfconv.load(tmp_path / "warm" / "model_final.pth")
    for name, value in start.state_dict().items():
        torch.testing.assert_close(final.state_dict()[name], value, atol=1e-6, rtol=1e-6)


def test_a_start_is_a_field_of_the_same_kind():
    field, other = (random_field(field_config("mlp", 2, 1, pe=pe)) for pe in (2, 3))
    with pytest.raises(ValueError, match=r"field of another kind \(pe 3\): train with the options it has"):
        initialise(field, other)
    # A constant of the last layer, which released fields have, is no other function.
    biased = random_field(field_config("mlp", 2, 1, bias=True), seed=1)
    initialise(field, biased)
    assert torch.equal(field.head.weight, biased.head.weight)


TRAIN_MISTAKES = {
    "missing ground truth": ("none.npz", {"monte_carlo": "none.npz"}),
    "truncated ground truth": ("short.npz", {"monte_carlo": "short.npz"}),
    "an image": ("picture.png", {"monte_carlo": "picture.png"}),
    "existing run": ("never overwritten", {"experiment_name": "old"}),
    "no folder name": ("must be a plain folder name", {"experiment_name": "../up"}),
    "an empty name": ("must be a plain folder name", {"experiment_name": ""}),
    "nothing to resume": ("nothing to resume", {"resume": True}),
    "other ground truth": ("has changed", {"experiment_name": "old", "resume": True, "monte_carlo": "other.npz"}),
    "other options": ("--seed", {"experiment_name": "old", "resume": True, "seed": 7}),
    "no state of a run": ("not the state", {"experiment_name": "model", "resume": True}),
    "no budget": ("budget", {"num_steps": 0, "time_budget": 0}),
    "a number out of range": ("--num_channels", {"num_channels": 0}),
    "words for numbers": ("--learn_rate", {"learn_rate": "fast"}),
    "field": ("--field", {"field": "kan"}),
    "checkpoint_steps -1": ("--checkpoint_steps", {"checkpoint_steps": -1}),
    "save_seconds -1": ("--save_seconds", {"save_seconds": -1}),
    "device": ("--device", {"device": "cuda:77"}),
    "missing start": ("none.pth", {"init_ckpt": "none.pth"}),
    "no signal": ("requires --signal", {"supervision": "autodiff"}),
    "no folder can be made": ("choose another --summary", {"summary": "/proc/nowhere"}),
}


@pytest.mark.parametrize("name", TRAIN_MISTAKES)
def test_wrong_input_to_train_is_one_sentence_and_changes_nothing(tmp_path, picture, truth_file, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("short.npz").write_bytes(truth_file.read_bytes()[:-99])
    exact_truth(noise_signal((14, 12), seed=1), margin=0.2).save("other.npz")
    field = random_field(field_config("mlp", 2, 1), digest=undrawn_truth().digest, shape=(14, 12), modality="")
    options = resolve(TINY | {"num_steps": 5}).to_dict()
    for run, state in (("old", {"options": options}), ("model", {})):
        Path("runs", run).mkdir(parents=True)
        save_checkpoint(Path("runs", run, "current.pth"), field, state)
        # Opening a folder to resume leaves its lock there, which is what the lock is for.
        Path("runs", run, ".lock").touch()
    words, flags = TRAIN_MISTAKES[name]
    plain = {"monte_carlo": truth_file, "summary": "runs", "experiment_name": "new"}
    asked = {} if flags.get("resume") else TINY | {"num_steps": 5}
    refused(program, tmp_path, words, **(plain | asked | flags))


def test_a_state_of_other_weights_is_refused(tmp_path, truth_file):
    field = random_field(field_config("mlp", 2, 1), digest=undrawn_truth().digest, shape=(14, 12), modality="")
    (tmp_path / "runs" / "old").mkdir(parents=True)
    options = resolve(TINY | {"num_steps": 5}).to_dict()
    training = {"options": options, "optimisers": [], "step": 1, "elapsed": 0.0}
    save_checkpoint(tmp_path / "runs" / "old" / "current.pth", field, training)
    result = call(program, monte_carlo=truth_file, summary=tmp_path / "runs", experiment_name="old", resume=True)
    assert result.exit_code == 1 and "current.pth is not the state of this run" in result.output


def test_a_disk_full_from_the_start_leaves_nothing_to_go_on_with(tmp_path, truth_file, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "current.pth"))

    monkeypatch.setattr("training.kept.save_state", full)
    flags = {"monte_carlo": truth_file, "summary": tmp_path / "runs", "experiment_name": "a"} | TINY
    result = call(program, **flags, num_steps=2)
    assert result.exit_code == 1
    assert "current.pth: No space left on device; fix that and start again with another" in result.output
    assert "--resume" not in result.output


def test_autodiff_reads_the_raw_signal_as_far_as_the_margin(tmp_path):
    import soundfile

    samples = smooth_signal((300,)).values[:, 0] - 0.5
    soundfile.write(tmp_path / "a.wav", samples, 8000, subtype="FLOAT")
    truth = nfconv.make_ground_truth(nfconv.read(tmp_path / "a.wav", window=51, reach=(1.5, 0.1)), 1, 0.1, 1.5)
    file = truth.save(tmp_path / "truth.npz")
    flags = {"monte_carlo": file, "summary": tmp_path, "signal": tmp_path / "a.wav", "supervision": "autodiff"} | TINY
    result = call(program, **flags, num_steps=2)
    assert result.exit_code == 0, result.output
