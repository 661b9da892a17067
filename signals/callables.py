"""A callable f, points [N, d] -> [N, c], as a signal; `signals.probing` finds out how it is called.

A trained network, a procedure or an analytic distance, in NumPy, PyTorch or anything that answers with arrays. Its own
coordinates (their order, and the box of its domain) are translated to ours, [-1, 1]^d with rows first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from signals.metadata import Metadata, check, check_number, check_numbers, check_whole_number
from signals.units import Ruler

Function = Callable[[np.ndarray], np.ndarray]

# Points per call: the features of a wide network at this many points fill a few hundred megabytes.
BATCH = 1 << 16
LARGEST_CALLABLE_DIM = 4


@dataclass(frozen=True)
class SamplingSettings:
    """Samples per axis (`resolution`, 0: by itself), and the `accuracy` (dB) and `evaluations` that end sampling."""

    resolution: tuple[int, ...] = (0,)
    accuracy: float = 95.0
    evaluations: int = 1 << 22


@dataclass(frozen=True)
class FieldMetadata(Metadata, modality="field", axis_names=""):
    """How a callable was asked: the letters of its `coordinates`, the bounds of its `domain` (low, high of each in
    turn) and its `SamplingSettings`; once sampled, how often it was and what accuracy (dB) was estimated."""

    coordinates: str
    domain: tuple[float, ...]
    resolution: tuple[int, ...]
    accuracy: float
    evaluations: int
    used: int = 0
    estimate: float = 0.0

    def __post_init__(self) -> None:
        letters = self.coordinates
        valid = isinstance(letters, str) and letters.isalpha() and len(set(letters)) == len(letters)
        check("coordinates", letters, valid and len(letters) <= LARGEST_CALLABLE_DIM, "1 to 4 different letters")
        check_numbers("domain", self.domain, 2 * len(letters))
        pairs = zip(self.domain[::2], self.domain[1::2], strict=True)
        check("domain", self.domain, all(low < high for low, high in pairs), "pairs of a low and a high end")
        check_numbers("resolution", self.resolution, len(letters), 0)
        check_number("accuracy", self.accuracy, 0, 300)
        check_whole_number("evaluations", self.evaluations, 1, 1 << 40)
        check_whole_number("used", self.used, 0, 1 << 40)
        check_number("estimate", self.estimate)

    @property
    def letters(self) -> str:
        """The letters of our axes, in grid order."""
        return grid_letters(self.coordinates)

    def check_signal(self, shape: Sequence[int], channels: int) -> None:
        """Raise ValueError for another number of axes than of coordinates."""
        super().check_signal(shape, channels)
        check("the number of axes", len(shape), len(shape) == len(self.coordinates), f"that of {self.coordinates}")

    def rulers(self, shape: Sequence[int]) -> tuple[Ruler, ...]:
        """Callables have no pixels, and no units that are known."""
        return tuple(Ruler({}) for _ in shape)


@dataclass(frozen=True, eq=False)
class Continuous:
    """f on [-1, 1]^dim: `function` takes points [N, dim] in our axes and gives [N, channels], both float64.

    `columns` are the letters of f's own coordinates in its order, `domain` [dim, 2] the bounds of its box in that
    order.
    """

    function: Function
    channels: int
    columns: str
    domain: np.ndarray
    name: str = "callable"
    settings: SamplingSettings = SamplingSettings()  # frozen

    @property
    def dim(self) -> int:
        """d, the number of coordinates."""
        return len(self.columns)

    @property
    def letters(self) -> str:
        """The letters of our axes, in grid order."""
        return grid_letters(self.columns)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """f at points [N, d] of [-1, 1]^d -> [N, c], batch by batch; raises ValueError where it is not finite."""
        parts = max(1, -(-len(points) // BATCH))
        return np.concatenate([self._batch(part) for part in np.array_split(points, parts)])

    def _batch(self, points: np.ndarray) -> np.ndarray:
        theirs = self.theirs(points)
        values = self.function(theirs)
        if values.shape != (len(points), self.channels):
            raise ValueError(f"{self.name} returned {list(values.shape)} for {len(points)} points, "
                             f"not [{len(points)}, {self.channels}]: return a row for every point")  # fmt: skip
        if not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values).all(axis=1)))
            place = ", ".join(f"{name} = {x:.6g}" for name, x in zip(self.columns, theirs[row], strict=True))
            raise ValueError(f"{self.name} is not finite at {place}: make it finite in the whole domain")
        return values

    def theirs(self, points: np.ndarray) -> np.ndarray:
        """Our points [N, d] in the coordinates of f."""
        order = [self.letters.index(letter) for letter in self.columns]
        low, high = self.domain.T
        return low + (points[:, order] + 1) / 2 * (high - low)


def grid_letters(columns: str) -> str:
    """The letters of f's columns in the order of our axes: y before x in planes (rows first), x, y, z in space."""
    order = iter([letter for letter in ("xyz" if "z" in columns else "yx") if letter in columns])
    return "".join(next(order) if letter in "xyz" else letter for letter in columns)


def parse_domain(domain: Any, dim: int) -> np.ndarray:
    """(low, high), or such a pair for every column, also as text ('0,1'), as bounds [dim, 2]; raises ValueError."""
    if isinstance(domain, str):
        try:
            numbers = [float(part) for part in domain.replace(";", ",").split(",")]
        except ValueError:
            numbers = []
        if len(numbers) not in (2, 2 * dim):
            raise ValueError(f"--domain must be low,high or {dim} such pairs, not {domain!r}")
        domain = numbers if len(numbers) == 2 else np.reshape(numbers, (dim, 2))
    bounds = np.asarray(domain, np.float64)
    if bounds.shape not in ((2,), (dim, 2)):
        raise ValueError(f"the domain must be (low, high), or one such pair for each of {dim} coordinates")
    bounds = np.broadcast_to(bounds, (dim, 2))
    if not (np.isfinite(bounds).all() and (bounds[:, 0] < bounds[:, 1]).all()):
        raise ValueError(f"the domain {bounds.tolist()} must have finite bounds, each low end below its high end")
    return bounds


def parse_sizes(resolution: int | Sequence[int] | str | None, dim: int) -> tuple[int, ...]:
    """--resolution as one number of samples per axis, 0: by itself; raises ValueError."""
    given = str(resolution or 0).split(",") if isinstance(resolution, str | int | None) else list(resolution)
    try:
        sizes = [int(value) for value in given]
    except ValueError:
        sizes = []
    if len(sizes) not in (1, dim) or not all(n == 0 or 2 <= n <= 1 << 24 for n in sizes):
        raise ValueError(f"--resolution must be one number of samples, or {dim}, 2 or more (0: by itself), "
                         f"not {resolution!r}")  # fmt: skip
    return tuple(sizes * dim if len(sizes) == 1 else sizes)


@dataclass(frozen=True)
class SamplingRequest:
    """The convolution that samples must serve: its kernel, the margin beyond the box and the boundary rules."""

    axes: tuple[int, ...]
    order: int
    half_size: tuple[float, ...]
    margin: float
    boundary: str
