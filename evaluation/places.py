"""Points of a file with a size or a covariance of their own, and the options that go with them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.maps import Maps, covariances_of
from files import load_array
from kernels.correlated import LEVELS
from models import Field
from models.convolution import check_reach

# Points that are read, filtered and written at once.
CHUNK = 1 << 17
# Options of results on grids, and of the sizes of kernels.
MAP_FILES = ("scale_map", "angle_map", "covariance_map")
GRIDS = ("width", "height", "depth", *MAP_FILES, "gt_path")
SIZES = ("kernel_path", "kernel_scale", "filters")


@dataclass(frozen=True, eq=False)
class Places:
    """Points [N, d] in domain units and, where given, the sizes [N] or [N, a] of a kernel or the covariances of
    Gaussians, as files hold them."""

    points: np.ndarray
    scale: np.ndarray | None = None
    covariance: np.ndarray | None = None

    @classmethod
    def read(cls, points: Path | None, scale: Path | None, covariance: Path | None) -> "Places | None":
        """From `.npy` files, none of which is read whole; None without points. Raises ValueError where they do not
        belong together, OSError and ArchiveError for other files."""
        if points is None:
            if scale or covariance:
                raise ValueError("--scale and --covariance hold a value for every point: give --points, too")
            return None
        if scale and covariance:
            raise ValueError("--scale and --covariance do not go together: a covariance is size and angle at once")
        sizes, sigmas = (None if path is None else load_array(path, mapped=True) for path in (scale, covariance))
        found = cls(load_array(points, mapped=True), sizes, sigmas)
        for path, values in ((scale, found.scale), (covariance, found.covariance)):
            if values is not None and values.shape[:1] != found.points.shape[:1]:
                raise ValueError(f"{path} has shape {values.shape}: give one entry for each of the "
                                 f"{len(found.points)} points")  # fmt: skip
        if found.points.ndim != 2 or not len(found.points):
            raise ValueError(f"{points} has shape {found.points.shape}: points are [N, d] in domain units")
        return found

    def chunks(self) -> Iterator[slice]:
        """Rows that are filtered together."""
        for start in range(0, len(self.points), CHUNK):
            yield slice(start, min(start + CHUNK, len(self.points)))

    def settings(self, rows: slice | np.ndarray, axes: int) -> dict[str, Any]:
        """The points, sizes and covariances of some rows, as Field.filter takes them."""
        sigma = None if self.covariance is None else covariances_of(self.covariance[rows], axes, "--covariance")
        scale = None if self.scale is None else np.array(self.scale[rows], dtype=np.float64)
        return {"at": np.array(self.points[rows], dtype=np.float64), "scale": scale, "covariance": sigma}

    def extremes(self, axes: int) -> tuple[float, float]:
        """The smallest and the largest size: a scale, or a standard deviation in any direction. Raises ValueError where
        there is none."""
        if self.scale is None and self.covariance is None:
            return 1.0, 1.0
        least, most = math.inf, 0.0
        for rows in self.chunks():
            found = self.settings(rows, axes)
            if found["covariance"] is not None:
                low, high = deviations(found["covariance"])
            else:
                low, high = float(found["scale"].min()), float(found["scale"].max())
            least, most = min(least, low), max(most, high)
        if not 0 < least <= most < math.inf:
            raise ValueError("sizes must be positive and finite, and covariances positive definite")
        return least, most

    def check(self, field: Field, radius: np.ndarray) -> None:
        """Raise ValueError for points of another dimension, not finite, or so far over the border that kernels of
        `radius` [d] there reach beyond what the field was trained on."""
        if self.points.shape[1] != field.config.dim:
            raise ValueError(f"--points has {self.points.shape[1]} coordinates, the field {field.config.dim}")
        furthest = np.zeros(field.config.dim)
        for rows in self.chunks():
            part = np.abs(self.points[rows], dtype=np.float64)
            if not np.isfinite(part).all():
                raise ValueError(f"--points {rows.start} to {rows.stop - 1} hold numbers that are not finite")
            furthest = np.maximum(furthest, part.max(axis=0))
        free = [axis for axis in range(field.config.dim) if axis not in field.config.axes]
        if any(furthest[axis] > 1 + 1e-6 for axis in free):
            raise ValueError("--points lie outside [-1, 1] along an axis that is not filtered: keep them inside")
        # Covariances are checked as they are filtered.
        if self.covariance is None and not field.origin.released:
            check_reach(field, radius.tolist())
        if furthest.max() > 1 + 1e-6:
            check_reach(field, radius.tolist(), np.maximum(furthest - 1, 0).tolist())


def check_together(options: Mapping[str, Any]) -> bool:
    """Whether the options of eval.py ask for Gaussians of covariances; raises ValueError for those that do not go
    together."""

    def given(names: Sequence[str]) -> list[str]:
        return [f"--{name}" for name in names if options.get(name) not in (None, "")]

    def alone(what: str, names: Sequence[str]) -> None:
        if others := given(names):
            raise ValueError(f"{what} and {', '.join(others)} do not go together: choose one")

    if given(("workers", "scheduler")) and (options["points"] or not options["model_path"]):
        raise ValueError("points, and signals that are fitted first, are filtered in one process: leave --workers and "
                         "--scheduler out, or train.py the signal with --tile first")  # fmt: skip
    if len(given(MAP_FILES)) > 1:
        raise ValueError("--scale_map, --angle_map and --covariance_map do not go together: choose one")
    if options["scale_range"] != Maps.scale_range and options["scale_map"] is None:
        raise ValueError("--scale_range holds the sizes where a map is 0 and 1: give --scale_map, too")
    if given(MAP_FILES) and options["gt_path"]:
        raise ValueError("--gt_path holds one kernel's result: measure a varying kernel with --signal")
    if options["points"] is not None:
        alone("--points", (*GRIDS, "filters"))
    if options["covariance"] is None and options["covariance_map"] is None:
        return False
    alone("a covariance", SIZES)
    if options["kernel"] not in (None, "gaussian") or options["sigma"] is not None:
        raise ValueError("a covariance is the Gaussian's size and angle: leave --kernel and --sigma out")
    return True


def sizes_to_fit(places: Places | None, maps: Maps, axes: int) -> tuple[dict[str, str], tuple[float, float]]:
    """Options of a kernel, and the range of its sizes, that a field must be fitted for."""
    if path := maps.covariance_map:
        least, most = deviations(covariances_of(load_array(path), axes, str(path)))
    elif places is None:
        return {}, maps.span
    else:
        least, most = places.extremes(axes)
        if places.covariance is None:
            return {}, (least, most)
    # A Gaussian of the library is cut at 3 sigma, that of a covariance reaches further.
    reach = LEVELS[-1].reach / 3
    return {"kernel": "gaussian", "sigma": f"{reach * most}"}, (least / (reach * most), 1.0)


def deviations(sigma: np.ndarray) -> tuple[float, float]:
    """The smallest and the largest standard deviation in any direction of covariances [..., a, a]; (0, 0) where one is
    not positive definite or not finite."""
    if not np.isfinite(sigma).all():
        return 0.0, 0.0
    values = np.linalg.eigvalsh(sigma)
    return (math.sqrt(values.min()), math.sqrt(values.max())) if values.min() > 0 else (0.0, 0.0)
