"""What a picture file holds, whatever its format."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from files.stored import LARGE, Array, Stored

ADVICE = "give a PNG, JPEG, TIFF, BMP, WebP, PNM, PFM, HDR or EXR image"
LARGEST_PIXELS = 1 << 27
# Floats beyond this size stand for no-data: programs write the largest float, -1e38 or 1e32.
LARGEST_VALUE = 1e30


@dataclass(frozen=True)
class Picture:
    """Pixels [H, W, C] as stored, upright: one or three colours, then other bands, alpha last.

    `largest` is the stored number that means 1, `multiplied` whether colours are multiplied by alpha already, `linear`
    whether they are light rather than sRGB. `missing` [H, W] marks pixels without a value (None: there are none).
    `windows` are data and display window of an EXR file, x and y of the first and last pixel each (empty: the picture).
    `notes` say what was left out, converted or guessed: callers print them. `stored`: the values of a large file, of
    which `pixels` are then a few only.
    """

    pixels: np.ndarray
    alpha: bool = False
    multiplied: bool = False
    largest: float = 1.0
    linear: bool = False
    missing: np.ndarray | None = None
    windows: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    stored: Stored | None = None

    @property
    def float(self) -> bool:
        """Whether the file holds floats."""
        return self.pixels.dtype.kind == "f"

    @property
    def colours(self) -> int:
        """1 or 3: the number of leading channels that are shown."""
        return 3 if self.pixels.shape[-1] - self.alpha >= 3 else 1

    def values(self, kind: type[np.floating] | None = None) -> np.ndarray:
        """The pixels as floats of `kind`, integers in [0, 1], all but alpha multiplied by it, NaN where missing.

        None: float32, or float64 where the file is.
        """
        kind = kind or (np.float64 if self.pixels.dtype == np.float64 else np.float32)
        values: np.ndarray = self.pixels.astype(kind)
        if self.largest != 1.0:
            values = values / kind(self.largest)
        if self.alpha and not self.multiplied:
            values[..., :-1] *= values[..., -1:]
        if self.missing is not None:
            values[self.missing] = np.nan
        return values

    def signal_values(self) -> Array:
        """`values`, which become floats where they are used if there are many."""
        if self.stored is not None:
            return self.stored
        if self.pixels.size < LARGE or self.missing is not None:
            return self.values()
        return Stored.of(self.pixels).mapped(lambda part: replace(self, pixels=part).values())

    def check_complete(self, path: Path) -> None:
        """Raise ValueError where pixels are missing."""
        if self.missing is not None:
            raise ValueError(
                f"{self.missing.sum()} of {self.missing.size} pixels of {path} are no-data, beyond 1e30, NaN or "
                "infinite; fix the file first: fill them (gdal_fillnodata.py) or crop it"
            )


def check_size(path: Path, width: int, height: int) -> None:
    """Raise ValueError for more pixels than are ever decoded."""
    if width * height > LARGEST_PIXELS:
        raise ValueError(f"{path} claims more than the {LARGEST_PIXELS} pixels supported; crop or shrink it first")


def missing_pixels(samples: np.ndarray, nodata: float | None = None) -> np.ndarray | None:
    """Where all `samples` [H, W, C] are the file's `nodata` or any is absurd, NaN or infinite; None where none is."""
    missing = np.zeros(samples.shape[:2], bool)
    if samples.dtype.kind == "f":
        largest = min(LARGEST_VALUE, float(np.finfo(samples.dtype).max))
        with np.errstate(invalid="ignore"):
            missing |= ~(np.abs(samples) <= largest).all(axis=-1)
    if nodata is not None:
        with np.errstate(over="ignore"):
            # A float32 file names its nodata value in decimals that only round to it.
            wanted = samples.dtype.type(nodata) if samples.dtype.kind == "f" else nodata
        missing |= (samples == wanted).all(axis=-1)
    return missing if missing.any() else None


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels [H, W, C] turned and mirrored as an EXIF or TIFF `orientation` (1 to 8) says they are shown."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(pixels[::rows, ::columns])


def grey_as_colours(pixels: np.ndarray) -> np.ndarray:
    """Grey, bands and alpha [H, W, C] as RGB, bands and alpha, because colours are what alpha is kept beside."""
    return np.concatenate([np.repeat(pixels[..., :1], 3, axis=-1), pixels[..., 1:]], axis=-1)
