"""PNG, JPEG, BMP, WebP, HDR and whatever else OpenCV decodes at full depth (others silently drop 16 bit to 8)."""

import struct
import warnings
from pathlib import Path

import numpy as np

from files.pictures.picture import ADVICE, Picture, check_size, missing_pixels, upright

PNG, JPEG, RADIANCE = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"#?"
ORIENTATION = 0x0112
# Chunks of an animated PNG beside its default picture.
ANIMATION = (b"acTL", b"fcTL", b"fdAT")
# OpenCV stores colours backwards.
BGR = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}


def read_raster(path: Path) -> Picture:
    """The picture at `path`, by OpenCV, with what OpenCV ignores; raises ValueError."""
    orientation, moving = _header(path)
    data = path.read_bytes()
    notes: list[str] = []
    see_through = None
    if data.startswith(PNG):
        data, see_through = _png(path, data)
    elif data.startswith(JPEG):
        notes += _jpeg_damage(path, data)
    elif data[:4] == b"RIFF" and struct.unpack("<I", data[4:8].ljust(4, b"\0"))[0] + 8 > len(data):
        raise ValueError(f"{path} is cut off; copy it again")
    if moving:
        notes.append("it is animated: only its default picture is read")
    pixels = decode(data)
    if pixels is None:
        raise ValueError(f"{path} is not a readable image, or it is damaged; {ADVICE}")
    if pixels.shape[-1] not in BGR:
        raise ValueError(f"{path} has {pixels.shape[-1]} channels; save it as grey, RGB or RGBA first")
    pixels = pixels[..., BGR[pixels.shape[-1]]]
    if see_through is not None and pixels.shape[-1] == 1:
        alpha = np.where(pixels == see_through, 0, np.iinfo(pixels.dtype).max).astype(pixels.dtype)
        pixels = np.concatenate([np.repeat(pixels, 3, axis=-1), alpha], axis=-1)
    if data[:2] == b"BM":
        pixels = _opaque_bitmap(data, pixels, notes)
    pixels = upright(pixels, orientation)
    whole = np.issubdtype(pixels.dtype, np.integer)
    return Picture(
        pixels,
        alpha=pixels.shape[-1] == 4,
        largest=float(np.iinfo(pixels.dtype).max) if whole else 1.0,
        linear=data.startswith(RADIANCE),
        missing=None if whole else missing_pixels(pixels),
        notes=tuple(notes),
    )


def _opaque_bitmap(data: bytes, pixels: np.ndarray, notes: list[str]) -> np.ndarray:
    """The pixels of a BMP without alpha where it is 0 everywhere, and in `notes` what became of the fourth byte."""
    start, bits = struct.unpack("<I", data[10:14])[0], struct.unpack("<H", data[28:30])[0]
    fourth = pixels[..., 3] if pixels.shape[-1] == 4 else np.frombuffer(data, np.uint8)[start + 3 :: 4]
    if bits != 32 or fourth.size == 0:
        return pixels
    if not fourth.any():
        notes.append("its alpha is 0 everywhere, as programs without alpha write 32-bit BMP: read as opaque")
        return pixels[..., :3]
    if pixels.shape[-1] == 3 and fourth.min() < 255:
        notes.append("its fourth channel is left out: the header names no alpha")
    return pixels


def decode(data: bytes) -> np.ndarray | None:
    """The pixels [H, W, C] (colours backwards) that OpenCV decodes, or None; without its log."""
    import cv2

    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    finally:
        cv2.utils.logging.setLogLevel(level)
    return None if pixels is None or pixels.size == 0 else pixels.reshape(*pixels.shape[:2], -1)


def _header(path: Path) -> tuple[int, bool]:
    """EXIF orientation (1: as stored), and whether there is more than one frame; raises ValueError for a bomb.

    OpenCV turns photographs only where it also drops their alpha.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own error says it
            with Image.open(path) as header:
                size, moving = header.size, bool(getattr(header, "is_animated", False))
                # MPO: photographs with a second view or a preview.
                moving = moving and header.format != "MPO"
                orientation = header.getexif().get(ORIENTATION, 1)
    except Image.DecompressionBombError:
        size, orientation, moving = (1 << 30, 1), 1, False
    except Exception:  # not known to Pillow, or damaged: OpenCV has a bound of its own
        return 1, False
    check_size(path, *size)
    return (orientation if orientation in range(1, 9) else 1), moving


def _png(path: Path, data: bytes) -> tuple[bytes, int | None]:
    """A PNG without its animation, and the grey that is transparent by its tRNS chunk, which OpenCV ignores.

    OpenCV allocates whatever length a chunk claims, and decodes what is left of a truncated file: raises ValueError.
    """
    kept, place, depth, colours, grey = [PNG], len(PNG), 8, 0, None
    name = b""
    while place + 8 <= len(data) and name != b"IEND":
        size, name = struct.unpack(">I4s", data[place : place + 8])
        chunk = data[place : place + 12 + size]
        if len(chunk) < 12 + size:
            break
        if name == b"IHDR" and size >= 10:
            depth, colours = chunk[16], chunk[17]
        elif name == b"tRNS" and colours == 0 and size >= 2:
            # Shallow greys are stretched to 8 bit.
            grey = struct.unpack(">H", chunk[8:10])[0] * (255 // (2**depth - 1) if depth < 8 else 1)
        if name not in ANIMATION:
            kept.append(chunk)
        place += len(chunk)
        if name == b"IEND":
            return b"".join(kept), grey
    raise ValueError(f"{path} is cut off: it continues beyond the end of the file; copy it again, or {ADVICE}")


def _jpeg_damage(path: Path, data: bytes) -> list[str]:
    """What libjpeg warns of, which OpenCV and Pillow keep to themselves; raises ValueError where the end is missing.

    JPEG has no checksum: a changed bit that leaves valid codes is not noticed by anyone.
    """
    import simplejpeg

    try:
        simplejpeg.decode_jpeg(data, strict=True)
    except ValueError as error:
        if "Premature end of JPEG file" in str(error):
            raise ValueError(f"{path} is cut off; copy it again, or {ADVICE}") from None
        return [f"it may be damaged ({str(error).strip()}): look at the picture, or copy it again"]
    return []
