"""A checkerboard to the horizon: every pixel filters the procedure with the footprint it has on the ground.

    python examples/horizon.py output/horizon.png

One field of a periodic checker serves every distance: pixels smaller than the training kernel see that, those larger
than the margin nearly the mean.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # not required after pip install -e .

from fields import checker

import nfconv
from files.pictures import write_png


def ground(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Where rays of a pinhole camera meet the ground, [N, 2] (depth, sideways), and the size of pixels there [N, 2]."""
    rows, columns = np.meshgrid((np.arange(height) + 0.5) / height, np.linspace(-1, 1, width), indexing="ij")
    depth = 0.5 / rows.ravel()
    points = np.stack([depth, depth * columns.ravel()], axis=-1)
    return points, np.stack([2 * depth**2 / height, 2 * depth / width], axis=-1)


def picture(height: int = 240, width: int = 360, half_size: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """The checker asked once per pixel, and filtered with a tent over each pixel's footprint: [H, W, 1] each."""
    margin = 2.0
    options = {"dim": 2, "boundary": "periodic", "factor": "spline", "evaluations": 500_000}
    field = nfconv.fit(checker, half_size, margin=margin, **options)
    points, size = ground(height, width)
    scale = np.clip(size / half_size, 1.0, 0.9 * margin / half_size)
    wrapped = (points + 1) % 2 - 1
    seen = field.filter(nfconv.minimal_kernel(1, half_size, 2), at=wrapped, scale=scale)
    shape = (height, width, 1)
    return checker(wrapped).reshape(shape), np.asarray(seen).reshape(shape)


if __name__ == "__main__":
    once, filtered = picture()
    both = np.concatenate([once, filtered], axis=1)
    write_png(Path(sys.argv[1]), np.round(255 * np.clip(both, 0, 1)).astype(np.uint8))
