"""Train a repeated integral field on ground truth made by mc_utils.py, or on a signal itself.

python train.py --monte_carlo data/GTs/images/GT.npz --experiment_name mine
python train.py --signal large.png --half_size 13px --tile 512 --experiment_name large
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
from cluster import connected
from cluster.fitting import tile_mapper
from modalities import find
from models.device import describe_device
from models.levels import INDEX
from signals import GroundTruth
from training import PRESETS, Options, Source, train
from training.display import Display, Silence
from training.interrupt import Interrupted
from training.processes import LostError, joined, launcher
from training.run import SAVE_SECONDS
from training.trainer import DivergedError
from utils import clear_errors, cluster_options, load_options, loader_options

FILE = click.Path(path_type=Path)
# How a signal without ground truth is read, and options of loaders whose names mean something else here.
READING = ("half_size", "margin", "boundary", "axes", "modality", "mask")
OPTIONS = ("accuracy",)


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


def ground_truth(path: Path, order: int | None, reading: Mapping[str, Any]) -> GroundTruth:
    """The ground truth in a file; raises ValueError for options that are in it already."""
    if given := [f"--{name}" for name, value in reading.items() if value is not None]:
        raise ValueError(f"{path} keeps how its signal was read: leave {', '.join(given)} out")
    return nfconv.load_ground_truth(path, order)


def signal_source(path: Path | None, order: int | None, reading: Mapping[str, Any]) -> Source:
    """The signal in a file and the kernel it is trained through; raises ValueError where either is not given."""
    given = {name: value for name, value in reading.items() if value is not None}
    if path is None or "half_size" not in given:
        raise ValueError("--monte_carlo is missing: ground truth made by mc_utils.py, or --signal with --half_size")
    return nfconv.api.measured(path, order=order or 1, **given)


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
        if isinstance(error, FileNotFoundError) and error.errno is None:
            # Ours, of a file that is read.
            raise
        saved = any((folder / name).is_file() for name in ("current.pth", INDEX))
        again = f"resume with: {command}" if saved else "start again with another --experiment_name: nothing was saved"
        if isinstance(error, LostError | ConnectionError):
            raise click.ClickException(f"{error}; {again}") from None
        named = f"{error.filename or folder}: {error.strerror or error}"
        raise click.ClickException(f"cannot write {named}; fix that and {again}") from None


@click.command()
@click.option("--monte_carlo", default=None, type=FILE, help="Ground truth made by mc_utils.py.")
@click.option("--order", type=int, default=None,
              help="Order of a ground truth of the authors' release (.npy), or of --signal alone (1).")  # fmt: skip
@click.option("--summary", default="logs", show_default=True, type=FILE, help="Folder of runs.")
@click.option("--experiment_name", default="experiment", show_default=True, help="Name of this run's folder.")
@click.option("--preset", type=click.Choice(list(PRESETS)), default=None, help="The authors' hyper-parameters.")
@click.option("--init_ckpt", type=FILE, default=None, help="Checkpoint to start from.")
@click.option("--signal", type=FILE, default=None,
              help="Raw signal: without ground truth, or for --supervision autodiff.")  # fmt: skip
@click.option("--half_size", default=None, help="Of the training kernel of --signal alone, as in mc_utils.py.")
@click.option("--margin", default=None, help="Beyond --signal alone, as in mc_utils.py (0.4).")
@click.option("--boundary", default=None, help="Beyond --signal alone, as in mc_utils.py (clamp).")
@click.option("--axes", default=None, help="Axes of --signal alone to filter; default: the modality's.")
@click.option("--modality", default=None, help="Of --signal alone; default: by the file's extension.")
@click.option("--mask", type=FILE, default=None, help="Weights of the samples of --signal alone, as in mc_utils.py.")
@click.option("--tile", default=None,
              help="Samples of the tiles that a large signal is cut into, also per axis: 512 or 0,0,100 (0: not cut); "
              "default: only where one field holds too little.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on with the run of this name.")
@click.option("--checkpoint_steps", type=click.IntRange(0), default=0, show_default=True,
              help="Keep checkpoint_N.pth every so many steps.")  # fmt: skip
@click.option("--save_seconds", type=click.FloatRange(0), default=SAVE_SECONDS, show_default=True,
              help="Time between two saves.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@training_options
@load_options(without=OPTIONS)
@cluster_options
@clear_errors
def main(monte_carlo: Path | None, order: int | None, summary: Path, experiment_name: str, preset: str | None,
         init_ckpt: Path | None, signal: Path | None, resume: bool, checkpoint_steps: int, save_seconds: float,
         device: str, tile: str | None, workers: int | None, scheduler: str | None, **asked: Any) -> None:  # fmt: skip
    """Train a repeated integral field; the run is kept in SUMMARY/EXPERIMENT_NAME and can be resumed."""
    if experiment_name in ("", "..") or Path(experiment_name).name != experiment_name:
        raise ValueError(f"--experiment_name {experiment_name!r} must be a plain folder name")
    folder = summary / experiment_name
    reading = {name: asked.pop(name) for name in (*READING, *loader_options(without=OPTIONS))}
    given: dict[str, Any] = {"monte_carlo": monte_carlo, "order": order, "signal": signal, "device": device}
    given |= reading | {"tile": tile, "checkpoint_steps": checkpoint_steps, "save_seconds": save_seconds}
    given |= {"workers": workers, "scheduler": scheduler}
    with joined(device) as (processes, place), connected(workers, scheduler) as cluster, tile_mapper(cluster) as mapper:
        truth = None if monte_carlo is None else ground_truth(monte_carlo, order, reading)
        init = nfconv.load(init_ckpt) if init_ckpt else None
        if processes.leads:
            several = f"{processes.count} processes, " if processes.count > 1 else ""
            click.echo(f"device: {several}{describe_device(place)}", err=True)
        with explain_resume(folder, given):
            made, raw = truth or signal_source(signal, order, reading), None
            if truth and signal:
                raw = find(truth.modality).load_again(signal, truth.metadata, (truth.margin,))
            train(made, signal=raw, device=place, folder=folder, resume=resume, preset=preset, init=init, tile=tile,
                  checkpoint_steps=checkpoint_steps, save_seconds=save_seconds, processes=processes, mapper=mapper,
                  display=Display() if processes.leads else Silence(), **asked)  # fmt: skip
        if processes.leads:
            report(folder)


def report(folder: Path) -> None:
    """Print what the run in `folder` has come to."""
    metrics = json.loads((folder / "metrics.json").read_text())
    for size, value in metrics["psnr"].items():
        click.echo(f"half size {size}: {value:.1f} dB on the whole signal")
    steps = f"{metrics['steps']} steps in {metrics['seconds']:.0f} s" if metrics["steps"] else "no steps"
    final = nfconv.api.model_file(folder)
    click.echo(f"{final}: {metrics['parameters']} parameters, prepared in {metrics['preparation']:.1f} s, {steps}")


if __name__ == "__main__":
    main()
