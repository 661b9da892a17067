"""Training, from ground truth to finished field; a folder is optional and wrapped around it."""

from pathlib import Path
from typing import Any

import torch

from models.checkpoint import load_checkpoint
from models.field import Field
from signals.ground_truth import GroundTruth
from signals.signal import Signal
from training.display import Display
from training.folder import RunError, RunFolder
from training.kept import train_in_folder
from training.options import Options, resolve, resumed
from training.precision import check_precision_early
from training.setup import make_trainer
from training.trainer import Trainer
from training.validation import Validation, finished

SAVE_SECONDS = 30.0


def train(
    truth: GroundTruth,
    *,
    signal: Signal | None = None,
    device: str | torch.device = "cpu",
    folder: str | Path | None = None,
    resume: bool = False,
    preset: str | None = None,
    init: Field | None = None,
    display: Display | None = None,
    checkpoint_steps: int = 0,
    save_seconds: float = SAVE_SECONDS,
    **asked: Any,
) -> Field:
    """A field trained on ground truth, ready to answer: weights as a final file stores them, in float32, and its PSNR
    at 1, 2, 4, ... times the training kernel in `origin.psnr`.

    `asked` are options of the table in `training.options`; `signal` is the raw one, for autodiff; `init` gives the
    first weights. A run with a `folder` keeps itself there: current.pth every `save_seconds`, from which it goes on by
    `resume`, checkpoint_N.pth every `checkpoint_steps`, TensorBoard events, in the end metrics.json and
    model_final.pth. Raises ValueError for what does not fit, DivergedError, and Interrupted after Ctrl-C in a folder.
    """
    asked = {name: value for name, value in asked.items() if value is not None}
    if folder is None:
        if resume:
            raise ValueError("resuming requires the folder of the run")
        options = resolve(asked, preset)
        display = display or Display(shown=options.layers != "spline")
        with display:
            trainer = begin(truth, options, asked, device, signal, init, display)
            for loss in trainer.steps():
                display.step(trainer, loss)
            trainer.finish()
        return finished(trainer.field, Validation(truth, options.levels).measure)

    with RunFolder(folder, resume) as run:
        options, state = resume_state(run, truth, asked) if resume else (resolve(asked, preset), None)
        display = display or Display(shown=options.layers != "spline")
        with display:
            trainer = begin(truth, options, asked, device, signal, init, display)
            if state is not None:
                trainer.restore(*state)
            return train_in_folder(run, trainer, truth, display, checkpoint_steps, save_seconds)


def begin(
    truth: GroundTruth,
    options: Options,
    asked: dict[str, Any],
    device: str | torch.device,
    signal: Signal | None,
    init: Field | None,
    display: Display,
) -> Trainer:
    """A trainer ready for its first step; the user is warned of options without effect and of rounding noise."""
    for text in options.without_effect(asked):
        display.warn(text)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    trainer = make_trainer(truth, options, torch.device(device), signal)
    if warning := check_precision_early(trainer):
        display.warn(warning)
    if init is not None:
        initialise(trainer.field, init)
    return trainer


def initialise(field: Field, init: Field) -> None:
    """Start from the weights of another field; raises ValueError where they are another function in `field`."""
    # A constant of the last layer cancels in every difference.
    if different := [name for name in field.config.differences(init.config) if name != "bias"]:
        theirs = ", ".join(f"{name} {getattr(init.config, name)}" for name in different)
        raise ValueError(f"--init_ckpt holds a field of another kind ({theirs}): train with the options it has")
    field.load_state_dict(init.state_dict(), strict=False)


def resume_state(
    run: RunFolder, truth: GroundTruth, asked: dict[str, Any]
) -> tuple[Options, tuple[Field, dict[str, Any]]]:
    """The options a run was started with and its newest state; raises ValueError for other options or ground truth."""
    field, training = load_checkpoint(run.current)
    if field.origin.digest != truth.digest:
        raise RunError(
            "the ground truth has changed since this run began: start a new run with another --experiment_name"
        )
    return resumed(training.get("options"), asked), (field, training)
