"""The best spline on given knots: constrained linear least squares, solved directly.

minimise |A c - G|  subject to  V c = mu

G   means of the target over the cells of a grid [M_1, ..., M_d]
A   A_1 x ... x A_d, the means of the B-splines over those cells, A_j [M_j, S_j]
c   coefficients [S_1, ..., S_d]: all of them meet the moment conditions
V   moments of the B-splines, mu the moments (mass first of all) that the fit keeps exactly
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
from scipy import ndimage, sparse
from scipy.linalg import solve_triangular
from scipy.sparse.linalg import splu

from kernels.splines import SplineBasis

Moments = Mapping[tuple[int, ...], float]

# Shares of the peak that neighbouring coefficients of a flat part may differ by, tried in this order.
FLAT_SHARES = (0.1, 0.03, 0.01, 0.003, 0.001)
LEAST_FROZEN = 0.2
# Beyond this many unknowns, by dimension, a sparse factorisation takes longer than pruning is worth.
LARGEST_FREE = {2: 30_000, 3: 4_000}


@dataclass(frozen=True, eq=False)
class SplineFit:
    """Tensor-product B-splines to be fitted to the cell means [M_1, ..., M_d] between `edges` [M_j + 1]."""

    bases: tuple[SplineBasis, ...]
    edges: tuple[np.ndarray, ...]
    means: np.ndarray
    moments: Moments

    @cached_property
    def designs(self) -> list[np.ndarray]:
        """A_j [M_j, S_j] per axis, rows weighted so that a sum of squares is an integral."""
        return [
            basis.averages(edges) * np.sqrt(np.diff(edges))[:, None]
            for basis, edges in zip(self.bases, self.edges, strict=True)
        ]

    @cached_property
    def samples(self) -> np.ndarray:
        """G [M_1, ..., M_d], the cell means weighted as the designs are."""
        return reduce(np.multiply.outer, [np.sqrt(np.diff(edges)) for edges in self.edges]) * self.means

    def moment_rows(self) -> list[list[np.ndarray]]:
        """V: for each kept moment, the moments [S_j] of the B-splines of every axis."""
        return [
            [basis.moments(k) for basis, k in zip(self.bases, exponents, strict=True)] for exponents in self.moments
        ]

    def solve(self) -> np.ndarray:
        """Coefficients [S_1, ..., S_d] by one QR per axis: z = R c turns A into an orthonormal basis.

        There the nearest point of the affine space V c = mu is the orthogonal projection onto it.
        """
        factors = [np.linalg.qr(design) for design in self.designs]
        z = along_all([q.T for q, _ in factors], self.samples)
        inverses = [solve_triangular(r, np.eye(len(r))) for _, r in factors]
        if self.moments:
            rows = [[inverse.T @ v for inverse, v in zip(inverses, row, strict=True)] for row in self.moment_rows()]
            V = np.stack([reduce(np.multiply.outer, row).ravel() for row in rows])
            gap = np.array(list(self.moments.values())) - V @ z.ravel()
            try:
                z = z + (V.T @ np.linalg.solve(V @ V.T, gap)).reshape(z.shape)
            except np.linalg.LinAlgError:
                raise ValueError("so few Diracs cannot keep the moments of this kernel: request more") from None
        return along_all(inverses, z)

    def residual(self, coefficients: np.ndarray) -> float:
        """|A c - G|."""
        return float(np.linalg.norm(along_all(self.designs, coefficients) - self.samples))

    def solve_pruned(self, slack: float) -> np.ndarray:
        """Coefficients that are constant over as much of the grid as a residual larger by `slack` (relative) allows.

        Constant coefficients have no Diracs: the inside of a disk and the corners around it cost nothing.
        """
        full = self.solve()
        allowed = (1.0 + slack) * self.residual(full)
        for flat in FLAT_SHARES:
            frozen = flat_regions(full, flat)
            if np.isfinite(frozen).mean() < LEAST_FROZEN or np.isnan(frozen).sum() > LARGEST_FREE[frozen.ndim]:
                break
            try:
                pruned = self._solve_around(frozen)
            except np.linalg.LinAlgError:
                continue  # what is left free cannot keep the moments
            if self.residual(pruned) <= allowed:
                return pruned
        return full

    def _solve_around(self, frozen: np.ndarray) -> np.ndarray:
        """The best coefficients where `frozen` is NaN, its values elsewhere: a sparse problem, factored directly."""
        free = np.isnan(frozen).ravel()
        c = np.where(free, 0, frozen.ravel())
        normal = reduce(sparse.kron, [sparse.csr_array(design.T @ design) for design in self.designs]).tocsr()
        right = along_all([design.T for design in self.designs], self.samples).ravel() - normal @ c
        factor = splu(normal[free][:, free].tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0)
        V = np.stack([reduce(np.multiply.outer, row).ravel() for row in self.moment_rows()])
        gap = np.array(list(self.moments.values())) - V @ c
        c[free] = factor.solve(right[free])
        dual = factor.solve(np.ascontiguousarray(V[:, free].T))
        c[free] += dual @ np.linalg.solve(V[:, free] @ dual, gap - V[:, free] @ c[free])
        return c.reshape(frozen.shape)


def flat_regions(coefficients: np.ndarray, flat: float) -> np.ndarray:
    """`coefficients` with NaN where they vary between neighbours, and one value per region where they do not.

    Two neighbours vary if they differ by more than `flat` of the peak; regions that touch the border are 0.
    """
    tolerance = flat * np.abs(coefficients).max()
    padded = np.pad(coefficients, 1)
    span = ndimage.maximum_filter(padded, 3, mode="nearest") - ndimage.minimum_filter(padded, 3, mode="nearest")
    region, count = ndimage.label(span <= tolerance)
    values = np.append(np.nan, ndimage.mean(padded, region, index=np.arange(1, count + 1)))
    border = np.unique(region[np.pad(np.zeros(coefficients.shape, bool), 1, constant_values=True)])
    values[border] = np.where(border > 0, 0, np.nan)
    return values[region][(slice(1, -1),) * coefficients.ndim]


def along_all(matrices: Sequence[np.ndarray], tensor: np.ndarray) -> np.ndarray:
    """Each matrix [S_j, M_j] applied to its axis of `tensor` [M_1, ..., M_d]."""
    for axis, matrix in enumerate(matrices):
        tensor = np.moveaxis(np.tensordot(matrix, tensor, axes=(1, axis)), 0, axis)
    return tensor
