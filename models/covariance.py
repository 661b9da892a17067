"""Gaussians with a covariance per point: variances stretch the axes, correlations mix kernels that all points share.

Sigma = D R D: D the standard deviations, one scale per axis, and R the correlation, rho. A separable field reads the
common kernels of `kernels.correlated` at every point and pairs them by c(rho); a network is asked at the Diracs of
W' c(rho) W. Gaussians are untruncated, as far as their common knots reach.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.correlated import CorrelatedGaussians, half_correlation
from models.bundles import Bundle, filter_bundle
from models.convolution import tables_for
from models.field import Field, Progress
from models.separable import SeparableField
from models.tables import FactorTable, spline_coefficients


@dataclass(frozen=True, eq=False)
class Covariances:
    """Standard deviations [N, 2] (domain units) and correlations [N] of N points, differentiable."""

    deviations: Tensor
    correlations: Tensor

    @classmethod
    def of(cls, sigma: Tensor) -> "Covariances":
        """From covariances [N, 2, 2] in square domain units; raises ValueError where one is not positive definite."""
        variances = sigma.diagonal(dim1=1, dim2=2)
        product = sigma[:, 0, 1] * sigma[:, 1, 0]
        valid = (variances > 0).all(dim=1) & (product < variances.prod(dim=1)) & sigma.isfinite().all(dim=(1, 2))
        if not bool(valid.all()):
            index = int((~valid).nonzero()[0])
            raise ValueError(f"covariance {index}, {sigma[index].tolist()}, is not symmetric and positive definite")
        deviations = variances.sqrt()
        return cls(deviations, (sigma[:, 0, 1] + sigma[:, 1, 0]) / 2 / deviations.prod(dim=1))

    @property
    def largest(self) -> float:
        """The largest |correlation|."""
        return float(self.correlations.detach().abs().max())

    @property
    def thinnest(self) -> float:
        """The smallest standard deviation in any direction."""
        a, b = self.deviations.detach().square().unbind(dim=1)
        mixed = self.correlations.detach() * (a * b).sqrt()
        return float(((a + b) / 2 - ((a - b).square() / 4 + mixed.square()).sqrt()).clamp_min(0).min().sqrt())


def convolve_covariances(
    field: Field,
    points: Tensor,
    covariances: Covariances,
    kernels: CorrelatedGaussians,
    dtype: torch.dtype = torch.float64,
    block: int = 1 << 16,
    progress: Progress | None = None,
) -> Tensor:
    """The signal filtered by a Gaussian of its own at every point [N, 2] -> [N, c], float64.

    A separable field reads tables of `dtype`; a network is asked at most about `block` points at once. Differentiable
    in points, deviations and correlations.
    """
    x = points.to(field.device, torch.float64)
    positions = torch.tensor(kernels.positions, device=x.device)
    weights = torch.tensor(kernels.weights, device=x.device)
    bundle = Bundle([positions] * 2, [weights] * 2) if isinstance(field, SeparableField) else None
    if isinstance(field, SeparableField):
        radius = (covariances.deviations.detach().amax(dim=0) * kernels.radius).tolist()
        tables = tables_for(field, x.detach().abs().amax(dim=0).tolist(), radius, dtype)
    rows = max(1, block // (len(positions) if bundle else len(positions) ** 2))
    results = []
    for part in torch.arange(len(x)).split(rows):
        deviations = covariances.deviations[part]
        pairing = pairings(kernels, covariances.correlations[part])
        if isinstance(field, SeparableField) and bundle:
            results.append(filter_bundle(field, tables, bundle, x[part], deviations, pairing))
        else:
            grid = torch.cartesian_prod(positions, positions)
            size = deviations.prod(dim=1, keepdim=True) ** (kernels.order + 1)
            spread = (weights.T @ pairing @ weights).flatten(1) / size
            results.append(field.sum_diracs(x[part, None] - grid * deviations[:, None], spread))
        if progress:
            progress(min(1.0, len(results) * rows / len(x)))
    return torch.cat(results)


def pairings(kernels: CorrelatedGaussians, correlations: Tensor) -> Tensor:
    """c(rho) [N, B, B] at correlations [N], differentiable."""
    size = len(kernels.weights)
    half = correlations / (1 + (1 - correlations.square()).sqrt())
    low = -half_correlation(kernels.largest)
    cores = kernels.samples.reshape(len(kernels.samples), -1)
    coefficients = torch.as_tensor(spline_coefficients(cores, 3), device=half.device)
    table = FactorTable(coefficients, 3, low, -2 * low / (len(cores) - 1))
    return table.read(half[:, None])[:, 0].unflatten(1, (size, size))
