"""Factors of a separable field as tables: splines on even nodes, read with a few taps a query.

Every filter asks a factor at thousands of places; a table answers each by a few additions, whatever the factor is made
of. The moment conditions of a kernel of n differentiations cancel polynomials below degree n, so every column is stored
less its best such polynomial: what is left is small enough for float32.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import splu
from torch import Tensor

from models.factors import Factor
from models.interpolation import bspline, gather, scatter

# Nodes for each distance between the training kernel's Diracs: cubic splines then read a factor to 80 dB of its size,
# and kernels, which smooth, to 100 dB of the signal's; quintic ones to 140 dB.
NODES_PER_KNOT = {3: 12, 5: 24}
# Fewest and most points that share the rows they ask for.
SHARED = (16, 512)
# Queries of a factor at once while its table is made.
CHUNK = 1 << 14


@dataclass(frozen=True, eq=False)
class FactorTable:
    """U(x) up to a polynomial below degree n: coefficients [T, R] of a spline of `degree` with knots `step` apart from
    `start` on (domain units)."""

    coefficients: Tensor
    degree: int
    start: float
    step: float

    @property
    def dtype(self) -> torch.dtype:
        """The precision of what is read."""
        return self.coefficients.dtype

    def combined(self, x: Tensor, weights: Tensor) -> Tensor:
        """sum_k w_k U(x_k): x and weights [N, K] -> [N, R], in the table's dtype, differentiable in both.

        Neighbours among the N, best sorted, share the rows they ask for: a dense product over those beats summing rows.
        """
        first, taps = self._taps(x)
        taps, parts = taps * weights[..., None].to(taps.dtype), []
        # As many neighbours as together ask for about twice the rows of one.
        low, high = first.amin(dim=1), first.amax(dim=1)
        count = int((len(x) * (high - low).max() / (high.max() - low.min()).clamp_min(1)).clamp(*SHARED))
        groups = zip(low.split(count), high.split(count), strict=True)
        # All bounds at once: a GPU is waited for once, not for every group.
        bounds = torch.stack([torch.stack((least.min(), most.max())) for least, most in groups]).tolist()
        for rows, values, (least, most) in zip(first.split(count), taps.split(count), bounds, strict=True):
            shares = scatter(rows - least, values, most - least + self.degree + 1)
            parts.append(shares @ self.coefficients[least : least + shares.shape[1]])
        return torch.cat(parts)

    def read(self, x: Tensor) -> Tensor:
        """U at x [N, K] -> [N, K, R], in the table's dtype."""
        first, taps = self._taps(x.reshape(-1, 1))
        return gather(self.coefficients, first, taps).unflatten(0, x.shape)

    def _taps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, taps = bspline((x.double() - self.start) / self.step, self.degree, len(self.coefficients))
        return first, taps.to(self.dtype)


@dataclass(frozen=True, eq=False)
class UnfilteredTable:
    """The factor of an axis that is not filtered, asked itself: once a point, where nothing would be saved."""

    factor: Factor
    dtype: torch.dtype

    def combined(self, x: Tensor, weights: Tensor) -> Tensor:
        """sum_k w_k U(x_k): x and weights [N, K] -> [N, R]."""
        return (self.read(x) * weights.to(self.dtype)[..., None]).sum(dim=1)

    def read(self, x: Tensor) -> Tensor:
        """U at x [N, K] -> [N, K, R]."""
        return self.factor(x.reshape(-1)).unflatten(0, x.shape).to(self.dtype)


Table = FactorTable | UnfilteredTable


@torch.no_grad()
def tabulate(factor: Factor, n: int, reach: float, h: float, degree: int, dtype: torch.dtype) -> FactorTable:
    """The table of a factor over [-reach, reach] for kernels of n differentiations; `h` is the distance between the
    training kernel's Diracs (domain units)."""
    count = math.ceil(2 * reach / h * NODES_PER_KNOT[degree]) + 2 * degree
    device = next(factor.parameters()).device
    x = torch.linspace(-reach, reach, count, dtype=torch.float64, device=device)
    values = torch.cat([factor(part).double() for part in x.split(CHUNK)])
    powers = torch.linalg.qr((x[:, None] / reach) ** torch.arange(n, device=device)).Q
    coefficients = spline_coefficients((values - powers @ (powers.T @ values)).cpu().numpy(), degree)
    return FactorTable(torch.as_tensor(coefficients).to(device, dtype), degree, -reach, 2 * reach / (count - 1))


def spline_coefficients(values: np.ndarray, degree: int) -> np.ndarray:
    """Coefficients [T_1 + degree - 1, ..., R] of the spline of odd `degree` with knots at all `values` [T_1, ..., R].

    Its differences of order degree + 1 vanish at both ends, where no value lies beyond (de Boor 1978, chapter XIII).
    """
    spare = (degree - 1) // 2
    taps = bspline(torch.zeros(1, dtype=torch.float64), degree, degree + 1)[1][0, :-1].tolist()
    difference = [(-1.0) ** k * math.comb(degree + 1, k) for k in range(degree + 2)]
    for axis in range(values.ndim - 1):
        moved = values.swapaxes(0, axis)
        count = len(moved) + degree - 1
        inner = sparse.diags_array(taps, offsets=range(degree), shape=(len(moved), count))
        low = sparse.diags_array(difference, offsets=range(degree + 2), shape=(spare, count))
        high = sparse.diags_array(
            difference, offsets=range(count - degree - 1 - spare, count + 1 - spare), shape=(spare, count)
        )
        system = splu(sparse.vstack([low, inner, high]).tocsc())
        solved = system.solve(np.pad(moved.reshape(len(moved), -1), [(spare, spare), (0, 0)]))
        values = solved.reshape(count, *moved.shape[1:]).swapaxes(0, axis)
    return values
