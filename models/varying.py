"""Filters whose kernel varies over the signal: its size by a map, its orientation by blending kernels of a few angles.

A scaled kernel has scaled Diracs, so size varies from point to point at no cost: K queries a point, as always
(Nsampi et al. 2023, section 4.3). Orientation does not: rotating Diracs does not rotate the kernel, so kernels
of a few angles are filtered with and blended, at the cost of as many filters.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.ndimage import map_coordinates

from kernels import SparseKernel
from models.exact import exact_at
from models.field import Field, Progress
from models.filtering import grid_points
from signals.exact import kernel_convolution
from signals.signal import Signal

# Points of a filter of varying size that are compared with the exact answer, which costs the whole signal at each.
CHECKED_POINTS = 1024


@dataclass(frozen=True, eq=False)
class Filter:
    """One kernel everywhere; or stretched by `factors` [..., 1 or a], a map over [-1, 1]^d; or several at even angles,
    180 k / count degrees, blended by `angles` [..., 1], a map of angles / 180 degrees. Raises ValueError for factors
    that are not positive."""

    kernels: tuple[SparseKernel, ...]
    factors: np.ndarray | None = None
    angles: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.factors is not None and not (np.isfinite(self.factors).all() and self.factors.min() > 0):
            raise ValueError("the sizes of a varying kernel must be positive and finite")

    @property
    def fixed(self) -> bool:
        """Whether it is one kernel everywhere."""
        return self.factors is None and self.angles is None

    @property
    def widest(self) -> SparseKernel:
        """The kernel at its largest."""
        if self.factors is not None:
            return self.kernels[0].scaled(float(self.factors.max()))
        return max(self.kernels, key=lambda kernel: kernel.radius.max())

    def apply(self, field: Field, shape: Sequence[int], progress: Progress | None = None, **options: Any) -> np.ndarray:
        """The filtered signal on the regular grid of `shape`, [M_1, ..., M_d, c] float32; options as Field.filter."""
        if self.angles is None:
            scale = None if self.factors is None else resampled(self.factors, shape)
            return field.filter(self.kernels[0], shape, scale=scale, progress=progress, **options)
        done = iter(range(1, len(self.kernels) + 1))

        def filtered(kernel: SparseKernel) -> np.ndarray:
            values = field.filter(kernel, shape, **options)
            if progress:
                progress(next(done) / len(self.kernels))
            return values

        return self._blend(shape, filtered).astype(np.float32)

    def exact(self, signal: Signal, boundary: str) -> tuple[np.ndarray, np.ndarray | None]:
        """What the result on the signal's own grid should be: all of it, and None; or, where size varies, values [P, c]
        at P random outputs, and their flat indices [P]."""
        if self.factors is None:
            if self.angles is None:
                return kernel_convolution(signal, self.kernels[0], boundary), None
            return self._blend(signal.shape, lambda kernel: kernel_convolution(signal, kernel, boundary)), None
        factors = resampled(self.factors, signal.shape)
        factors = factors.reshape(-1, factors.shape[-1])
        rows = np.random.default_rng(0).permutation(len(factors))[:CHECKED_POINTS]
        scale = torch.as_tensor(factors[rows]).expand(-1, len(signal.axes))
        return exact_at(signal, self.kernels[0], grid_points(signal.shape)[rows], scale, boundary), rows

    def _blend(self, shape: Sequence[int], filtered: Callable[[SparseKernel], np.ndarray]) -> np.ndarray:
        """The sum of what `filtered` makes of every kernel, weighted from point to point, one result at a time."""
        assert self.angles is not None
        weights = blend_weights(resampled_angles(self.angles, shape), len(self.kernels))
        return sum(w[..., None] * filtered(kernel) for w, kernel in zip(weights, self.kernels, strict=True))


def blend_weights(angles: np.ndarray, count: int) -> np.ndarray:
    """Weights [count, ...] of `count` kernels at angles 180 k / count degrees, for a map [...] of angles / 180 degrees.

    Between neighbouring angles the kernels are blended linearly; 180 degrees are the same as 0.
    """
    place = (np.asarray(angles) % 1.0) * count
    distance = np.abs(place[None] - np.arange(count).reshape(-1, *[1] * place.ndim))
    return np.clip(1.0 - np.minimum(distance, count - distance), 0.0, None)


def resampled(values: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """A map [..., a] on another grid of the same box, [M_1, ..., M_d, a], linear between its samples."""
    lines = [np.linspace(0, n - 1, m) for n, m in zip(values.shape, shape, strict=False)]
    places = np.meshgrid(*lines, indexing="ij")
    channels = [map_coordinates(values[..., c], places, order=1, mode="nearest") for c in range(values.shape[-1])]
    return np.stack(channels, axis=-1)


def resampled_angles(values: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Angles / 180 degrees [..., 1] on another grid, [M_1, ..., M_d], by their directions: 180 degrees are 0."""
    turn = 2 * np.pi * values
    cosine, sine = resampled(np.cos(turn), shape), resampled(np.sin(turn), shape)
    return (np.arctan2(sine, cosine) / (2 * np.pi) % 1.0)[..., 0]
