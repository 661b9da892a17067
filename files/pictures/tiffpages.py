"""Pages of a TIFF as tifffile finds them: which is the picture, which its mask, and what of one stands in the way."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from files.inputs import LARGEST_SAMPLES, first_line
from files.pictures.picture import check_size

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, INKS, YCBCR, CIELAB = 0, 1, 2, 3, 5, 6, 8
# Colours of a pixel by PhotometricInterpretation; other channels are ExtraSamples.
COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, INKS: 4, YCBCR: 3}
# Codecs that hand out RGB, whatever they store: JPEG of several kinds.
JPEGS = (6, 7, 34892, 33007)
LARGEST_PAGES, LARGEST_BANDS = 10_000, 256
ADVICE = "save it as a plain TIFF or a PNG first"


@contextmanager
def reading_tiff(path: Path) -> Iterator[None]:
    """Whatever tifffile raises becomes a ValueError that names the file; its own log, which repeats it, is off."""
    logger = logging.getLogger("tifffile")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    except Exception as error:
        # It raises nearly anything on damaged bytes; our own sentences name the file already.
        if str(path) in str(error):
            raise
        raise ValueError(f"{path} is cut off or damaged ({first_line(error)[:160]}); write it again") from None
    finally:
        logger.disabled = before


def choose(file: "TiffFile") -> tuple["TiffPage", list[str]]:
    """The first page that is no thumbnail, mask or smaller copy, else a page within one; and what else there is."""
    pages: list[Any] = [page.aspage() for page, _ in zip(file.pages, range(LARGEST_PAGES), strict=False)]
    whole = [number for number, page in enumerate(pages) if not _kind(page) & 5]
    if not whole:
        inner = [sub.aspage() for page in pages for sub in page.pages or () if not _kind(sub.aspage()) & 5]
        return (
            (inner[0], ["its first pages are thumbnails: the picture within them is read"]) if inner else (pages[0], [])
        )
    notes = []
    if whole[0] > 0 or len(whole) > 1:
        first = f"page {whole[0] + 1} of {len(pages)} is read"
        notes.append(f"{first}: those before it are thumbnails" if whole[0] else first)
    return pages[whole[0]], notes


def _kind(page: "TiffPage") -> int:
    """NewSubfileType (1: smaller copy, 4: mask), from the older SubfileType where there is no other."""
    return tag(page, 254, 1 if tag(page, 255, 1) == 2 else 0)


def mask_of(file: "TiffFile", page: "TiffPage") -> "TiffPage | None":
    """The mask of a page, as large as it; None where there is none."""
    pages: Iterator[Any] = (other.aspage() for other, _ in zip(file.pages, range(LARGEST_PAGES), strict=False))
    size = page.imagelength, page.imagewidth
    return next((other for other in pages if _kind(other) == 4 and (other.imagelength, other.imagewidth) == size), None)


def tag(page: "TiffPage", number: int, default: int) -> int:
    """A tag that is one whole number."""
    tag = page.tags.get(number)
    return tag.value if tag is not None and isinstance(tag.value, int) else default


def check_claims(path: Path, page: "TiffPage") -> None:
    """Raise ValueError for pages too large, of several kinds of samples, or beyond the end of the file."""
    check_size(path, page.imagewidth, page.imagelength)
    if page.imagewidth * page.imagelength * page.samplesperpixel > LARGEST_SAMPLES:
        raise ValueError(f"{path} has {page.samplesperpixel} samples per pixel (tag 277), too many; {ADVICE}")
    check_layout(path, page)


def check_layout(path: Path, page: "TiffPage") -> None:
    """Raise ValueError for pages of several kinds of samples, or beyond the end of the file."""
    if page.samplesperpixel > LARGEST_BANDS:
        raise ValueError(f"{path} has {page.samplesperpixel} samples per pixel (tag 277), too many; {ADVICE}")
    if page.imagedepth > 1:
        raise ValueError(f"{path} is a volume, ImageDepth {page.imagedepth} (tag 32997); save one slice first")
    bits = page.tags.get(258)
    if bits is not None and isinstance(bits.value, tuple) and len(set(bits.value)) > 1:
        raise ValueError(f"{path} has BitsPerSample {str(bits.value)[:60]} (tag 258), which is not supported; {ADVICE}")
    ends = [place + size for place, size in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if not ends or max(ends) > path.stat().st_size:
        raise ValueError(f"{path} is cut off: its pixels continue beyond the end of the file; copy it again")


def obstacle(page: "TiffPage") -> str:
    """The tag that tifffile lacks something for, or nothing."""
    from tifffile import TIFF

    if page.photometric not in COLOURS:
        return f"PhotometricInterpretation {_named(page.photometric)} (tag 262)"
    if page.compression != 1:
        try:
            TIFF.DECOMPRESSORS[page.compression]
        except KeyError:
            return f"Compression {_named(page.compression)} (tag 259)"
    if page.photometric == YCBCR and page.compression not in JPEGS:
        return "PhotometricInterpretation YCBCR without JPEG (tag 262)"
    if page.dtype is None or page.dtype.kind not in "biuf":
        return f"SampleFormat {_named(page.sampleformat)} of {page.bitspersample} bits (tag 339)"
    if page.predictor not in (1, 2, 3):
        return f"Predictor {_named(page.predictor)} (tag 317)"
    return ""


def _named(value: Any) -> str:
    return f"{value.name} ({int(value)})" if hasattr(value, "name") else str(value)
