"""The sparse kernel: a piecewise-polynomial kernel kept as the Diracs of its n-th derivative.

    D^n g = sum_i w_i delta(t_i),    so    (f * g)(x) = sum_i w_i F(x - t_i)  where  D^n F = f

p   order, the polynomial degree of g in each filtered axis
n   = p + 1, the differentiations per filtered axis
K   number of Diracs;  d  number of coordinates
t   positions [K, d] in domain units, 0 in axes that are not filtered
w   weights [K]

Source: Nsampi et al. 2023, section 4; Heckbert 1986, section 3.
"""

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from files import ArchiveError, load_archive, save_archive
from kernels.moments import lines_along

LARGEST_ORDER = 8
LARGEST_DIM = 8
# Diracs times coordinates: beyond what any field could be asked for, and whose moments are checked in a second.
LARGEST_SIZE = 1 << 22
# What kernels may be stretched by, and a half size: powers of it stay numbers.
LARGEST_SCALE = 1e9
# Moments above this, relative to sum |w| r^k, would let integration constants through.
MOMENT_TOLERANCE = 1e-9
# What kernels of others may break them by, asked for by `tolerance`.
LARGEST_TOLERANCE = 0.1
REQUIRED = ("positions", "weights", "order", "axes")


def checked_order(order: float) -> int:
    """`order` as a whole number, or ValueError where no kernel or field has it."""
    if not 0 <= order <= LARGEST_ORDER or int(order) != order:
        raise ValueError(f"order must be a whole number from 0 to {LARGEST_ORDER}, not {order}")
    return int(order)


def checked_axes(axes: Sequence[int], dim: int) -> tuple[int, ...]:
    """Filtered axes as whole numbers, or ValueError where they do not fit a domain of `dim` coordinates."""
    try:
        found = [operator.index(axis) for axis in axes]
    except TypeError:
        found = []
    if not found or sorted(set(found)) != found or not 0 <= found[0] <= found[-1] < dim:
        raise ValueError(f"filtered axes {axes} do not fit {dim} coordinates: whole numbers rising within 0..{dim - 1}")
    return tuple(found)


