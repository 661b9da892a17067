"""Signed distances: from a mesh to a grid over [-1, 1]^3 and from a grid back to a mesh. Negative is inside.

The distance is exact; the sign comes from the generalised winding number (Jacobson et al. 2013, evaluated fast after
Barill et al. 2018), which is defined for open, self-intersecting and many-bodied meshes as well. Where bodies overlap,
the distance is that to the nearest face, which may lie inside the other body: there |f| is less than the distance to
the outer surface, while the sign is right.
"""

import numpy as np
from scipy.ndimage import map_coordinates

from files.stored import Array, parts
from signals import coordinates, spacing

CHUNK = 1 << 18
# Winding numbers further from whole ones are unclear: near holes, and throughout soups of triangles.
CLEAR_WINDING = 0.25


def signed_distances(vertices: np.ndarray, faces: np.ndarray, resolution: int) -> tuple[np.ndarray, float]:
    """Distances [N, N, N] (float32, domain units, 'xyz') to the mesh, negative where it winds around the point, and the
    share of points with an unclear winding number among these and those inside.

    vertices [V, 3] in domain units, faces [F, 3]. Shows its progress: 128^3 points take some 15 s on two cores.
    """
    import igl
    from rich.console import Console
    from rich.progress import track

    vertices = np.ascontiguousarray(vertices, np.float64)
    faces = np.ascontiguousarray(faces, np.int64)
    axis = coordinates(resolution)
    distances = np.empty(resolution**3, np.float32)
    chunks = range(0, distances.size, CHUNK)
    console = Console(stderr=True)
    quiet = len(chunks) < 4 or not console.is_terminal
    unclear = concerned = 0
    for start in track(chunks, "signed distances", console=console, transient=True, disable=quiet):
        index = np.arange(start, min(start + CHUNK, distances.size))
        points = np.stack([axis[i] for i in np.unravel_index(index, (resolution,) * 3)], axis=-1)
        squared = igl.point_mesh_squared_distance(points, vertices, faces)[0]
        # Its absolute value, because an open body may be oriented inwards and winds -1 times around its inside.
        winding = np.abs(igl.fast_winding_number(vertices, faces, points))
        inside, between = winding > 0.5, np.abs(winding - np.round(winding)) > CLEAR_WINDING
        unclear += int(between.sum())
        concerned += int((between | inside).sum())
        distances[index] = np.where(inside, -1.0, 1.0) * np.sqrt(squared)
    return distances.reshape((resolution,) * 3), unclear / max(concerned, 1)


def has_surface(grid: Array) -> bool:
    """Whether a grid of signed distances has an inside and an outside, thus a surface between them."""
    inside = outside = False
    for part in parts(grid):
        inside, outside = inside or bool((part < 0).any()), outside or bool((part > 0).any())
    return inside and outside


def values_at(grid: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The values [...] of a grid [Nx, Ny, Nz] over [-1, 1]^3 at points [..., 3], interpolated linearly; beyond the box
    those of its border."""
    places = (points + 1) * ((np.array(grid.shape) - 1) / 2)
    return map_coordinates(grid, np.moveaxis(places, -1, 0), order=1, mode="nearest")


def extract_surface(grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The zero level of `grid` [Nx, Ny, Nz] as vertices [V, 3] in domain units and faces [F, 3] oriented outwards.

    A shape that reaches the border of the box is closed there. Raises ValueError where nothing crosses zero.
    """
    from skimage.measure import marching_cubes

    if min(grid.shape) < 2:
        raise ValueError(f"{' x '.join(map(str, grid.shape))} samples hold no surface; use two or more along each axis")
    if not has_surface(grid):
        raise ValueError(
            f"no surface crosses zero in these distances ({grid.min():.3g} to {grid.max():.3g}); "
            "use a smaller kernel, or one of unit mass"
        )
    values = np.asarray(grid, np.float64)
    size = float(np.abs(values).max())
    # Exact zeros would collapse triangles and open the mesh; so would samples that round to a corner.
    least = 1e-6 * size
    values = np.where(np.abs(values) < least, least, values)
    values = np.pad(values, 1, constant_values=1e3 * size)
    vertices, faces, _, _ = marching_cubes(values, 0.0, gradient_direction="descent")
    steps = np.array([spacing(count) for count in grid.shape])
    return (vertices - 1) * steps - 1, faces.astype(np.int64)


def chamfer(one: np.ndarray, other: np.ndarray) -> float:
    """Mean distance from the points of each set [N, 3] to the nearest of the other, averaged over both directions."""
    from scipy.spatial import KDTree

    there, _ = KDTree(other).query(one)
    back, _ = KDTree(one).query(other)
    return float((there.mean() + back.mean()) / 2)
