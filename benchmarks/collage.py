"""Large pictures made by a program: leaves of photographs, of all sizes, turned, enlarged and laid over each other.

No part repeats, and enlarged leaves get the grain of others, so that detail is as fine everywhere as in photographs.
"""

from functools import lru_cache

import cv2
import numpy as np
from skimage import data

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "retina", "hubble_deep_field", "immunohistochemistry",
               "brick", "grass", "gravel", "camera", "coins", "moon")  # fmt: skip
TEXTURES = ("brick", "grass", "gravel")
# Leaves for every 8192 x 8192 pixels by the largest side, in shares of the picture's.
LEAVES = ((0.25, 0.6, 14), (0.125, 0.25, 40), (0.0625, 0.125, 130), (0.03, 0.0625, 420), (0.012, 0.03, 900))


@lru_cache
def photographs() -> dict[str, np.ndarray]:
    """The photographs that scikit-image ships, [H, W, 3], uint8."""
    found = {name: getattr(data, name)() for name in PHOTOGRAPHS}
    return {name: np.repeat(p[..., None], 3, axis=-1) if p.ndim == 2 else p[..., :3] for name, p in found.items()}


def collage(size: int, seed: int = 0) -> np.ndarray:
    """A picture [size, size, 3], uint8."""
    generator = np.random.default_rng(seed)
    canvas = leaf(size, generator)
    sides = [int(size * generator.uniform(low, high)) for low, high, count in LEAVES for _ in range(count)]
    # Large ones first, mostly: small ones stay to be seen.
    for side in sorted((s for s in sides if s >= 8), key=lambda s: -s * generator.uniform(0.5, 2)):
        y, x = generator.integers(-side // 2, size - side // 2, 2)
        rows, columns = slice(max(y, 0), min(y + side, size)), slice(max(x, 0), min(x + side, size))
        inner = slice(rows.start - y, rows.stop - y), slice(columns.start - x, columns.stop - x)
        shown = outline(side, generator)[inner][..., None] > 0
        canvas[rows, columns] = np.where(shown, leaf(side, generator)[inner], canvas[rows, columns])
    return canvas


def leaf(side: int, generator: np.random.Generator) -> np.ndarray:
    """A part of a photograph, turned, enlarged and toned, [side, side, 3], with the grain of a texture."""
    pictures = photographs()
    source = pictures[PHOTOGRAPHS[generator.integers(len(PHOTOGRAPHS))]]
    zoom = float(np.clip(side / (min(source.shape[:2]) * generator.uniform(0.4, 1)), 0.7, 8))
    centre = np.array([generator.uniform(0.3, 0.7) * source.shape[1], generator.uniform(0.3, 0.7) * source.shape[0]])
    turn = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), generator.uniform(0, 360), zoom)
    turn[:, 2] = turn[:, 2] + side / 2 - centre
    shown = cv2.warpAffine(source, turn, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    shown = shown * generator.uniform(0.6, 1.1, 3).astype(np.float32)
    if zoom > 1.5:
        grey = pictures[TEXTURES[generator.integers(len(TEXTURES))]][..., 0].astype(np.float32)
        shown = shown + 0.35 * grain(side, grey - cv2.GaussianBlur(grey, (0, 0), 8), generator)[..., None]
    return np.clip(shown, 0, 255).astype(np.uint8)


def grain(side: int, texture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A square of a texture's squares, each turned and shifted in another way."""
    result, step = np.empty((side, side), np.float32), len(texture)
    for y in range(0, side, step):
        for x in range(0, side, step):
            part = np.roll(np.rot90(texture, int(generator.integers(4))), tuple(generator.integers(0, step, 2)), (0, 1))
            result[y : y + step, x : x + step] = part[: side - y, : side - x]
    return result


def outline(side: int, generator: np.random.Generator) -> np.ndarray:
    """An ellipse or a turned rectangle, 1 inside, [side, side]."""
    mask, half = np.zeros((side, side), np.uint8), side // 2
    turn = generator.uniform(0, 360)
    if generator.random() < 0.5:
        axes = int(side * generator.uniform(0.3, 0.5)), int(side * generator.uniform(0.2, 0.5))
        cv2.ellipse(mask, (half, half), axes, turn, 0, 360, 1, -1)
        return mask
    sides = side * generator.uniform(0.3, 0.7), side * generator.uniform(0.3, 0.7)
    cv2.fillConvexPoly(mask, cv2.boxPoints(((half, half), sides, turn)).astype(np.int32), 1)
    return mask
