"""Filtering with a field in tiles: which tiles of which level answer an output, with kernels in their coordinates."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kernels import SparseKernel
from kernels.correlated import LEVELS
from kernels.library import Kernel
from models.filtering import (
    Settings,
    check_out,
    points_of,
    python_warning,
    regular_grid,
    scale_on_grid,
    silent,
    sparse_kernel,
    warn_of_small,
    warn_of_thin,
)
from models.gridded import filter_grid
from models.scattered import as_points, filter_at
from models.tiled import TiledField

# Outputs of a block along every axis: one tile's of an enlarged grid are more.
LARGEST_BLOCK = 1024
Block = tuple[slice, ...]


@dataclass(frozen=True, eq=False)
class Wanted:
    """The filter of every output: one sparse kernel, stretched by a `scale` per output [..., a], or a Gaussian with a
    `covariance` per output [..., a, a]; in domain units of the whole signal."""

    field: TiledField
    kernel: Any
    scale: Any = None
    covariance: Any = None

    @property
    def _sizes(self) -> Tensor:
        """What stretches the kernel at every output, [N, 1 or a]: its scale, or standard deviations."""
        axes = len(self.field.config.axes)
        if self.covariance is not None:
            sigma = torch.as_tensor(self.covariance).detach().cpu().double()
            return sigma.diagonal(dim1=-2, dim2=-1).clamp_min(0).sqrt().reshape(-1, axes)
        scale = torch.as_tensor(1.0 if self.scale is None else self.scale).detach().cpu().double()
        return scale.reshape(-1, scale.shape[-1] if scale.ndim else 1)

    def _reaching(self, sizes: Tensor) -> Tensor:
        """How far kernels of `sizes` [N, 1 or a] reach, [N, d] in domain units."""
        axes = list(self.field.config.axes)
        unit = np.full(len(axes), LEVELS[-1].reach) if self.covariance is not None else self.kernel.radius[axes]
        radius = torch.zeros(len(sizes), self.field.config.dim, dtype=torch.float64)
        radius[:, axes] = sizes * torch.as_tensor(unit)
        return radius

    def radius(self) -> Tensor:
        """How far the kernels of all outputs reach, [N, d] in domain units; N is 1 where they are the same."""
        return self._reaching(self._sizes)

    def span(self) -> Tensor:
        """The smallest and the largest of them along every axis, [2, d]."""
        sizes = self._sizes
        return self._reaching(torch.stack([sizes.amin(dim=0), sizes.amax(dim=0)]))

    def part(self, rows: Any) -> "Wanted":
        """What is asked of some of the outputs, where it differs between them."""
        scale, sigma = self.scale, self.covariance
        scale = scale if scale is None or np.ndim(scale) < 2 else scale[rows]
        return replace(self, scale=scale, covariance=sigma if sigma is None or np.ndim(sigma) < 3 else sigma[rows])

    def in_tiles(self, level: int) -> tuple[Any, Any]:
        """The kernel and the covariances in the coordinates of a level's tiles."""
        axes = list(self.field.config.axes)
        stretch = self.field.levels[level].tiling.stretch[axes]
        if self.covariance is None:
            return self.kernel.scaled(stretch), None
        square = stretch[:, None] * stretch
        like = torch.as_tensor(square).to(self.covariance) if isinstance(self.covariance, Tensor) else square
        return self.kernel, self.covariance * like


def blocks_of(field: TiledField, shape: Sequence[int]) -> list[Block]:
    """The outputs on the regular grid of `shape` in blocks: those of a tile, or parts of it where they are many."""
    tiling, cuts = field.levels[0].tiling, []
    for axis, x in enumerate(regular_grid(shape, field.config.dim)):
        runs = _runs(tiling.tile_of(axis, x).long())
        cuts.append([slice(a, min(a + LARGEST_BLOCK, run.stop)) for run, _ in runs
                     for a in range(run.start, run.stop, LARGEST_BLOCK)])  # fmt: skip
    return list(itertools.product(*cuts))


