"""Which reader knows which picture: by its first bytes, because extensions are often wrong."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from files.inputs import LARGEST_MAPPED, existing_file
from files.pictures.bigtiff import open_tiff
from files.pictures.exr import read_exr
from files.pictures.picture import ADVICE, Picture
from files.pictures.pnm import read_pnm
from files.pictures.raster import read_raster
from files.pictures.tiff import read_tiff

TIFF_SUFFIXES = (".tif", ".tiff")
READERS: tuple[tuple[tuple[bytes, ...], Callable[[Path], Picture]], ...] = (
    ((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), read_tiff),
    ((b"\x76\x2f\x31\x01",), read_exr),
    (tuple(b"P%c" % kind for kind in b"1234567Ff"), read_pnm),
)


def open_picture(path: str | Path) -> Picture:
    """`read_picture`, but of a large TIFF only what its `stored` values are read from."""
    path = existing_file(path, "an image", ADVICE, LARGEST_MAPPED)
    return (path.suffix.lower() in TIFF_SUFFIXES and open_tiff(path)) or read_picture(path)


def read_picture(path: str | Path) -> Picture:
    """The picture in the file `path`; raises FileNotFoundError or ValueError."""
    path = existing_file(path, "an image", ADVICE)
    with path.open("rb") as stream:
        head = stream.read(4)
    read = next((reader for starts, reader in READERS if head.startswith(starts)), read_raster)
    picture = read(path)
    if picture.alpha and not picture.pixels[..., -1].any():
        note = "it is transparent everywhere: its alpha is 0, and so are all values"
        picture = replace(picture, notes=(*picture.notes, note))
    return picture
