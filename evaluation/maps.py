"""Maps by which a kernel varies over a signal: of its size, its angle, or the covariance of a Gaussian."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

import nfconv
from evaluation.kernels import numbers
from files import load_array
from files.inputs import note, warn
from kernels.library import Kernel
from kernels.sparse import SparseKernel
from modalities import find
from models import Field
from models.convolution import check_reach
from models.filtering import sparse_kernel
from models.varying import Chosen, CovarianceFilter, Filter, turned_covariances
from signals import coordinates

# Kernels that are blended by angle.
ANGLES = 12


@dataclass(frozen=True)
class Maps:
    """The options of maps, by their names: at most one file is given."""

    scale_map: Path | None = None
    scale_range: str = "0.25,1"
    angle_map: Path | None = None
    angles: int | None = None
    covariance_map: Path | None = None

    @property
    def span(self) -> tuple[float, float]:
        """The smallest and the largest size of a kernel, of its own; raises ValueError."""
        sizes = self.ends if self.scale_map else [1.0]
        return min(sizes), max(sizes)

    @property
    def ends(self) -> list[float]:
        """The sizes where a map of sizes is 0 and where it is 1; raises ValueError."""
        with contextlib.suppress(ValueError):
            if "," in self.scale_range:
                return numbers(self.scale_range, 2, "--scale_range")
        raise ValueError("--scale_range must be two positive numbers with a comma, the sizes where the map is 0 and "
                         f"where it is 1, not {self.scale_range!r}")  # fmt: skip

    def filter(self, field: Field, kernel: Kernel | SparseKernel, accuracy: float) -> Chosen:
        """One kernel, one of varying size (--scale_map), several of varying angle (--angle_map), or Gaussians of a
        covariance each (--covariance_map, or an angle each); raises ValueError, also where one reaches beyond the
        margin of the field."""
        dim, factors = field.config.dim, None
        if self.covariance_map:
            found = covariance_filter(field, self.covariance_map, accuracy)
        elif self.angle_map:
            found = turning_filter(field, kernel, read_map(self.angle_map, dim, 1), self.angles, accuracy)
        else:
            if self.scale_map:
                least, most = self.ends
                factors = least + (most - least) * read_map(self.scale_map, dim, len(field.config.axes))
            found = Filter((sparse_kernel(field, kernel),), factors)
        if not field.origin.released:
            check_reach(field, found.radius.tolist())
        return found


def read_map(path: Path, dim: int, axes: int) -> np.ndarray:
    """A map in [0, 1], [M_1, ..., M_d, 1 or `axes`]: a picture's lightness, or an `.npy` array; raises ValueError."""
    if path.suffix == ".npy":
        values = load_array(path).astype(np.float64)
        values = values[..., None] if values.ndim == dim else values
    else:
        values = find("image").load(path).values[..., :3].mean(axis=-1, keepdims=True)
    if values.ndim != dim + 1 or values.shape[-1] not in (1, axes) or values.size == 0:
        raise ValueError(f"{path} has shape {values.shape}: a map requires {dim} axes, and 1 or {axes} channels")
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"{path} must hold finite numbers from 0 to 1: scale it first")
    return values


def say_resampled(chosen: Chosen, shape: Sequence[int]) -> None:
    """Say that the map of `chosen` has other samples than a result of `shape`, and warn where it looks transposed."""
    if isinstance(chosen, CovarianceFilter):
        values: np.ndarray | None = chosen.covariances
    else:
        values = chosen.angles if chosen.factors is None else chosen.factors
    if values is None or values.shape[: len(shape)] == tuple(shape):
        return
    own = values.shape[: len(shape)]
    text = f"the map of {' x '.join(map(str, own))} is resampled to the {' x '.join(map(str, shape))} of the result"
    if own == tuple(reversed(shape)):
        warn(f"{text}: it looks transposed")
    else:
        note(text)