def filter_grid_tiles(
    field: TiledField, kernel: Kernel | SparseKernel, shape: Sequence[int], scale: Any, covariance: Any, share: bool,
    settings: Settings, out: Any = None,
) -> Any:  # fmt: skip
    """The filtered signal on the regular grid of `shape`, block by block; written to `out` where there is one."""
    blocks = blocks_of(field, shape)
    result = check_out(field, out, shape, share)
    wanted = wanted_on_grid(field, kernel, shape, scale, covariance)
    warn(wanted, settings)
    field.check_averaging(kernel if covariance is None else None)
    out = np.empty(result, np.float32) if out is None else out
    settings, progress = replace(settings, progress=None, notify=silent), settings.progress
    for done, block in enumerate(blocks, 1):
        out[block] = filter_block(wanted, shape, block, share, settings)
        if progress:
            progress(done / len(blocks))
    return out


def wanted_on_grid(
    field: TiledField, kernel: Kernel | SparseKernel, shape: Sequence[int], scale: Any = None, covariance: Any = None
) -> Wanted:
    """What `Field.filter` is asked for on the regular grid of `shape`; raises ValueError."""
    kernel = kernel if covariance is not None else sparse_kernel(field, kernel)
    return Wanted(field, kernel, scale_on_grid(field, scale, shape), _grid_sigma(covariance, shape, field))


def filter_block(wanted: Wanted, shape: Sequence[int], block: Block, share: bool, settings: Settings) -> np.ndarray:
    """One block [M_1, ..., M_d, c] of the result on the regular grid of `shape`. Blocks have nothing to do with each
    other: any process may make any of them."""
    field, wanted = wanted.field, wanted.part(block)
    grid = [x[rows] for x, rows in zip(regular_grid(shape, field.config.dim), block, strict=True)]
    levels = field.level_of(wanted.radius()).unique().tolist()
    if len(levels) > 1:
        flat = Wanted(field, wanted.kernel, _flat(wanted.scale, len(grid), 1), _flat(wanted.covariance, len(grid), 2))
        values = _at_points(flat, points_of(grid), settings).float().cpu().numpy()
        values = values.reshape(*map(len, grid), -1)
    else:
        values = _on_level(wanted, levels[0], grid, settings)
    return field.normalised(values, wanted.kernel if wanted.covariance is None else None, share)


def _on_level(wanted: Wanted, level: int, grid: list[Tensor], settings: Settings) -> np.ndarray:
    """The outputs on the grid of positions, from the tiles of one level."""
    field, tiling = wanted.field, wanted.field.levels[level].tiling
    runs = [_runs(tiling.tile_of(axis, x).long()) for axis, x in enumerate(grid)]
    result = np.empty((*map(len, grid), field.config.channels), np.float32)
    for choice in itertools.product(*runs):
        rows, index = tuple(run for run, _ in choice), tuple(tile for _, tile in choice)
        local = [tiling.local(axis, grid[axis][run], tile) for axis, (run, tile) in enumerate(choice)]
        part = wanted.part(rows)
        kernel, covariance = part.in_tiles(level)
        result[rows] = filter_grid(field.tile(level, index), kernel, local, part.scale, covariance, settings)
    return result


def filter_points_tiles(
    field: TiledField, kernel: Kernel | SparseKernel, at: Any, scale: Any, covariance: Any, share: bool,
    settings: Settings,
) -> Any:  # fmt: skip
    """The filtered signal at points [N, d] -> [N, c], an array for an array and a tensor for a tensor."""
    points, scale, covariance = as_points(field, at), _indexed(scale), _indexed(covariance)
    count, axes = len(points), len(field.config.axes)
    shape, sigma = tuple(np.shape(scale)) if scale is not None else (), tuple(np.shape(covariance))
    if shape not in ((), (axes,), (count,), (count, 1), (count, axes)):
        raise ValueError(f"the scale must be a number, [{axes}], [{count}] or [{count}, {axes}], not {list(shape)}")
    if covariance is not None and sigma not in ((axes, axes), (count, axes, axes)):
        raise ValueError(f"the covariance must be [{axes}, {axes}] or [{count}, {axes}, {axes}], not {list(sigma)}")
    scale = scale[:, None] if shape == (count,) else scale
    kernel = kernel if covariance is not None else sparse_kernel(field, kernel)
    wanted = Wanted(field, kernel, scale, covariance)
    warn(wanted, settings)
    values = _at_points(wanted, points, replace(settings, progress=None, notify=silent), settings)
    found = values if isinstance(at, Tensor) else values.numpy()
    return field.normalised(found, kernel if covariance is None else None, share)


