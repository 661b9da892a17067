"""Filtering at scattered points: one kernel, its own size at every point, or a Gaussian of its own covariance."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kernels import SparseKernel, minimal_kernel
from kernels.correlated import choose_level, correlated_gaussians
from kernels.correlated3 import correlated_gaussians_3d
from kernels.library import Kernel, gaussian
from models.convolution import KernelError, PointFilter
from models.covariance import Covariances, SharedKernels, convolve_covariances
from models.field import Field, Progress
from models.filtering import Settings, check_radius, in_precision, prepared, sparse_kernel
from models.memory import in_smaller_blocks
from models.separable import SeparableField
from models.sizes import LARGEST_TABLE, Lattice, size_tables

# Points at which tables in float32 are compared with those in float64, and how far above the accuracy they must agree.
CHECKED_POINTS = 64
HEADROOM = 20.0
# Points for which nothing is tabled: a GPU is not even asked how far they reach.
FEWEST_TABLED = 2048


def filter_at(
    field: Field, kernel: Kernel | SparseKernel, at: Any, scale: Any, covariance: Any, settings: Settings
) -> Any:
    """The filtered signal at points [N, d] -> [N, c], an array for an array and a tensor for a tensor."""
    points = as_points(field, at)
    place, points = points.device, points.to(field.device)
    given = [value for value in (at, scale, covariance) if isinstance(value, Tensor) and value.requires_grad]
    if settings.precision == "auto" and any(value.dtype == torch.float64 for value in given):
        settings = replace(settings, precision="64")
    if not len(points):
        values = points.new_zeros(0, field.config.channels, dtype=torch.float64)
    elif covariance is not None:
        sigma = torch.as_tensor(covariance).to(points.device, torch.float64)
        values = _covariance_answer(field, kernel, points, scale, sigma, settings).on(points, settings)
    else:
        values = _scale_answer(field, kernel, points, scale, settings).on(points, settings)
    kind = torch.promote_types(points.dtype, torch.float32) if points.is_floating_point() else torch.float64
    values = values.to(place, kind)
    return values if isinstance(at, Tensor) else values.numpy()


def as_points(field: Field, at: Any) -> Tensor:
    """Points [N, d] as a tensor; raises ValueError for others."""
    # PyTorch reads numbers in the machine's order of bytes alone.
    points = torch.as_tensor(at.astype(at.dtype.newbyteorder("=")) if isinstance(at, np.ndarray) else at)
    if points.ndim != 2 or points.shape[1] != field.config.dim:
        raise ValueError(f"points must be [N, {field.config.dim}], not {list(points.shape)}")
    if not bool(points.isfinite().all()):
        raise ValueError("points hold numbers that are not finite")
    return points


@dataclass(frozen=True)
class Answer:
    """How points are answered: ask(rows, dtype of tables, block, progress) -> [N, c]; `traced` for gradients; where
    there are tables that are quicker, tabled(rows, progress)."""

    field: Field
    traced: bool
    ask: Callable[..., Tensor]
    tabled: Callable[..., Tensor] | None = None

    def on(self, points: Tensor, settings: Settings) -> Tensor:
        """The values at all points, from the quickest tables that meet the accuracy."""
        dtype, quick, tabled = torch.float64, settings.precision == "auto" and self.field.factored, self.tabled
        with torch.set_grad_enabled(self.traced):
            if quick and tabled and self._agrees(partial(tabled, progress=None), points, settings):
                return tabled(slice(None), settings.progress)
            single = partial(self.ask, dtype=torch.float32, block=settings.block, progress=None)
            if settings.precision == "32" or (quick and self._agrees(single, points, settings)):
                dtype = torch.float32
            return in_smaller_blocks(
                lambda size: self.ask(slice(None), dtype, size, settings.progress), settings.block, settings.notify
            )

    @torch.no_grad()
    def _agrees(self, quick: Callable[[Tensor], Tensor], points: Tensor, settings: Settings) -> bool:
        """Whether a quicker way agrees with tables in float64, at some of the points, to well above the accuracy."""
        rows = torch.linspace(0, len(points) - 1, min(CHECKED_POINTS, len(points)), device=points.device).long()
        error = float((quick(rows) - self.ask(rows, torch.float64, settings.block, None)).square().mean().sqrt())
        return -20 * math.log10(max(error, 1e-30)) >= settings.accuracy + HEADROOM


def _scale_answer(
    field: Field, kernel: Kernel | SparseKernel, points: Tensor, scale: Any, settings: Settings
) -> Answer:
    """A kernel stretched at every point by a `scale` of its own."""
    found = sparse_kernel(field, kernel)
    axes, least, most, factors = len(found.axes), 1.0, 1.0, None
    if scale is not None:
        factors = torch.as_tensor(scale).to(points.device, torch.float64)
        # One number a point, or one for each axis.
        factors = factors[:, None] if factors.shape == points.shape[:1] else factors
        try:
            factors = factors.expand(len(points), axes)
        except RuntimeError:
            wanted = f"a number, [{axes}], [{len(points)}] or [{len(points)}, {axes}]"
            raise ValueError(f"the scale must be {wanted}, not {list(factors.shape)}") from None
        least, most = float(factors.detach().min()), float(factors.detach().max())
        if not 0 < least <= most < math.inf:
            raise ValueError(f"the scale must be positive and finite, not from {least:g} to {most:g}")
    field = prepared(field, found, least, most, settings)
    check_outside(field, points, (most * found.radius).tolist(), settings)
    ready = PointFilter(field, found, settings.tolerance)

    def ask(rows: slice | Tensor, dtype: torch.dtype, block: int, progress: Progress | None) -> Tensor:
        stretch = None if factors is None else factors[rows]
        return ready.at(points[rows], stretch, block, progress, dtype)

    if points.requires_grad or (factors is not None and factors.requires_grad):
        return Answer(field, True, ask)
    return Answer(field, False, ask, _tabled(field, ready, points, factors, (least, most), settings))


def _tabled(
    field: Field, ready: PointFilter, points: Tensor, factors: Tensor | None, sizes: tuple[float, float],
    settings: Settings,
) -> Callable[[slice | Tensor, Progress | None], Tensor] | None:  # fmt: skip
    """Answers from tables over place and size, where so many points are asked for that making them pays."""
    bundle, kernel, dim = ready.bundle, ready.kernel, field.config.dim
    if not isinstance(field, SeparableField) or bundle is None or len(kernel.axes) < dim or len(points) < FEWEST_TABLED:
        return None
    lattice = Lattice.of(field, kernel.radius.tolist(), *sizes, points.abs().amax(dim=0).tolist())
    numbers = bundle.size * lattice.samples * max(field.config.ranks)
    if points.numel() < lattice.samples or numbers > LARGEST_TABLE:
        return None
    key = ("sizes", lattice, settings.accuracy, kernel.positions.tobytes(), kernel.weights.tobytes())
    tables = field.kept(key, lambda: size_tables(field, bundle, lattice, settings.accuracy))

    def ask(rows: slice | Tensor, progress: Progress | None) -> Tensor:
        x = points[rows].double()
        scale = torch.ones_like(x) if factors is None else factors[rows].expand_as(x)
        return tables.at(x, scale, progress)

    return ask


def check_outside(field: Field, points: Tensor, radius: Sequence[float], settings: Settings) -> None:
    """Raise KernelError where points outside [-1, 1] ask, with kernels of `radius` [d], beyond the field's margin."""
    outside = [max(0.0, float(x.abs().max()) - 1) for x in points.detach().T if len(x)]
    if max(outside, default=0.0) > 1e-6:
        check_radius(field, radius, settings.notify, outside)


