"""Gaussians of every correlation on common knots: the kernels that filters with a covariance per point are made of.

Unit variances, correlation rho; other variances scale the axes. With B kernels of one coordinate,

    g_rho(x, y) = sum_ab c_ab(rho) phi_a(x) phi_b(y),      D^n phi_b = sum_k W_bk delta(t_k)

phi [B]  leading even and odd functions of all the projections, so that few serve every rho
W [B, K] Dirac weights on knots that all of them share: a point queries K nodes per axis, whatever its rho
c(rho)   cubic spline in s = rho / (1 + sqrt(1 - rho^2)), [B, B], mass, variances and covariance exact

Projections are nearest in the metric exp(-|x - y| / 3), not in L2: signals show low frequencies more.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import combinations

import numpy as np
from scipy.interpolate import make_interp_spline
from scipy.linalg import cholesky, eigh, solve

from kernels.sparse import SparseKernel
from kernels.splines import SplineBasis

# Correlation length of the metric, in standard deviations.
SMOOTHNESS = 3.0
# Gauss-Legendre nodes lie between these, in standard deviations; a Gaussian holds 1e-18 beyond.
QUADRATURE_REACH = 9.0
# Terms of Mehler's series: rho^n falls below rounding for the largest correlations there are tables of.
SERIES = 900
# Values of s that the cores are interpolated between.
CORES = 49
# Largest |rho| of the tables of cores: one serves all correlations below it. At 45 degrees they are Gaussians 4, 8 and
# 14 times as long as wide.
CORRELATIONS = (0.885, 0.97, 0.99)
# Relative rounding, of float32 too, by which a correlation may be beyond them.
ROUNDING = 1e-6


@dataclass(frozen=True)
class GaussianLevel:
    """Common kernels of one fineness: knots, their reach in standard deviations and how much they crowd at 0; and for
    each of CORRELATIONS the functions B and the PSNR in dB they reach on photographs."""

    knots: int
    reach: float
    crowding: float
    functions: tuple[int, ...]
    quality: tuple[float, ...]


LEVELS = (
    GaussianLevel(15, 3.6, 1.5, (8, 10, 10), (76.0, 68.0, 62.0)),
    GaussianLevel(25, 4.0, 1.2, (10, 12, 12), (90.0, 80.0, 70.0)),
    GaussianLevel(37, 4.5, 1.5, (14, 18, 18), (104.0, 93.0, 79.0)),
)


@dataclass(frozen=True, eq=False)
class CorrelatedGaussians:
    """Gaussians of unit variances for |rho| <= `largest`, as sums of products of B functions of one coordinate.

    functions [B, S] are coefficients of the splines of `order` on the knots t [K], of which `even` [B] are even;
    samples [CORES, P] are the entries `kept` [P, 2] of c, those not 0 by symmetry, at even steps of s. In three axes
    they are [CORES, CORES, CORES, P] and [P, 3] (`kernels.correlated3`). Lengths in standard deviations.
    """

    order: int
    positions: np.ndarray
    functions: np.ndarray
    even: np.ndarray
    samples: np.ndarray
    kept: np.ndarray
    largest: float

    @property
    def basis(self) -> SplineBasis:
        """The splines on the knots."""
        return SplineBasis(self.positions, self.order)

    @cached_property
    def weights(self) -> np.ndarray:
        """W [B, K], the Dirac weights of the functions."""
        return self.functions @ self.basis.differences.T

    @cached_property
    def moments(self) -> np.ndarray:
        """[B, 3], the integrals of 1, x and x^2 times each function."""
        return self.functions @ np.stack([self.basis.moments(k) for k in range(3)], axis=1)

    def smoothed(self, x: np.ndarray) -> np.ndarray:
        """The functions seen through the metric at x [M] -> [M, B]: their inner product with a kernel is its core."""
        nodes, weights = _quadrature(self.basis)
        splines = self.basis.values(nodes) * weights[:, None]
        return np.exp(-np.abs(x[:, None] - nodes) / SMOOTHNESS) @ splines @ self.functions.T

    @property
    def radius(self) -> float:
        """The largest |t|: how far the kernels reach."""
        return float(self.positions[-1])

    def core(self, rho: float) -> np.ndarray:
        """c [B, B] at a correlation; raises ValueError beyond the largest."""
        if abs(rho) > self.largest * (1 + ROUNDING):
            raise ValueError(f"a correlation of {abs(rho):.4g} is beyond the largest, {self.largest:.4g}")
        low, core = half_correlation(self.largest), np.zeros((len(self.even),) * 2)
        spline = make_interp_spline(np.linspace(-low, low, len(self.samples)), self.samples)
        core[tuple(self.kept.T)] = spline(half_correlation(rho))
        return core

    def sparse(self, deviations: tuple[float, float], rho: float) -> SparseKernel:
        """The kernel of two axes with these standard deviations and correlation, as Diracs on a K x K grid."""
        weights = self.weights.T @ self.core(rho) @ self.weights
        places = np.stack(np.meshgrid(self.positions, self.positions, indexing="ij"), axis=-1).reshape(-1, 2)
        return SparseKernel(places, weights.ravel(), self.order, (0, 1)).scaled(deviations)


def half_correlation(rho: float) -> float:
    """s = rho / (1 + sqrt(1 - rho^2)), in which the cores are nearly polynomial."""
    return rho / (1.0 + math.sqrt(1.0 - rho * rho))


def full_correlation(s: np.ndarray) -> np.ndarray:
    """rho = 2 s / (1 + s^2), the inverse of `half_correlation`."""
    return 2.0 * s / (1.0 + s * s)


def choose_level(largest: float, accuracy: float) -> tuple[int, int]:
    """Which of LEVELS and CORRELATIONS reach `accuracy` dB for correlations up to `largest`, or come nearest to it.

    Raises ValueError for a correlation beyond all tables.
    """
    column = next((index for index, bound in enumerate(CORRELATIONS) if largest <= bound * (1 + ROUNDING)), None)
    if column is None:
        ratio = math.sqrt((1 + largest) / (1 - largest)) if largest < 1 else math.inf
        raise ValueError(f"a correlation of {largest:.4f} (a Gaussian {ratio:.0f} times as long as wide, diagonal) is "
                         f"beyond the {CORRELATIONS[-1]} there are kernels for: use rounder Gaussians")  # fmt: skip
    level = next((i for i, level in enumerate(LEVELS) if level.quality[column] >= accuracy), len(LEVELS) - 1)
    return level, column


@lru_cache(maxsize=32)
def correlated_gaussians(order: int, level: int, column: int) -> CorrelatedGaussians:
    """The kernels of one of LEVELS for one of CORRELATIONS."""
    chosen, largest = LEVELS[level], CORRELATIONS[column]
    u = np.linspace(-1.0, 1.0, chosen.knots)
    basis = SplineBasis(chosen.reach * np.sinh(chosen.crowding * u) / np.sinh(chosen.crowding), order)
    gram, dual = _projection(basis)
    s = np.linspace(-half_correlation(largest), half_correlation(largest), CORES)
    powers = full_correlation(s)[:, None] ** np.arange(dual.shape[1])
    fits = np.einsum("in,sn,jn->sij", dual, powers, dual)
    rows, even = _leading(gram, fits, chosen.functions[column])
    kept = np.argwhere(even[:, None] == even)
    cores = np.einsum("ai,sij,bj->sab", rows @ gram, fits, rows @ gram)[:, kept[:, 0], kept[:, 1]]
    found = CorrelatedGaussians(order, basis.knots, rows, even, cores, kept, largest)
    return replace(found, samples=with_moments(found, [full_correlation(s)]))


def _projection(basis: SplineBasis) -> tuple[np.ndarray, np.ndarray]:
    """Gram matrix [S, S] of the splines in the metric, and the dual coefficients [S, SERIES] of Hermite functions.

    Mehler (1866): g_rho(x, y) = sum_n rho^n h_n(x) h_n(y) with h_n = He_n(x) phi(x) / sqrt(n!), so that the projection
    of g_rho is dual @ diag(rho^n) @ dual.T.
    """
    x, w = _quadrature(basis)
    splines = basis.values(x) * w[:, None]
    smoothed = np.exp(-np.abs(x[:, None] - x) / SMOOTHNESS) @ splines
    gram = splines.T @ smoothed
    hermite = np.empty((SERIES, len(x)))
    hermite[0] = np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
    hermite[1] = x * hermite[0]
    for n in range(2, SERIES):
        hermite[n] = (x * hermite[n - 1] - np.sqrt(n - 1) * hermite[n - 2]) / np.sqrt(n)
    return (gram + gram.T) / 2, solve(gram, smoothed.T @ (hermite * w).T, assume_a="pos")


def _quadrature(basis: SplineBasis) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights between the knots and beyond, as far as a Gaussian reaches."""
    edges = np.union1d(np.linspace(-QUADRATURE_REACH, QUADRATURE_REACH, 181), basis.knots)
    nodes, shares = np.polynomial.legendre.leggauss(8)
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (1 + nodes)).ravel(), (half * shares).ravel()


