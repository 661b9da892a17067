"""Train a repeated integral field on ground truth made by mc_utils.py.

python train.py --monte_carlo data/GTs/images/GT.npz --experiment_name mine
tensorboard --logdir logs
"""

import contextlib
import os
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Read by OpenMP when torch is loaded: threads that spin while they wait starve everything else on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import click
import imageio.v3 as iio
import numpy as np
import torch
from rich.console import Console

from kernels import minimal_kernel
from kernels.figure import kernel_picture
from modalities import CAPTIONS, MODALITIES, check_known, find
from models.checkpoint import Checkpoint
from models.field import FACTORS, KINDS, Field
from models.released import load_checkpoint
from signals.ground_truth import GroundTruth
from signals.released import load_ground_truth
from signals.signal import Signal
from training.folder import RunError, RunFolder
from training.loop import SAVE_SECONDS, DivergedError, Hooks, Trainer
from training.objective import Loss
from training.options import OPTIMIZERS, PRESETS, SCHEDULES, SUPERVISIONS, Options, resolve, resumed
from training.pyramid import LOSSES
from training.record import Record, errors_told_once
from training.setup import foresee_precision, make_trainer
from training.validation import Validation
from utils import clear_errors, pick_device, progress_bar

OPTION_HELP: dict[str, tuple[Any, str]] = {
    "field": (click.Choice(KINDS), "Kind of field."),
    "supervision": (click.Choice(SUPERVISIONS), "How it learns: solved heads, lattices, single points, derivatives."),
    "num_channels": (int, "Width of the hidden layers; 1-D networks get no more features than an axis has samples."),
    "num_layers": (int, "Hidden layers."),
    "pe": (int, "Bands of the positional encoding; -1: from the training kernel."),
    "norm_exp": (float, "Bands are divided by their frequency to this power."),
    "omega_0": (float, "Frequency of sine layers; 0: from the training kernel."),
    "factor": (click.Choice(FACTORS), "Factors of a separable field: networks of swish or sine layers, or splines."),
    "knots": (float, "Knots of spline factors per distance of the training kernel's Diracs."),
    "core_size": (int, "Most entries of a separable field's core."),
    "poly_degree": (int, "Degree of the polynomial part, after differentiation."),
    "optimizer": (click.Choice(OPTIMIZERS), "Muon on hidden matrices with Adam on the rest, or Adam on all."),
    "learn_rate": (float, "First learning rate."),
    "schedule": (click.Choice(SCHEDULES), "Cosine over the budget, or the authors' steps."),
    "schedule_step": (int, "Steps between cuts of the learning rate."),
    "schedule_gamma": (float, "Factor of each cut."),
    "loss": (click.Choice(list(LOSSES)), "Loss of every pyramid level."),
    "levels": (int, "Levels of the residual pyramid: 1, 2, 4, ... times the training kernel."),
    "batch": (int, "Supervised points per step."),
    "num_steps": (int, "Budget in steps."),
    "time_budget": (float, "Budget in seconds of training."),
    "accuracy": (float, "Fewest directions per axis that keep this PSNR in dB; 0: as many as the core holds."),
    "precision": (click.Choice(["32", "64"]), "Bits of the networks' arithmetic."),
    "seed": (int, "Seed of everything random."),
}


def training_options(command: Any) -> Any:
    """One click option for every training option; none has a default of its own."""
    for name, (kind, text) in reversed(OPTION_HELP.items()):
        command = click.option(f"--{name}", type=kind, default=None, help=text)(command)
    return command


def resume_options(checkpoint: Checkpoint, asked: dict[str, Any], truth: GroundTruth) -> Options:
    """The options a run was started with; refuses other options or other ground truth (ValueError)."""
    if checkpoint.origin.digest != truth.digest:
        raise RunError(
            "the ground truth has changed since this run began: start a new run with another --experiment_name"
        )
    return resumed(checkpoint.training.get("options"), asked)


