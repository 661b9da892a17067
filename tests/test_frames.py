"""Colours and times of frames, against the formulas of their standards."""

from collections import deque

import av
import numpy as np
import pytest

from modalities import find
from modalities.formats.frames import LUMA, blended, even_places, frame_pixels
from modalities.video import VideoMetadata


def stored(form: str, luma: int, blue: int, red: int, matrix: int, full: bool):
    """A frame of PyAV whose planes hold these numbers."""
    frame = av.VideoFrame(32, 16, form)
    for plane, level in zip(frame.planes, (luma, blue, red), strict=True):
        kind = np.uint16 if frame.format.components[0].bits > 8 else np.uint8
        plane.update(np.full(plane.buffer_size // np.dtype(kind).itemsize, level, kind))
    frame.colorspace, frame.color_range = matrix, 2 if full else 1
    return frame


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("form", "bits"), [("yuv420p", 8), ("yuv420p10le", 10), ("yuv422p12le", 12)])
@pytest.mark.parametrize("matrix", list(LUMA))
def test_colours_are_those_of_their_matrix_and_range(form, bits, matrix, full):
    """ITU-R BT.601, 709 and 2020: Y' = Kr R + (1 - Kr - Kb) G + Kb B, CB = (B - Y') / (2 - 2 Kb), CR likewise."""
    rgb = np.array([0.7, 0.2, 0.4])
    kr, kb = {1: (0.2126, 0.0722), 4: (0.3, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}.get(matrix, (0.299, 0.114))
    luma = kr * rgb[0] + (1 - kr - kb) * rgb[1] + kb * rgb[2]
    differences = [(rgb[2] - luma) / (2 - 2 * kb), (rgb[0] - luma) / (2 - 2 * kr)]
    unit = 1 << (bits - 8)
    scales = (0, 256 * unit - 1, 256 * unit - 1) if full else (16 * unit, 219 * unit, 224 * unit)
    codes = [scales[0] + scales[1] * luma, *(128 * unit + scales[2] * part for part in differences)]
    pixels = frame_pixels(stored(form, *(round(code) for code in codes), matrix, full))
    assert pixels.dtype == (np.uint8 if bits == 8 else np.uint16)
    # Half a level of each plane; FFmpeg's own conversion of 8 bits rounds down.
    np.testing.assert_allclose(
        pixels[8, 8] / np.iinfo(pixels.dtype).max, rgb, atol=(2.6 if bits == 8 else 1.4) / 2**bits
    )


@pytest.mark.parametrize("matrix", [8, 14])
def test_matrices_nobody_converts_are_refused(matrix):
    with pytest.raises(ValueError, match=rf"colour matrix \(H.273 number {matrix}\) is not supported"):
        frame_pixels(stored("yuv420p", 100, 110, 150, matrix, False))


def test_places_among_frames():
    assert even_places(np.array([0.0, 1.0, 2.04, 3.0]), 0.0) is None
    assert even_places(np.array([0.0, 1.0, 2.1, 3.0]), 0.1) is None
    assert even_places(np.array([0.0, 5.0]), 0.0) is None
    np.testing.assert_allclose(even_places(np.array([0.0, 1.0, 2.1, 3.0]), 0.0), [0, 1, 1 + 1 / 1.1, 3])
    np.testing.assert_allclose(even_places(np.array([0.0, 1, 2, 4, 5]), 0.0), [0, 1, 2, 2.5, 3, 4])


def test_frames_are_dropped_as_they_are_passed():
    frames = deque(np.full((1, 1, 1), level, np.float32) for level in (0, 10, 30))
    found = [(float(frame[0, 0, 0]), len(frames)) for frame in blended(frames, np.array([0, 0.5, 1, 1.75, 2]), np.copy)]
    assert found == [(0, 3), (5, 3), (10, 2), (25, 2), (30, 1)]


@pytest.mark.parametrize(("rows", "columns", "matrix"), [(576, 720, 6), (578, 720, 1), (720, 1280, 1)])
def test_colours_that_no_file_stated_are_written_as_players_take_them(tmp_path, rows, columns, matrix):
    values = np.empty((rows, columns, 1, 3), np.float32)
    values[:] = (0.8, 0.2, 0.4)
    find("video").save(values, tmp_path, VideoMetadata(25.0, 1))
    with av.open(str(tmp_path / "output.mp4")) as container:
        frame = next(container.decode(video=0))
    assert frame.colorspace == matrix
    np.testing.assert_allclose(frame.to_ndarray(format="rgb24")[9, 9] / 255, [0.8, 0.2, 0.4], atol=3 / 255)