@dataclass(frozen=True, eq=False)
class SparseKernel:
    """K weighted Diracs that stand for a kernel of degree `order` in the axes `axes` of a d-dimensional domain.

    positions [K, d] in domain units, weights [K]. Raises ValueError for shapes that do not fit, values that are not
    finite, or weights whose moments below n exceed `tolerance`, relative to sum |w| r^k (integration constants of
    the field would not cancel; Nsampi et al. 2023, section 4.1).
    """

    positions: np.ndarray
    weights: np.ndarray
    order: int
    axes: tuple[int, ...]
    tolerance: float = MOMENT_TOLERANCE

    def __post_init__(self) -> None:
        positions = np.array(self.positions, dtype=np.float64)
        weights = np.array(self.weights, dtype=np.float64)
        if positions.ndim != 2 or weights.shape != positions.shape[:1] or positions.size == 0:
            raise ValueError(f"positions [K, d] and weights [K] do not fit: {positions.shape} and {weights.shape}")
        if positions.shape[1] > LARGEST_DIM or positions.size > LARGEST_SIZE:
            shape = " x ".join(map(str, positions.shape))
            raise ValueError(f"{shape} coordinates of Diracs are more than {LARGEST_SIZE}: make a kernel of fewer")
        if not (np.isfinite(positions).all() and np.isfinite(weights).all()):
            raise ValueError("a kernel's positions and weights must be finite")
        order, axes = checked_order(self.order), checked_axes(self.axes, positions.shape[1])
        idle = [j for j in range(positions.shape[1]) if j not in axes]
        if positions[:, idle].any():
            raise ValueError(f"positions must be 0 in the axes that are not filtered ({idle})")
        self._set(positions, weights, order, axes)
        defect = self.moment_defect()
        if defect > self.tolerance:
            raise ValueError(
                f"the weights break the moment conditions of order {self.order} by {defect:.1e} (relative): "
                "correct them with kernels.moments.corrected_weights"
            )

    def _set(self, positions: np.ndarray, weights: np.ndarray, order: int, axes: tuple[int, ...]) -> None:
        """Keep what was checked, the arrays read-only; raises ValueError where they are too large to be added up."""
        for name, value in (("positions", positions), ("weights", weights), ("order", order), ("axes", axes)):
            object.__setattr__(self, name, value)
        for array in (positions, weights):
            array.setflags(write=False)
        with np.errstate(over="ignore", invalid="ignore"):
            if not np.isfinite([np.abs(weights).sum(), self.mass]).all():
                raise ValueError("a kernel's positions and weights are too large to be added up")

    def _changed(self, positions: np.ndarray, weights: np.ndarray, axes: tuple[int, ...]) -> "SparseKernel":
        """A kernel that meets the moment conditions because this one does: they are not checked again."""
        made = object.__new__(SparseKernel)
        object.__setattr__(made, "tolerance", self.tolerance)
        made._set(positions, weights, self.order, axes)
        return made

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def dim(self) -> int:
        """d, the number of coordinates."""
        return self.positions.shape[1]

    @property
    def n(self) -> int:
        """Differentiations per filtered axis."""
        return self.order + 1

    @property
    def radius(self) -> np.ndarray:
        """[d], the largest |t| per axis, in domain units."""
        return np.abs(self.positions).max(axis=0)

    @property
    def mass(self) -> float:
        """The integral of the kernel: prod over axes of (-1)^n / n! times sum_i w_i prod_j t_ij^n."""
        powers = np.prod(self.positions[:, self.axes] ** self.n, axis=1)
        sign = (-1) ** (self.n * len(self.axes))
        return float(sign * (self.weights @ powers) / math.factorial(self.n) ** len(self.axes))

    def moment_defect(self) -> float:
        """Largest |sum_i w_i t_ij^k| over filtered axes j, k < n and lines along j, relative to sum |w| r^k."""
        worst = 0.0
        scale = np.abs(self.weights).sum()
        for axis in self.axes:
            t = self.positions[:, axis] / (self.radius[axis] or 1.0)
            line = lines_along(self.positions / (self.radius.max() or 1.0), axis)
            for k in range(self.n):
                moments = np.bincount(line, self.weights * t**k)
                worst = max(worst, float(np.abs(moments).max() / scale) if scale else 0.0)
        return worst

    def density(self, points: np.ndarray) -> np.ndarray:
        """The kernel g at `points` [N, d] -> [N], rebuilt from ramps: sum_i w_i prod_j (x_j - t_ij)_+^p / p!.

        Only filtered axes count; points outside the support give 0 up to rounding.
        """
        points = np.asarray(points, dtype=np.float64)
        ramps = np.ones((len(points), len(self)))
        for axis in self.axes:
            ramps *= ramp(points[:, axis, None] - self.positions[:, axis], self.order)
        return ramps @ self.weights

    def scaled(self, scale: float | Sequence[float]) -> "SparseKernel":
        """The kernel stretched by `scale` (one number, or one per filtered axis), mass kept.

        t -> s t and w -> w / s^n per filtered axis (Nsampi et al. 2023, section 4.3).
        """
        factors = np.broadcast_to(np.asarray(scale, dtype=np.float64), (len(self.axes),))
        if not ((factors >= 1 / LARGEST_SCALE) & (factors <= LARGEST_SCALE)).all():
            limits = f"from {1 / LARGEST_SCALE:g} to {LARGEST_SCALE:g}"
            raise ValueError(f"a kernel's scale must be positive, {limits}, not {scale}")
        stretch = np.ones(self.dim)
        stretch[list(self.axes)] = factors
        with np.errstate(over="ignore"):
            weights = self.weights / np.prod(factors**self.n)
        return self._changed(self.positions * stretch, weights, self.axes)

    def times(self, factor: float) -> "SparseKernel":
        """The kernel multiplied by a number."""
        with np.errstate(over="ignore"):
            weights = self.weights * factor
        return self._changed(self.positions, weights, self.axes)

    def embedded(self, axes: Sequence[int], dim: int) -> "SparseKernel":
        """The same kernel acting in coordinates `axes` of a `dim`-dimensional domain."""
        if len(axes) != self.dim:
            raise ValueError(f"a kernel of {self.dim} coordinates needs {self.dim} axes, not {len(axes)}")
        positions = np.zeros((len(self), dim))
        positions[:, list(axes)] = self.positions
        found = checked_axes(tuple(axes[axis] for axis in self.axes), dim)
        return self._changed(positions, self.weights, found)

    def merged(self, tolerance: float = 1e-12) -> "SparseKernel":
        """The kernel with Diracs at the same place added up and weights of 0 dropped."""
        step = tolerance * (self.radius.max() or 1.0)
        _, first, group = np.unique(np.round(self.positions / step), axis=0, return_index=True, return_inverse=True)
        weights = np.bincount(group.ravel(), self.weights)
        kept = np.abs(weights) > 1e-14 * np.abs(self.weights).max()
        if not kept.any():
            raise ValueError("the Diracs cancel: this kernel is zero everywhere")
        return replace(self, positions=self.positions[first[kept]], weights=weights[kept])

    def save(self, path: str | Path) -> Path:
        """Write the kernel to an `.npz` file with the arrays positions, weights, order, axes and, if larger than usual,
        tolerance."""
        names = REQUIRED if self.tolerance <= MOMENT_TOLERANCE else (*REQUIRED, "tolerance")
        return save_archive(path, {name: np.asarray(getattr(self, name)) for name in names})

    @classmethod
    def load(cls, path: str | Path) -> "SparseKernel":
        """Read a kernel written by `save`; raises FileNotFoundError or ArchiveError with what is wrong."""
        arrays = load_archive(path, REQUIRED)
        try:
            # Compressed, millions of them fit into a small file.
            if max(arrays[name].size for name in REQUIRED) > LARGEST_SIZE:
                raise ValueError(f"it claims more than {LARGEST_SIZE} numbers")
            axes = tuple(arrays["axes"].ravel().tolist())
            # A file may ask for weights as inexact as the authors', not for any.
            tolerance = min(LARGEST_TOLERANCE, arrays.get("tolerance", np.array(MOMENT_TOLERANCE)).item())
            return cls(arrays["positions"], arrays["weights"], arrays["order"].item(), axes, tolerance)
        except (ValueError, TypeError, OverflowError) as error:
            raise ArchiveError(f"{path} is not a kernel: {error}") from None


