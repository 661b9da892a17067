"""Gaussians with a covariance per point: variances stretch the axes, correlations mix kernels that all points share.

Sigma = D R D: D the standard deviations, one scale per axis, and R the correlations. A separable field reads the common
kernels of `kernels.correlated` at every point and pairs them by c(R); a network is evaluated at the Diracs of
W' c(R) W. Gaussians are untruncated, as far as their common knots reach.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from kernels.correlated import CorrelatedGaussians, half_correlation
from models.bundles import Bundle, filter_bundle
from models.compression import compressed
from models.convolution import reach_of
from models.field import Field, Progress
from models.interpolation import bspline, gather_grid
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

    def __getitem__(self, rows: slice | Tensor) -> "Covariances":
        return Covariances(self.deviations[rows], self.correlations[rows], self.thinnest)

    @property
    def largest(self) -> float:
        """The largest |correlation|."""
        return float(self.correlations.detach().abs().max())


class SharedKernels:
    """The kernels that all points share on a device, with the cubic spline through the samples of their cores."""

    def __init__(self, kernels: CorrelatedGaussians, device: torch.device) -> None:
        self.kernels = kernels
        self.positions, self.weights = (torch.tensor(a, device=device) for a in (kernels.positions, kernels.weights))
        # Coefficients [T, ..., P], and where in a flattened core [B^d] its entries [P] that are no zeros are.
        self.table = torch.as_tensor(spline_coefficients(kernels.samples, 3).copy(), device=device)
        size, dim = len(kernels.even), kernels.kept.shape[1]
        self.place = torch.as_tensor(kernels.kept @ [size**k for k in reversed(range(dim))], device=device)

    def pairings(self, correlations: Tensor) -> Tensor:
        """c [N, B, ..., B] at correlations [N, 1 or 3], differentiable."""
        count, size, dim = len(self.table), len(self.kernels.even), self.kernels.kept.shape[1]
        low = -half_correlation(self.kernels.largest)
        step = -2 * low / (count - 3)
        half = correlations / (1 + (1 - correlations.square()).sqrt())
        first, taps = bspline((half - low) / step, 3, count)
        values = gather_grid(self.table, zip(first.unbind(1), taps.unbind(1), strict=True))
        full = values.new_zeros(len(values), size**dim).index_copy(1, self.place, values)
        return full.view(-1, *[size] * dim)


# Filtered values [N, c] from points [N, a], deviations [N, a] and pairings [N, B, ..., B].
Filtered = Callable[[Tensor, Tensor, Tensor], Tensor]


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
    x = points.to(field.device, torch.float64)
    asked = len(shared.positions)
    if isinstance(field, SeparableField):
        filtered = _from_tables(field, x, covariances, shared, dtype, accuracy)
    else:
        filtered, asked = partial(_from_diracs, field, shared), asked ** x.shape[1]
    rows, results = max(1, block // asked), []
    for part in torch.arange(len(x), device=x.device).split(rows):
        pairing = shared.pairings(covariances.correlations[part])
        results.append(filtered(x[part], covariances.deviations[part], pairing))
        if progress:
            progress(min(1.0, len(results) * rows / len(x)))
    return torch.cat(results)


def _from_tables(
    field: SeparableField,
    x: Tensor,
    covariances: Covariances,
    shared: SharedKernels,
    dtype: torch.dtype,
    accuracy: float | None,
) -> Filtered:
    """A separable field's answer, made ready to reach as far as points `x` ask."""
    axes = x.shape[1]
    radius = (covariances.deviations.detach().amax(dim=0) * shared.kernels.radius).tolist()
    reach = reach_of(field, x.detach().abs().amax(dim=0).tolist(), radius)
    if accuracy is None:
        tables, core = field.tables(dtype, reach), field.core.detach()
    else:
        tables, core = compressed(field, reach, dtype, covariances.thinnest, accuracy)
    return partial(filter_bundle, field, tables, core, Bundle([shared.positions] * axes, [shared.weights] * axes))


def _from_diracs(field: Field, shared: SharedKernels, x: Tensor, deviations: Tensor, pairing: Tensor) -> Tensor:
    """A network's answer: every point is queried at the Diracs of its own kernel."""
    spread, axes = pairing, x.shape[1]
    for _ in range(axes):
        # The axis in front becomes the last one, seen at its knots.
        spread = torch.tensordot(spread, shared.weights, dims=([1], [0]))
    spread = spread.flatten(1) / deviations.prod(dim=1, keepdim=True) ** (shared.kernels.order + 1)
    grid = torch.cartesian_prod(*[shared.positions] * axes)
    return field.sum_diracs(x[:, None] - grid * deviations[:, None], spread)
