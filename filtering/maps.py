"""Maps for kernels that vary over a picture: where the eye looks, a tilted plane in focus, the flow of edges.

make_map.py writes them.

Size maps hold 0 (smallest kernel) to 1 (largest); angle maps hold angles / 180 degrees.
"""

import numpy as np
from skimage.feature import structure_tensor

from signals.signal import coordinates


def fovea(shape: tuple[int, ...], row: float, column: float) -> np.ndarray:
    """Distance [H, W] from the point looked at (domain units), as a share of the largest there is."""
    y, x = np.meshgrid(*[coordinates(n) for n in shape], indexing="ij")
    distance = np.hypot(y - row, x - column)
    return distance / max(float(distance.max()), 1e-12)


def depth(shape: tuple[int, ...], row: float, slope: float = 0.8) -> np.ndarray:
    """Circle of confusion [H, W] on a ground plane that recedes upwards, in focus at `row`, as a share of the largest.

    Inverse depth 1 / z falls linearly from the lower to the upper edge, and a thin lens blurs by |1 / z - 1 / z_focus|.
    """
    inverse = 1.0 + slope * coordinates(shape[0])
    blur = np.abs(inverse - (1.0 + slope * row))
    return np.broadcast_to((blur / max(float(blur.max()), 1e-12))[:, None], shape).copy()


def flow(picture: np.ndarray, sigma: float = 4.0) -> np.ndarray:
    """Direction of edges [H, W] / 180 degrees, counter-clockwise from the columns, by the structure tensor.

    Smoothed over `sigma` pixels (Bigun & Granlund 1987).
    """
    rows, mixed, columns = structure_tensor(picture.mean(axis=-1), sigma=sigma, order="rc")
    # The steepest direction, in columns and rows; an edge runs across it, and rows count downwards.
    steepest = 0.5 * np.arctan2(2 * mixed, columns - rows)
    return ((np.pi / 2 - steepest) / np.pi) % 1.0
