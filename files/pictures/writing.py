"""Pictures out: 8-bit PNG, JPEG and WebP, and 32-bit float EXR, whole or not at all."""

import struct
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from files.atomic import atomic_write
from files.pictures.raster import BGR, PNG
from files.stored import Array, parts

# PNG's numbers of grey, RGB and RGBA, and of the filter that subtracts the pixel before.
COLOURS, SUB = {1: 0, 3: 2, 4: 6}, 1
LEVEL = 3


def write_png(path: Path, pixels: Array) -> Path:
    """Write uint8 pixels [H, W, 1 | 3 | 4] in RGB(A) order as PNG, atomically and some rows at a time."""
    height, width, channels = pixels.shape
    packed = zlib.compressobj(LEVEL)
    with atomic_write(path) as stream:
        header = struct.pack(">IIBBBBB", width, height, 8, COLOURS[channels], 0, 0, 0)
        stream.write(PNG + _chunk(b"IHDR", header))
        for part in parts(pixels):
            stream.write(_chunk(b"IDAT", packed.compress(_differences(part.reshape(len(part), -1), channels).data)))
        stream.write(_chunk(b"IDAT", packed.flush()) + _chunk(b"IEND", b""))
    return path


def _differences(lines: np.ndarray, channels: int) -> np.ndarray:
    """Lines of bytes [n, m] as PNG packs them best at little cost: less the pixel before, each led by that filter's
    number."""
    found = np.empty((len(lines), 1 + lines.shape[1]), np.uint8)
    found[:, 0] = SUB
    found[:, 1 : 1 + channels] = lines[:, :channels]
    np.subtract(lines[:, channels:], lines[:, :-channels], out=found[:, 1 + channels :])
    return found


def _chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file; nothing for pixels that are not packed yet."""
    if name == b"IDAT" and not data:
        return b""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))


def write_exr(path: Path, values: np.ndarray, alpha: bool = False, windows: tuple[int, ...] = ()) -> Path:
    """Write values [H, W, C] as 32-bit float EXR, atomically: colours, then bands, then `alpha`.

    `windows` as in `Picture`; for another number of pixels they are scaled to it.
    """
    import OpenEXR

    planes = {
        name: np.ascontiguousarray(values[..., number], np.float32)
        for number, name in enumerate(channel_names(values.shape[-1], alpha))
    }
    header: dict[str, Any] = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    if windows:
        data_window, display = scaled_windows(windows, values.shape[:2])
        header |= {"dataWindow": data_window, "displayWindow": display}
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "draft.exr"
        OpenEXR.File(header, planes).write(str(draft))
        data = draft.read_bytes()
    with atomic_write(path) as stream:
        stream.write(data)
    return path


def channel_names(count: int, alpha: bool) -> list[str]:
    """EXR names of `count` channels: Y or R, G, B, then band2 or band4, ..., then A."""
    colours = ["R", "G", "B"] if count - alpha >= 3 else ["Y"]
    bands = [f"band{number + 1}" for number in range(len(colours), count - alpha)]
    return [*colours, *bands, *(["A"] if alpha else [])]


def scaled_windows(windows: tuple[int, ...], shape: tuple[int, ...]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Data and display window as (first, last) pixel, the data window of `shape` (rows, columns)."""
    corners = np.reshape(windows, (2, 2, 2)).astype(np.int64)
    ends = corners + np.array([[0, 0], [1, 1]])  # behind the last pixel
    size = np.array(shape[::-1])
    ends = np.round(ends * (size / (ends[0, 1] - ends[0, 0]))).astype(np.int64)
    ends[0, 1] = ends[0, 0] + size
    ends[1, 1] = np.maximum(ends[1, 1], ends[1, 0] + 1)
    return [(first.astype(np.int32), (last - 1).astype(np.int32)) for first, last in ends]


def write_encoded(path: Path, pixels: np.ndarray) -> Path:
    """Write uint8 pixels [H, W, 1 | 3 | 4] in RGB(A) order as JPEG, over black, or as lossless WebP, atomically.

    Raises ValueError for more pixels than these hold.
    """
    import cv2

    lossy = path.suffix.lower() != ".webp"
    if lossy and pixels.shape[-1] == 4:
        pixels = np.round(pixels[..., :3] * (pixels[..., 3:] / 255.0)).astype(np.uint8)
    full = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]  # chroma at every pixel
    # Beyond a quality of 100 WebP is lossless.
    options = [cv2.IMWRITE_JPEG_QUALITY, 95, *full] if lossy else [cv2.IMWRITE_WEBP_QUALITY, 101]
    stored = np.ascontiguousarray(pixels[..., BGR[pixels.shape[-1]]])
    try:
        done, data = cv2.imencode(path.suffix.lower(), stored, options)
    except cv2.error:
        done = False
    if not done:
        raise ValueError(f"{path.suffix} does not hold {stored.shape[1]} x {stored.shape[0]} pixels: name a .png")
    with atomic_write(path) as stream:
        stream.write(data.tobytes())
    return path
