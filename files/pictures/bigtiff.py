"""TIFF too large for memory: its samples are read, and become colours, where they are used."""

import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from files.pictures.picture import Picture
from files.pictures.raster import ORIENTATION
from files.pictures.tiff import coloured
from files.pictures.tiffpages import check_layout, choose, mask_of, obstacle, reading_tiff, tag
from files.stored import LARGE, Stored

if TYPE_CHECKING:
    from tifffile import TiffPage


def open_tiff(path: Path) -> Picture | None:
    """A large TIFF of small strips or tiles, or of plain samples, as a picture of `stored` values; None for others,
    which are read whole. Pixels without a value are found where they are read: a ValueError then."""
    import tifffile

    with reading_tiff(path):
        # It stays open for as long as its samples are read.
        file = tifffile.TiffFile(path)
        page, notes = choose(file)
        pixels = page.imagewidth * page.imagelength
        apart = page.is_memmappable or (page.chunks and math.prod(page.chunks) * 16 < LARGE)
        if pixels * page.samplesperpixel < LARGE or not apart or obstacle(page):
            return None
        check_layout(path, page)
        if tag(page, ORIENTATION, 1) != 1 or mask_of(file, page):
            return None
        samples = _stored_samples(path, page)
        few = coloured(path, page, samples[:1, :1])
        stored = samples.mapped(partial(_values, path, page), whole=few.pixels.dtype.kind in "biu")
        return replace(few, stored=stored, notes=(*notes, *few.notes))


def _values(path: Path, page: "TiffPage", samples: np.ndarray) -> np.ndarray:
    picture = coloured(path, page, samples)
    picture.check_complete(path)
    return picture.values()


def _stored_samples(path: Path, page: "TiffPage") -> Stored:
    """Samples [H, W, C] as stored, read where they are used."""
    import tifffile
    import zarr

    if page.is_memmappable:
        found: Any = Stored.of(tifffile.memmap(path, page=page.index, mode="r").reshape(page.shape))
    else:
        array: Any = zarr.open(page.aszarr(), mode="r")
        found = Stored(array.shape, array.dtype, lambda part: _decoded(path, array, part))
    axes = page.axes.replace("S", "C")
    if "C" not in axes:
        return found.ordered([axes.index("Y"), axes.index("X")]).with_channel()
    return found.ordered([axes.index(letter) for letter in "YXC"])


def _decoded(path: Path, array: Any, part: tuple[slice, ...]) -> np.ndarray:
    with reading_tiff(path):
        return np.asarray(array[part])
