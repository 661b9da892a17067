"""The library of kernels, one function each; a function written here is all it takes to add one.

A function takes the number of filtered axes and the parameters and returns the exact kernel. `kernel` states how it is
fitted and turns it into the public function of the parameters alone: gaussian(sigma=0.05), disk(radius=0.1, count=65).
Multiplying the lengths by s, and dividing the frequencies by it, must give the same kernel s times as large. Angles are
those of `kernels.shapes`.
"""

import math
from collections.abc import Mapping
from typing import Annotated

import numpy as np
from scipy.special import ndtr

from kernels import shapes
from kernels.pictures import picture_target, read_light
from kernels.request import KERNELS, Kernel, Parameter, kernel, parameters
from kernels.shapes import DERIVATIVE_CUT, FWHM_PER_SIGMA, SMOOTHING_CUT, truncated_gaussian
from kernels.sparse import LARGEST_ORDER
from kernels.target import Target

__all__ = ["KERNELS", "Kernel", "parameters"]

Sigma = Annotated[float, Parameter("length", "standard deviation in domain units")]
SigmaAcross = Annotated[float, Parameter("length", "standard deviation across the angle in domain units")]
HalfSize = Annotated[float, Parameter("length", "half the kernel's size in domain units")]
Radius = Annotated[float, Parameter("length", "radius of the kernel in domain units")]
Length = Annotated[float, Parameter("length", "length of the line in domain units")]
Thickness = Annotated[float, Parameter("length", "thickness of the line or ring in domain units")]
Frequency = Annotated[float, Parameter("frequency", "cycles per domain unit, of which the signal spans two")]
Ratio = Annotated[float, Parameter("ratio", "the wider sigma over the narrower one", (1.1, 4.0, 0.05))]
Angle = Annotated[
    float, Parameter("number", "degrees counter-clockwise from the direction of the columns", (0.0, 180.0, 1.0))
]
Lobes = Annotated[float, Parameter("number", "lobes of the sinc to either side", (2.0, 8.0, 1.0))]
Degree = Annotated[float, Parameter("number", "polynomial degree of the B-spline", (0.0, 8.0, 1.0))]
Axis = Annotated[int, Parameter("coordinate", "coordinate that the derivative is taken in; default: the first")]
Picture = Annotated[str, Parameter("path", "picture of the kernel")]


@kernel(steep=True, degree=0)
def box(dim: int, half_size: HalfSize) -> Target:
    """The uniform mean over [-half_size, half_size]."""
    return shapes.spline(dim, half_size, 0)


@kernel(diracs=(32, 13, 12), degree=1)
def tent(dim: int, half_size: HalfSize) -> Target:
    """The linear B-spline on [-half_size, half_size], of mass 1."""
    return shapes.spline(dim, half_size, 1)


@kernel(diracs=(32, 13, 12), degree=2)
def quadratic(dim: int, half_size: HalfSize) -> Target:
    """The quadratic B-spline on [-half_size, half_size], of mass 1."""
    return shapes.spline(dim, half_size, 2)


@kernel(diracs=(32, 13, 12), degree=3)
def cubic(dim: int, half_size: HalfSize) -> Target:
    """The cubic B-spline on [-half_size, half_size], of mass 1."""
    return shapes.spline(dim, half_size, 3)


@kernel(diracs=(32, 13, 12))
def bspline(dim: int, half_size: HalfSize, degree: Degree) -> Target:
    """The B-spline of `degree` on [-half_size, half_size], of mass 1."""
    if int(degree) != degree or not 0 <= degree <= LARGEST_ORDER:
        raise ValueError(f"bspline needs a whole degree from 0 to {LARGEST_ORDER}, not {degree}")
    return shapes.spline(dim, half_size, int(degree))


@kernel(diracs=(32, 13, 10))
def gaussian(dim: int, sigma: Sigma) -> Target:
    """The Gaussian, cut at 3 sigma, of mass 1."""
    return shapes.product(lambda x: truncated_gaussian(x, sigma), SMOOTHING_CUT * sigma, dim)


@kernel(diracs=(48, 17, 14), details=lambda values: 5 * math.log(values["ratio"] / 1.6))
def dog(dim: int, sigma: Sigma, ratio: Ratio = 1.6) -> Target:
    """The Gaussian of sigma less that of ratio sigma, of mass 0 (Marr & Hildreth 1980)."""
    if not ratio > 1:
        raise ValueError(f"dog needs a ratio above 1, not {ratio}")

    def density(points: np.ndarray) -> np.ndarray:
        narrow, wide = truncated_gaussian(points, sigma), truncated_gaussian(points, ratio * sigma)
        return np.prod(narrow, axis=1) - np.prod(wide, axis=1)

    return Target(density, (SMOOTHING_CUT * ratio * sigma,) * dim, 0.0)


