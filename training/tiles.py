"""Fitting a field in tiles: one task per tile, which reads its samples, solves, measures and writes its file.

A task returns numbers alone. A tile's file is written whole, with the digest of its samples and settings; one that is
valid is not made again, so that a run that was interrupted goes on by itself.
"""

import math
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from itertools import starmap
from pathlib import Path
from typing import Any

import numpy as np
import torch

from files import ArchiveError, atomic_write, checksum
from models.checkpoint import load_checkpoint, save_checkpoint
from models.device import full_float32, pick_device
from models.field import Field
from models.tiled import INDEX, TiledField, index_entries, load_tiled, read_index, tile_file, write_index
from signals.exact import convolve_signal, minimal_taps
from signals.ground_truth import GroundTruth
from signals.measures import decibels
from signals.metadata import Metadata
from signals.signal import Signal
from signals.tiling import Index, stretch_of
from training.coarse import averaged, coarse_stretch, reach_of_block
from training.display import Display
from training.interrupt import Interrupt, Interrupted
from training.options import Options, resolve
from training.plan import TilePlan, hull, plan_tiles
from training.projection import ProjectionObjective
from training.setup import make_trainer, wanted_accuracy
from training.source import Source, Tile
from training.validation import Validation, finished

# dB of PSNR at the training kernel that the tiles of coarse levels hold by default.
COARSE_ACCURACY = 90.0
Numbers = dict[str, Any]
# Calls a function with each of the tuples of arguments, in any order, and gives its results as they come.
Mapper = Callable[[Callable[..., Numbers], list[Any]], Iterable[Numbers]]


def solve_tile(plan: TilePlan, source: Source, level: int, index: Index) -> Numbers:
    """Make the checkpoint of a tile and its block of the next coarse level, where they are not there; numbers of how
    good it is.

    Level 0 reads the signal's samples under the tile and its margin, a coarse level what the one before it has left.
    Raises ValueError, DivergedError and OSError.
    """
    start, cpu = time.monotonic(), time.process_time()
    coarser = level + 1 < len(plan.levels)
    ranges = [plan.field_range(level, index)] + ([reach_of_block(plan, level, index)] if coarser else [])
    first, last = hull(*ranges)
    values = read_samples(plan, source, level, first, last)
    digest = checksum([plan.digest, level, index, values])
    path = tile_file(plan.folder, level, index)
    numbers = stored_numbers(path, digest)
    block = plan.block_file(level, index)
    if numbers is not None and (not coarser or block.is_file()):
        return numbers | {"skipped": True}
    if level == 0 and not source.seen:
        values = convolved(plan, values)
    if coarser:
        with atomic_write(block) as stream:
            np.save(stream, averaged(values, first, plan, level, index))
    if numbers is not None:
        return numbers | {"skipped": True}
    truth = tile_truth(plan, values, level, index, first)
    del values
    with full_float32():
        field, numbers = solved(plan, truth, level, index)
    field.origin = replace(field.origin, digest=digest)
    # Without times, so that a tile's file has the same bytes whenever and wherever it is made.
    save_checkpoint(path, field, {"numbers": numbers})
    spent = {"seconds": time.monotonic() - start, "cpu": time.process_time() - cpu}
    return numbers | spent | {"skipped": False, "bytes": path.stat().st_size}


def read_samples(plan: TilePlan, source: Source, level: int, first: list[int], last: list[int]) -> np.ndarray:
    """What a tile of `level` is made from: samples of the signal, with those that the training kernel reaches, or of
    the coarse level."""
    if level:
        return coarse_stretch(plan, level, first, last)
    reach = [0] * plan.config.dim if source.seen else taps_reach(plan)
    return stretch_of(source.signal, [a - r for a, r in zip(first, reach, strict=True)],
                      [b + r for b, r in zip(last, reach, strict=True)], plan.origin.boundary)  # fmt: skip


