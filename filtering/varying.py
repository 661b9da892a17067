"""Kernels that vary over the signal: their size by a map, their orientation by a mixture of a few kernels.

A scaled kernel has scaled Diracs, so size varies from point to point for nothing: K queries a point, as always
(Nsampi et al. 2023, section 4.3). Orientation does not: rotating Diracs does not rotate the kernel, so kernels
of a few angles are filtered with and blended, at their number's cost.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import map_coordinates

from files import load_array
from kernels import SparseKernel
from modalities.image import IMAGE
from models.convolution import convolve_points
from models.exact import ExactField
from models.field import Field, Progress
from signals.signal import Signal, coordinates

# Points of a varying result that are compared with the exact answer, which costs the whole signal at each.
CHECKED_POINTS = 1024


def read_map(path: Path, dim: int, axes: int) -> np.ndarray:
    """A map in [0, 1], [M_1, ..., M_d, 1 or `axes`]: a picture's lightness, or an `.npy` array; raises ValueError."""
    if path.suffix == ".npy":
        values = load_array(path)
        if values.dtype.kind not in "fiub":
            raise ValueError(f"{path} holds {values.dtype}; a map needs plain numbers")
        values = values.astype(np.float64)
        values = values[..., None] if values.ndim == dim else values
    else:
        values = IMAGE.load(path).values[..., :3].mean(axis=-1, keepdims=True)
    if values.ndim != dim + 1 or values.shape[-1] not in (1, axes) or values.size == 0:
        raise ValueError(f"{path} has shape {values.shape}: a map needs {dim} axes, and 1 or {axes} channels")
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"{path} must hold finite numbers from 0 to 1: scale it first")
    return values


def resampled(values: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """A map [..., a] on another grid of the same box, [M_1, ..., M_d, a], linear between its samples."""
    lines = [np.linspace(0, n - 1, m) for n, m in zip(values.shape, shape, strict=False)]
    places = np.meshgrid(*lines, indexing="ij")
    channels = [map_coordinates(values[..., c], places, order=1, mode="nearest") for c in range(values.shape[-1])]
    return np.stack(channels, axis=-1)


def grid_points(shape: Sequence[int]) -> torch.Tensor:
    """All points [N, d] of the regular grid of `shape` over [-1, 1]^d."""
    return torch.cartesian_prod(*[torch.as_tensor(coordinates(n)) for n in shape]).reshape(-1, len(shape))


def filter_varying(
    field: Field,
    kernel: SparseKernel,
    factors: np.ndarray,
    block: int,
    progress: Progress | None = None,
    half_size: float | None = None,
) -> np.ndarray:
    """The signal filtered by `kernel` stretched by `factors` [M_1, ..., M_d, a] (a is 1, or one per filtered axis).

    Returns [M_1, ..., M_d, c], float32; costs K queries an output, as a constant kernel does. `half_size` is the
    training kernel's, in domain units.
    """
    shape = factors.shape[:-1]
    points, scale = grid_points(shape), per_point(factors, kernel)
    result = convolve_points(field, kernel, points, scale, block, progress, half_size)
    return result.reshape(*shape, -1).float().cpu().numpy()


def per_point(factors: np.ndarray, kernel: SparseKernel) -> torch.Tensor:
    """Factors [..., a] of every output as [N, number of filtered axes]."""
    flat = torch.as_tensor(factors.reshape(-1, factors.shape[-1]))
    return flat.expand(-1, len(kernel.axes))


def exact_varying(
    signal: Signal, kernel: SparseKernel, factors: np.ndarray, boundary: str, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Exact answers [P, c] at P random outputs of the grid of `factors`, and their flat indices [P].

    Every point is answered by the exact integral field of the signal, so by the signal's own piecewise polynomials.
    """
    count = int(np.prod(factors.shape[:-1]))
    rows = np.random.default_rng(seed).permutation(count)[:CHECKED_POINTS]
    reach = float(kernel.radius.max() * factors.max())
    exact = ExactField(signal, kernel.order, reach, boundary)
    points, stretch = grid_points(factors.shape[:-1])[rows], per_point(factors, kernel)[rows]
    return convolve_points(exact, kernel, points, stretch, 64 * len(kernel)).numpy(), rows


def blend_weights(values: np.ndarray, count: int) -> np.ndarray:
    """Weights [count, ...] of `count` kernels at angles 180 k / count degrees, for a map [...] of angles / 180 degrees.

    Between neighbouring angles the kernels are blended linearly; 180 degrees are the same as 0.
    """
    place = (np.asarray(values) % 1.0) * count
    distance = np.abs(place[None] - np.arange(count).reshape(-1, *[1] * place.ndim))
    return np.clip(1.0 - np.minimum(distance, count - distance), 0.0, None)
