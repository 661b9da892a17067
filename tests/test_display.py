"""What a run shows while it lives: a bar in a terminal, nothing in a pipe, warnings in any case."""

import io
from types import SimpleNamespace

import pytest
import torch
from builders import undrawn_truth
from rich.console import Console

from training import display, train
from training.display import Display
from training.objective import Loss

TINY = {"field": "mlp", "num_channels": 6, "batch": 64, "levels": 1}


@pytest.fixture(params=[True, False], ids=["terminal", "pipe"])
def screen(request, monkeypatch):
    """The text that consoles write, on a terminal or not."""
    buffer = io.StringIO()
    monkeypatch.setattr(display, "Console", lambda **_: Console(file=buffer, force_terminal=request.param, width=160))
    return buffer


def test_a_bar_is_shown_in_a_terminal_and_nothing_in_a_pipe(screen, tmp_path):
    shown = Display()
    field = train(undrawn_truth(), folder=tmp_path / "run", num_steps=25, display=shown, **TINY)
    text = screen.getvalue()
    if not shown.console.is_terminal:
        assert text == ""
        return
    task = shown.bar.tasks[0]
    assert (task.description, task.completed, task.total) == ("training", 1.0, 1.0)
    assert task.fields["note"].startswith("step 25  ") and "/s  rms " in task.fields["note"]
    assert task.fields["note"].endswith(" dB") and "PSNR" in task.fields["note"]
    assert "preparing" in text or "training" in text
    assert shown.bar.live.transient and not shown.bar.live.is_started
    assert field.psnr


def test_only_every_tenth_step_is_shown():
    shown, notes = Display(), []
    shown.bar.update = lambda *_, **about: notes.append((about["completed"], about["note"].split()[1]))
    train(undrawn_truth(), num_steps=25, display=shown, **TINY)
    assert notes == [(0.4, "10"), (0.8, "20"), (1.0, "25")]
    train(undrawn_truth(), num_steps=25, display=Display(shown=False), **TINY)


def test_the_bar_tells_the_steps_per_second_and_the_residual():
    shown = Display(shown=True)
    trainer = SimpleNamespace(step=30, elapsed=4.0, spent=0.25)
    shown.step(trainer, Loss(torch.zeros(()), [torch.tensor(0.0125), torch.tensor(7.0)], 100))
    task = shown.bar.tasks[0]
    assert task.completed == 0.25 and task.fields["note"].split("  ") == ["step 30", "8/s", "rms 1.25e-02"]


def test_a_quiet_display_shows_nothing_but_warnings(screen):
    quiet = Display(shown=False)
    with pytest.warns(UserWarning, match="--knots has no effect"):
        train(undrawn_truth(), num_steps=20, display=quiet, knots=3.0, **TINY)
    assert screen.getvalue() == "" and quiet.bar.tasks[0].description == "preparing"


def test_warnings_stand_above_the_bar(screen):
    train(undrawn_truth(), num_steps=1, display=Display(), knots=3.0, **TINY)
    assert "warning: --knots has no effect with --field mlp\n" in screen.getvalue()


def test_closed_form_solves_are_quiet(screen):
    train(undrawn_truth(), factor="spline", num_steps=1)
    assert screen.getvalue() == ""
