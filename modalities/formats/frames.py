"""A decoded frame as pixels: upright, at its full depth, with its alpha; and the times frames are shown at.

Colours follow the code points of ITU-T H.273, which FFmpeg and MP4 share: primaries, transfer curve, matrix.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

UNKNOWN = 2
UNSTATED = (UNKNOWN, UNKNOWN, UNKNOWN)
BT709, BT601 = 1, 6
# Kr and Kb of the matrices that FFmpeg's scaler knows.
LUMA = {
    BT709: (0.2126, 0.0722),
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601 of 625 lines
    BT601: (0.299, 0.114),
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020
}
FULL_RANGE = 2
# Times count as even if none is further off than this share of a step, or than the container rounds them.
TIME_TOLERANCE = 0.05


def is_large(rows: int, columns: int) -> bool:
    """Whether players take untagged frames of this size for BT.709 rather than BT.601."""
    return rows > 576 or columns >= 1280


def frame_pixels(frame: Any) -> np.ndarray:
    """The RGB(A) pixels [H, W, 3 | 4] of a PyAV frame as players show it; uint8, or uint16 where it is deeper.

    Raises ValueError for colour matrices that FFmpeg's scaler would silently read as BT.601.
    """
    form = frame.format
    if not form.is_rgb and frame.colorspace not in (*LUMA, 0, UNKNOWN, 3):
        raise ValueError(f"its colour matrix (H.273 number {frame.colorspace}) is not supported; convert it to BT.709")
    alpha = form.has_palette or any(part.is_alpha for part in form.components)
    bits = max(part.bits for part in form.components)
    if bits <= 8:
        pixels = frame.to_ndarray(format="rgba" if alpha else "rgb24")
    elif form.is_rgb:
        pixels = _whole_scale(frame.to_ndarray(format="gbrap16le" if alpha else "gbrp16le"), bits)
    else:
        pixels = _deep_colours(frame, bits)
        if alpha:
            opacity = _whole_scale(frame.to_ndarray(format="gbrap16le")[..., 3:], bits)
            pixels = np.concatenate([pixels, opacity], axis=-1)
    return np.ascontiguousarray(_upright(pixels, _display_matrix(frame)))


def _whole_scale(samples: np.ndarray, bits: int) -> np.ndarray:
    """Samples of `bits` that FFmpeg shifted up to 16, as uint16 that reach 65535 (floats, of 32 bits, do already)."""
    if bits > 16:
        return samples
    largest = ((1 << bits) - 1) << (16 - bits)
    return np.round(np.minimum(samples / np.float32(largest), 1) * 65535).astype(np.uint16)


def _deep_colours(frame: Any, bits: int) -> np.ndarray:
    """RGB [H, W, 3] uint16 of a YCbCr frame of more than 8 bits.

    FFmpeg's scaler only brings the chroma to full size: its own conversion of limited range is off by 2.5 of 1023
    levels, and its rgb48 of 4:2:0 by 70 of 255.
    """
    planes = frame.to_ndarray(format="yuv444p16le") / np.float32(1 << (16 - bits))  # the samples are shifted up
    full, unit = frame.color_range == FULL_RANGE, 1 << (bits - 8)
    black, white, swing = (0, (1 << bits) - 1, (1 << bits) - 1) if full else (16 * unit, 219 * unit, 224 * unit)
    luma = (planes[..., 0] - black) / white
    blue, red = ((planes[..., i] - 128 * unit) / swing for i in (1, 2))
    kr, kb = LUMA.get(frame.colorspace, LUMA[BT601])
    r, b = luma + 2 * (1 - kr) * red, luma + 2 * (1 - kb) * blue
    colours = np.stack([r, (luma - kr * r - kb * b) / (1 - kr - kb), b], axis=-1)
    return np.round(65535 * np.clip(colours, 0, 1)).astype(np.uint16)


def _display_matrix(frame: Any) -> tuple[int, int, int, int]:
    """a, b, c, d of the matrix that takes stored pixels (x, y), y downwards, to (a x + c y, b x + d y)."""
    for entry in frame.side_data:
        if entry.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = np.frombuffer(bytes(entry), np.int32)[:5].tolist()
            return a, b, c, d
    return (1, 0, 0, 1)


def _upright(pixels: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """`pixels` turned and mirrored by the quarter turn and reflection nearest to `matrix`."""
    a, b, c, d = matrix
    across, down = a, d
    if _exchanges(matrix):
        pixels, across, down = pixels.swapaxes(0, 1), c, b
    return pixels[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]


def _exchanges(matrix: tuple[int, int, int, int]) -> bool:
    a, b, c, d = map(abs, matrix)
    return b + c > a + d


def is_turned(frame: Any) -> bool:
    """Whether rows and columns of a frame are exchanged for display."""
    return _exchanges(_display_matrix(frame))


def is_oblique(frame: Any) -> bool:
    """Whether the display matrix of a frame turns it by anything but quarter turns."""
    a, b, c, d = map(abs, _display_matrix(frame))
    return min(a + d, b + c) > 0.01 * max(a + d, b + c)


def even_places(times: np.ndarray, rounding: float) -> np.ndarray | None:
    """Places [T'] among the frames, numbered from 0, that lie at even times; None where `times` [T] are even already.

    `rounding` is the unit in which the container counts time. The step is the mean of the shortest ones, so that the
    fastest part keeps its frames; times that only jitter keep their number.
    """
    if len(times) < 3:
        return None
    even = np.linspace(times[0], times[-1], len(times))
    if np.abs(times - even).max() <= max(TIME_TOLERANCE * (even[1] - even[0]), 1.01 * rounding):
        return None
    steps = np.diff(times)
    usual = steps[steps <= 1.5 * np.quantile(steps, 0.1)].mean()
    count = max(len(times), round((times[-1] - times[0]) / usual) + 1)
    return np.interp(np.linspace(times[0], times[-1], count), times, np.arange(len(times)))


def blended(
    frames: deque[np.ndarray], places: np.ndarray | None, colours: Callable[[np.ndarray], np.ndarray]
) -> Iterator[np.ndarray]:
    """The `colours` of `frames` at `places`, interpolated linearly; None: of all as they are.

    Frames are dropped from `frames` once they are passed, so that memory never holds a video twice.
    """
    dropped = 0
    for place in np.arange(len(frames)) if places is None else places:
        while dropped < int(place):
            frames.popleft()
            dropped += 1
        share = float(place) - dropped
        shown = colours(frames[0])
        yield shown + np.float32(share) * (colours(frames[1]) - shown) if share else shown
