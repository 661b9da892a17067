"""Filters whose kernel varies over the signal: its size by a map, its orientation by blending kernels of a few angles.

A scaled kernel has scaled Diracs, so size varies from point to point at no cost: K queries a point, as always
(Nsampi et al. 2023, section 4.3). Orientation does not: rotating Diracs does not rotate the kernel, so kernels
of a few angles are filtered with and interpolated between, at the cost of as many filters. Gaussians need none of that:
they have a covariance per point.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.ndimage import map_coordinates

from files.results import room_if_large
from kernels import SparseKernel
from kernels.correlated import LEVELS, GaussianLevel, choose_level
from kernels.library import Kernel, gaussian
from kernels.separate import is_signed
from models.covariance import Covariances
from models.exact import exact_at
from models.field import Field, Progress
from models.filtering import grid_points
from signals.exact import kernel_convolution
from signals.gaussians import gaussian_convolution
from signals.signal import Signal

# Points of a filter of varying size that are compared with the exact answer, which costs the whole signal at each.
CHECKED_POINTS = 1024
# As many Gaussians of a covariance of their own, each of which is integrated densely.
CHECKED_GAUSSIANS = 256


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

    @property
    def radius(self) -> np.ndarray:
        """How far the kernel reaches at its largest, [d] in domain units."""
        return self.widest.radius

    @property
    def signed(self) -> bool:
        """Whether the kernel has negative values."""
        return is_signed(self.kernels[0])

    @property
    def facts(self) -> dict[str, Any]:
        """What a report says of it."""
        widest = self.widest
        return {"diracs": len(widest), "kernels": len(self.kernels), "radius": widest.radius.tolist(),
                "mass": widest.mass, "order": widest.order}  # fmt: skip

    def apply(
        self, field: Field, shape: Sequence[int], progress: Progress | None = None, out: Any = None, **options: Any
    ) -> Any:
        """The filtered signal on the grid of `shape`, [M_1, ..., M_d, c] float32; `out` and options as Field.filter."""
        if self.angles is None:
            kernel, given = self.request(shape)
            return field.filter(kernel, shape, **given, progress=progress, out=out, **options)
        done = iter(range(1, len(self.kernels) + 1))

        def filtered(kernel: SparseKernel) -> np.ndarray:
            values = field.filter(kernel, shape, **options)
            if progress:
                progress(next(done) / len(self.kernels))
            return values

        return self._blend(shape, filtered).astype(np.float32)

    def request(self, shape: Sequence[int]) -> tuple[SparseKernel, dict[str, np.ndarray]]:
        """Kernel and options of one call of `Field.filter` on a grid; raises ValueError where several are blended."""
        if self.angles is not None:
            raise ValueError(
                "kernels that are turned by a map are several filters that are blended: one call is not all"
            )
        return self.kernels[0], {} if self.factors is None else {"scale": resampled(self.factors, shape)}

    def exact(self, signal: Signal, boundary: str) -> tuple[np.ndarray, np.ndarray | None]:
        """What the result on the signal's own grid should be: all of it, and None; or, where size varies, values [P, c]
        at P random outputs, and their flat indices [P]."""
        if self.factors is None:
            if self.angles is None:
                shape = (*signal.shape, signal.channels)
                return kernel_convolution(signal, self.kernels[0], boundary, room_if_large(shape)), None
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


@dataclass(frozen=True, eq=False)
class CovarianceFilter:
    """The untruncated Gaussian of a covariance of its own at every point, by a map `covariances` [M_1, ..., M_d, d, d]
    over [-1, 1]^d in square domain units, d 2 or 3, as accurate as `accuracy` (dB) requires. Raises ValueError where
    one is not positive definite, or longer for its width than there are kernels for."""

    covariances: np.ndarray
    order: int
    accuracy: float = 60.0

    fixed = False
    signed = False

    def __post_init__(self) -> None:
        assert self.level

    @cached_property
    def _all(self) -> Covariances:
        dim = self.covariances.shape[-1]
        return Covariances.of(torch.as_tensor(self.covariances.reshape(-1, dim, dim)))

    @cached_property
    def level(self) -> GaussianLevel:
        """The common kernels that are used."""
        return LEVELS[choose_level(self._all.largest, self.accuracy)[0]]

    @property
    def radius(self) -> np.ndarray:
        """How far the largest reaches along every axis, [d] in domain units."""
        return self.level.reach * self._all.deviations.amax(dim=0).numpy()

    @property
    def facts(self) -> dict[str, Any]:
        """What a report says of it."""
        return {"diracs": self.level.knots ** len(self.radius), "kernels": 1, "radius": self.radius.tolist(),
                "mass": 1.0, "order": self.order}  # fmt: skip

    def apply(self, field: Field, shape: Sequence[int], **options: Any) -> np.ndarray:
        """The filtered signal on the regular grid of `shape`, [M_1, ..., M_d, c] float32; options as Field.filter."""
        kernel, given = self.request(shape)
        return field.filter(kernel, shape, **given, **options)

    def request(self, shape: Sequence[int]) -> tuple[Kernel, dict[str, np.ndarray]]:
        """As `Filter.request`."""
        return gaussian(), {"covariance": self._on(shape)}

    def exact(self, signal: Signal, boundary: str) -> tuple[np.ndarray, np.ndarray]:
        """Values [P, c] of the untruncated Gaussians at P random samples of the signal, and their flat indices [P]."""
        dim, points = signal.dim, grid_points(signal.shape).numpy()
        rows = np.random.default_rng(0).permutation(len(points))[:CHECKED_GAUSSIANS]
        sigmas = self._on(signal.shape).reshape(-1, dim, dim)[rows]
        return gaussian_convolution(signal, points[rows], sigmas, boundary), rows

    def _on(self, shape: Sequence[int]) -> np.ndarray:
        """The map on a grid, linear between its samples, which keeps covariances positive definite."""
        dim = self.covariances.shape[-1]
        flat = self.covariances.reshape(*self.covariances.shape[:-2], dim * dim)
        return resampled(flat, shape).reshape(*shape, dim, dim)


# What a command or the page filters with.
Chosen = Filter | CovarianceFilter


def turned_covariances(angles: np.ndarray, along: float, across: float, stretch: Sequence[float]) -> np.ndarray:
    """Covariances [..., 2, 2] of Gaussians with standard deviations `along` a map [...] of angles / 180 degrees, which
    count from the columns counter-clockwise, and `across` it, stretched along the axes (rows, columns)."""
    turn = np.pi * angles
    c, s = np.cos(turn), np.sin(turn)
    directions = np.stack([np.stack([-s, c], axis=-1), np.stack([c, s], axis=-1)], axis=-1)
    factor = np.asarray(stretch)[:, None] * directions * np.array([along, across])
    return factor @ factor.swapaxes(-1, -2)


def blend_weights(angles: np.ndarray, count: int) -> np.ndarray:
    """Weights [count, ...] of `count` kernels at angles 180 k / count degrees, for a map [...] of angles / 180 degrees.

    Trigonometric interpolation (Dirichlet kernels): a kernel is a smooth function of its angle, with a period of 180
    degrees, so that errors fall faster with `count` than by any power.
    """
    place = np.asarray(angles)[None] - np.arange(count).reshape(-1, *[1] * np.ndim(angles)) / count
    sine, cosine = np.sin(np.pi * place), np.cos(np.pi * place)
    near = np.abs(sine) < 1e-12
    weights = np.sin(np.pi * count * place) / (count * np.where(near, 1.0, sine))
    # An even number has a highest wave that only its cosine is known of.
    return np.where(near, 1.0, weights if count % 2 else weights * cosine)


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
