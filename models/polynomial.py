"""The polynomial part of a repeated integral field: it carries the mean and the slow gradients exactly.

P(x) = sum_k c_k prod_j x_j^(n_j + k_j) k_j! / (n_j + k_j)!, so that D^n P = sum_k c_k prod_j x_j^k_j.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.products import at_points, on_grid
from models.stencil import Stencil


class PolynomialPart(nn.Module):
    """Products of one-axis powers; n [d] integrations per axis, `degree` of D^n P per axis, c channels."""

    def __init__(self, n: Sequence[int], degree: int, channels: int) -> None:
        super().__init__()
        self.n = tuple(n)
        self.degree = degree
        self.coefficients = nn.Parameter(torch.zeros(*[degree + 1] * len(self.n), channels))

    def basis(self, x: Tensor, axis: int) -> Tensor:
        """x [N] -> [N, degree + 1], the integrated powers of one axis, in float64: their differences cancel."""
        n = self.n[axis]
        powers = [x.double() ** (n + k) * math.factorial(k) / math.factorial(n + k) for k in range(self.degree + 1)]
        return torch.stack(powers, dim=1)

    def seen(self, axis: int, x: Tensor, scale: Tensor, moments: Tensor) -> Tensor:
        """The integrated powers seen through kernels at x [N] stretched by `scale` [N] -> [N, B, degree + 1], float64.

        moments [B, n + degree + 1] are sum_k w_k t_k^j; those below n vanish, so that binomial sums begin at n.
        """
        n, columns = self.n[axis], []
        for k in range(self.degree + 1):
            p = n + k
            terms = [math.comb(p, j) * (-1) ** j * (x ** (p - j) * scale ** (j - n))[:, None] * moments[:, j]
                     for j in range(n, p + 1)]  # fmt: skip
            columns.append(torch.stack(terms).sum(dim=0) * (math.factorial(k) / math.factorial(p)))
        return torch.stack(columns, dim=2)

    def grid(self, stencils: Sequence[Stencil]) -> Tensor:
        """P through one stencil per axis -> [M_1, ..., M_d, c]."""
        return on_grid(self.coefficients, [s.combine(self.basis(s.nodes, axis), 0) for axis, s in enumerate(stencils)])

    def forward(self, points: Tensor) -> Tensor:
        """P at points [N, d] -> [N, c], in float64."""
        return at_points(self.coefficients.double(), [self.basis(x, axis) for axis, x in enumerate(points.T)])
