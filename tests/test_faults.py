"""Faults within a run: a loss that is no number is never saved, and a clock that jumps changes no budget."""

import re
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import undrawn_truth
from programs import call
from training_cases import CPU, SILENT

import train as program
from models.checkpoint import load_checkpoint
from training import projection, resolve, train
from training.objective import LatticeObjective
from training.setup import make_trainer
from training.trainer import DivergedError

TINY = {"field": "mlp", "num_channels": 6, "num_steps": 40}


class Poisoned(LatticeObjective):
    """Goes wrong in its 12th step (the first 4 are a trial): a loss that is no number, or whose gradient is none."""

    what = "loss"
    asked = 0

    def loss(self, field, generator):
        loss = super().loss(field, generator)
        self.asked += 1
        if self.asked < 12:
            return loss
        if self.what == "loss":
            return replace(loss, total=loss.total * float("nan"))
        # The loss is 0, its gradient 0 * infinity.
        return replace(loss, total=loss.total * 0 + (loss.total - loss.total).sqrt())


@pytest.fixture
def poison(monkeypatch):
    """poison(what): from now on networks are trained by an objective that goes wrong."""

    def use(what: str) -> None:
        kind = type("Poisoned", (Poisoned,), {"what": what})
        monkeypatch.setattr("training.setup.network_objective", lambda targets, *_: kind(targets, 100, "l1", 1))

    return use


@pytest.mark.parametrize("what, step", [("loss", 7), ("gradient", 8)])
def test_numbers_that_are_none_stop_the_run_and_are_never_saved(tmp_path, poison, what, step):
    poison(what)
    with pytest.raises(DivergedError) as caught:
        train(undrawn_truth(), folder=tmp_path / "run", display=SILENT, checkpoint_steps=1, save_seconds=0, **TINY)
    current = tmp_path / "run" / "current.pth"
    assert str(caught.value).endswith(
        f"after {step} steps: use a smaller --learn_rate; the last good state is {current}"
    )
    for file in (current, tmp_path / "run" / "checkpoint_7.pth"):
        assert load_checkpoint(file)[1]["step"] == 7
    assert not (tmp_path / "run" / "checkpoint_8.pth").exists()
    assert not (tmp_path / "run" / "model_final.pth").exists()


def test_a_device_that_is_looked_at_now_and_then_names_the_step_all_the_same(poison):
    poison("loss")
    trainer = make_trainer(undrawn_truth(), resolve(TINY), CPU)
    trainer.check_steps = 8
    with pytest.raises(DivergedError, match=r"the loss is not finite after 11 steps"):
        for _ in trainer.steps():
            pass
    assert trainer.step == 17
    with pytest.raises(DivergedError, match=r"the loss is not finite after 11 steps"):
        trainer.finish()


def test_a_diverged_run_is_one_sentence_on_the_command_line(tmp_path, poison):
    poison("loss")
    file = undrawn_truth().save(tmp_path / "truth.npz")
    result = call(program, monte_carlo=file, summary=tmp_path, experiment_name="run", **TINY)
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert re.search(r"Error: the loss is not finite after 7 steps: use a smaller --learn_rate; .*current\.pth\n$",
                     result.output), result.output  # fmt: skip
    assert not (tmp_path / "run" / "model_final.pth").exists()
    assert load_checkpoint(tmp_path / "run" / "current.pth")[1]["step"] == 0


def test_heads_without_a_solution_are_a_diverged_run(monkeypatch):
    """The gram matrix, its ridge added, has two equal rows."""
    trainer = make_trainer(undrawn_truth(), resolve({"num_channels": 6, "num_steps": 2}), CPU)
    twins = torch.ones(2, 2, dtype=torch.float64) + projection.RIDGE * (1 - torch.eye(2, dtype=torch.float64))
    unsolved = projection.solve_scaled(twins, torch.ones(2, 1, dtype=torch.float64))
    assert unsolved.isnan().all()
    solved = projection.solve_scaled
    monkeypatch.setattr(projection, "solve_scaled", lambda gram, right: solved(gram, right) + unsolved[0])
    with pytest.raises(DivergedError, match=r"factors\.0\.head\.weight is not finite after 0 steps"):
        trainer.finish()
    with pytest.raises(DivergedError, match="the loss is not finite after 0 steps"):
        trainer.advance()


@pytest.mark.parametrize("jump", [1e9, -1e9])
def test_a_clock_that_jumps_changes_no_budget(monkeypatch, jump):
    clock = time.time
    jumps = iter(np.arange(10**6) * jump)
    monkeypatch.setattr(time, "time", lambda: clock() + next(jumps))
    trainer = make_trainer(undrawn_truth(), resolve(TINY | {"num_steps": 0, "time_budget": 0.3}), CPU)
    start = time.monotonic()
    for _ in trainer.steps():
        pass
    assert 0.3 <= trainer.elapsed <= time.monotonic() - start + 1e-3
    assert trainer.step > 3


def test_only_training_spends_the_budget(monkeypatch):
    trainer = make_trainer(undrawn_truth(), resolve(TINY | {"num_steps": 8, "time_budget": 100.0}), CPU)
    now, loss = [0.0], trainer.objective.loss
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def slow(field, generator):
        now[0] += 1.0
        return loss(field, generator)

    trainer.objective.loss = slow
    shares = []
    for _ in trainer.steps():
        shares.append(trainer.spent)
        # Whatever else happens between two steps.
        now[0] += 2.0
    assert shares == [step / 8 for step in range(1, 9)]
    assert trainer.elapsed == 8.0
    trainer.elapsed = 150.0
    assert trainer.spent == 1.5