def ramp(x: np.ndarray, order: int) -> np.ndarray:
    """The `order`-th power ramp x_+^p / p!, whose (p + 1)-th derivative is a Dirac (Heckbert 1986)."""
    return np.maximum(x, 0.0) ** order / math.factorial(order) * (x >= 0)


def outer(first: SparseKernel, second: SparseKernel) -> SparseKernel:
    """The product kernel g(x) h(y) on the coordinates of `first` followed by those of `second`."""
    if first.order != second.order:
        raise ValueError(f"only kernels of one order multiply, not {first.order} and {second.order}")
    positions = np.hstack([np.repeat(first.positions, len(second), axis=0), np.tile(second.positions, (len(first), 1))])
    axes = first.axes + tuple(first.dim + axis for axis in second.axes)
    with np.errstate(over="ignore"):
        weights = np.outer(first.weights, second.weights).ravel()
    return SparseKernel(positions, weights, first.order, axes, max(first.tolerance, second.tolerance))


def combine(kernels: Sequence[SparseKernel], coefficients: Sequence[float]) -> SparseKernel:
    """The weighted sum of kernels of one order and one set of axes, equal positions merged."""
    first = kernels[0]
    if any((k.order, k.axes, k.dim) != (first.order, first.axes, first.dim) for k in kernels):
        raise ValueError("only kernels of one order, one dimension and one set of filtered axes add up")
    weights = [c * k.weights for c, k in zip(coefficients, kernels, strict=True)]
    positions = np.vstack([k.positions for k in kernels])
    tolerance = max(k.tolerance for k in kernels)
    return SparseKernel(positions, np.concatenate(weights), first.order, first.axes, tolerance).merged()
