"""A field in tiles: a large signal as many fields, one per tile, and coarser ones that answer wider kernels.

Level 0 has the tiles of the signal. A kernel that reaches beyond their margin is answered by a coarser level: every
2^l-th sample of the signal convolved with a tent 2^l times as wide, which is exact, as B-splines are sums of smaller
ones. A folder holds one checkpoint per tile and an index, `tiles.json`; tiles are read when they are asked for.
"""

import math
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from files import ArchiveError, atomic_write
from files.folders import remove_empty
from files.inputs import first_line
from kernels import SparseKernel
from kernels.library import Kernel
from models.checkpoint import load_checkpoint, parse_origin
from models.config import FieldConfig, Origin
from models.convolution import KernelError
from models.device import full_float32, ordinary_tensors
from models.field import Field
from models.levels import MOST_LEVELS, Level, index_entries, read_index, tile_file, write_index
from signals.tiling import Index

# Tiles that are kept in memory.
KEPT_TILES = 8
# Diracs per axis of Gaussians wider than level 0 answers: on coarse levels the usual 13 would limit the accuracy.
WIDE_GAUSSIAN = 33


class TemporaryFolder:
    """A folder that is removed with the last field in it, copies of it included."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tiles_")

    def __fspath__(self) -> str:
        return self._folder.name

    def __deepcopy__(self, memo: Any) -> "TemporaryFolder":
        return self

    def __reduce__(self) -> Any:
        raise ValueError("a field in a temporary folder is not pickled: give fit a folder, or save the field")


class TiledField(Field):
    """Fields in tiles that answer as one: see `Field.filter`. `levels` [L], the tiles of the signal first; a tile is
    the file `tile_file(folder, level, index)`, and has the digest that `digests` [L][tiles] state (none: any).

    Its `config` has the axes, order and channels of all tiles; its `origin` is about the whole signal.
    """

    def __init__(
        self, config: FieldConfig, origin: Origin, levels: Sequence[Level], folder: Path,
        digests: Sequence[Sequence[str]] = (),
    ) -> None:  # fmt: skip
        super().__init__(config, origin)
        self.levels = tuple(levels)
        self.folder = Path(folder).resolve()
        self.digests = tuple(digests)
        self._tiles: OrderedDict[tuple[int, Index], Field] = OrderedDict()
        # A temporary folder lives as long as the fields in it.
        self.holder: Any = None

    def tile(self, level: int, index: Index) -> Field:
        """The field of a tile, in its own coordinates; raises ArchiveError where there is none for this signal."""
        key = (level, index)
        if key not in self._tiles:
            path = tile_file(self.folder, level, index)
            field = load_checkpoint(path)[0]
            facts, own = ((f.dim, f.channels, f.axes, f.order) for f in (field.config, self.config))
            mine = (
                not self.digests or field.origin.digest == self.digests[level][self.levels[level].tiling.place(index)]
            )
            if facts != own or not mine or field.origin.shape != self.levels[level].tiling.tile:
                raise ArchiveError(
                    f"{path} is another tile, or one of another field: train again with the same options"
                )
            # In its coordinates margins differ between the axes: `level_of` has looked at each of them.
            found = self.levels[level]
            widest = float(np.max(np.array(found.pads) * found.unit * found.tiling.stretch))
            field.origin = replace(field.origin, margin=widest)
            self._tiles[key] = field
            while len(self._tiles) > KEPT_TILES:
                self._tiles.popitem(last=False)
        self._tiles.move_to_end(key)
        return self._tiles[key].to(self.device)

    def level_of(self, radius: Tensor, outside: Tensor | None = None) -> Tensor:
        """The finest level that answers kernels of `radius` [N, d] in domain units, at points that lie `outside` [N, d]
        of [-1, 1] by so much, [N]; raises KernelError."""
        axes, far = list(self.config.axes), 0.0 if outside is None else float(outside.max())
        asked = radius if outside is None else radius + outside
        reach = torch.as_tensor(np.array([level.reach for level in self.levels])) * (1 + 1e-9)
        able = (asked[:, None, axes] <= reach[:, axes] + 1e-9).all(dim=-1)
        where = f"points lie up to {far:.3g} outside [-1, 1], and with that " if far > 1e-6 else ""
        if not bool(able[:, -1].all()):
            wanted, most = float(asked[:, axes].max()), float(reach[-1, axes].min())
            raise KernelError(f"{where}the kernel has radius {wanted:.4g}, but the field answers up to {most:.4g}: use "
                              "a smaller kernel, or a larger --margin")  # fmt: skip
        level = able.int().argmax(dim=1)
        tent = torch.as_tensor(np.array([np.array(level.half) * level.unit for level in self.levels]))[level][:, axes]
        coarse = (level > 0) & (radius[:, axes] < tent * (1 - 1e-6)).any(dim=-1)
        if bool(coarse.any()):
            what = where or "the kernel is much wider along one axis than along another, and with that "
            advice = "a larger kernel, or no tiles (--tile 0)" if where else "a rounder kernel, or a larger --tile"
            finest = float(tent[coarse].max())
            raise KernelError(f"{what}only coarse tiles reach as far, which hold no details finer than a kernel of "
                              f"radius {finest:.3g}: use {advice}")  # fmt: skip
        return level

    @ordinary_tensors()
    @full_float32()
    def filter(
        self, kernel: Kernel | SparseKernel, shape: Sequence[int] | None = None, *, at: Any = None, scale: Any = None,
        covariance: Any = None, out: Any = None, **settings: Any,
    ) -> Any:  # fmt: skip
        """As `Field.filter`: grids tile by tile, so that with an `out` that streams to disk nothing larger than a tile
        is in memory; points with the tile that they lie in."""
        from models.filtering import Settings
        from models.tilewise import filter_grid_tiles, filter_points_tiles

        share = settings.pop("share", False)
        chosen = Settings.of(settings)
        if at is not None:
            if out is not None or shape is not None:
                raise ValueError("shape and out are for grids: leave them out with at")
            return filter_points_tiles(self, kernel, at, scale, covariance, share, chosen)
        shape = self.origin.shape if shape is None else shape
        return filter_grid_tiles(self, kernel, shape, scale, covariance, share, chosen, out)

    def sparse(self, kernel: Kernel) -> SparseKernel:
        found = super().sparse(kernel)
        wide = bool((found.radius > self.levels[0].reach * (1 + 1e-9))[list(self.config.axes)].any())
        if wide and kernel.name == "gaussian" and kernel.count is None and kernel.error is None:
            return super().sparse(replace(kernel, count=WIDE_GAUSSIAN))
        return found

    def network_points(self, points: Tensor) -> Tensor:
        raise KernelError("a field in tiles has no repeated integral of its own: ask one of its tiles, `field.tile`")

    def network_grid(self, stencils: Sequence[Any]) -> Tensor:
        raise KernelError("a field in tiles has no repeated integral of its own: ask one of its tiles, `field.tile`")

    def save(self, path: str | Path) -> Path:
        """Copy the tiles and, last, their index to the folder `path`, new or empty; `nfconv.load` reads it."""
        path = Path(path)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ValueError(f"{path} is not an empty folder, and tiles are never overwritten: name another one")
        made: list[Path] = []
        try:
            for number, level in enumerate(self.levels):
                for index in level.tiling.indices:
                    made.append(tile_file(path, number, index))
                    with tile_file(self.folder, number, index).open("rb") as stream, atomic_write(made[-1]) as copy:
                        shutil.copyfileobj(stream, copy)
            write_index(path, index_entries(self.config, self.origin, self.levels, True, self.digests))
        except OSError:
            # Half a copy would be in the way of the next one.
            for target in made:
                target.unlink(missing_ok=True)
            remove_empty([*{target.parent for target in made}, path])
            raise
        return path


def load_tiled(path: Path) -> TiledField:
    """The field in tiles whose index is `path`; raises FileNotFoundError, or ArchiveError, also for unfinished ones."""
    entries = read_index(path)
    if not entries.get("complete"):
        raise ArchiveError(f"{path}: not all tiles are trained; go on with the command that began")
    try:
        config = FieldConfig.from_dict(entries["config"])
        origin = parse_origin(entries["origin"], config)
        if not 1 <= len(entries["levels"]) <= MOST_LEVELS:
            raise ValueError(f"it has {len(entries['levels'])} levels")
        levels = [Level.parse(level) for level in entries["levels"]]
        if any(len(level.pads) != config.dim for level in levels) or levels[0].tiling.shape != origin.shape:
            raise ValueError("its tiles are not those of its signal")
        digests = entries.get("digests", ())
        if digests and [len(row) for row in digests] != [math.prod(level.tiling.counts) for level in levels]:
            raise ValueError("it has too few or too many digests")
        return TiledField(config, origin, levels, path.parent, digests)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ArchiveError(f"{path} is damaged: {first_line(error)}; train the field again") from None
