"""Filtering on a cluster: every task writes whole chunks of one Zarr array, so that no two ever write the same file."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cluster.session import Cluster
from files import checksum
from files.results import chunk_shape, new_zarr, resumable_folder, write_array
from files.stored import Array, MappedFile, Stored, kept
from kernels import SparseKernel
from kernels.library import Kernel
from models import Field
from models.filtering import Settings, silent
from models.levels import INDEX
from models.tiled import TiledField, load_tiled
from models.tilewise import LARGEST_BLOCK, Wanted, filter_block, wanted_on_grid, warn
from models.varying import Chosen, Filter
from signals.masks import own_channels


@dataclass(frozen=True)
class Filtering:
    """A job: a kernel on the regular grid of `shape`, of the field in tiles whose index is `field`, and the files of
    its `maps` ("scale" or "covariance"); a chunk of the result goes to the Zarr array `out`. Numbers of `settings` as
    in `Field.filter`."""

    field: Path
    kernel: Kernel | SparseKernel
    maps: dict[str, Array]
    shape: tuple[int, ...]
    share: bool
    settings: Settings
    out: Path

    @cached_property
    def _wanted(self) -> Wanted:
        return Wanted(load_tiled(self.field), self.kernel, **self.maps)

    @cached_property
    def _array(self) -> Any:
        import zarr

        # As `new_zarr` has set it: what is 0 everywhere is written, too.
        return zarr.open_array(self.out, mode="r+", config={"write_empty_chunks": True})

    def __call__(self, chunk: tuple[int, ...]) -> int:
        """Filter and write one chunk; the number of its samples."""
        array = self._array
        block = tuple(
            slice(k * n, min((k + 1) * n, m)) for k, n, m in zip(chunk, array.chunks, self.shape, strict=False)
        )
        values = filter_block(self._wanted, self.shape, block, self.share, self.settings)
        array[block] = values
        return int(np.prod(values.shape[:-1]))


@contextlib.contextmanager
def filtered(
    cluster: Cluster, field: Field, chosen: Chosen, shape: Sequence[int], path: Path, *,
    share: bool = False, progress: Callable[[float], None] | None = None, **settings: Any,
) -> Iterator[Array]:  # fmt: skip
    """The filtered signal on the regular grid of `shape`; a large one is in a file beside `path`, for as long as it is
    needed.

    A run that was killed left its chunks there: the same one goes on with those that are missing. Raises ValueError for
    a field without tiles and for blended kernels.
    """
    field = _shareable(field, chosen)
    kernel, maps = chosen.request(shape)
    wanted = wanted_on_grid(field, kernel, shape, **maps)
    asked = Settings(**settings)
    warn(wanted, asked)
    field.check_averaging(None if "covariance" in maps else kernel)
    quiet = replace(asked, notify=silent)
    channels = own_channels(field.config.channels, field.origin.metadata.known) + share
    chunks = _chunks(field, shape, channels)
    index = field.folder.resolve() / INDEX
    # What tells kernels apart; where covariances are given there is only one.
    diracs = [wanted.kernel.positions, wanted.kernel.weights] if isinstance(wanted.kernel, SparseKernel) else []
    numbers = quiet.precision, quiet.accuracy, quiet.tolerance
    facts = [str(index), index.read_text(), *diracs, maps, shape, chunks, share, numbers]
    with resumable_folder(path, checksum(facts)) as folder:
        stored: dict[str, Array] = {}
        for name, values in maps.items():
            file = write_array(folder.resolve() / f"{name}.npy", values, values.dtype)
            stored[name] = MappedFile(file, whole=True)
        out = folder / "values.zarr"
        if not (out / "zarr.json").is_file():
            new_zarr(out, (*shape, channels), chunks)
        job = Filtering(index, wanted.kernel, stored, tuple(shape), share, quiet, out.resolve())
        every = list(itertools.product(*[range(-(-n // c)) for n, c in zip(shape, chunks, strict=False)]))
        # Zarr keeps a chunk of all channels there.
        missing = [chunk for chunk in every if not out.joinpath("c", *map(str, (*chunk, 0))).is_file()]
        for done, _ in enumerate(cluster.each(job, [(chunk,) for chunk in missing]), len(every) - len(missing) + 1):
            if progress:
                progress(done / len(every))
        import zarr

        yield kept(Stored.of(zarr.open_array(out, mode="r")))


def _shareable(field: Field, chosen: Chosen) -> TiledField:
    """The field, whose tiles any process can read; raises ValueError for others, and for kernels that are blended."""
    if not isinstance(field, TiledField) or field.holder is not None:
        raise ValueError("a cluster shares out the tiles of a field that is kept in tiles, and this one is not: leave "
                         "--workers and --scheduler out, or train with --tile first")  # fmt: skip
    if isinstance(chosen, Filter) and chosen.angles is not None:
        raise ValueError("kernels turned by --angle_map are filtered in one process: leave --workers and "
                         "--scheduler out, or use --kernel gaussian")  # fmt: skip
    return field


def _chunks(field: TiledField, shape: Sequence[int], channels: int) -> tuple[int, ...]:
    """Chunks of the result: its tiles, on the signal's own grid, so that a task asks one of them."""
    tiling = field.levels[0].tiling
    if tuple(shape) == tiling.shape and max(tiling.tile) <= LARGEST_BLOCK:
        return (*tiling.tile, channels)
    return chunk_shape((*shape, channels))