def taps_reach(plan: TilePlan) -> list[int]:
    """Samples per axis that the training kernel reaches to either side."""
    return [math.ceil(half) + 1 if half else 0 for half in plan.levels[0].half]


def convolved(plan: TilePlan, values: np.ndarray) -> np.ndarray:
    """Samples [.., c] convolved with the training kernel, without those it reaches beyond, float32."""
    axes, reach = plan.config.axes, taps_reach(plan)
    taps = [minimal_taps(plan.config.order, plan.levels[0].half[axis], 1.0) for axis in axes]
    signal = Signal(values, axes, halo=tuple(reach), name=plan.origin.source)
    return convolve_signal(signal, taps, axes, "clamp", (0,) * plan.config.dim, np.float32)


def tile_truth(plan: TilePlan, values: np.ndarray, level: int, index: Index, first: list[int]) -> GroundTruth:
    """The ground truth of a tile, in its own coordinates, out of `values` that begin at sample `first`."""
    found, config = plan.levels[level], plan.config
    begin, end = plan.field_range(level, index)
    rows = tuple(slice(a - f, b - f) for a, b, f in zip(begin, end, first, strict=True))
    metadata = Metadata(known=plan.origin.metadata.known)
    return GroundTruth(np.ascontiguousarray(values[rows]), config.axes, config.order, found.half_size(config.axes),
                       "clamp", found.pads, source=plan.origin.source, metadata=metadata)  # fmt: skip


def solved(plan: TilePlan, truth: GroundTruth, level: int, index: Index) -> tuple[Field, Numbers]:
    """The field of a tile, and what errors it has on the samples that are the signal's own."""
    options = options_of(plan, level)
    trainer = make_trainer(truth, options, pick_device(plan.device))
    for _ in trainer.steps():
        pass
    trainer.finish()
    validation = Validation(truth, options.levels)
    valid = plan.levels[level].tiling.valid(index)
    own = tuple(slice(0, math.ceil(n / step)) for n, step in zip(valid, validation.steps, strict=True))
    numbers: Numbers = {"factors": [], "squares": [], "parameters": sum(p.numel() for p in trainer.field.parameters())}

    def measure(field: Field) -> dict[float, float]:
        quality = {}
        for found in validation.levels:
            wanted = found.truth[own].astype(np.float64)
            error = float(np.square(validation.predict(field, found, last=True)[own] - wanted).mean())
            numbers["factors"].append(found.factor)
            numbers["squares"].append(error)
            quality[found.factor] = decibels(1.0, error)
        return quality

    field = finished(trainer.field, measure)
    inside = truth.core[tuple(slice(0, n) for n in valid)]
    objective = trainer.objective
    numbers |= {"level": level, "points": math.prod(valid), "low": float(inside.min()), "high": float(inside.max()),
                "held": objective.held if isinstance(objective, ProjectionObjective) else math.inf}  # fmt: skip
    return field, numbers