def _at_points(wanted: Wanted, points: Tensor, settings: Settings, shown: Settings | None = None) -> Tensor:
    """At points, each with the finest level that answers its kernel and the tile that it lies in."""
    field = wanted.field
    if not len(points):
        return points.new_zeros(0, field.config.channels)
    where = points.detach().cpu().double()
    outside = (where.abs() - 1).clamp_min(0)
    level = field.level_of(wanted.radius(), outside)
    # Those outside by themselves: in a tile the largest kernel and the furthest point are checked together.
    keys = torch.zeros(len(points), field.config.dim + 2, dtype=torch.long)
    keys[:, -1] = (outside > 0).any(dim=1)
    for number in level.unique().tolist():
        rows, tiling = level == number, field.levels[number].tiling
        keys[rows, 0] = number
        for axis in range(field.config.dim):
            keys[rows, axis + 1] = tiling.tile_of(axis, where[rows, axis]).long()
    tiles, member = keys.unique(dim=0, return_inverse=True)
    order = member.argsort(stable=True)
    parts, done = [], 0
    for key, count in zip(tiles.tolist(), member.bincount().tolist(), strict=True):
        rows = order[done : done + count].to(points.device)
        done += count
        tiling, part = field.levels[key[0]].tiling, wanted.part(rows)
        kernel, covariance = part.in_tiles(key[0])
        index = tuple(key[1:-1])
        columns = [tiling.local(axis, points[rows, axis].double(), tile) for axis, tile in enumerate(index)]
        tile = field.tile(key[0], index)
        parts.append(filter_at(tile, kernel, torch.stack(columns, -1), part.scale, covariance, settings))
        if shown and shown.progress:
            shown.progress(done / len(points))
    kind = torch.promote_types(points.dtype, torch.float32) if points.is_floating_point() else torch.float64
    return torch.cat(parts)[order.argsort().to(points.device)].to(kind)


def warn(wanted: Wanted, settings: Settings) -> None:
    """Warn, once for all tiles, of kernels that the field was not trained for; raises KernelError beyond its reach."""
    field, (least, most) = wanted.field, wanted.span()
    axes = list(field.config.axes)
    if not (least[axes] > 0).all() or not most.isfinite().all():
        raise ValueError(f"the {'scale' if wanted.covariance is None else 'covariance'} must be positive and finite")
    field.level_of(most[None])
    if wanted.covariance is not None:
        return
    if not warn_of_small(field, least.tolist(), settings.notify) and settings.notify not in (silent, python_warning):
        thinnest = wanted.kernel.scaled((least[axes].numpy() / wanted.kernel.radius[axes]).tolist())
        warn_of_thin(field, thinnest, settings.notify)


def _runs(tiles: Tensor) -> list[tuple[slice, int]]:
    """Stretches of positions [M], in order, that are in one tile, and that tile."""
    values, counts = tiles.unique_consecutive(return_counts=True)
    stops = counts.cumsum(0).tolist()
    return [(slice(stop - n, stop), k) for stop, n, k in zip(stops, counts.tolist(), values.tolist(), strict=True)]


def _indexed(value: Any) -> Any:
    """What parts are taken of: tensors as they are, for their gradients, and anything else as an array."""
    return value if value is None or isinstance(value, Tensor) else np.asarray(value)


def _flat(value: Any, dim: int, entry: int) -> Any:
    """A map of entries of `entry` axes as a list of them; what is one for all outputs as it is."""
    return value if value is None or np.ndim(value) < dim + entry else value.reshape(-1, *value.shape[dim:])


def _grid_sigma(covariance: Any, shape: Sequence[int], field: TiledField) -> Any:
    """Covariances for grids: none, one [a, a], or a map of them; raises ValueError."""
    axes = len(field.config.axes)
    if covariance is None or np.shape(covariance) in ((axes, axes), (*shape, axes, axes)):
        return _indexed(covariance)
    raise ValueError(f"the covariance {np.shape(covariance)} must be [{axes}, {axes}] or a map of the output's shape")
