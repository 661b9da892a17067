"""Tiles solved on a cluster: the samples go to a file beside the tiles, which every worker maps into its memory."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from cluster.session import Cluster
from files.results import write_array
from files.stored import MappedFile
from training.tiles import Mapper

# Beside the tiles while they are solved; a run that was killed leaves it to the one that goes on.
SAMPLES = "samples.npy"


@contextmanager
def tile_mapper(cluster: Cluster | None) -> Iterator[Mapper | None]:
    """What `fit_tiles` shares its tasks out by; None without a cluster."""
    if cluster is None:
        yield None
        return
    written: list[Path] = []

    def mapper(function: Any, arguments: list[Any]) -> Iterator[Any]:
        # `solve_tiles` of a plan and a source.
        plan, source = function.args
        folder = Path(plan.folder).resolve()
        if not written:
            written.append(write_array(folder / SAMPLES, source.signal.values, source.signal.values.dtype))
        stored = replace(source, signal=replace(source.signal, values=MappedFile(written[0], whole=True)))
        yield from cluster.each(partial(function.func, replace(plan, folder=folder), stored), arguments)

    try:
        yield mapper
    finally:
        for path in written:
            with suppress(OSError):
                path.unlink(missing_ok=True)
