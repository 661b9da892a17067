"""Ground truth: a signal convolved with the minimal kernel, on its own grid and a margin around it.

A field is asked for values beyond [-1, 1]^d as soon as a kernel reaches over the border, so it is trained
on [-1 - m, 1 + m]^d; the margin m and everything else training needs travel in the file.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from files import ArchiveError, load_archive, save_archive
from files.archive import Bound, digest_of
from kernels.sparse import LARGEST_DIM, checked_axes, checked_order
from signals.signal import BOUNDARIES, coordinates, crop, spacing

# The longest thing a signal brings along is the skeleton of a motion, some ten thousand characters.
BOUNDS = {
    "values": Bound("f", LARGEST_DIM + 1, math.inf),
    "axes": Bound("iu", 1, LARGEST_DIM),
    "order": Bound("iu"),
    "half_size": Bound("fiu"),
    "boundary": Bound("U", most=64),
    "pads": Bound("iu", 1, LARGEST_DIM),
    "method": Bound("U", most=64),
    "samples": Bound("iu"),
    "seed": Bound("iu"),
    "modality": Bound("U", most=64),
    "source": Bound("U", most=4096),
    "meta": Bound("U", most=1 << 22),
}
# Far below the distance between any signal's samples; weights of 1 / h^n stay numbers.
SMALLEST_HALF_SIZE = 1e-6
FACTS = tuple(name for name in BOUNDS if name != "values")


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """f * B-spline at the samples of a padded grid, with the facts of how it was made.

    values [N_1 + 2 pads_1, ..., N_d + 2 pads_d, c]; half_size in domain units, one for all filtered axes;
    pads in samples, 0 in axes that are not filtered; samples is 0 for the exact method. Raises ValueError
    for facts that do not fit each other.
    """

    values: np.ndarray
    axes: tuple[int, ...]
    order: int
    half_size: float
    boundary: str
    pads: tuple[int, ...]
    method: str
    samples: int
    seed: int
    modality: str
    source: str
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        dim = self.values.ndim - 1
        if self.values.dtype not in (np.float32, np.float64) or not np.isfinite(self.values).all():
            raise ValueError("ground-truth values must be finite float32 or float64 numbers")
        if dim < 1 or len(self.pads) != dim or min(self.pads) < 0 or min(self.shape) < 1 or self.channels < 1:
            raise ValueError(f"pads {self.pads} do not fit ground truth of shape {self.values.shape}")
        checked_axes(self.axes, dim)
        checked_order(self.order)
        if any(pad and axis not in self.axes for axis, pad in enumerate(self.pads)):
            raise ValueError("only filtered axes have a margin")
        if not SMALLEST_HALF_SIZE <= self.half_size <= 2:
            raise ValueError(
                f"half size must lie in {SMALLEST_HALF_SIZE:g}..2 domain units (a signal spans 2), not {self.half_size}"
            )
        if self.boundary not in BOUNDARIES:
            raise ValueError(f"boundary must be one of {', '.join(BOUNDARIES)}, not {self.boundary}")

    @property
    def dim(self) -> int:
        """d, the number of coordinates."""
        return self.values.ndim - 1

    @property
    def channels(self) -> int:
        """c, the number of values per point."""
        return self.values.shape[-1]

    @property
    def shape(self) -> tuple[int, ...]:
        """(N_1, ..., N_d), the signal's own samples per axis."""
        return tuple(n - 2 * p for n, p in zip(self.values.shape, self.pads, strict=False))

    @property
    def bounds(self) -> np.ndarray:
        """[d, 2], the box the values cover, in domain units."""
        reach = [1.0 + p * spacing(n) for p, n in zip(self.pads, self.shape, strict=True)]
        return np.array([[-r, r] for r in reach])

    @property
    def margin(self) -> float:
        """m, what is covered beyond [-1, 1] in every filtered axis, in domain units."""
        return float(min(self.bounds[axis, 1] for axis in self.axes) - 1.0)

    @property
    def core(self) -> np.ndarray:
        """The values on the signal's own grid, [N_1, ..., N_d, c]."""
        return crop(self.values, self.pads)

    @property
    def digest(self) -> str:
        """SHA-256 of the values, which tells one ground truth from another."""
        return digest_of({"values": self.values})

    def coordinates(self, axis: int) -> np.ndarray:
        """Positions of the values along one axis, in domain units."""
        return coordinates(self.shape[axis], self.pads[axis])

    def save(self, path: str | Path) -> Path:
        """Write everything to one `.npz` file, atomically; raises ValueError for more meta than `load` takes."""
        facts = {name: getattr(self, name) for name in FACTS}
        facts["meta"] = json.dumps(dict(self.meta))
        if len(facts["meta"]) > BOUNDS["meta"].most:
            raise ValueError(f"{self.source} brings {len(facts['meta'])} characters of facts along: shorten them")
        arrays = {name: np.asarray(value) for name, value in facts.items()}
        return save_archive(path, {"values": self.values, "bounds": self.bounds, **arrays})

    @classmethod
    def load(cls, path: str | Path) -> "GroundTruth":
        """Read what `save` wrote; raises FileNotFoundError or ArchiveError with what is wrong."""
        arrays = load_archive(path, BOUNDS, BOUNDS)
        try:
            return cls(
                values=arrays["values"],
                axes=tuple(arrays["axes"].ravel().tolist()),
                order=int(arrays["order"]),
                half_size=float(arrays["half_size"]),
                boundary=str(arrays["boundary"]),
                pads=tuple(arrays["pads"].ravel().tolist()),
                method=str(arrays["method"]),
                samples=int(arrays["samples"]),
                seed=int(arrays["seed"]),
                modality=str(arrays["modality"]),
                source=str(arrays["source"]),
                # A list would become a dictionary, or not, by chance: only an object has items.
                meta=dict(json.loads(str(arrays["meta"])).items()),
            )
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ArchiveError(f"{path} is not a ground truth: {error}; make it again with mc_utils.py") from None


def pads_for(margin: float, shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """Samples per axis that cover `margin` domain units beyond [-1, 1] in the filtered axes."""
    count = {axis: math.ceil(margin / spacing(shape[axis]) - 1e-9) for axis in axes}
    return tuple(count.get(axis, 0) for axis in range(len(shape)))