@kernel(diracs=(40, 14, 12), differentiates=1)
def derivative(dim: int, sigma: Sigma, axis: Axis = 0) -> Target:
    """The first derivative of a Gaussian along one axis: a ramp of slope 1 gives 1."""
    density = shapes.along_axis(axis, lambda x: shapes.first_derivative(x, sigma), sigma)
    return Target(density, (DERIVATIVE_CUT * sigma,) * dim, 0.0, {shapes.exponents(axis, 1, dim): -1.0})


@kernel(diracs=(40, 15, 12), differentiates=2)
def second_derivative(dim: int, sigma: Sigma, axis: Axis = 0) -> Target:
    """The second derivative of a Gaussian along one axis: x^2 gives 2."""
    density = shapes.along_axis(axis, lambda x: shapes.second_derivative(x, sigma), sigma)
    moments = {shapes.exponents(axis, 1, dim): 0.0, shapes.exponents(axis, 2, dim): 2.0}
    return Target(density, (DERIVATIVE_CUT * sigma,) * dim, 0.0, moments)


@kernel(diracs=(40, 15, 12), differentiates=2)
def log(dim: int, sigma: Sigma) -> Target:
    """The Laplacian of a Gaussian: its second derivatives along all axes added up."""
    parts = [shapes.along_axis(j, lambda x: shapes.second_derivative(x, sigma), sigma) for j in range(dim)]
    moments = {shapes.exponents(axis, 2, dim): 2.0 for axis in range(dim)}

    def density(points: np.ndarray) -> np.ndarray:
        return np.sum([part(points) for part in parts], axis=0)

    return Target(density, (DERIVATIVE_CUT * sigma,) * dim, 0.0, moments)


@kernel(diracs=(161, 113, 97), axes=(2, 2))
def disk(dim: int, radius: Radius) -> Target:
    """The uniform disk, of mass 1."""
    area = math.pi * radius**2
    return Target(lambda points: (np.linalg.norm(points, axis=1) <= radius) / area, (radius,) * dim, 1.0)


@kernel(diracs=(161, 113, 97), axes=(2, 2))
def hexagon(dim: int, radius: Radius, angle: Angle = 0.0) -> Target:
    """The uniform regular hexagon with a corner at `angle`, of mass 1: out of focus through six aperture blades."""
    area = 1.5 * math.sqrt(3.0) * radius**2

    def density(points: np.ndarray) -> np.ndarray:
        # Inside of three pairs of parallel sides, whose normals lie between the corners.
        across = [np.abs(shapes.rotated(points, angle + turn)[0]) for turn in (30.0, 90.0, 150.0)]
        return (np.max(across, axis=0) <= math.sqrt(0.75) * radius) / area

    corners = [shapes.direction(angle + turn) for turn in (0.0, 60.0, 120.0)]
    reach = (max(abs(s) for _, s in corners), max(abs(c) for c, _ in corners))
    return Target(density, (radius * reach[0], radius * reach[1]), 1.0)


@kernel(diracs=(193, 161, 129), axes=(2, 2))
def ring(dim: int, radius: Radius, thickness: Thickness) -> Target:
    """The uniform ring between radius - thickness and radius, of mass 1."""
    if not thickness < radius:
        raise ValueError("ring needs a thickness between 0 and its radius")
    area = math.pi * (radius**2 - (radius - thickness) ** 2)

    def density(points: np.ndarray) -> np.ndarray:
        distance = np.linalg.norm(points, axis=1)
        return ((distance <= radius) & (distance >= radius - thickness)) / area

    return Target(density, (radius,) * dim, 1.0)


@kernel(diracs=(32, 13, 12), details=lambda values: 24 * values["sigma"] * values["frequency"], axes=(1, 2))
def gabor(dim: int, sigma: Sigma, frequency: Frequency, angle: Angle = 0.0) -> Target:
    """A cosine under a Gaussian, less its mean: mass 0, and a wave of its own frequency passes with gain 1.

    `frequency` in cycles per domain unit along `angle`; in one axis the angle is 0 (Daugman 1985).
    """
    if frequency * sigma < 0.1:
        raise ValueError("gabor needs a frequency of at least 0.1 / sigma cycles per domain unit")
    if dim == 1 and angle:
        raise ValueError("gabor has no angle in one filtered axis")
    c, s = shapes.direction(angle)
    waves = 2 * math.pi * frequency * np.array([-s, c] if dim == 2 else [1.0])
    mean, double = shapes.cosine_mean(waves, sigma), shapes.cosine_mean(2 * waves, sigma)
    gain = (1 + double) / 2 - mean**2

    def density(points: np.ndarray) -> np.ndarray:
        envelope = np.prod(truncated_gaussian(points, sigma), axis=1)
        return (np.cos(points @ waves) - mean) * envelope / gain

    return Target(density, (SMOOTHING_CUT * sigma,) * dim, 0.0)


