"""Formulas of kernels people filter with, as targets to be fitted: each is 0 outside a stated support.

Points are [N, d] in domain units and densities [N]. Angles are in degrees, from the second filtered axis
(columns: to the right) counter-clockwise as seen in a picture, whose rows run downwards.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy.special import ndtr

from kernels.minimal import bspline
from kernels.sparse import LARGEST_ORDER
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


def product(profile: Profile, radius: float, dim: int, mass: float = 1.0) -> Target:
    """The same profile along every axis."""
    return Target(lambda points: np.prod(profile(points), axis=1), (radius,) * dim, mass)


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


def power_along(axis: int, degree: int, dim: int) -> tuple[int, ...]:
    """The exponents of x_axis^degree."""
    return tuple(degree if j == axis else 0 for j in range(dim))


def gaussian(dim: int, sigma: float) -> Target:
    """The Gaussian, cut at 3 sigma, of mass 1."""
    return product(lambda x: truncated_gaussian(x, sigma), SMOOTHING_CUT * sigma, dim)


def difference_of_gaussians(dim: int, sigma: float, ratio: float) -> Target:
    """The Gaussian of sigma less that of ratio sigma, of mass 0 (Marr & Hildreth 1980)."""
    if not ratio > 1:
        raise ValueError(f"dog needs a ratio above 1, not {ratio}")
    narrow, wide = gaussian(dim, sigma), gaussian(dim, ratio * sigma)
    return Target(lambda points: narrow.density(points) - wide.density(points), wide.radius, 0.0)


def derivative(dim: int, sigma: float, axis: int) -> Target:
    """The first derivative of a Gaussian along one axis: a ramp of slope 1 gives 1."""

    def density(points: np.ndarray) -> np.ndarray:
        others = np.delete(points, axis, axis=1)
        smooth = np.prod(truncated_gaussian(others, sigma, DERIVATIVE_CUT), axis=1)
        return first_derivative(points[:, axis], sigma) * smooth

    return Target(density, (DERIVATIVE_CUT * sigma,) * dim, 0.0, {power_along(axis, 1, dim): -1.0})


def second(dim: int, sigma: float, axis: int) -> Target:
    """The second derivative of a Gaussian along one axis: x^2 gives 2."""

    def density(points: np.ndarray) -> np.ndarray:
        others = np.delete(points, axis, axis=1)
        smooth = np.prod(truncated_gaussian(others, sigma, DERIVATIVE_CUT), axis=1)
        return second_derivative(points[:, axis], sigma) * smooth

    moments = {power_along(axis, 1, dim): 0.0, power_along(axis, 2, dim): 2.0}
    return Target(density, (DERIVATIVE_CUT * sigma,) * dim, 0.0, moments)


def laplacian(dim: int, sigma: float) -> Target:
    """The Laplacian of a Gaussian: the second derivatives along all axes added up."""
    parts = [second(dim, sigma, axis) for axis in range(dim)]
    moments = {power_along(axis, 2, dim): 2.0 for axis in range(dim)}
    return Target(lambda points: sum(part.density(points) for part in parts), parts[0].radius, 0.0, moments)


def disk(dim: int, radius: float) -> Target:
    """The uniform disk (a ball in three axes), of mass 1."""
    volume = math.pi ** (dim / 2) / math.gamma(dim / 2 + 1) * radius**dim
    return Target(lambda points: (np.linalg.norm(points, axis=1) <= radius) / volume, (radius,) * dim, 1.0)


def ring(dim: int, radius: float, thickness: float) -> Target:
    """The uniform ring between radius - thickness and radius, of mass 1."""
    if not 0 < thickness < radius:
        raise ValueError("ring needs a thickness between 0 and its radius")
    area = math.pi * (radius**2 - (radius - thickness) ** 2)

    def density(points: np.ndarray) -> np.ndarray:
        distance = np.linalg.norm(points, axis=1)
        return ((distance <= radius) & (distance >= radius - thickness)) / area

    return Target(density, (radius,) * dim, 1.0)


def gabor(dim: int, sigma: float, frequency: float, angle: float) -> Target:
    """A cosine under a Gaussian, less its mean: mass 0, and a wave of its own frequency passes with gain 1.

    `frequency` in cycles per domain unit along `angle`; in one axis the angle is 0 (Daugman 1985).
    """
    if frequency * sigma < 0.1:
        raise ValueError("gabor needs a frequency of at least 0.1 / sigma cycles per domain unit")
    if dim == 1 and angle:
        raise ValueError("gabor has no angle in one filtered axis")
    c, s = direction(angle)
    waves = 2 * math.pi * frequency * np.array([-s, c] if dim == 2 else [1.0])
    mean, double = cosine_mean(waves, sigma), cosine_mean(2 * waves, sigma)
    gain = (1 + double) / 2 - mean**2

    def density(points: np.ndarray) -> np.ndarray:
        envelope = np.prod(truncated_gaussian(points, sigma), axis=1)
        return (np.cos(points @ waves) - mean) * envelope / gain

    return Target(density, (SMOOTHING_CUT * sigma,) * dim, 0.0)


def lanczos(dim: int, radius: float, lobes: float) -> Target:
    """The sinc windowed by its own main lobe, `lobes` zero crossings to either side, of mass 1 (Duchon 1979)."""
    if int(lobes) != lobes or not 2 <= lobes <= 8:
        raise ValueError(f"lanczos needs 2 to 8 whole lobes, not {lobes}")

    def profile(x: np.ndarray) -> np.ndarray:
        return np.sinc(lobes * x / radius) * np.sinc(x / radius) * (np.abs(x) <= radius)

    return product(unit_mass(profile, radius), radius, dim)


def motion(dim: int, length: float, thickness: float, angle: float) -> Target:
    """A line of `length` drawn with a Gaussian pen whose full width at half maximum is `thickness`, of mass 1."""
    sigma = thickness / FWHM_PER_SIGMA
    reach = length / 2 + SMOOTHING_CUT * sigma

    def along(u: np.ndarray) -> np.ndarray:
        return (ndtr((u + length / 2) / sigma) - ndtr((u - length / 2) / sigma)) * (np.abs(u) <= reach)

    profile = unit_mass(along, reach)

    def density(points: np.ndarray) -> np.ndarray:
        u, v = rotated(points, angle)
        return profile(u) * truncated_gaussian(v, sigma)

    return Target(density, rotated_box(reach, SMOOTHING_CUT * sigma, angle), 1.0)


def anisotropic(dim: int, sigma: float, sigma_across: float, angle: float) -> Target:
    """A Gaussian of `sigma` along `angle` and `sigma_across` across it, of mass 1.

    Cut at 3 sigma: a box where it lies along the axes (separable), an ellipse where it does not (smaller).
    """
    if angle % 90 == 0:

        def density(points: np.ndarray) -> np.ndarray:
            u, v = rotated(points, angle)
            return truncated_gaussian(u, sigma) * truncated_gaussian(v, sigma_across)

        return Target(density, rotated_box(SMOOTHING_CUT * sigma, SMOOTHING_CUT * sigma_across, angle), 1.0)
    norm = 2 * math.pi * sigma * sigma_across * (1 - math.exp(-(SMOOTHING_CUT**2) / 2))

    def elliptic(points: np.ndarray) -> np.ndarray:
        u, v = rotated(points, angle)
        square = (u / sigma) ** 2 + (v / sigma_across) ** 2
        return np.exp(-square / 2) * (square <= SMOOTHING_CUT**2) / norm

    c, s = direction(angle)
    reach = (math.hypot(s * sigma, c * sigma_across), math.hypot(c * sigma, s * sigma_across))
    return Target(elliptic, tuple(SMOOTHING_CUT * r for r in reach), 1.0)


def spline(dim: int, half_size: float, degree: float) -> Target:
    """The B-spline of `degree` on [-half_size, half_size], of mass 1: box, tent, quadratic, ..."""
    if int(degree) != degree or not 0 <= degree <= LARGEST_ORDER:
        raise ValueError(f"bspline needs a whole degree from 0 to {LARGEST_ORDER}, not {degree}")
    element = bspline(int(degree), half_size)
    return product(lambda x: np.nan_to_num(element(x)), half_size, dim)
