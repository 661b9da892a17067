"""Pictures out: 8-bit PNG and 32-bit float EXR, whole or not at all."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from files.atomic import atomic_write
from files.pictures.raster import BGR


def write_png(path: Path, pixels: np.ndarray) -> Path:
    """Write uint8 pixels [H, W, 1 | 3 | 4] in RGB(A) order as PNG, atomically."""
    import cv2

    _, data = cv2.imencode(".png", np.ascontiguousarray(pixels[..., BGR[pixels.shape[-1]]]))
    with atomic_write(path) as stream:
        stream.write(data.tobytes())
    return path


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
