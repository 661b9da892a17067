"""Pictures of modalities: frames of a folder, and what is written.

The reader itself is `files.pictures`, below kernels, which are drawn as pictures too.
"""

from pathlib import Path

import numpy as np

from files.inputs import warn
from files.pictures import LARGEST_PIXELS, read_picture, write_encoded, write_exr, write_png

__all__ = ["LARGEST_PIXELS", "read_pixels", "write_encoded", "write_exr", "write_png"]


def read_pixels(path: Path, said: set[str] | None = None) -> np.ndarray:
    """The pixels [H, W, 1 | 3 | 4] of a frame: grey, RGB, or RGBA with colours not multiplied by alpha.

    As stored, or as floats where 1 is not the largest number of their type. Colours multiplied by alpha are those over
    black, and come without it. Prints warnings, except those already `said`. Raises FileNotFoundError or ValueError.
    """
    picture = read_picture(path)
    picture.check_complete(path)
    for note in picture.notes:
        if said is None or note not in said:
            warn(f"{path.name}: {note}")
    if said is not None:
        said.update(picture.notes)
    shown = [*range(picture.colours), *([-1] if picture.alpha and not picture.multiplied else [])]
    pixels = picture.pixels[..., shown]
    if picture.float or picture.largest == np.iinfo(pixels.dtype).max:
        return pixels
    return pixels.astype(np.float32) / np.float32(picture.largest)
