"""A task of a field in tiles: it reads the samples of a tile or several, solves, measures and writes their files.

It returns numbers alone. A tile's file is written whole, with the digest of its samples and settings; one that is
valid is not made again, so that a run that was interrupted goes on by itself.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from files import ArchiveError, atomic_write, checksum
from models.checkpoint import load_checkpoint, save_checkpoint
from models.device import full_float32, pick_device
from models.field import Field
from models.levels import tile_file
from signals.exact import convolve_signal, minimal_taps
from signals.ground_truth import GroundTruth
from signals.measures import decibels
from signals.metadata import Metadata
from signals.signal import Signal
from signals.tiling import Index, stretch_of
from training.coarse import averaged, coarse_stretch, reach_of_block
from training.options import Options
from training.plan import TilePlan
from training.projection import ProjectionObjective
from training.setup import make_trainers
from training.source import Source
from training.trainer import Trainer
from training.validation import Validation, finished

# dB of PSNR at the training kernel that the tiles of coarse levels hold by default.
COARSE_ACCURACY = 90.0
Numbers = dict[str, Any]


def solve_tiles(plan: TilePlan, source: Source, level: int, indices: Sequence[Index]) -> list[Numbers]:
    """Make the checkpoints of some tiles, and their blocks of the next level, that are missing; numbers of each.

    Level 0 reads the signal's samples under a tile and its margin, a coarse level what the one before it has left.
    Raises ValueError, DivergedError and OSError.
    """
    found: dict[Index, Numbers] = {}
    missing: dict[Index, tuple[str, GroundTruth]] = {}
    for index in indices:
        digest, values = prepare_tile(plan, source, level, index)
        if isinstance(values, GroundTruth):
            missing[index] = digest, values
        else:
            found[index] = values
    if missing:
        with full_float32():
            truths = [truth for _, truth in missing.values()]
            trainers = make_trainers(truths, options_of(plan, level), pick_device(plan.device))
            for (index, (digest, truth)), trainer in zip(missing.items(), trainers, strict=True):
                found[index] = save_tile(plan, trainer, truth, level, index, digest)
    return [found[index] for index in indices]


def prepare_tile(plan: TilePlan, source: Source, level: int, index: Index) -> tuple[str, Numbers | GroundTruth]:
    """A tile's digest, and the numbers in its valid file or its ground truth; leaves its block of the next level."""
    coarser = level + 1 < len(plan.levels)
    first, last = plan.field_range(level, index)
    if coarser:
        begin, end = reach_of_block(plan, level, index)
        first, last = list(map(min, first, begin)), list(map(max, last, end))
    values = read_samples(plan, source, level, first, last)
    digest = checksum([plan.digest, level, index, values])
    numbers = stored_numbers(tile_file(plan.folder, level, index), digest)
    block = plan.block_file(level, index)
    if numbers is not None and (not coarser or block.is_file()):
        return digest, numbers
    if level == 0 and not source.seen:
        values = convolved(plan, values)
    if coarser:
        with atomic_write(block) as stream:
            np.save(stream, averaged(values, first, plan, level, index))
    return digest, tile_truth(plan, values, level, index, first) if numbers is None else numbers


def save_tile(plan: TilePlan, trainer: Trainer, truth: GroundTruth, level: int, index: Index, digest: str) -> Numbers:
    """Train to the end and write the checkpoint of a tile; its numbers."""
    for _ in trainer.steps():
        pass
    trainer.finish()
    field, numbers = measured(plan, trainer, truth, level, index)
    field.origin = replace(field.origin, digest=digest)
    # Without times, so that a tile's file has the same bytes whenever and wherever it is made.
    path = save_checkpoint(tile_file(plan.folder, level, index), field, {"numbers": numbers})
    return numbers | {"bytes": path.stat().st_size, "digest": digest}


def read_samples(plan: TilePlan, source: Source, level: int, first: list[int], last: list[int]) -> np.ndarray:
    """What a tile is made from: samples of the signal and those that the training kernel reaches, or of the level."""
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
    return convolve_signal(signal, taps, axes, "clamp", dtype=np.float32)


def tile_truth(plan: TilePlan, values: np.ndarray, level: int, index: Index, first: list[int]) -> GroundTruth:
    """The ground truth of a tile, in its own coordinates, out of `values` that begin at sample `first`."""
    found, config = plan.levels[level], plan.config
    begin, end = plan.field_range(level, index)
    rows = tuple(slice(a - f, b - f) for a, b, f in zip(begin, end, first, strict=True))
    metadata = Metadata(known=plan.origin.metadata.known)
    return GroundTruth(np.ascontiguousarray(values[rows]), config.axes, config.order, found.half_size(config.axes),
                       "clamp", found.pads, source=plan.origin.source, metadata=metadata)  # fmt: skip


def measured(plan: TilePlan, trainer: Trainer, truth: GroundTruth, level: int, index: Index) -> tuple[Field, Numbers]:
    """The field of a tile as its file stores it, and what errors it has on the samples that are the signal's own."""
    validation = Validation(truth, trainer.options.levels)
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
    """The numbers in the file of a tile, if that is valid and has this digest, else None."""
    if not path.is_file():
        return None
    try:
        field, training = load_checkpoint(path)
    except ArchiveError:
        return None
    numbers = training.get("numbers")
    if field.origin.digest != digest or not isinstance(numbers, dict):
        return None
    return numbers | {"bytes": path.stat().st_size, "digest": digest}