@kernel(diracs=(16, 5, 4), details=lambda values: 4 * values["lobes"])
def lanczos(dim: int, radius: Radius, lobes: Lobes = 3.0) -> Target:
    """The sinc windowed by its own main lobe, `lobes` zero crossings to either side, of mass 1 (Duchon 1979)."""
    if int(lobes) != lobes or not 2 <= lobes <= 8:
        raise ValueError(f"lanczos needs 2 to 8 whole lobes, not {lobes}")

    def profile(x: np.ndarray) -> np.ndarray:
        return np.sinc(lobes * x / radius) * np.sinc(x / radius) * (np.abs(x) <= radius)

    return shapes.product(shapes.unit_mass(profile, radius), radius, dim)


def _line_details(values: Mapping[str, float]) -> float:
    return 0.0 if values["angle"] % 90 == 0 else 0.35 * FWHM_PER_SIGMA * values["length"] / values["thickness"]


@kernel(diracs=(40, 17, 16), details=_line_details, axes=(2, 2))
def motion(dim: int, length: Length, thickness: Thickness, angle: Angle = 0.0) -> Target:
    """A line of `length` drawn with a Gaussian pen whose full width at half maximum is `thickness`, of mass 1."""
    sigma = thickness / FWHM_PER_SIGMA
    reach = length / 2 + SMOOTHING_CUT * sigma

    def along(u: np.ndarray) -> np.ndarray:
        return (ndtr((u + length / 2) / sigma) - ndtr((u - length / 2) / sigma)) * (np.abs(u) <= reach)

    profile = shapes.unit_mass(along, reach)

    def density(points: np.ndarray) -> np.ndarray:
        u, v = shapes.rotated(points, angle)
        return profile(u) * truncated_gaussian(v, sigma)

    return Target(density, shapes.rotated_box(reach, SMOOTHING_CUT * sigma, angle), 1.0)


def _ellipse_details(values: Mapping[str, float]) -> float:
    narrow, wide = sorted((values["sigma"], values["sigma_across"]))
    return 0.0 if values["angle"] % 90 == 0 else 1.6 * (wide / narrow - 1.0)


@kernel(diracs=(32, 13, 12), details=_ellipse_details, axes=(2, 2))
def anisotropic(dim: int, sigma: Sigma, sigma_across: SigmaAcross, angle: Angle = 0.0) -> Target:
    """A Gaussian of `sigma` along `angle` and `sigma_across` across it, of mass 1.

    Cut at 3 sigma: a box where it lies along the axes (separable), an ellipse where it does not (smaller).
    """
    if angle % 90 == 0:

        def density(points: np.ndarray) -> np.ndarray:
            u, v = shapes.rotated(points, angle)
            return truncated_gaussian(u, sigma) * truncated_gaussian(v, sigma_across)

        return Target(density, shapes.rotated_box(SMOOTHING_CUT * sigma, SMOOTHING_CUT * sigma_across, angle), 1.0)
    norm = 2 * math.pi * sigma * sigma_across * (1 - math.exp(-(SMOOTHING_CUT**2) / 2))

    def elliptic(points: np.ndarray) -> np.ndarray:
        u, v = shapes.rotated(points, angle)
        square = (u / sigma) ** 2 + (v / sigma_across) ** 2
        return np.exp(-square / 2) * (square <= SMOOTHING_CUT**2) / norm

    c, s = shapes.direction(angle)
    reach = (math.hypot(s * sigma, c * sigma_across), math.hypot(c * sigma, s * sigma_across))
    return Target(elliptic, tuple(SMOOTHING_CUT * r for r in reach), 1.0)


@kernel(diracs=(129, 81, 65), axes=(2, 2))
def image(dim: int, kernel_image: Picture, radius: Radius) -> Target:
    """The kernel drawn in a picture file, its longer side 2 `radius`, of mass 1."""
    return picture_target(read_light(kernel_image), radius)