def _leading(gram: np.ndarray, fits: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` functions [B, S] that hold most of all `fits` [N, S, S], orthonormal in `gram`; which are even [B].

    Even and odd functions are found apart: Gaussians of any correlation pair only alike ones.
    """
    second = gram @ np.einsum("sij,jk,slk->il", fits, gram, fits) @ gram
    size, found = len(gram), []
    for sign in (1, -1):
        mirrored = (np.eye(size) + sign * np.eye(size)[::-1])[:, : (size + (sign == 1)) // 2]
        factor = cholesky(mirrored.T @ gram @ mirrored, lower=True)
        inner = solve(factor, solve(factor, mirrored.T @ second @ mirrored).T)
        sizes, vectors = eigh((inner + inner.T) / 2)
        functions = (mirrored @ solve(factor.T, vectors)).T
        found += [(value, sign == 1, function) for value, function in zip(sizes, functions, strict=True)]
    found.sort(key=lambda entry: -entry[0])
    kept = found[:count]
    return np.array([function for _, _, function in kept]), np.array([even for _, even, _ in kept])


def with_moments(kernels: CorrelatedGaussians, covariances: Sequence[np.ndarray]) -> np.ndarray:
    """The samples nearest to those of `kernels` whose Gaussians have mass 1, variances 1 and `covariances` exactly.

    covariances: of every pair of axes, in the order (0, 1), (0, 2), (1, 2), arrays of the samples' shape.
    """
    dim = kernels.kept.shape[1]
    powers = np.concatenate([np.zeros((1, dim), int), 2 * np.eye(dim, dtype=int)])
    pairs = [np.eye(dim, dtype=int)[i] + np.eye(dim, dtype=int)[j] for i, j in combinations(range(dim), 2)]
    factors = [
        [kernels.moments[kernels.kept[:, axis], k] for axis, k in enumerate(power)] for power in [*powers, *pairs]
    ]
    rows = np.stack([np.prod(factor, axis=0) for factor in factors])
    wanted = np.stack([*[np.ones_like(covariances[0])] * (1 + dim), *covariances], axis=-1)
    return kernels.samples + (wanted - kernels.samples @ rows.T) @ np.linalg.pinv(rows).T
