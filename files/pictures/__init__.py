"""Pictures as files: one reader for image signals, frames of a video and drawn kernels.

Below kernels and modalities, since both read pictures. Libraries are imported inside the functions that use them.
"""

from files.pictures.picture import LARGEST_PIXELS
from files.pictures.reading import open_picture, read_picture
from files.pictures.writing import write_encoded, write_exr, write_png

__all__ = [
    "LARGEST_PIXELS",
    "open_picture",
    "read_picture",
    "write_encoded",
    "write_exr",
    "write_png",
]
