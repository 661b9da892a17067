"""How the values of a signal are shown on the page: one class per kind of view, chosen by the modality's name.

A view names the module of the page that shows it (`kind`) and turns values into the parts of a packet. While a slider
is dragged a view may ask for fewer samples (`coarse`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from modalities.display import picture, signed_size
from modalities.field import middle_plane
from modalities.image import ImageMetadata, shown_size
from modalities.sdf import extract_surface
from models import Field
from signals.metadata import metadata_of

Parts = dict[str, np.ndarray | bytes]
# Quality of JPEG while dragging; compression of PNG at rest, where speed counts more than bytes.
QUALITY, COMPRESSION = 90, 1
# Samples per axis of a shape while it is dragged.
COARSE_SHAPE = 64


def encoded(pixels: np.ndarray, draft: bool = False) -> bytes:
    """uint8 [H, W, 1 | 3 | 4] as PNG, or while dragging as JPEG where there is no alpha."""
    order: Any = {1: slice(None), 3: [2, 1, 0], 4: [2, 1, 0, 3]}[pixels.shape[-1]]
    if draft and pixels.shape[-1] < 4:
        kind, flags = ".jpg", [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    else:
        kind, flags = ".png", [cv2.IMWRITE_PNG_COMPRESSION, COMPRESSION]
    return bytes(cv2.imencode(kind, np.ascontiguousarray(pixels[..., order]), flags)[1])


def error_picture(error: np.ndarray) -> bytes:
    """Errors [H, W] from 0 (black) to the largest (pale) as PNG, in the colours of the figures."""
    return encoded(coloured(error / (float(error.max()) or 1.0)))


def coloured(values: np.ndarray) -> np.ndarray:
    """Values [H, W] from 0 to 1 as uint8 [H, W, 3], from black over red to pale."""
    return np.asarray(cv2.applyColorMap(np.round(255 * values).astype(np.uint8), cv2.COLORMAP_MAGMA))[..., ::-1]


class View:
    """Pictures, and of other signals with more than one axis the middle plane."""

    kind = "picture"

    def __init__(self, field: Field) -> None:
        self.field, self.metadata = field, field.origin.metadata

    def facts(self) -> dict[str, Any]:
        """What the page must know before the first result."""
        return {}

    def coarse(self, shape: Sequence[int], level: int) -> tuple[int, ...]:
        """The grid while dragging, `level` times coarser where that costs too much."""
        return tuple(max(2, n // level) if n > 2 else n for n in shape)

    def frame(self, shape: Sequence[int], number: int) -> tuple[int, int] | None:
        """The axis and sample that alone are shown while dragging, where there are such."""
        return None

    def parts(self, values: np.ndarray, signed: bool | None, draft: bool) -> Parts:
        """What shows the values [M_1, ..., M_d, c]."""
        plane = middle_plane(values)
        low, high = float(plane.min()), float(plane.max())
        if signed:
            return {"picture": encoded(picture(plane, size=signed_size(plane)), draft)}
        return {"picture": encoded(picture((plane - low) / ((high - low) or 1.0)), draft)}

    def error(self, values: np.ndarray, truth: np.ndarray) -> Parts:
        """What shows how far values are from the truth."""
        apart = np.abs(middle_plane(values) - middle_plane(truth)).mean(-1)
        return {"picture": error_picture(apart)} if apart.ndim == 2 else {"curves": apart[:, None]}


class PictureView(View):
    """Images, as `output.png` shows them."""

    def parts(self, values: np.ndarray, signed: bool | None, draft: bool) -> Parts:
        own = metadata_of(ImageMetadata, self.metadata)
        size = shown_size(values, own, signed)
        return {"picture": encoded(picture(own.shown(values), own.alpha, own.linear, size), draft)}

    def error(self, values: np.ndarray, truth: np.ndarray) -> Parts:
        return {"picture": error_picture(np.abs(values - truth).mean(-1))}


class SurfaceView(View):
    """The zero level of distances, with the gradient of the distances as normals."""

    kind = "surface"

    def coarse(self, shape: Sequence[int], level: int) -> tuple[int, ...]:
        return tuple(max(2, min(n, COARSE_SHAPE) // level) for n in shape)

    def parts(self, values: np.ndarray, signed: bool | None, draft: bool) -> Parts:
        vertices, faces = extract_surface(values[..., 0])
        return {"vertices": vertices, "normals": normals_at(values[..., 0], vertices), "faces": faces}


def normals_at(distances: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Unit gradients [V, 3] of distances [Nx, Ny, Nz] at points [V, 3] of the domain."""
    from scipy.ndimage import map_coordinates

    counts = np.array(distances.shape)
    places = ((points + 1) * (counts - 1) / 2).T
    parts = np.gradient(np.asarray(distances, np.float32), *(2 / (counts - 1)))
    found = np.stack([map_coordinates(part, places, order=1, mode="nearest") for part in parts], axis=-1)
    return found / np.maximum(np.linalg.norm(found, axis=-1, keepdims=True), 1e-9)


def view_of(field: Field) -> View:
    """The view of the field's modality; of callables and arrays by their number of axes."""
    from viewer.timeviews import ClipView, CurveView, SkeletonView, SoundView

    known: Mapping[str, type[View]] = {
        "image": PictureView, "geometry": SurfaceView, "video": ClipView, "audio": SoundView,
        "motion": SkeletonView, "series": CurveView,
    }  # fmt: skip
    if field.origin.modality in known:
        return known[field.origin.modality](field)
    if field.config.dim == 1:
        return CurveView(field)
    return (SurfaceView if field.config.dim == 3 and field.config.channels == 1 else View)(field)
