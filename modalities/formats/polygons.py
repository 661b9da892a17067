"""Faces with any number of corners, cut into triangles.

The triangles of a fan, which is what trimesh and libigl make, reach outside of concave faces. mapbox-earcut clips ears
instead: it is used in the plane of every face that the fan about its first corner does not fill.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

# Share of a face by which a triangle of its fan may be turned over, and by which ears may miss the face's area.
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Polygons:
    """Points [V, 3] and faces one after the other: numbers of their `corners` [N], and how many each has (`sizes`)."""

    points: np.ndarray
    corners: np.ndarray
    sizes: np.ndarray

    @cached_property
    def places(self) -> np.ndarray:
        """Which position each point has [V], by number: points that coincide have the same."""
        return np.unique(self.points, axis=0, return_inverse=True)[1].reshape(-1)


def check_corners(points: np.ndarray, corners: np.ndarray) -> None:
    """Raise ValueError for corners [...] that name no point, and for points that span no finite box."""
    if points.ndim != 2 or points.shape[-1] != 3 or not corners.size:
        raise ValueError("has no triangles")
    if corners.min() < 0 or corners.max() >= len(points):
        raise ValueError("has faces whose vertices are missing")
    used = points[np.unique(corners)]
    if not np.isfinite(used).all():
        raise ValueError("has vertices that are NaN or infinite")
    with np.errstate(over="ignore"):
        size = np.ptp(used, axis=0).max()
    if not 0 < size < np.inf:
        raise ValueError("has all its vertices in one point" if size == 0 else "is larger than numbers are")


def triangulated(polygons: Polygons) -> tuple[np.ndarray, int]:
    """Triangles [F, 3] of faces with three corners and more, and how many faces cross themselves.

    Faces with the same corners, whichever way round, get the same triangles.
    """
    starts = np.cumsum(polygons.sizes) - polygons.sizes
    found, crossed = [np.zeros((0, 3), np.int64)], 0
    for size in np.unique(polygons.sizes[polygons.sizes >= 3]):
        rows = starts[polygons.sizes == size]
        corners = polygons.corners[rows[:, None] + np.arange(size)].astype(np.int64)
        if size > 3:
            corners, wrong = _cut(polygons.points, polygons.places, corners)
            crossed += wrong
        found.append(corners.reshape(-1, 3))
    return np.concatenate(found), crossed


def _cut(points: np.ndarray, places: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, int]:
    """Triangles [P', 3] of faces [P, n], and how many of the faces cross themselves."""
    _, first, same = np.unique(np.sort(places[corners], axis=1), axis=0, return_index=True, return_inverse=True)
    shapes = points[corners]
    shapes = (shapes - shapes.mean(axis=1, keepdims=True)) / max(float(np.ptp(shapes, axis=(0, 1)).max()), 1e-300)
    normals = np.cross(shapes, np.roll(shapes, -1, axis=1)).sum(axis=1)  # Newell: twice the area long
    areas = np.linalg.norm(normals, axis=1)
    units = normals / np.maximum(areas, 1e-300)[:, None]
    spokes = shapes[:, 1:] - shapes[:, :1]
    fans = np.einsum("pti,pi->pt", np.cross(spokes[:, :-1], spokes[:, 1:]), units)
    fits = (fans >= -TOLERANCE * areas[:, None]).all(axis=1)
    inner = np.arange(1, corners.shape[1] - 1)
    fan = np.stack([np.zeros_like(inner), inner, inner + 1], axis=1)
    cut, crossed = {}, 0
    for face in first:
        cut[face] = fan if fits[face] else _ears(shapes[face], units[face])
        crossed += not fits[face] and not _fills(cut[face], shapes[face], areas[face])
    source = first[same.reshape(-1)]
    turned = np.einsum("pi,pi->p", normals, normals[source]) < 0
    pieces = [corners[s][cut[s]][:, :: -1 if turn else 1] for s, turn in zip(source, turned, strict=True)]
    return np.concatenate(pieces), crossed


def _ears(shape: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Triangles [n - 2, 3] of one face [n, 3] by clipping ears in the plane across `unit` [3]."""
    import mapbox_earcut

    right = np.cross(unit, np.eye(3)[np.abs(unit).argmin()])
    flat = shape @ np.stack([right / np.linalg.norm(right), np.cross(unit, right) / np.linalg.norm(right)], axis=1)
    return mapbox_earcut.triangulate_float64(flat, np.array([len(flat)], np.uint32)).reshape(-1, 3).astype(np.int64)


def _fills(triangles: np.ndarray, shape: np.ndarray, area: float) -> bool:
    """Whether the triangles of a face [n, 3] have its area (both twice)."""
    sides = shape[triangles[:, 1:]] - shape[triangles[:, :1]]
    covered = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1).sum()
    return abs(covered - area) <= 0.01 * area
