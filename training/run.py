"""Training, from ground truth to finished field; a folder is optional and wrapped around it."""

import contextlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from files.inputs import note
from models.checkpoint import load_checkpoint
from models.device import full_float32
from models.field import Field
from models.levels import INDEX
from signals.ground_truth import GroundTruth
from signals.signal import Signal
from training.display import Display
from training.folder import RunError, RunFolder, resumable
from training.kept import tile_in_folder, train_in_folder
from training.options import Options, resolve, resumed
from training.precision import check_precision_early
from training.processes import OneProcess
from training.setup import make_trainer, rank_shortfall
from training.source import Source, Tile, tiles_help, too_large
from training.tiles import Mapper, fit_in_tiles
from training.trainer import DivergedError, Trainer
from training.validation import Validation, finished

SAVE_SECONDS = 30.0


def train(
    truth: GroundTruth | Source,
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
    processes: OneProcess | None = None,
    tile: Tile | None = None,
    mapper: Mapper | None = None,
    **asked: Any,
) -> Field:
    """A field trained on ground truth, or on a signal alone (a `Source`), ready to answer: in float32, as a file stores
    it, PSNR at 1, 2, 4, ... times the training kernel in `origin.psnr`. Raises ValueError, DivergedError, Interrupted.

    `asked` are options of the table in `training.options`; `signal` is the raw one, for autodiff; `init` gives the
    first weights. A run with a `folder` keeps itself there: current.pth every `save_seconds`, from which `resume`
    continues, checkpoint_N.pth every `checkpoint_steps`, TensorBoard events, finally metrics.json and model_final.pth.
    Of several `processes` (`training.processes.joined`) the leading one alone keeps and measures anything.
    With a `tile` (samples per axis), and where one field of a signal alone, or of a run with a folder, would hold too
    little, there are tiles and their index instead of these checkpoints. `mapper` shares them out.
    """
    processes = processes or OneProcess()
    asked = {name: value for name, value in asked.items() if value is not None}
    if resume and folder is None:
        raise ValueError("resuming requires the folder of the run")
    keeping = RunFolder(folder, resume) if folder is not None and processes.leads else contextlib.nullcontext()
    source = truth if isinstance(truth, Source) else Source.of_truth(truth)
    with full_float32(), keeping as run:
        cut = partial(train_tiles, run, source, asked, preset, device, display, mapper, processes)
        if tile is not None or (run and (run.path / INDEX).is_file()):
            if init is not None:
                raise ValueError("--init_ckpt is the start of one field, and not of tiles: leave it or --tile out")
            return cut(tile)
        begun = resumable(Path(folder)) if folder is not None and resume else None
        able = not (begun or preset or init) and (run or truth is source) and tiles_help(source, asked)
        if isinstance(truth, Source):
            if able and too_large(source):
                return cut(None)
            signal, truth = source.signal, source.truth()
        options, state = resume_state(begun, truth, asked) if begun else (resolve(asked, preset), None)
        processes.check(options)
        display = display or Display(shown=options.layers != "spline")
        with display:
            for text in options.without_effect(asked):
                display.warn(text)
            trainer = make_trainer(truth, options, device, signal, processes)
        shortfall = rank_shortfall(trainer)
        if shortfall and able:
            note(f"{source.signal.name} is fitted in tiles: {shortfall[0]}")
            del trainer
            return cut(None)
        if mapper is not None:
            raise ValueError("one field is fitted by one process: cut the signal with --tile, or leave --workers and "
                             "--scheduler out")  # fmt: skip
        for warning in (check_precision_early(trainer), trainer.objective.targets.uncovered(),
                        shortfall and f"{shortfall[0]}: use {shortfall[1]}"):  # fmt: skip
            if warning:
                display.warn(warning)
        with display:
            begin(trainer, truth, init, state)
            if not processes.leads:
                return followed(trainer)
            if run is not None:
                return train_in_folder(run, trainer, truth, display, checkpoint_steps, save_seconds)
            return train_alone(trainer, truth, display)


def train_tiles(
    run: RunFolder | None, source: Source, asked: Mapping[str, Any], preset: str | None, device: str | torch.device,
    display: Display | None, mapper: Mapper | None, processes: OneProcess, tile: Tile | None,
) -> Field:  # fmt: skip
    """A field in tiles, in the folder of its run where there is one."""
    if processes.count > 1:
        raise ValueError("tiles are tasks, one each, and not for torchrun: start this without it")
    if run is None:
        return fit_in_tiles(source, tile, None, device, preset, **asked)
    return tile_in_folder(run, source, tile, asked, preset, str(device), display or Display(), mapper)


def begin(trainer: Trainer, truth: GroundTruth, init: Field | None, state: tuple[Field, dict[str, Any]] | None) -> None:
    """Start from the weights of another field, or go on from a run's `state`; the same in all processes."""
    if init is not None:
        initialise(trainer.field, init)
    if state is not None:
        trainer.restore(*state)
    trainer.processes.align(trainer.field, trainer.step, truth.digest)


def train_alone(trainer: Trainer, truth: GroundTruth, display: Display) -> Field:
    """Train to the end of the budget, nothing kept but the finished field."""
    for loss in trainer.steps():
        display.step(trainer, loss)
    trainer.finish()
    return finished(trainer.field, Validation(truth, trainer.options.levels).measure)


def followed(trainer: Trainer) -> Field:
    """All steps beside the leading process, which says how they end."""
    with trainer.interrupt, contextlib.suppress(DivergedError):
        for _ in trainer.steps():
            pass
    return finished(trainer.field, lambda field: {})


def initialise(field: Field, init: Field) -> None:
    """Start from the weights of another field; raises ValueError where they are another function in `field`."""
    # A constant of the last layer cancels in every difference.
    if different := [name for name in field.config.differences(init.config) if name != "bias"]:
        theirs = ", ".join(f"{name} {getattr(init.config, name)}" for name in different)
        raise ValueError(f"--init_ckpt holds a field of another kind ({theirs}): train with the options it has")
    field.load_state_dict(init.state_dict(), strict=False)


def resume_state(
    current: Path, truth: GroundTruth, asked: dict[str, Any]
) -> tuple[Options, tuple[Field, dict[str, Any]]]:
    """The options a run was started with and its newest state; raises ValueError for other options or ground truth."""
    field, training = load_checkpoint(current)
    if field.origin.digest != truth.digest:
        raise RunError(
            "the ground truth has changed since this run began: start a new run with another --experiment_name"
        )
    return resumed(training.get("options"), asked), (field, training)
