"""Fitting a field in tiles: a task for each or, on a GPU, for several, and the index of what they have left."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from itertools import starmap
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.levels import INDEX, index_entries, read_index, write_index
from models.tiled import TemporaryFolder, TiledField, load_tiled
from signals.measures import decibels, peak
from training.display import Display
from training.folder import lock_folder
from training.interrupt import Interrupt, Interrupted
from training.options import Options, resolve
from training.plan import TilePlan, plan_tiles
from training.setup import wanted_accuracy
from training.source import Source, Tile
from training.tile import Numbers, solve_tiles

# Calls a function with each of the tuples of arguments, in any order, and gives its results as they come.
Mapper = Callable[[Callable[..., list[Numbers]], list[Any]], Iterable[list[Numbers]]]


def quality_of(results: list[Numbers]) -> dict[float, float]:
    """PSNR in dB of all tiles together by half size, in units of the training kernel's, finest levels first."""
    size = peak(np.array([[r["low"], r["high"]] for r in results]))
    quality: dict[float, float] = {}
    for level in sorted({r["level"] for r in results}):
        rows = [r for r in results if r["level"] == level]
        for place, factor in enumerate(rows[0]["factors"]):
            error = sum(r["squares"][place] * r["points"] for r in rows) / sum(r["points"] for r in rows)
            quality.setdefault(factor * 2.0**level, decibels(size**2, error))
    return quality


def fit_in_tiles(
    source: Source, tile: Tile | None, folder: str | Path | None, device: str | torch.device,
    preset: str | None = None, **asked: Any,
) -> TiledField:  # fmt: skip
    """A field in tiles, of splines unless other factors are asked for, in `folder` (none: one that is removed with the
    field). Raises ValueError."""
    if source.signal.function is not None:
        raise ValueError("a callable is sampled as finely as it requires, and not in tiles: leave the tile out")
    options = tile_options(asked, preset)
    holder = None if folder else TemporaryFolder()
    plan = plan_tiles(source, tile, options.to_dict(), Path(folder or holder or ""), str(device))
    with lock_folder(plan.folder), Display() as display:
        field, _ = fit_tiles(plan, source, display)
    field.holder = holder
    return field


def tile_options(asked: Mapping[str, Any], preset: str | None = None) -> Options:
    """The options of tiles: separable fields are splines unless other factors are asked for."""
    given = {name: value for name, value in asked.items() if value is not None}
    if preset is None and given.get("field", "separable") == "separable":
        given = {"factor": "spline"} | given
    return resolve(given, preset)


def open_folder(plan: TilePlan) -> None:
    """Begin the index of a plan's folder, or begin again: no tile is replaced in one that counts as complete. Raises
    ValueError where it holds the tiles of another signal or of other settings."""
    index = plan.folder / INDEX
    if index.exists() and read_index(index)["origin"].get("digest") != plan.digest:
        raise ValueError(f"{plan.folder} holds tiles of another signal or with other options: name another folder, or "
                         "give the options that it began with")  # fmt: skip
    origin = replace(plan.origin, digest=plan.digest)
    write_index(plan.folder, index_entries(plan.config, origin, plan.levels, complete=False))


def fit_tiles(
    plan: TilePlan, source: Source, display: Display, mapper: Mapper | None = None
) -> tuple[TiledField, list[Numbers]]:
    """All tiles of a plan that are not there already, and their index; the field, and the numbers of every tile.

    Raises ValueError where the folder holds the tiles of another signal or of other settings, and Interrupted.
    """
    open_folder(plan)
    tasks, results = plan.tasks, []
    total = sum(len(list(level.tiling.indices)) for level in plan.levels)
    with Interrupt() as interrupt:
        for level in tasks:
            for numbers in (mapper or starmap)(partial(solve_tiles, plan, source), level):
                results.extend(numbers)
                display.tiles(len(results), total)
                if interrupt.asked:
                    raise Interrupted(f"interrupted after {len(results)} of {total} tiles, nothing lost")
    origin = replace(plan.origin, digest=plan.digest, psnr=quality_of(results))
    held, wanted = min(r["held"] for r in results if r["level"] == 0), wanted_accuracy(Options(**plan.options))
    if held < wanted:
        display.warn(f"some tiles hold the signal to about {held:.1f} dB at the training kernel, not to {wanted:g}: "
                     "use a larger --core_size, a smaller --tile or a larger half size")  # fmt: skip
    digests = [[r["digest"] for r in results if r["level"] == number] for number in range(len(plan.levels))]
    write_index(plan.folder, index_entries(plan.config, origin, plan.levels, True, digests))
    for number, found in enumerate(plan.levels[:-1]):
        for index in found.tiling.indices:
            plan.block_file(number, index).unlink(missing_ok=True)
    return load_tiled(plan.folder / INDEX).to(plan.device), results
