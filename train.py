"""Train a repeated integral field on ground truth made by mc_utils.py.

python train.py --monte_carlo data/GTs/images/GT.npz --experiment_name mine
tensorboard --logdir logs
"""

import contextlib
import dataclasses
import json
import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# Read by OpenMP when torch is loaded: threads that spin while they wait starve everything else on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import click

import nfconv
from modalities import find
from models.device import describe_device
from training import PRESETS, Options, train
from training.display import Display, Silence
from training.interrupt import Interrupted
from training.processes import LostError, joined, launcher
from training.run import SAVE_SECONDS
from training.trainer import DivergedError
from utils import clear_errors

FILE = click.Path(path_type=Path)


def training_options(command: Any) -> Any:
    """One click option for every line of the table of options; none has a default of its own."""
    for entry in reversed(dataclasses.fields(Options)):
        kind, choices = entry.type, entry.metadata.get("choices")
        command = click.option(
            f"--{entry.name}",
            type=click.Choice([str(value) for value in choices]) if choices else kind,
            callback=lambda context, parameter, value, kind=kind: value if value is None else kind(value),
            help=entry.metadata["help"],
        )(command)
    return command


@contextlib.contextmanager
def explain_resume(folder: Path, given: Mapping[str, Any]) -> Iterator[None]:
    """Turn what stops a run into one sentence that says how to resume it from its folder with the options `given`."""
    flags = dict(given) | {"summary": folder.parent, "experiment_name": folder.name}
    words = [word for name, value in flags.items() if value is not None for word in (f"--{name}", str(value))]
    command = shlex.join([*launcher(), str(Path(__file__)), *words, "--resume"])
    try:
        yield
    except Interrupted as error:
        raise click.ClickException(f"{error}; resume with: {command}") from None
    except DivergedError as error:
        raise click.ClickException(str(error)) from None
    except (LostError, OSError) as error:
        saved = (folder / "current.pth").is_file()
        again = f"resume with: {command}" if saved else "start again with another --experiment_name: nothing was saved"
        if isinstance(error, LostError):
            raise click.ClickException(f"{error}; {again}") from None
        named = f"{error.filename or folder}: {error.strerror or error}"
        raise click.ClickException(f"cannot write {named}; fix that and {again}") from None


@click.command()
@click.option("--monte_carlo", required=True, type=FILE, help="Ground truth made by mc_utils.py.")
@click.option("--order", type=int, default=None, help="Order of a ground truth of the authors' release (.npy).")
@click.option("--summary", default="logs", show_default=True, type=FILE, help="Folder of runs.")
@click.option("--experiment_name", default="experiment", show_default=True, help="Name of this run's folder.")
@click.option("--preset", type=click.Choice(list(PRESETS)), default=None, help="The authors' hyper-parameters.")
@click.option("--init_ckpt", type=FILE, default=None, help="Checkpoint to start from.")
@click.option("--signal", type=FILE, default=None, help="Raw signal, for --supervision autodiff.")
@click.option("--resume", is_flag=True, help="Go on with the run of this name.")
@click.option("--checkpoint_steps", type=click.IntRange(0), default=0, show_default=True,
              help="Keep checkpoint_N.pth every so many steps.")  # fmt: skip
@click.option("--save_seconds", type=click.FloatRange(0), default=SAVE_SECONDS, show_default=True,
              help="Time between two saves.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@training_options
@clear_errors
def main(monte_carlo: Path, order: int | None, summary: Path, experiment_name: str, preset: str | None,
         init_ckpt: Path | None, signal: Path | None, resume: bool, checkpoint_steps: int, save_seconds: float,
         device: str, **asked: Any) -> None:  # fmt: skip
    """Train a repeated integral field; the run is kept in SUMMARY/EXPERIMENT_NAME and can be resumed."""
    if experiment_name in ("", "..") or Path(experiment_name).name != experiment_name:
        raise ValueError(f"--experiment_name {experiment_name!r} must be a plain folder name")
    folder = summary / experiment_name
    given: dict[str, Any] = {"monte_carlo": monte_carlo, "order": order, "signal": signal, "device": device}
    given |= {"checkpoint_steps": checkpoint_steps, "save_seconds": save_seconds}
    with joined(device) as (processes, place):
        truth = nfconv.load_ground_truth(monte_carlo, order)
        raw = find(truth.modality).load_again(signal, truth.metadata, (truth.margin,)) if signal else None
        init = nfconv.load(init_ckpt) if init_ckpt else None
        if processes.leads:
            several = f"{processes.count} processes, " if processes.count > 1 else ""
            click.echo(f"device: {several}{describe_device(place)}", err=True)
        with explain_resume(folder, given):
            train(truth, signal=raw, device=place, folder=folder, resume=resume, preset=preset, init=init,
                  display=Display() if processes.leads else Silence(), checkpoint_steps=checkpoint_steps,
                  save_seconds=save_seconds, processes=processes, **asked)  # fmt: skip
        if processes.leads:
            report(folder)


def report(folder: Path) -> None:
    """Print what the run in `folder` has come to."""
    metrics = json.loads((folder / "metrics.json").read_text())
    for size, value in metrics["psnr"].items():
        click.echo(f"half size {size}: {value:.1f} dB on the whole signal")
    steps = f"{metrics['steps']} steps in {metrics['seconds']:.0f} s" if metrics["steps"] else "no steps"
    final = folder / "model_final.pth"
    click.echo(f"{final}: {metrics['parameters']} parameters, prepared in {metrics['preparation']:.1f} s, {steps}")


if __name__ == "__main__":
    main()
