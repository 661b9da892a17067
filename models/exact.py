"""The exact integral field of a signal on a grid: what every learned field is measured against.

Per axis the signal is a sum of hats, and a hat is the B-spline whose second derivative is three Diracs, so
its n-fold integral is a cubic, quintic, ... spline. Repeated summation (Heckbert 1986, section 3) gives its
coefficients; here the n-fold integral of each axis is a piecewise polynomial, evaluated in float64.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from kernels import SparseKernel
from models.bundles import Bundle
from models.config import FieldConfig, Origin
from models.convolution import convolve_points
from models.field import Field
from models.products import at_points, on_grid
from models.stencil import Stencil
from signals.signal import Signal, coordinates, spacing


class ExactField(Field):
    """F with D^n F = f exactly, f the multilinear interpolation of a signal padded by `margin` (domain units).

    Answers like a learned field, order 0 or higher, up to `margin` beyond [-1, 1]; storage is the signal's own.
    """

    factored = True
    smooth = False
    values: Tensor

    def __init__(self, signal: Signal, order: int, margin: float, boundary: str = "clamp") -> None:
        ranks = (1,) * signal.dim
        config = FieldConfig("separable", signal.dim, signal.channels, signal.axes, order, ranks=ranks, poly_degree=0)
        finest = tuple(spacing(signal.shape[axis]) for axis in signal.axes)
        super().__init__(config, Origin(finest, margin, boundary, signal.shape))
        self.requires_grad_(False)
        self.double()
        pads = [math.ceil(margin / spacing(n)) + 1 if axis in signal.axes else 0 for axis, n in enumerate(signal.shape)]
        self.samples = [coordinates(n, pad) for n, pad in zip(signal.shape, pads, strict=True)]
        self.register_buffer("values", torch.as_tensor(signal.padded(pads, boundary).astype(np.float64)))

    def basis(self, x: Tensor, axis: int) -> Tensor:
        """The n-fold integrals of the hats of one axis at x [N] -> [N, samples], all zero left of their hat."""
        n, samples = self.config.n[axis], self.samples[axis]
        nodes = torch.as_tensor(samples, device=x.device)
        delta = samples[1] - samples[0] if len(samples) > 1 else 2.0
        power = n + 1
        total = torch.zeros(len(x), len(nodes), dtype=torch.float64, device=x.device)
        for weight, shift in zip((1.0, -2.0, 1.0), (-1, 0, 1), strict=True):
            total += weight * (x.double()[:, None] - nodes - shift * delta).clamp_min(0) ** power
        return total / (math.factorial(power) * delta)

    def network_grid(self, stencils: Sequence[Stencil]) -> Tensor:
        # One at a time: the factors of a large signal are large.
        seen = (stencil.combine(self.basis(stencil.nodes, axis), 0) for axis, stencil in enumerate(stencils))
        return on_grid(self.values, seen)

    def network_points(self, points: Tensor) -> Tensor:
        return at_points(self.values, [self.basis(points[:, axis], axis) for axis in range(points.shape[1])])

    def sum_bundle(self, bundle: Bundle, x: Tensor, scale: Tensor) -> Tensor:
        parts = []
        for term in range(bundle.size):
            seen = []
            for axis, (t, weights) in enumerate(zip(bundle.positions, bundle.weights, strict=True)):
                size = scale[:, axis, None]
                basis = self.basis((x[:, axis, None] - size * t).reshape(-1), axis).unflatten(0, (len(x), len(t)))
                # An axis that is not filtered has one kernel for all terms.
                w = weights[min(term, len(weights) - 1)] / size ** self.config.n[axis]
                seen.append((basis * w[..., None]).sum(dim=1))
            parts.append(at_points(self.values, seen))
        return torch.stack(parts).sum(dim=0)


def exact_at(signal: Signal, kernel: SparseKernel, points: Tensor, scale: Tensor | None, boundary: str) -> np.ndarray:
    """The signal filtered exactly by `kernel` at `points` [N, d] -> [N, c], stretched there by `scale` [N, a].

    Every point is answered by the signal's own piecewise polynomials, at the cost of the whole signal.
    """
    most = 1.0 if scale is None else float(scale.max())
    outside = max(0.0, float(points.abs().max()) - 1.0)
    field = ExactField(signal, kernel.order, float(kernel.radius.max()) * most + outside, boundary)
    return convolve_points(field, kernel, points, scale, 64 * len(kernel)).numpy()
