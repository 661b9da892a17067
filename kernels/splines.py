"""B-splines on any knots: the kernels of order p that meet the moment conditions by construction.

p   order, the degree;  n = p + 1
t   knots [K], increasing: the positions of the Diracs
N_m the B-spline of degree p on t_m .. t_{m+n}, m = 0 .. K - n - 1, scaled so that they add up to 1
c   coefficients [K - n] of g = sum_m c_m N_m
w   weights [K] of D^n g = sum_k w_k delta(t_k)

A kernel of order p with K Diracs whose moments below n vanish has compact support, so it is such a
spline and no other (Curry & Schoenberg 1966); the basis is stable however uneven the knots are (de Boor 1978).
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.interpolate import BSpline


@dataclass(frozen=True, eq=False)
class SplineBasis:
    """The B-splines of degree `order` on the increasing knots [K]; raises ValueError for fewer than n + 1 knots."""

    knots: np.ndarray
    order: int

    def __post_init__(self) -> None:
        knots = np.array(self.knots, dtype=np.float64)
        if knots.ndim != 1 or len(knots) < self.order + 2:
            raise ValueError(f"a kernel of order {self.order} needs at least {self.order + 2} Diracs per axis")
        if not (np.diff(knots) > 0).all():
            raise ValueError("the positions of the Diracs of one axis must be increasing")
        object.__setattr__(self, "knots", knots)

    @property
    def n(self) -> int:
        """Differentiations that turn a spline into Diracs."""
        return self.order + 1

    @property
    def size(self) -> int:
        """K - n, the number of B-splines."""
        return len(self.knots) - self.n

    @cached_property
    def integrals(self) -> np.ndarray:
        """[K - n], the integral (t_{m+n} - t_m) / n of each B-spline."""
        return (self.knots[self.n :] - self.knots[: -self.n]) / self.n

    @cached_property
    def differences(self) -> np.ndarray:
        """[K, K - n]: w = differences @ c, from the divided differences (-1)^n n! / prod_l (t_k - t_l) of unit mass."""
        matrix = np.zeros((len(self.knots), self.size))
        for m in range(self.size):
            t = self.knots[m : m + self.n + 1]
            gaps = t[:, None] - t + np.eye(self.n + 1)
            matrix[m : m + self.n + 1, m] = (-1) ** self.n * math.factorial(self.n) / gaps.prod(axis=1)
        return matrix * self.integrals

    def coefficients(self, weights: np.ndarray) -> np.ndarray:
        """[K - n, ...], the coefficients of the kernel with Dirac `weights` [K, ...], by n running sums.

        Defects of the moment conditions are lost in the middle of the knots.
        """
        sums = np.asarray(weights, dtype=np.float64)
        for q in range(self.n):
            widths = np.ones(len(sums)) if q == 0 else (self.knots[q:] - self.knots[:-q]) / q
            steps = (widths * sums.T).T
            # Rounding grows along a running sum: each half is summed from its own end.
            half = len(steps) // 2
            sums = np.concatenate([np.cumsum(steps[:half], axis=0), -np.cumsum(steps[:half:-1], axis=0)[::-1]])
        return sums

    def values(self, x: np.ndarray) -> np.ndarray:
        """[M, K - n], every B-spline at the points x [M]; 0 outside the knots."""
        return _design(self.knots, self.order, x)

    def averages(self, edges: np.ndarray) -> np.ndarray:
        """[M, K - n], the mean of every B-spline over the cells between `edges` [M + 1].

        Smooth in the knots even for order 0, which point samples are not.
        """
        t = self.knots
        # The antiderivative of N_m is its integral times the sum of all B-splines one degree higher from m on.
        beyond = np.append(t, t[-1] + (t[-1] - t[0]) * np.arange(1, self.n + 1))
        rising = _design(beyond, self.order + 1, np.minimum(edges, t[-1]))
        running = np.cumsum(rising[:, ::-1], axis=1)[:, ::-1][:, : self.size]
        means = np.diff(running * self.integrals, axis=0) / np.diff(edges)[:, None]
        apart = (edges[1:, None] <= t[: self.size]) | (edges[:-1, None] >= t[self.n :])
        return np.where(apart, 0, means)

    @cached_property
    def gram(self) -> np.ndarray:
        """[K - n, K - n], the inner products of the B-splines, by Gauss-Legendre quadrature (exact)."""
        nodes, weights = np.polynomial.legendre.leggauss(self.n)
        half = np.diff(self.knots)[:, None] / 2
        points = (self.knots[:-1, None] + half * (1 + nodes)).ravel()
        values = self.values(points)
        return values.T @ (values * (half * weights).reshape(-1, 1))

    def moments(self, degree: int) -> np.ndarray:
        """[K - n], the integral of x^degree times each B-spline: (-1)^n k! / (k + n)! sum_i w_i t_i^(k + n)."""
        factor = (-1) ** self.n * math.factorial(degree) / math.factorial(degree + self.n)
        return factor * (self.knots ** (degree + self.n) @ self.differences)


def _design(knots: np.ndarray, order: int, x: np.ndarray) -> np.ndarray:
    """The B-splines on `knots` at x, as a dense matrix; knots repeated at both ends keep SciPy's basis complete."""
    x = np.asarray(x, dtype=np.float64)
    padded = np.concatenate([np.repeat(knots[0], order), knots, np.repeat(knots[-1], order)])
    inside = (x >= knots[0]) & (x < knots[-1])
    matrix = np.zeros((len(x), len(knots) - order - 1))
    if inside.any():
        full = BSpline.design_matrix(x[inside], padded, order).toarray()
        matrix[inside] = full[:, order : order + matrix.shape[1]]
    return matrix
