"""Gaussians with a covariance per point: variances stretch the axes, correlations mix kernels that all points share.

Sigma = D R D: D the standard deviations, one scale per axis, and R the correlations. A separable field reads the common
kernels of `kernels.correlated` at every point and pairs them by c(R); a network is evaluated at the Diracs of
W' c(R) W. Gaussians are untruncated, as far as their common knots reach.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.correlated import CorrelatedGaussians, half_correlation
from models.bundles import Bundle, filter_bundle
from models.compression import compressed
from models.convolution import reach_of, tables_for
from models.field import Field, Progress
from models.interpolation import bspline
from models.separable import SeparableField
from models.tables import spline_coefficients


@dataclass(frozen=True, eq=False)
class Covariances:
    """Of N points: standard deviations [N, a] (domain units); the correlation [N, 1] of two axes or, of three, those of
    the first axis with the others and the partial one of these [N, 3]; and the smallest deviation in any direction."""

    deviations: Tensor
    correlations: Tensor
    thinnest: float

    @classmethod
    def of(cls, sigma: Tensor) -> "Covariances":
        """From covariances [N, a, a] in square domain units; raises ValueError where one is not positive definite."""
        plain = sigma.detach()
        finite = plain.isfinite().all(dim=(1, 2))
        least = torch.linalg.eigvalsh(torch.where(finite[:, None, None], plain, torch.zeros(()).to(plain)))[:, 0]
        largest = plain.diagonal(dim1=1, dim2=2).amax(dim=1)
        valid = finite & (least > 0) & ((plain - plain.mT).abs().amax(dim=(1, 2)) <= 1e-6 * largest)
        if not bool(valid.all()):
            index = int((~valid).nonzero()[0])
            raise ValueError(f"covariance {index}, {plain[index].tolist()}, is not symmetric and positive definite")
        deviations = sigma.diagonal(dim1=1, dim2=2).sqrt()
        whole = (sigma + sigma.mT) / 2 / (deviations[:, :, None] * deviations[:, None])
        correlations = [whole[:, 0, axis] for axis in range(1, whole.shape[1])]
        if len(correlations) == 2:
            r12, r13 = correlations
            rest = ((1 - r12.square()) * (1 - r13.square())).sqrt()
            correlations.append((whole[:, 1, 2] - r12 * r13) / rest)
        return cls(deviations, torch.stack(correlations, dim=1), float(least.min().sqrt()))

    def to(self, device: torch.device) -> "Covariances":
        """The same on another device."""
        return Covariances(self.deviations.to(device), self.correlations.to(device), self.thinnest)

    def __getitem__(self, rows: slice | Tensor) -> "Covariances":
        return Covariances(self.deviations[rows], self.correlations[rows], self.thinnest)

    @property
    def largest(self) -> float:
        """The largest |correlation|."""
        return float(self.correlations.detach().abs().max())


class SharedKernels:
    """The kernels that all points share on a device, with the spline through the samples of their cores."""

    def __init__(self, kernels: CorrelatedGaussians, device: torch.device) -> None:
        self.kernels = kernels
        self.positions, self.weights = (torch.tensor(a, device=device) for a in (kernels.positions, kernels.weights))
        self.table, self.place = core_table(kernels, device), core_places(kernels, device)

    def pairings(self, correlations: Tensor) -> Tensor:
        """c [N, B, ..., B] at correlations [N, 1 or 3], differentiable."""
        return pairings(self.kernels, self.table, self.place, correlations)


def convolve_covariances(
    field: Field,
    points: Tensor,
    covariances: Covariances,
    shared: SharedKernels,
    dtype: torch.dtype = torch.float64,
    block: int = 1 << 16,
    progress: Progress | None = None,
    accuracy: float | None = None,
) -> Tensor:
    """The signal filtered by a Gaussian of its own at every point [N, a] -> [N, c], float64.

    A separable field reads tables of `dtype`, with the ranks that an `accuracy` (dB) requires (None: all); a network
    sees at most about `block` points at once. Differentiable in points and covariances.
    """
    x, axes = points.to(field.device, torch.float64), points.shape[1]
    covariances = covariances.to(x.device)
    kernels, positions, weights = shared.kernels, shared.positions, shared.weights
    bundle = Bundle([positions] * axes, [weights] * axes) if isinstance(field, SeparableField) else None
    if isinstance(field, SeparableField):
        radius = (covariances.deviations.detach().amax(dim=0) * kernels.radius).tolist()
        extent = x.detach().abs().amax(dim=0).tolist()
        tables, core = tables_for(field, extent, radius, dtype), field.core.detach()
        if accuracy is not None:
            reach = reach_of(field, extent, radius)
            tables, core = compressed(field, reach, dtype, covariances.thinnest, accuracy)
    rows = max(1, block // (len(positions) if bundle else len(positions) ** axes))
    results = []
    for part in torch.arange(len(x), device=x.device).split(rows):
        deviations = covariances.deviations[part]
        pairing = shared.pairings(covariances.correlations[part])
        if isinstance(field, SeparableField) and bundle:
            results.append(filter_bundle(field, tables, core, bundle, x[part], deviations, pairing))
        else:
            spread = pairing
            for _ in range(axes):
                # The axis in front becomes the last one, seen at its knots.
                spread = torch.tensordot(spread, weights, dims=([1], [0]))
            spread = spread.flatten(1) / deviations.prod(dim=1, keepdim=True) ** (kernels.order + 1)
            grid = torch.cartesian_prod(*[positions] * axes)
            results.append(field.sum_diracs(x[part, None] - grid * deviations[:, None], spread))
        if progress:
            progress(min(1.0, len(results) * rows / len(x)))
    return torch.cat(results)


def core_table(kernels: CorrelatedGaussians, device: torch.device) -> Tensor:
    """Coefficients [T, ..., P] of the cubic spline through the samples of the cores."""
    values = kernels.samples
    for axis in range(values.ndim - 1):
        moved = values.swapaxes(0, axis)
        flat = spline_coefficients(moved.reshape(len(moved), -1), 3)
        values = flat.reshape(-1, *moved.shape[1:]).swapaxes(0, axis)
    return torch.as_tensor(values.copy(), device=device)


def core_places(kernels: CorrelatedGaussians, device: torch.device) -> Tensor:
    """Where in a flattened core [B^d] its entries [P] that are no zeros are."""
    size, dim = len(kernels.even), kernels.kept.shape[1]
    return torch.as_tensor(kernels.kept @ [size**k for k in reversed(range(dim))], device=device)


def pairings(kernels: CorrelatedGaussians, table: Tensor, place: Tensor, correlations: Tensor) -> Tensor:
    """c [N, B, ..., B] at correlations [N, 1 or 3], differentiable."""
    count, size = table.shape[0], len(kernels.even)
    low = -half_correlation(kernels.largest)
    step = -2 * low / (count - 3)
    half = correlations / (1 + (1 - correlations.square()).sqrt())
    first, taps = bspline((half - low) / step, 3, count)
    rows, weights = torch.zeros_like(first[:, :1]), torch.ones_like(taps[:, 0, :1])
    for axis in range(first.shape[1]):
        rows = (rows[:, :, None] * count + first[:, axis, None, None] + torch.arange(4, device=rows.device)).flatten(1)
        weights = (weights[:, :, None] * taps[:, axis, None]).flatten(1)
    values = F.embedding_bag(rows, table.flatten(0, -2), per_sample_weights=weights, mode="sum")
    dim = kernels.kept.shape[1]
    full = values.new_zeros(len(values), size**dim).index_copy(1, place, values)
    return full.view(-1, *[size] * dim)
