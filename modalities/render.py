"""Pictures of shapes given as grids of signed distances: rays marched through the grid and shaded, in NumPy alone.

Grids are [Nx, Ny, Nz] over [-1, 1]^3, negative inside; y is up.
"""

from dataclasses import dataclass

import numpy as np

from modalities.sdf import values_at

# From the camera to the middle of the box, in domain units: far enough for a calm perspective.
DISTANCE = 4.0
BACKWARD = np.array([-0.45, 0.35, -1.0])
LIGHT = np.array([-0.45, 0.65, 0.6])
SURFACE = np.array([0.80, 0.76, 0.70])
MARCH_STEPS = 200
BISECTIONS = 8


@dataclass(frozen=True)
class Camera:
    """Axes [3, 3] (right, up, backward), and the middle [2] and half width of the picture at depth 1."""

    axes: np.ndarray
    middle: np.ndarray
    reach: float

    @classmethod
    def onto(cls, grid: np.ndarray) -> "Camera":
        """The camera whose picture the inside of `grid` fills; the whole box where there is no inside."""
        back = BACKWARD / np.linalg.norm(BACKWARD)
        right = np.cross([0.0, 1.0, 0.0], back)
        right /= np.linalg.norm(right)
        axes = np.stack([right, np.cross(back, right), back])
        inside = np.argwhere(grid < 0)
        index = inside if len(inside) else np.argwhere(np.ones((2, 2, 2), bool)) * (np.array(grid.shape) - 1)
        local = _places(index, grid.shape) @ axes.T
        seen = local[:, :2] / (DISTANCE - local[:, 2:])
        low, high = seen.min(axis=0), seen.max(axis=0)
        return cls(axes, (low + high) / 2, 0.54 * max(float((high - low).max()), 1e-3))

    @property
    def origin(self) -> np.ndarray:
        """Position [3]."""
        return DISTANCE * self.axes[2]

    def rays(self, size: int) -> np.ndarray:
        """Unit directions [size^2, 3], rows from the top."""
        reach = self.reach * (2 * (np.arange(size) + 0.5) / size - 1)
        across = self.middle[0] + reach
        upward = self.middle[1] - reach
        right, up, back = self.axes
        directions = across[None, :, None] * right + upward[:, None, None] * up - back
        directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
        return directions.reshape(-1, 3)


@dataclass(frozen=True)
class Shot:
    """A rendered shape: pixels [S, S, 3] (uint8), hits [S, S, 3] in domain units (NaN where the ray missed)."""

    pixels: np.ndarray
    hits: np.ndarray


def render(grid: np.ndarray, camera: Camera | None = None, size: int = 320) -> Shot:
    """The zero level of `grid` in size x size pixels of 2 x 2 rays; a grid without a surface gives an empty picture."""
    camera = camera or Camera.onto(grid)
    directions = camera.rays(2 * size)
    colours = np.ones((len(directions), 3))
    hits = np.full((len(directions), 3), np.nan)
    if (grid < 0).any():
        field = _Distances(grid)
        depth = _march(field, camera.origin, directions)
        hit = np.isfinite(depth)
        hits[hit] = camera.origin + depth[hit, None] * directions[hit]
        colours[hit] = _shade(field, hits[hit], directions[hit], LIGHT @ camera.axes)
    fine = colours.reshape(size, 2, size, 2, 3).mean(axis=(1, 3))
    return Shot(np.round(255 * fine).astype(np.uint8), hits.reshape(2 * size, 2 * size, 3)[::2, ::2])


def _places(index: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Domain positions [M, 3] of sample numbers [M, 3]."""
    return 2 * index / np.maximum(np.array(shape) - 1, 1) - 1


class _Distances:
    """Trilinear values and gradients of a grid at points [M, 3], and the box that holds its inside."""

    def __init__(self, grid: np.ndarray) -> None:
        self._values = np.asarray(grid, np.float32)
        counts = np.array(grid.shape)
        self._gradients: tuple[np.ndarray, ...] = tuple(np.gradient(self._values, *(2 / (counts - 1))))
        # Values of a true distance change by 1 a unit at most; anything steeper is marched in smaller steps.
        self.steepness = max(1.0, float(np.sqrt(sum(np.square(part) for part in self._gradients).max())))
        self.cell = float(np.min(2 / (counts - 1)))
        inside = np.argwhere(self._values < 0)
        self.low = np.maximum(_places(inside.min(axis=0) - 1, grid.shape), -1)
        self.high = np.minimum(_places(inside.max(axis=0) + 1, grid.shape), 1)

    def at(self, points: np.ndarray) -> np.ndarray:
        """Values [M]."""
        return values_at(self._values, points)

    def normals(self, points: np.ndarray) -> np.ndarray:
        """Unit gradients [M, 3]."""
        gradient = np.stack([values_at(part, points) for part in self._gradients], axis=-1)
        return gradient / np.maximum(np.linalg.norm(gradient, axis=-1, keepdims=True), 1e-9)


def _march(field: _Distances, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Depth [M] of the first crossing along each ray, infinite for none: steps as long as the distance allows."""
    # Where rays enter and leave the box of the inside; those that enter behind where they leave miss it.
    with np.errstate(divide="ignore"):
        inverse = 1 / directions
    one, other = (field.low - origin) * inverse, (field.high - origin) * inverse
    depth, leave = np.minimum(one, other).max(axis=-1), np.maximum(one, other).min(axis=-1)
    found = np.full(len(directions), np.inf)
    active = np.flatnonzero(depth < leave)
    smallest = field.cell / 4
    for _ in range(MARCH_STEPS):
        values = field.at(origin + depth[active, None] * directions[active])
        inside = values < 0
        found[active[inside]] = depth[active[inside]]
        active, values = active[~inside], values[~inside]
        depth[active] += np.maximum(values / field.steepness, smallest)
        active = active[depth[active] < leave[active]]
        if not len(active):
            break
    hit = np.flatnonzero(np.isfinite(found))
    high, low = found[hit], found[hit] - smallest
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        inside = field.at(origin + middle[:, None] * directions[hit]) < 0
        high, low = np.where(inside, middle, high), np.where(inside, low, middle)
    found[hit] = high
    return found


def _shade(field: _Distances, points: np.ndarray, directions: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Colours [M, 3] in [0, 1]: a key light, a sky, a soft highlight and occlusion read from the distances."""
    normals = field.normals(points)
    light = light / np.linalg.norm(light)
    key = np.clip(normals @ light, 0, 1)
    sky = 0.5 + 0.5 * normals[:, 1]
    halfway = light - directions
    halfway /= np.linalg.norm(halfway, axis=-1, keepdims=True)
    gloss = np.clip((normals * halfway).sum(axis=-1), 0, 1) ** 32
    openness = np.ones(len(points))
    for reach in (0.03, 0.07, 0.13):
        openness -= 0.53 * np.clip(1 - field.at(points + reach * normals) / reach, 0, 1)
    openness = np.clip(openness, 0.15, 1)
    shade = (0.62 * key + 0.42 * sky * openness)[:, None] * SURFACE + 0.12 * gloss[:, None]
    return np.clip(shade, 0, 1) ** (1 / 1.5)
