"""TIFF by tifffile: any layout, colours and alpha as the tags say; OpenCV where a codec is missing."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from files.pictures.picture import Picture, grey_as_colours, missing_pixels, upright
from files.pictures.raster import BGR, ORIENTATION, decode
from files.pictures.tiffpages import (
    ADVICE,
    CIELAB,
    COLOURS,
    INKS,
    PALETTE,
    RGB,
    WHITE_IS_ZERO,
    YCBCR,
    check_claims,
    choose,
    mask_of,
    obstacle,
    reading_tiff,
    tag,
)  # fmt: skip

if TYPE_CHECKING:
    from tifffile import TiffPage

# ExtraSamples: colours multiplied by alpha, or not; anything else is no alpha.
ASSOCIATED, UNASSOCIATED = 1, 2
GDAL_NODATA = 42113
# None, CCITT, LZW, JPEG, Deflate, PackBits, NeXT, ThunderScan: OpenCV fills pictures of others with black.
OPENCV_CODECS = (1, 2, 3, 4, 5, 7, 8, 32773, 32946, 32766, 32809)


def read_tiff(path: Path) -> Picture:
    """The first page of a TIFF that is no thumbnail, upright; raises ValueError, which names the tag in the way."""
    import tifffile

    with reading_tiff(path), tifffile.TiffFile(path) as file:
        page, notes = choose(file)
        check_claims(path, page)
        if reason := obstacle(page):
            return replace(_by_opencv(path, page, reason), notes=tuple(notes))
        picture = coloured(path, page, _samples(page))
        orientation, missing = tag(page, ORIENTATION, 1), picture.missing
        # GDAL writes which pixels have no value as a page of its own.
        mask = mask_of(file, page)
        if mask is not None and (hidden := _samples(mask)[..., 0] == 0).any():
            missing = hidden if missing is None else hidden | missing
    return replace(
        picture,
        pixels=upright(picture.pixels, orientation),
        missing=None if missing is None else upright(missing, orientation),
        notes=(*notes, *picture.notes),
    )


def _samples(page: "TiffPage") -> np.ndarray:
    """Samples [H, W, C] as stored, bits as 0 and 1."""
    samples = page.asarray()
    # One channel may have no axis of its own; separate planes come first.
    if "S" in page.axes:
        samples = np.moveaxis(samples, page.axes.index("S"), -1)
    samples = samples.reshape(page.imagelength, page.imagewidth, -1)
    return samples.astype(np.uint8) if samples.dtype == bool else samples


def _by_opencv(path: Path, page: "TiffPage", reason: str) -> Picture:
    """The page, upright and in RGB, by OpenCV, where that is right: first page, 8 bit or fewer, no ExtraSamples."""
    plain = page.photometric in (*COLOURS, CIELAB) and page.photometric != INKS and page.bitspersample <= 8
    plain = plain and page.index == 0 and page.samplesperpixel <= COLOURS.get(page.photometric, 3)
    plain = plain and page.compression in OPENCV_CODECS
    found = decode(path.read_bytes()) if plain else None
    if found is None or found.dtype != np.uint8 or found.shape[-1] not in (1, 3):
        raise ValueError(f"{path} has {reason}, which is not supported; {ADVICE}")
    return Picture(found[..., BGR[found.shape[-1]]], largest=255.0)


def _nodata(page: "TiffPage") -> float | None:
    """The number that GDAL's tag says is none; tifffile refuses one that only rounds to the file's type."""
    tag = page.tags.get(GDAL_NODATA)
    try:
        return None if tag is None else float(str(tag.value).strip().strip("\0"))
    except ValueError:
        return None


def coloured(path: Path, page: "TiffPage", samples: np.ndarray) -> Picture:
    """Stored `samples` [H, W, C] as colours, bands and alpha."""
    kind = samples.dtype.kind
    largest = 1.0 if kind == "f" else 2.0 ** (page.bitspersample - (kind == "i")) - 1
    count = COLOURS[page.photometric]
    if samples.shape[-1] < count:
        raise ValueError(f"{path} has SamplesPerPixel {samples.shape[-1]} (tag 277), too few for its colours; {ADVICE}")
    extra = [*page.extrasamples, *[0] * samples.shape[-1]][: samples.shape[-1] - count]
    found = [count + number for number, meaning in enumerate(extra) if meaning in (ASSOCIATED, UNASSOCIATED)]
    alpha = found[:1]
    bands = [channel for channel in range(count, samples.shape[-1]) if channel not in alpha]
    notes = _notes(page, bands, count)
    missing = missing_pixels(samples[..., [*range(count), *bands]], _nodata(page))
    if missing is not None and alpha:
        # Invisible pixels need no value.
        hidden = samples[..., alpha[0]] == 0
        samples = np.where(hidden[..., None], samples.dtype.type(0), samples)
        missing = missing & ~hidden if (missing & ~hidden).any() else None
    colours, scale = _rgb(path, page, samples[..., :count], largest)
    rest = samples[..., [*bands, *alpha]]
    if scale != largest:
        rest = np.round(rest * (scale / largest)).astype(colours.dtype)
    pixels = np.concatenate([colours, rest], axis=-1)
    if alpha and colours.shape[-1] == 1:
        pixels = grey_as_colours(pixels)
    multiplied = bool(alpha) and extra[alpha[0] - count] == ASSOCIATED
    return Picture(pixels, bool(alpha), multiplied, scale, missing=missing, notes=tuple(notes))


def _notes(page: "TiffPage", bands: list[int], count: int) -> list[str]:
    """What is said of channels that are neither colour nor alpha, of inks and of strips without data."""
    notes = []
    if bands and page.photometric in (RGB, WHITE_IS_ZERO, PALETTE, INKS, YCBCR):
        numbers = ", ".join(str(band + 1) for band in bands)
        notes.append(f"it has channels not marked as alpha (tag 338), kept as bands: {numbers}")
    if page.photometric == INKS:
        notes.append("its inks are converted to RGB without their colour profile")
    if empty := sum(size == 0 for size in page.databytecounts):
        notes.append(f"{empty} of its {len(page.databytecounts)} strips or tiles are empty, read as 0")
    return notes


def _rgb(path: Path, page: "TiffPage", colours: np.ndarray, largest: float) -> tuple[np.ndarray, float]:
    """Colours as grey or RGB and the number that means 1."""
    if page.photometric == WHITE_IS_ZERO:
        if colours.dtype.kind != "u":
            raise ValueError(f"{path} is MINISWHITE (tag 262) with samples that have no white (tag 339); {ADVICE}")
        return (int(largest) - colours).astype(colours.dtype), largest
    if page.photometric == PALETTE:
        table = np.asarray(page.colormap).T
        # Some programs write 8-bit colours into this 16-bit table, as low bytes or as high ones.
        if table.max() < 256:
            table = table * 257
        elif not (table % 256).any():
            table = table // 256 * 257
        return table.astype(np.uint16)[colours[..., 0]], 65535.0
    if page.photometric == INKS:
        light = 1.0 - colours.astype(np.float64) / largest
        return np.round(65535 * light[..., :3] * light[..., 3:]).astype(np.uint16), 65535.0
    return colours, largest