def drawing(truth: GroundTruth, folder: Path) -> Any:
    """A function that draws (prediction, truth) as the modality does, as a picture [H, W, 3] for TensorBoard."""
    modality = MODALITIES.get(truth.modality)
    if modality is None:
        return None

    def draw(prediction: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        file = folder / "preview.png"
        modality.compare(wanted, prediction, wanted, file, truth.meta, ("ground truth", CAPTIONS[1]))
        return iio.imread(file)[..., :3]

    return draw


def initialise(field: Field, path: Path) -> None:
    """Start from the weights of another checkpoint; raises ValueError where its field is another function of them."""
    other = load_checkpoint(path)
    if different := field.config.differences(other.config):
        theirs = ", ".join(f"{name} {getattr(other.config, name)}" for name in different)
        raise ValueError(f"--init_ckpt {path} holds a field of another kind ({theirs}): train with the options it has")
    field.load_state_dict(other.build().state_dict())


def load_raw(path: Path, truth: GroundTruth) -> Signal:
    """The raw signal, read as the ground truth's was, as far as its margin."""
    modality = find(truth.modality)
    return modality.load_to(path, (truth.margin,), **modality.options_of(truth.meta.get("load", {})))


def make_record(trainer: Trainer, truth: GroundTruth) -> Record:
    """What the run shows while it lives, begun with its options and its training kernel and Diracs."""
    modality = MODALITIES.get(truth.modality)
    validation = Validation(truth, trainer.options.levels, modality.counted_axes if modality else ())
    record = Record(trainer.folder.path, validation, drawing(truth, trainer.folder.path), trainer.step)
    picture = kernel_picture(minimal_kernel(truth.order, truth.half_size))
    record.describe(trainer.options, picture, sum(p.numel() for p in trainer.field.parameters()))
    return record


def make_hooks(record: Record, bar: Any) -> Hooks:
    """What is shown while training: the bar and scalars often, validation now and then."""
    task = bar.add_task("training", total=1.0, note="")
    quality: dict[float, float] = {}
    seen = {"time": time.monotonic(), "points": 0}

    def report(trainer: Trainer, loss: Loss, elapsed: float) -> None:
        per_second = loss.points * trainer.step / max(elapsed, 1e-9)
        learn_rate = trainer.optimisers[0].param_groups[0]["lr"]
        if time.monotonic() - seen["time"] > 1.0:
            seen["time"] = time.monotonic()
            record.step(trainer.step, loss, learn_rate, per_second)
        shown = " ".join(f"{value:.1f}" for value in quality.values())
        note = f"step {trainer.step}  {trainer.step / max(elapsed, 1e-9):.0f}/s  rms {loss.rms[0].item():.2e}"
        bar.update(task, completed=min(1.0, trainer.spent), note=note + (f"  PSNR {shown} dB" if shown else ""))

    def validate(trainer: Trainer) -> None:
        quality.update(record.validate(trainer.step, trainer.field))

    return Hooks(report, validate)


def finish(trainer: Trainer, record: Record, prepared: float) -> None:
    """The final checkpoint, stored in float32, its quality and what to do next."""
    final = Checkpoint(
        trainer.field.config, trainer.origin, {k: v.float() for k, v in trainer.field.state_dict().items()}
    )
    final.save(trainer.folder.final)
    quality = record.validate(trainer.step, trainer.field, last=True)
    parameters = sum(p.numel() for p in trainer.field.parameters())
    trainer.folder.write_json("metrics.json", {
        "psnr": {f"{size:g}": round(value, 2) for size, value in quality.items()}, "steps": trainer.step,
        "seconds": round(trainer.elapsed, 1), "preparation": round(prepared, 1), "parameters": parameters,
        "bytes": trainer.folder.final.stat().st_size, "threads": torch.get_num_threads(),
        "torch": torch.__version__, "options": trainer.options.to_dict(),
    })  # fmt: skip
    record.close(trainer.options, quality)
    for size, value in quality.items():
        click.echo(f"half size {size:g}: {value:.1f} dB on the whole signal")
    trained = "no steps" if trainer.solved else f"{trainer.step} steps in {trainer.elapsed:.0f} s"
    click.echo(f"{trainer.folder.final}: {parameters} parameters, prepared in {prepared:.1f} s, {trained}")


@contextlib.contextmanager
def told_how_to_resume(trainer: Trainer, given: dict[str, Any]) -> Iterator[None]:
    """What stops a run becomes one sentence; it says how to go on from current.pth with the options `given`."""
    given |= {"summary": trainer.folder.path.parent, "experiment_name": trainer.folder.path.name}
    words = [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]
    command = shlex.join([sys.executable, str(Path(__file__)), *words, "--resume"])
    try:
        yield
    except KeyboardInterrupt:
        raise click.ClickException(f"interrupted at step {trainer.step}, nothing lost; go on with: {command}") from None
    except DivergedError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        named = f"{error.filename or trainer.folder.path}: {error.strerror or error}"
        saved = trainer.folder.current.is_file()
        again = f"go on with: {command}" if saved else "start again with another --experiment_name: nothing was saved"
        raise click.ClickException(f"cannot write {named}; mend that and {again}") from None


@click.command()
@click.option("--monte_carlo", required=True, type=click.Path(path_type=Path), help="Ground truth made by mc_utils.py.")
@click.option("--order", type=int, default=None, help="Order of a ground truth of the authors' release (.npy).")
@click.option("--summary", default="logs", show_default=True, type=click.Path(path_type=Path), help="Folder of runs.")
@click.option("--experiment_name", default="experiment", show_default=True, help="Name of this run's folder.")
@click.option("--preset", type=click.Choice(list(PRESETS)), default=None, help="The authors' hyper-parameters.")
@click.option("--init_ckpt", type=click.Path(path_type=Path), default=None, help="Checkpoint to start from.")
@click.option("--signal", type=click.Path(path_type=Path), default=None, help="Raw signal, for --supervision autodiff.")
@click.option("--resume", is_flag=True, help="Go on with the run of this name.")
@click.option(
    "--checkpoint_steps",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Keep checkpoint_N.pth every so many steps.",
)
@click.option(
    "--save_seconds", type=click.FloatRange(0), default=SAVE_SECONDS, show_default=True, help="Time between two saves."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@training_options
@clear_errors
def main(monte_carlo: Path, order: int | None, summary: Path, experiment_name: str, preset: str | None,
         init_ckpt: Path | None, signal: Path | None, resume: bool, checkpoint_steps: int, save_seconds: float,
         device: str, **asked: Any) -> None:  # fmt: skip
    """Train a repeated integral field; the run lives in SUMMARY/EXPERIMENT_NAME and can be resumed."""
    if asked["precision"] is not None:
        asked["precision"] = int(asked["precision"])
    place = pick_device(device)
    truth = load_ground_truth(monte_carlo, order)
    check_known(truth.modality, truth.meta, truth.shape, truth.channels)
    options = None if resume else resolve(asked, preset)
    with RunFolder(summary, experiment_name, resume) as folder:
        state = Checkpoint.load(folder.current) if resume else None
        if state is not None:
            options = resume_options(state, asked, truth)
        for name in options.unread(name for name, value in asked.items() if value is not None):
            click.echo(f"warning: --{name} is not read by this kind of run", err=True)
        console, start = Console(stderr=True), time.monotonic()
        with console.status("preparing lattices of the ground truth"):
            trainer = make_trainer(truth, options, folder, place, signal and load_raw(signal, truth))
        prepared = time.monotonic() - start
        if warning := foresee_precision(trainer):
            click.echo(f"warning: {warning}", err=True)
        if init_ckpt:
            initialise(trainer.field, init_ckpt)
        if state is not None:
            trainer.restore(state)
        given = {"monte_carlo": monte_carlo, "order": order, "signal": signal, "device": device}
        given |= {"checkpoint_steps": checkpoint_steps, "save_seconds": save_seconds}
        with told_how_to_resume(trainer, given), errors_told_once():
            folder.write_json("options.json", options.to_dict() | {"monte_carlo": str(monte_carlo)})
            record = make_record(trainer, truth)
            with progress_bar(console) as bar:
                trainer.run(make_hooks(record, bar), checkpoint_steps, save_seconds)
            finish(trainer, record, prepared)


if __name__ == "__main__":
    main()
