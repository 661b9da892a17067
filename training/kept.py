"""A run that keeps itself in a folder: what is saved when, and what is left at its end."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from models.checkpoint import save_checkpoint
from models.config import Origin
from models.field import Field
from models.levels import INDEX, read_index
from signals.ground_truth import GroundTruth
from training.display import Display
from training.folder import RunFolder
from training.interrupt import Interrupted
from training.options import Options
from training.plan import plan_tiles
from training.record import Record, half_size_label, write_errors_raised_once
from training.source import Source, Tile
from training.tiles import Mapper, fit_tiles, open_folder, tile_options
from training.trainer import DivergedError, Trainer
from training.validation import Validation, finished

VALIDATIONS = 8


def tile_in_folder(
    run: RunFolder, source: Source, tile: Tile | None, asked: Mapping[str, Any], preset: str | None, device: str,
    display: Display, mapper: Mapper | None = None,
) -> Field:  # fmt: skip
    """Fit in tiles, which are kept in the run's folder with their index, options.json and metrics.json; those that are
    there are not made again. Raises Interrupted, and ValueError where the folder has others."""
    options, start = tile_options(asked, preset), time.monotonic()
    if (run.path / INDEX).is_file() and tile is None:
        tile = read_index(run.path / INDEX)["levels"][0]["tile"]
    plan = plan_tiles(source, tile, options.to_dict(), run.path, device)
    open_folder(plan)
    run.write_json(
        "options.json", options.to_dict() | {"ground_truth": source.signal.name, "tile": plan.levels[0].tiling.tile}
    )
    field, tiles = fit_tiles(plan, source, display, mapper)
    write_metrics(run, field.origin, options, steps=0, seconds=0.0, preparation=time.monotonic() - start,
                  parameters=sum(t["parameters"] for t in tiles), bytes=sum(t["bytes"] for t in tiles),
                  tiles=len(tiles), levels=len(plan.levels))  # fmt: skip
    return field


def write_metrics(run: RunFolder, origin: Origin, options: Options, **numbers: float) -> dict[str, float]:
    """metrics.json of a run that has ended; PSNR in dB by half size."""
    quality = {half_size_label(origin.half_size, factor): psnr for factor, psnr in origin.psnr.items()}
    rounded = {name: round(value, 1) for name, value in numbers.items()}
    run.write_json("metrics.json", {
        "psnr": {size: round(value, 2) for size, value in quality.items()}, **rounded,
        "threads": torch.get_num_threads(), "torch": torch.__version__, "options": options.to_dict(),
    })  # fmt: skip
    return quality


def train_in_folder(
    run: RunFolder, trainer: Trainer, truth: GroundTruth, display: Display, checkpoint_steps: int, save_seconds: float
) -> Field:
    """Train to the end of the budget, everything kept in the run's folder; the finished field.

    Raises Interrupted after Ctrl-C or SIGTERM, with everything saved, and DivergedError.
    """
    run.write_json("options.json", trainer.options.to_dict() | {"ground_truth": truth.source})
    parameters = sum(p.numel() for p in trainer.field.parameters())
    with write_errors_raised_once():
        record = Record(run.path, truth, Validation(truth, trainer.options.levels), trainer.step)
        record.describe(trainer.options, parameters)
        try:
            keep_training(run, trainer, record, display, checkpoint_steps, save_seconds)
        except DivergedError as error:
            kept = f"the last good state is {run.current}" if run.current.is_file() else "nothing was saved"
            raise DivergedError(f"{error}; {kept}") from None
        field = finished(trainer.field, lambda field: record.validate(trainer.step, field, last=True))
        final = save_checkpoint(run.path / "model_final.pth", field)
        quality = write_metrics(run, field.origin, trainer.options, steps=trainer.step, seconds=trainer.elapsed,
                                preparation=trainer.prepared, parameters=parameters,
                                bytes=final.stat().st_size)  # fmt: skip
        record.close(trainer.options, quality)
    return field


def keep_training(
    run: RunFolder, trainer: Trainer, record: Record, display: Display, checkpoint_steps: int, save_seconds: float
) -> None:
    """All steps; current.pth is there from the start and renewed every `save_seconds`."""
    if not run.current.is_file():
        save_state(run.current, trainer)
    validated, saved = int(trainer.spent * VALIDATIONS), time.monotonic()
    with trainer.interrupt:
        for loss in trainer.steps():
            display.step(trainer, loss)
            record.step(trainer, loss)
            if validated < int(trainer.spent * VALIDATIONS) < VALIDATIONS:
                validated = int(trainer.spent * VALIDATIONS)
                trainer.finish()
                display.validated(record.validate(trainer.step, trainer.field))
            if checkpoint_steps and trainer.step % checkpoint_steps == 0:
                save_state(run.path / f"checkpoint_{trainer.step}.pth", trainer)
            if time.monotonic() - saved > save_seconds:
                save_state(run.current, trainer)
                saved = time.monotonic()
        save_state(run.current, trainer)
    if trainer.stopped or trainer.interrupt.asked:
        raise Interrupted(f"interrupted at step {trainer.step}, nothing lost")


def save_state(path: Path, trainer: Trainer) -> None:
    """Everything that resuming requires, in one file."""
    trainer.finish()
    save_checkpoint(path, trainer.field, trainer.state())
