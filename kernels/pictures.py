"""A kernel drawn as a picture: its light, at unit mass, is what a point becomes."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import map_coordinates

from kernels.target import Target

if TYPE_CHECKING:
    from PIL import Image

LUMINANCE = (0.2126, 0.7152, 0.0722)
# A kernel's picture is reduced to this many pixels a side: far finer than any set of Diracs.
LARGEST_SIDE = 512


def read_picture(path: str | Path) -> np.ndarray:
    """The light [H, W] of a picture file: luminance times alpha, not negative.

    Raises FileNotFoundError for a missing file and ValueError for one that is no picture.
    """
    from PIL import Image, ImageOps

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; check the path of the kernel's picture")
    try:
        with Image.open(path) as picture:
            pixels = np.asarray(_plain(ImageOps.exif_transpose(picture)))
    except Exception as error:
        raise ValueError(f"{path} cannot be read as a picture ({type(error).__name__})") from None
    return light(pixels)


def _plain(picture: "Image.Image") -> "Image.Image":
    """Palettes and inks as colours, a palette's transparency as alpha; other pictures as they are."""
    if picture.mode in ("P", "PA"):
        return picture.convert("RGBA" if "transparency" in picture.info or picture.mode == "PA" else "RGB")
    return picture.convert("RGB") if picture.mode in ("CMYK", "YCbCr", "LAB", "HSV") else picture


def light(pixels: np.ndarray) -> np.ndarray:
    """Pixels [H, W], [H, W, 1 to 4] of any type as light [H, W], largest value 1; raises ValueError without light."""
    top = np.iinfo(pixels.dtype).max if np.issubdtype(pixels.dtype, np.integer) else 1.0
    values = np.asarray(pixels, dtype=np.float64) / top
    if values.ndim == 2:
        values = values[..., None]
    total = values[..., :3] @ np.array(LUMINANCE) if values.shape[-1] >= 3 else values[..., 0]
    if values.shape[-1] in (2, 4):
        total = total * values[..., -1]
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