def one_covariance(
    field: Field, kernel: Kernel | SparseKernel, scale: Any, sigma: Any, settings: Settings
) -> tuple[Field, SparseKernel]:
    """The Gaussian of one covariance [2, 2] as Diracs, and the field in the precision it requires."""
    sigma = torch.as_tensor(sigma).double()
    answer = _covariance_answer(field, kernel, torch.zeros(1, 2), scale, sigma, settings)
    covariances = Covariances.of(sigma[None])
    kernels = correlated_gaussians(field.config.order, *choose_level(covariances.largest, settings.accuracy))
    y, x = covariances.deviations[0].tolist()
    return answer.field, kernels.sparse((y, x), float(covariances.correlations))


def _covariance_answer(
    field: Field, kernel: Kernel | SparseKernel, points: Tensor, scale: Any, sigma: Tensor, settings: Settings
) -> Answer:
    """A Gaussian of its own covariance at every point; raises ValueError for another kernel."""
    if not isinstance(kernel, Kernel) or kernel.name != "gaussian" or dict(kernel.parameters) or scale is not None:
        raise ValueError("a covariance is the Gaussian's size and angle: use gaussian() without sigma, and no scale")
    axes = len(field.config.axes)
    if sigma.shape[-2:] != (axes, axes) or sigma.shape[:-2] not in ((), points.shape[:1]):
        raise ValueError(f"the covariance must be [{len(points)}, {axes}, {axes}], not {list(sigma.shape)}")
    sigma = sigma.expand(len(points), axes, axes)
    if axes == 1:
        return _scale_answer(field, gaussian(sigma=1.0), points, sigma[:, :, 0].sqrt(), settings)
    if axes != field.config.dim or axes > 3:
        raise KernelError(f"a covariance requires one to three axes, all filtered, not {axes} of {field.config.dim}")
    covariances = Covariances.of(sigma)
    make = correlated_gaussians if axes == 2 else correlated_gaussians_3d
    kernels = make(field.config.order, *choose_level(covariances.largest, settings.accuracy))
    extent = covariances.deviations.detach().amax(dim=0) * kernels.radius
    check_radius(field, extent.tolist(), settings.notify)
    check_outside(field, points, extent.tolist(), settings)
    thinnest, trained = 3 * covariances.thinnest, min(field.origin.half_size)
    if thinnest < trained * (1 - 1e-6):
        settings.notify(f"warning: a Gaussian of 3 sigma = {thinnest:.3g} is thinner than the training kernel's "
                        f"{trained:.3g}: the field does not hold details that fine")  # fmt: skip
    field = in_precision(field, minimal_kernel(field.config.order, [covariances.thinnest] * axes, axes), settings)
    shared, traced = SharedKernels(kernels, field.device), points.requires_grad or sigma.requires_grad
    # Where ranks are cut, values jump by as much as is cut: not under a derivative. Thin Gaussians show all of them.
    accuracy = None if traced or thinnest < trained / 2 else settings.accuracy

    def ask(rows: slice | Tensor, dtype: torch.dtype, block: int, progress: Progress | None) -> Tensor:
        return convolve_covariances(field, points[rows], covariances[rows], shared, dtype, block, progress, accuracy)

    return Answer(field, traced, ask)