def fovea(shape: Sequence[int], row: float, column: float) -> np.ndarray:
    """Distance [H, W] from the point looked at (domain units), as a share of the largest there is; float32."""
    y, x = np.meshgrid(*[coordinates(n) for n in shape], indexing="ij")
    distance = np.hypot(y - row, x - column)
    return (distance / max(float(distance.max()), 1e-12)).astype(np.float32)


def covariances_of(values: np.ndarray, axes: int, what: str) -> np.ndarray:
    """Covariances [..., axes, axes] from those, or from their variances and then covariances along the last axis,
    (0, 1), (0, 2), (1, 2); raises ValueError for other shapes, which `what` names."""
    values = np.array(values, dtype=np.float64)
    if values.shape[-2:] == (axes, axes) and values.ndim != 2:
        return values
    upper = [*((i, i) for i in range(axes)), *combinations(range(axes), 2)]
    if values.shape[-1:] != (len(upper),):
        raise ValueError(f"{what} has shape {values.shape}: covariances are [..., {axes}, {axes}], or "
                         f"[..., {len(upper)}] of {axes} variances and then covariances")  # fmt: skip
    full = np.empty((*values.shape[:-1], axes, axes))
    for index, (i, j) in enumerate(upper):
        full[..., i, j] = full[..., j, i] = values[..., index]
    return full


def turning_filter(
    field: Field, kernel: Kernel | SparseKernel, values: np.ndarray, angles: int | None, accuracy: float
) -> Chosen:
    """A kernel turned by a map of angles: a Gaussian by its covariance where that is allowed and no number of `angles`
    is given, else kernels that are blended; raises ValueError."""
    given = dict(kernel.parameters) if isinstance(kernel, Kernel) else {}
    if not isinstance(kernel, Kernel) or "angle" not in kernel.type.parameters or given.get("angle"):
        raise ValueError("--angle_map turns a --kernel that has an angle: name one, and give no --angle of its own")
    turns = kernel.name == "anisotropic" and angles is None
    if turns and (gaussian := turned_gaussian(field, kernel, values, accuracy)):
        return gaussian
    count = angles or ANGLES
    turned = [replace(kernel, parameters={**given, "angle": 180.0 * k / count}) for k in range(count)]
    return Filter(tuple(sparse_kernel(field, k) for k in turned), angles=values)


def covariance_filter(field: Field, path: Path, accuracy: float) -> Chosen:
    """Gaussians of the covariances in an `.npy` map, [M_1, ..., M_d, a, a] or with variances and then covariances along
    one axis; raises ValueError."""
    config, axes = field.config, len(field.config.axes)
    values = covariances_of(load_array(path), axes, str(path))
    if values.ndim != config.dim + 2 or values.size == 0:
        raise ValueError(f"{path} has {values.ndim - 2} axes before those of its covariances, the field {config.dim}")
    if axes == 1:
        sizes = np.sqrt(np.maximum(values[..., 0], 0))
        return Filter((sparse_kernel(field, nfconv.gaussian(sigma=1.0)),), factors=sizes)
    if axes != config.dim or axes > 3:
        raise ValueError(f"a covariance requires one to three axes, all filtered, not {axes} of {config.dim}")
    return CovarianceFilter(values, config.order, accuracy)


def turned_gaussian(field: Field, kernel: Kernel, angles: np.ndarray, accuracy: float) -> CovarianceFilter | None:
    """The Gaussian of `kernel` turned by a map of angles; None, with a warning, where the field or the tables of
    Gaussians do not allow it."""
    if field.config.dim != 2:
        return None
    kernel.target(2)  # raises ValueError for missing parameters
    values = dict(kernel.parameters)
    stretch = kernel.stretch or (1.0, 1.0)
    try:
        sigmas = turned_covariances(angles[..., 0], values["sigma"], values["sigma_across"], stretch)
        found = CovarianceFilter(sigmas, field.config.order, accuracy)
        if not field.origin.released:
            check_reach(field, found.radius.tolist())
    except ValueError as error:
        warn(f"blending {ANGLES} kernels that are cut at 3 sigma instead of turning the Gaussian, as {error}")
        return None
    return found
