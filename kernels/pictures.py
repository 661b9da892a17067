"""A kernel drawn as a picture: its light, at unit mass, is what a point becomes."""

from pathlib import Path

import numpy as np
from scipy.ndimage import map_coordinates

from files.inputs import warn
from files.pictures import read_picture
from kernels.target import Target

LUMINANCE = (0.2126, 0.7152, 0.0722)
# A kernel's picture is reduced to this many pixels a side: far finer than any set of Diracs.
LARGEST_SIDE = 512


def read_light(path: str | Path) -> np.ndarray:
    """The light [H, W] of a picture file: luminance times alpha, not negative.

    Prints a warning for what was left out or guessed. Raises FileNotFoundError or ValueError.
    """
    picture = read_picture(path)
    picture.check_complete(Path(path))
    for note in picture.notes:
        warn(f"{Path(path).name}: {note}")
    try:
        return light(picture.values(np.float64)[..., : picture.colours])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def light(colours: np.ndarray) -> np.ndarray:
    """Grey or RGB [H, W, 1 | 3] as light [H, W], largest value 1; raises ValueError without light."""
    colours = np.asarray(colours, dtype=np.float64)
    total = colours @ np.array(LUMINANCE) if colours.shape[-1] == 3 else colours[..., 0]
    if not (np.isfinite(total).all() and total.min() >= 0 and total.max() > 0):
        raise ValueError("a kernel's picture must have finite values, none negative and not all black")
    return total / total.max()


def picture_target(values: np.ndarray, radius: float) -> Target:
    """The kernel of mass 1 drawn by light [H, W], its longer side 2 `radius` in domain units, its middle at 0.

    Rows are the first filtered axis and columns the second; between pixel centres it is bilinear.
    """
    values = _reduced(values)
    size = np.array(values.shape)
    radii = radius * size / size.max()
    pixel = 2 * radius / size.max()
    values = values / (values.sum() * pixel**2)

    def density(points: np.ndarray) -> np.ndarray:
        places = (points + radii) / pixel - 0.5
        found = map_coordinates(values, places.T, order=1, mode="nearest")
        return np.where((np.abs(points) <= radii).all(axis=1), found, 0)

    return Target(density, tuple(radii), 1.0)


def _reduced(values: np.ndarray) -> np.ndarray:
    """Light averaged over blocks so that no side is longer than LARGEST_SIDE, borders filled with black."""
    block = -(-max(values.shape) // LARGEST_SIDE)
    if block == 1:
        return values
    missing = [-side % block for side in values.shape]
    padded = np.pad(values, [(gap // 2, gap - gap // 2) for gap in missing])
    return padded.reshape(padded.shape[0] // block, block, padded.shape[1] // block, block).mean(axis=(1, 3))
