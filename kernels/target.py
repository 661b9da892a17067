"""Targets: the kernels that sparse kernels are fitted to, and how they are sampled.

A target is sampled as its mean over the cells of a grid: a mean knows sharp edges that points between
samples miss, and the mean of a spline over a cell is known in closed form.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from kernels.separate import outer_lines

CELLS_AT_ONCE = 1 << 20
# Share of the peak that a product of lines may differ by.
SAME_PRODUCT = 1e-9


@dataclass(frozen=True, eq=False)
class Target:
    """A kernel g that is 0 outside the box |x_j| <= radius_j.

    density: points [N, d] in domain units -> [N]; radius: support per axis in domain units, one number
    serves all; `mass` is its exact integral (None: as sampled); `moments` are further integrals of
    prod_j x_j^a_j g, by exponents (a_1, ..., a_d), that a fit keeps exactly (a product of 1-D fits: those
    that are 0 and the first that is not). Raises ValueError for a radius that is not positive or exponents
    that do not fit.
    """

    density: Callable[[np.ndarray], np.ndarray]
    radius: tuple[float, ...]
    mass: float | None = None
    moments: Mapping[tuple[int, ...], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        radius = tuple(float(r) for r in np.atleast_1d(self.radius))
        if not (np.isfinite(radius).all() and min(radius) > 0):
            raise ValueError(f"a target's radius must be positive, not {self.radius}")
        if any(len(exponents) != len(radius) or min(exponents) < 0 for exponents in self.moments):
            raise ValueError(f"moments need {len(radius)} exponents, one per axis")
        object.__setattr__(self, "radius", radius)
        object.__setattr__(self, "moments", MappingProxyType(dict(self.moments)))

    @property
    def dim(self) -> int:
        """d, the number of coordinates."""
        return len(self.radius)

    def scaled(self, scale: float | Sequence[float] | np.ndarray) -> "Target":
        """The same kernel stretched by `scale` (one number, or one per axis), mass kept."""
        stretch = np.broadcast_to(np.asarray(scale, dtype=np.float64), (self.dim,))
        moments = {a: value * float(np.prod(stretch ** np.array(a))) for a, value in self.moments.items()}
        radius = tuple(stretch * self.radius)
        volume = float(np.prod(stretch))
        return Target(lambda points: self.density(points / stretch) / volume, radius, self.mass, moments)

    def times(self, factor: float) -> "Target":
        """The kernel multiplied by a number."""
        moments = {exponents: value * factor for exponents, value in self.moments.items()}
        mass = None if self.mass is None else self.mass * factor
        return Target(lambda points: self.density(points) * factor, self.radius, mass, moments)

    def unit(self) -> "Target":
        """The same kernel on the box [-1, 1]^d."""
        box = self.scaled(1.0 / np.array(self.radius))
        return Target(box.density, (1.0,) * self.dim, self.mass, box.moments)

    def on_grid(self, coordinates: Sequence[np.ndarray]) -> np.ndarray:
        """The density on a tensor grid of coordinates [M_j] -> [M_1, ..., M_d]; raises ValueError where not finite."""
        shape = tuple(len(x) for x in coordinates)
        values = np.empty(shape)
        rows = max(1, CELLS_AT_ONCE * shape[0] // int(np.prod(shape)))
        for start in range(0, shape[0], rows):
            block = np.meshgrid(coordinates[0][start : start + rows], *coordinates[1:], indexing="ij")
            points = np.stack(block, axis=-1).reshape(-1, self.dim)
            found = np.asarray(self.density(points), dtype=np.float64)
            if found.shape != (len(points),) or not np.isfinite(found).all():
                raise ValueError("a target's density must give one finite number for every point [N, d]")
            values[start : start + rows] = found.reshape(block[0].shape)
        return values

    def cell_means(self, edges: Sequence[np.ndarray], samples: int) -> np.ndarray:
        """The mean density [M_1, ..., M_d] of every cell between `edges` [M_j + 1], from `samples` points per axis."""
        inner = (np.arange(samples) + 0.5) / samples
        coordinates = [(e[:-1, None] + inner * np.diff(e)[:, None]).ravel() for e in edges]
        values = self.on_grid(coordinates)
        for axis, e in enumerate(edges):
            values = values.reshape(*values.shape[:axis], len(e) - 1, samples, *values.shape[axis + 1 :])
            values = values.mean(axis=axis + 1)
        return values

    def factors(self) -> list["Target"] | None:
        """One 1-D target per axis where the density is their product, on a sampled grid, None where it is not."""
        coarse = [radius * np.linspace(-0.97, 0.97, 40 if self.dim == 2 else 20) for radius in self.radius]
        values = self.on_grid(coarse)
        top = np.unravel_index(np.argmax(np.abs(values)), values.shape)
        peak = float(values[top])
        point = np.array([x[i] for x, i in zip(coarse, top, strict=True)])
        if peak == 0:
            raise ValueError("this target is zero everywhere")
        if outer_lines(values, SAME_PRODUCT) is None:
            return None
        return [self._line(axis, point, 1.0 if axis == 0 else peak) for axis in range(self.dim)]

    def _line(self, axis: int, point: np.ndarray, divisor: float) -> "Target":
        """The density along one axis through `point`, divided by a number."""

        def density(x: np.ndarray) -> np.ndarray:
            points = np.repeat(point[None, :], len(x), axis=0)
            points[:, axis] = x[:, 0]
            return self.density(points) / divisor

        return Target(density, (self.radius[axis],))


def integral(target: Target, degree: int) -> float:
    """The integral of x^degree over a 1-D target, as sampled; exactly 0 where it is 0 but for sampling errors."""
    edges = target.radius[0] * np.linspace(-1, 1, 2049)
    means = target.cell_means([edges], 4)
    powers = np.diff(edges ** (degree + 1)) / (degree + 1)
    value = float(means @ powers)
    return 0.0 if abs(value) < 1e-6 * float(np.abs(means) @ np.abs(powers)) else value


def factors_with_moments(whole: Target, factors: Sequence[Target]) -> list[Target]:
    """The factors of a separable target with the masses and moments that make the product keep those of the whole.

    The product has them up to one common number: `missing_factor`.
    """
    wanted = [sorted({exponents[j] for exponents in whole.moments}) for j in range(len(factors))]
    masses = [integral(factor, 0) for factor in factors]
    if whole.mass == 0 and all(masses):
        sizes = [integral(replace(factor, density=_absolute(factor.density)), 0) for factor in factors]
        masses[int(np.argmin(np.abs(masses) / np.array(sizes)))] = 0.0
    return [
        Target(factor.density, factor.radius, mass, {(k,): integral(factor, k) for k in degrees if k > 0})
        for factor, mass, degrees in zip(factors, masses, wanted, strict=True)
    ]


def _absolute(density: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda points: np.abs(density(points))


def missing_factor(whole: Target, factors: Sequence[Target]) -> float:
    """What the product of the factors must be multiplied by to have the mass, or else the moments, of the whole."""
    for exponents, value in {(0,) * whole.dim: whole.mass, **whole.moments}.items():
        if value:
            parts = [f.moments[(k,)] if k else f.mass or 0.0 for f, k in zip(factors, exponents, strict=True)]
            return value / float(np.prod(parts))
    return 1.0
