"""Gaussians of every correlation of three axes on the common knots of `kernels.correlated`.

    g_R(x, y, z) = sum_abe c_abe(R) phi_a(x) phi_b(y) phi_e(z)

The correlations r12 and r13 and the partial correlation p = (r23 - r12 r13) / sqrt((1 - r12^2) (1 - r13^2)) are free of
each other, and none is larger than that of the Gaussian's longest and shortest axis; c is a spline in their halves.
"""

from dataclasses import replace
from functools import lru_cache

import numpy as np
from scipy.interpolate import make_interp_spline

from kernels.correlated import (
    CORRELATIONS,
    CorrelatedGaussians,
    correlated_gaussians,
    full_correlation,
    half_correlation,
    with_moments,
)

# Values of each half correlation that the cores are interpolated between, an odd number: 0 is among them.
CORES = 13
# Gauss-Hermite nodes of each of three independent normal variables.
NODES = 24
# Values of the smoothed functions between which quadrature reads them.
FINE = 6001


@lru_cache(maxsize=8)
def correlated_gaussians_3d(order: int, level: int, column: int) -> CorrelatedGaussians:
    """The kernels of one of LEVELS for one of CORRELATIONS, in three axes; takes seconds."""
    pairs = correlated_gaussians(order, level, column)
    odd = (~pairs.even).astype(int)
    kept = np.argwhere((odd[:, None, None] + odd[:, None] + odd) % 2 == 0)
    half = half_correlation(CORRELATIONS[column])
    steps = np.linspace(-half, half, CORES)
    positive = _cores(pairs, steps)[..., kept[:, 0], kept[:, 1], kept[:, 2]]
    found = replace(pairs, samples=_mirrored(positive, 1 - 2 * odd[kept]), kept=kept)
    r12, r13, p = (full_correlation(values) for values in np.meshgrid(steps, steps, steps, indexing="ij"))
    r23 = p * np.sqrt((1 - r12**2) * (1 - r13**2)) + r12 * r13
    return replace(found, samples=with_moments(found, [r12, r13, r23]))


def _cores(pairs: CorrelatedGaussians, steps: np.ndarray) -> np.ndarray:
    """c [M, M, CORES, B, B, B] for r12 and r13 from 0 on (M of them) and every p, by Gauss-Hermite quadrature.

    x, y and z are sums of independent normal variables (Cholesky); c_abe is the mean of the product of the functions,
    smoothed by the metric of the projection.
    """
    u, w = np.polynomial.hermite_e.hermegauss(NODES)
    w = w / np.sqrt(2 * np.pi)
    grid = np.linspace(-12.0, 12.0, FINE)
    smoothed = make_interp_spline(grid, pairs.smoothed(grid), k=1)

    def read(x: np.ndarray) -> np.ndarray:
        return smoothed(np.clip(x, grid[0], grid[-1]))

    positive, p = full_correlation(steps[CORES // 2 :]), full_correlation(steps)
    first = read(u) * w[:, None]
    found = np.empty((len(positive), len(positive), CORES, *[first.shape[1]] * 3))
    for i, r12 in enumerate(positive):
        second = read(r12 * u[:, None] + np.sqrt(1 - r12**2) * u) * w[:, None]
        joint = first[:, None, :, None] * second[:, :, None]
        for j, r13 in enumerate(positive):
            rest = np.sqrt(1 - r13**2)
            mean = r13 * u[:, None] + rest * p[:, None, None] * u
            spread = rest * np.sqrt(1 - p**2)[:, None, None, None] * u
            third = np.einsum("pklme,m->pkle", read(mean[..., None] + spread), w)
            found[i, j] = np.einsum("klab,pkle->pabe", joint, third, optimize=True)
    return found


def _mirrored(positive: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Cores [CORES, CORES, CORES, P] of all correlations from those of r12, r13 >= 0: turning an axis round changes the
    signs of two correlations, and of its odd functions."""
    middle = CORES // 2
    samples = np.empty((CORES, CORES, CORES, len(signs)))
    samples[middle:, middle:] = positive
    # Turning y round: r12 and p change their signs; turning z round: r13 and p.
    samples[:middle, middle:] = samples[:middle:-1, middle:, ::-1] * signs[:, 1]
    samples[:, :middle] = samples[:, :middle:-1, ::-1] * signs[:, 2]
    return samples
