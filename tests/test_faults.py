"""Faults within a run: a loss that is no number is never saved, and a clock that jumps changes no budget."""

import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import exact_truth, noise_signal
from click.testing import CliRunner

from models.checkpoint import Checkpoint, Origin
from training.folder import RunFolder
from training.lattice import LatticeTargets
from training.loop import DivergedError, Hooks, Trainer
from training.objective import LatticeObjective
from training.options import resolve
from training.setup import make_config, make_field

HOOKS = Hooks(lambda *_: None, lambda *_: None)


class Poisoned(LatticeObjective):
    """Goes wrong in its 8th step: a loss that is no number, or one whose gradient is none."""

    what = "loss"
    asked = 0

    def loss(self, field, generator):
        loss = super().loss(field, generator)
        self.asked += 1
        if self.asked < 8:
            return loss
        if self.what == "solve":
            torch.linalg.solve(torch.zeros(2, 2), torch.zeros(2))
        if self.what == "loss":
            return replace(loss, total=loss.total * float("nan"))
        # The loss is 0, its gradient 0 * infinity.
        return replace(loss, total=loss.total * 0 + (loss.total - loss.total).sqrt())


def poisoned_trainer(tmp_path: Path, what: str, folder: RunFolder, **asked) -> Trainer:
    truth = exact_truth(noise_signal((14, 12)), margin=0.2)
    targets = LatticeTargets(truth, torch.device("cpu"))
    options = resolve({"field": "mlp", "num_channels": 6, "num_steps": 40} | asked)
    field = make_field(make_config(truth, targets, options), options, torch.device("cpu"))
    objective = Poisoned(targets, 100, "l1", 1)
    objective.what = what
    objective.prepare(field, torch.Generator().manual_seed(0))
    return Trainer(field, objective, options, Origin.of(truth), folder)


@pytest.mark.parametrize("what, step", [("loss", 7), ("gradient", 8), ("solve", 7)])
def test_numbers_that_are_none_stop_the_run_and_are_never_saved(tmp_path, what, step):
    with RunFolder(tmp_path, "run", resume=False) as folder:
        trainer = poisoned_trainer(tmp_path, what, folder)
        with pytest.raises(DivergedError, match=rf"after {step} steps.*current\.pth") as caught:
            trainer.run(HOOKS, checkpoint_steps=1, save_seconds=0)
        assert "\n" not in str(caught.value)
        for file in (folder.current, folder.numbered(7)):
            kept = Checkpoint.load(file)
            assert kept.training["step"] == 7
            kept.build()
        assert not folder.numbered(8).exists()


def test_a_device_that_is_looked_at_now_and_then_tells_the_step_all_the_same(tmp_path):
    with RunFolder(tmp_path, "run", resume=False) as folder:
        trainer = poisoned_trainer(tmp_path, "loss", folder)
        trainer.look_every = 5
        with pytest.raises(DivergedError, match=r"after 7 steps"):
            trainer.run(HOOKS, save_seconds=1e9)
        assert trainer.step == 9
        assert Checkpoint.load(folder.current).training["step"] == 0


def test_a_diverged_run_is_one_sentence_on_the_command_line(tmp_path, monkeypatch):
    import train

    file = exact_truth(noise_signal((14, 12)), margin=0.2).save(tmp_path / "truth.npz")
    monkeypatch.setattr("training.setup.make_objective", lambda targets, options, *_: Poisoned(targets, 100, "l1", 1))
    arguments = ["--monte_carlo", file, "--summary", tmp_path, "--experiment_name", "run", "--field", "mlp"]
    result = CliRunner().invoke(train.main, [*map(str, arguments), "--num_channels", "6", "--num_steps", "40"])
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    said = result.output
    assert re.search(r"Error: the loss is not finite after [1-7] steps; .*--learn_rate\n$", said), said
    assert not (tmp_path / "run" / "model_final.pth").exists()
    assert Checkpoint.load(tmp_path / "run" / "current.pth").training["step"] == 0


@pytest.mark.parametrize("jump", [1e9, -1e9])
def test_a_clock_that_jumps_changes_no_budget(tmp_path, monkeypatch, jump):
    clock = time.time
    jumps = iter(np.arange(10**6) * jump)
    monkeypatch.setattr(time, "time", lambda: clock() + next(jumps))
    with RunFolder(tmp_path, "run", resume=False) as folder:
        trainer = poisoned_trainer(tmp_path, "none", folder, num_steps=0, time_budget=0.3)
        trainer.objective.asked = -(10**9)
        start = time.monotonic()
        trainer.run(HOOKS)
        assert 0.3 <= trainer.elapsed <= time.monotonic() - start + 1e-3
    assert trainer.step > 3
