"""Formulas of kernels people filter with, as targets to be fitted: each is 0 outside a stated support.

Points are [N, d] in domain units and densities [N]. Angles are in degrees, from the second filtered axis
(columns: to the right) counter-clockwise as seen in a picture, whose rows run downwards.
"""

import math
from collections.abc import Callable

import numpy as np

from kernels.minimal import bspline
from kernels.target import Target

# Smoothing Gaussians end at 3 sigma, derivatives at 4, where they have faded enough to have no step.
SMOOTHING_CUT = 3.0
DERIVATIVE_CUT = 4.0
FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))

Profile = Callable[[np.ndarray], np.ndarray]


def truncated_gaussian(x: np.ndarray, sigma: float, cut: float = SMOOTHING_CUT) -> np.ndarray:
    """The Gaussian of unit mass on |x| <= cut sigma."""
    norm = sigma * math.sqrt(2.0 * math.pi) * math.erf(cut / math.sqrt(2.0))
    return np.exp(-0.5 * (x / sigma) ** 2) * (np.abs(x) <= cut * sigma) / norm


def truncated_moments(sigma: float, cut: float) -> tuple[float, float]:
    """The second and fourth moment of the truncated Gaussian, by parts."""
    edge = 2.0 * math.exp(-(cut**2) / 2.0) / (math.sqrt(2.0 * math.pi) * math.erf(cut / math.sqrt(2.0)))
    second = 1.0 - cut * edge
    return sigma**2 * second, sigma**4 * (3.0 * second - cut**3 * edge)


def first_derivative(x: np.ndarray, sigma: float) -> np.ndarray:
    """The derivative of a Gaussian, of mass 0 and first moment -1 exactly."""
    second, _ = truncated_moments(sigma, DERIVATIVE_CUT)
    return -x / second * truncated_gaussian(x, sigma, DERIVATIVE_CUT)


def second_derivative(x: np.ndarray, sigma: float) -> np.ndarray:
    """The second derivative of a Gaussian, of mass 0 and second moment 2 exactly."""
    second, fourth = truncated_moments(sigma, DERIVATIVE_CUT)
    return 2.0 * (x**2 - second) / (fourth - second**2) * truncated_gaussian(x, sigma, DERIVATIVE_CUT)


def unit_mass(profile: Profile, radius: float) -> Profile:
    """A profile divided by its integral over [-radius, radius] (composite Gauss-Legendre)."""
    nodes, weights = np.polynomial.legendre.leggauss(8)
    edges = radius * np.linspace(-1.0, 1.0, 257)
    half = np.diff(edges)[:, None] / 2
    mass = float(np.sum(profile(edges[:-1, None] + half * (1 + nodes)) * half * weights))
    return lambda x: profile(x) / mass


def cosine_mean(waves: np.ndarray, sigma: float) -> float:
    """The integral of cos(waves . x) times the truncated Gaussian: a product, as the sines cancel."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    x = SMOOTHING_CUT * sigma * nodes
    envelope = truncated_gaussian(x, sigma) * weights * SMOOTHING_CUT * sigma
    return float(np.prod([np.cos(wave * x) @ envelope for wave in waves]))


def product(profile: Profile, radius: float, dim: int) -> Target:
    """The same profile of mass 1 along every axis."""
    return Target(lambda points: np.prod(profile(points), axis=1), (radius,) * dim, 1.0)


def direction(angle: float) -> tuple[float, float]:
    """Cosine and sine of an angle in degrees, exact at multiples of 90."""
    turn = math.radians(angle)
    return round(math.cos(turn), 15), round(math.sin(turn), 15)


def rotated(points: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates along and across a direction in the plane of (rows, columns)."""
    c, s = direction(angle)
    return c * points[:, 1] - s * points[:, 0], s * points[:, 1] + c * points[:, 0]


def rotated_box(along: float, across: float, angle: float) -> tuple[float, float]:
    """The radius per axis of a rectangle of half sizes `along` and `across` a direction."""
    c, s = (abs(part) for part in direction(angle))
    return s * along + c * across, c * along + s * across


def exponents(axis: int, degree: int, dim: int) -> tuple[int, ...]:
    """The exponents of x_axis^degree."""
    return tuple(degree if j == axis else 0 for j in range(dim))


def along_axis(axis: int, profile: Profile, sigma: float) -> Profile:
    """The density of a profile along one axis times Gaussians along the others."""

    def density(points: np.ndarray) -> np.ndarray:
        others = np.prod(truncated_gaussian(np.delete(points, axis, axis=1), sigma, DERIVATIVE_CUT), axis=1)
        return profile(points[:, axis]) * others

    return density


def spline(dim: int, half_size: float, degree: int) -> Target:
    """The B-spline of `degree` on [-half_size, half_size], of mass 1: box, tent, quadratic, ..."""
    return product(bspline(degree, half_size), half_size, dim)
