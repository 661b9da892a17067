"""Filtering on a regular grid: slab by slab, with sizes by a map, or a covariance at every output."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from kernels import SparseKernel
from kernels.library import Kernel
from models.convolution import convolve_grid
from models.field import Field, Progress
from models.filtering import Settings, points_of, prepared, scale_on_grid, silent, sparse_kernel
from models.interpolation import interpolation
from models.memory import in_smaller_blocks
from models.scattered import filter_at, one_covariance

# Output values that are held in float64 at once, and most slabs of a filtered axis.
SLAB = 1 << 24
MOST_SLABS = 4
# How many sizes are tried for a map of sizes, and at how many outputs they are compared with the kernel itself.
SIZE_COUNTS = (8, 16, 32)
CHECKED_SIZES = 512


def filter_grid(
    field: Field, kernel: Kernel | SparseKernel, grid: list[Tensor], scale: Any, covariance: Any, settings: Settings
) -> np.ndarray:
    """The filtered signal at positions `grid` [M_j] along every axis, [M_1, ..., M_d, c] float32; see Field.filter."""
    shape, axes = tuple(map(len, grid)), len(field.config.axes)
    if covariance is not None and np.shape(covariance) == (2, 2) == (axes, field.config.dim):
        single, found = one_covariance(field, kernel, scale, covariance, settings)
        return _filter_slabs(single, found, grid, settings)
    if covariance is not None:
        sigma = np.array(np.broadcast_to(covariance, (*shape, axes, axes)), np.float64).reshape(-1, axes, axes)
        values = filter_at(field, kernel, points_of(grid), None, sigma, settings)
        return values.float().cpu().numpy().reshape(*shape, -1)
    found = sparse_kernel(field, kernel)
    scale = scale_on_grid(field, scale, shape)
    if np.ndim(scale) > 1:
        if scale.shape[-1] == 1 and field.factored and field.smooth:
            return filter_sizes(field, found, grid, scale[..., 0], settings)
        values = filter_at(field, found, points_of(grid), scale.reshape(-1, scale.shape[-1]), None, settings)
        return values.float().cpu().numpy().reshape(*shape, -1)
    if scale is not None:
        found = found.scaled(scale)
    field = prepared(field, found, 1.0, 1.0, settings)
    return _filter_slabs(field, found, grid, settings)


def _filter_slabs(field: Field, kernel: SparseKernel, grid: list[Tensor], settings: Settings) -> np.ndarray:
    """The convolution on the tensor grid, where it is large slab by slab along an axis that is not filtered, else along
    the first one of a separable field."""

    def filtered(part: Sequence[Tensor], progress: Progress | None) -> np.ndarray:
        def work(size: int) -> np.ndarray:
            return convolve_grid(field, kernel, part, size, progress, settings.tolerance).float().cpu().numpy()

        # A separable field is asked for whole axes, whatever the block.
        return work(settings.block) if field.factored else in_smaller_blocks(work, settings.block, settings.notify)

    shape, progress = [len(x) for x in grid], settings.progress
    free = next((axis for axis in range(len(shape)) if axis not in kernel.axes), None)
    count, along = math.prod(shape) * field.config.channels, free or 0
    if count <= SLAB or (free is None and not field.factored):
        return filtered(grid, progress)
    # Slabs of a filtered axis contract the other axes again: a few of them.
    least = 1 if free is not None else math.ceil(shape[0] / MOST_SLABS)
    rows = max(least, SLAB * shape[along] // count)
    result = np.empty((*shape, field.config.channels), dtype=np.float32)
    for start in range(0, shape[along], rows):
        part = [x[start : start + rows] if axis == along else x for axis, x in enumerate(grid)]
        result[(slice(None),) * along + (slice(start, start + rows),)] = filtered(part, None)
        if progress:
            progress(min(1.0, (start + rows) / shape[along]))
    return result


def filter_sizes(
    field: Field, kernel: SparseKernel, grid: list[Tensor], factors: np.ndarray, settings: Settings
) -> np.ndarray:
    """A kernel stretched by a map of `factors` [M_1, ..., M_d] on the grid, [M_1, ..., M_d, c] float32.

    Filters of a few sizes, in even steps of the logarithm, are interpolated between by cubics: as many sizes as agree
    to the accuracy with the kernel itself at some of the outputs, or every output by itself where that costs less.
    """
    shape, least, most = factors.shape, float(factors.min()), float(factors.max())
    if not 0 < least <= most < math.inf:
        raise ValueError(f"the scale must be positive and finite, not from {least:g} to {most:g}")
    prepared(field, kernel, least, most, settings)
    points, scale = points_of(grid), torch.as_tensor(factors.reshape(-1, 1))
    rows = torch.linspace(0, len(points) - 1, min(CHECKED_SIZES, len(points))).long()
    quiet = replace(settings, progress=None, notify=silent)
    wanted = filter_at(field, kernel, points[rows], scale[rows], None, quiet).numpy()
    for count in SIZE_COUNTS:
        if 16 * count > len(points):
            break
        sizes = np.geomspace(least, most, count)
        result = np.zeros((*shape, field.config.channels), np.float32)
        for done, (size, share) in enumerate(zip(sizes, size_shares(factors, sizes), strict=True), 1):
            result += share * filter_grid(field, kernel, grid, size, None, quiet)
            if settings.progress:
                settings.progress(done / count)
        error = float(np.sqrt(np.mean((result.reshape(len(points), -1)[rows.numpy()] - wanted) ** 2)))
        if -20 * math.log10(max(error, 1e-30)) >= settings.accuracy:
            return result
    values = filter_at(field, kernel, points, scale, None, replace(settings, notify=silent))
    return values.float().cpu().numpy().reshape(*shape, -1)


def size_shares(factors: np.ndarray, sizes: np.ndarray) -> Iterator[np.ndarray]:
    """How much the signal filtered at each of `sizes` [S] in turn counts where sizes are `factors` [...]: cubics in the
    logarithm, in which `sizes` are even steps. S times [..., 1], float32."""
    place = (len(sizes) - 1) * np.log(factors / sizes[0]) / max(math.log(sizes[-1] / sizes[0]), 1e-12)
    first, local = interpolation(torch.as_tensor(place), len(sizes), 4)
    # A zero on either side, for sizes that are no neighbours.
    local = F.pad(local.float(), (1, 1))
    for index in range(len(sizes)):
        offset = (index + 1 - first).clamp(0, local.shape[-1] - 1)
        yield local.gather(-1, offset[..., None]).numpy()