def options_of(plan: TilePlan, level: int) -> Options:
    """The options of a level's tiles: coarse ones are few, and what they answer is smooth, so they may be better."""
    options = Options(**plan.options)
    if not level or options.field != "separable" or options.accuracy >= 0:
        return options
    share = math.prod(plan.factor(axis) for axis in plan.config.axes)
    return replace(options, accuracy=COARSE_ACCURACY, core_size=max(options.core_size // share, 1))


def stored_numbers(path: Path, digest: str) -> Numbers | None:
    """What a task has found that made the valid file of a tile with this digest; None without one."""
    if not path.is_file():
        return None
    try:
        field, training = load_checkpoint(path)
    except ArchiveError:
        return None
    numbers = training.get("numbers")
    if field.origin.digest != digest or not isinstance(numbers, dict):
        return None
    return numbers | {"bytes": path.stat().st_size}


def quality_of(results: list[Numbers]) -> tuple[dict[float, float], float]:
    """PSNR in dB of all tiles together by half size, in units of the training kernel's, finest levels first, and the
    peak it is related to."""
    low, high = min(r["low"] for r in results), max(r["high"] for r in results)
    peak = 1.0 if low >= -1e-3 and high <= 1 + 1e-3 else high - low or 1.0
    quality: dict[float, float] = {}
    for level in sorted({r["level"] for r in results}):
        rows = [r for r in results if r["level"] == level]
        for place, factor in enumerate(rows[0]["factors"]):
            error = sum(r["squares"][place] * r["points"] for r in rows) / sum(r["points"] for r in rows)
            quality.setdefault(factor * 2.0**level, decibels(peak**2, error))
    return quality, peak


def fit_in_tiles(
    source: Source, tile: Tile | None, folder: str | Path | None, device: str | torch.device, **asked: Any
) -> TiledField:
    """A field in tiles, of splines unless other factors are asked for, in `folder` (none: one that is removed with the
    field). Raises ValueError."""
    if source.signal.function is not None:
        raise ValueError("a callable is sampled as finely as it requires, and not in tiles: leave the tile out")
    options = tile_options(asked)
    holder = None if folder else tempfile.TemporaryDirectory(prefix="tiles_")
    plan = plan_tiles(source, tile, options.to_dict(), Path(folder or holder.name), str(device))  # type: ignore[union-attr]
    with Display() as display:
        field, _ = fit_tiles(plan, source, display)
    field.holder = holder
    return field


def tile_options(asked: Mapping[str, Any], preset: str | None = None) -> Options:
    """The options of tiles: separable fields are splines unless other factors are asked for."""
    given = {name: value for name, value in asked.items() if value is not None}
    return resolve(
        {"factor": "spline"} | given if preset is None and given.get("field") in (None, "separable") else given, preset
    )


def open_folder(plan: TilePlan) -> None:
    """Begin the index of a plan's folder; raises ValueError where it holds the tiles of another signal or of other
    settings."""
    if not (plan.folder / INDEX).exists():
        origin = replace(plan.origin, digest=plan.digest)
        write_index(plan.folder, index_entries(plan.config, origin, plan.levels, complete=False))
    elif read_index(plan.folder / INDEX)["origin"].get("digest") != plan.digest:
        raise ValueError(f"{plan.folder} holds tiles of another signal or with other options: name another folder, or "
                         "give the options that it began with")  # fmt: skip


def fit_tiles(
    plan: TilePlan, source: Source, display: Display, mapper: Mapper | None = None
) -> tuple[TiledField, list[Numbers]]:
    """All tiles of a plan, those that are there already left as they are, and their index; the field, and the numbers
    of every tile.

    Raises ValueError where the folder holds the tiles of another signal or of other settings, and Interrupted.
    """
    open_folder(plan)
    tasks, results = plan.tasks, []
    total = sum(map(len, tasks))
    with Interrupt() as interrupt:
        for level in tasks:
            for numbers in (mapper or starmap)(partial(solve_tile, plan, source), level):
                results.append(numbers)
                display.tiles(len(results), total)
                if interrupt.asked:
                    raise Interrupted(f"interrupted after {len(results)} of {total} tiles, nothing lost")
    quality, _ = quality_of(results)
    origin = replace(plan.origin, digest=plan.digest, psnr=quality)
    held, wanted = min(r["held"] for r in results if r["level"] == 0), wanted_accuracy(Options(**plan.options))
    if held < wanted:
        display.warn(f"some tiles hold the signal to about {held:.1f} dB at the training kernel, not to {wanted:g}: "
                     "use a larger --core_size, a smaller --tile or a larger half size")  # fmt: skip
    write_index(plan.folder, index_entries(plan.config, origin, plan.levels, complete=True))
    for number, level in enumerate(tasks[:-1]):
        for _, index in level:
            plan.block_file(number, index).unlink(missing_ok=True)
    return load_tiled(plan.folder / INDEX).to(plan.device), results
