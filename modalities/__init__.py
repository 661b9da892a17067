"""The kinds of signals: how each is loaded, written, measured and drawn (knows no fields).

A new modality is one file with one class, and one entry in MODALITIES.
"""

from pathlib import Path

import numpy as np

from files import load_array
from files.inputs import warn
from modalities.audio import Audio
from modalities.field import Continuum
from modalities.figures import CAPTIONS, figure_pixels
from modalities.formats.programs import is_program, refuse_model
from modalities.geometry import Geometry
from modalities.image import Image, ImageMetadata
from modalities.modality import Modality
from modalities.motion import Motion
from modalities.series import Series
from modalities.video import Video
from signals.metadata import metadata_of

MODALITIES: dict[str, Modality] = {
    entry.name: entry for entry in (Image(), Geometry(), Video(), Audio(), Motion(), Series())
}
# Callables are no kind of file that a folder of scripts is written for.
CALLABLES = Continuum()
ALIASES = {"callable": "field", "sound": "audio", "mesh": "geometry", "images": "image", "videos": "video"}

__all__ = [
    "CALLABLES",
    "CAPTIONS",
    "MODALITIES",
    "Modality",
    "figure_pixels",
    "find",
    "for_path",
    "kind_of",
    "read_mask",
]


def read_mask(path: str | Path) -> np.ndarray:
    """Weights [N_1, ..., N_d] of samples: the lightness of a picture, or an .npy array; raises ValueError."""
    if Path(path).suffix == ".npy":
        return load_array(Path(path)).astype(np.float64)
    signal = MODALITIES["image"].load(path)
    own = metadata_of(ImageMetadata, signal.metadata)
    if own.known is not None:
        raise ValueError(f"{path} has pixels without a value, and a mask requires a weight for each; fill them first")
    shown = own.shown(np.asarray(signal.values))
    return (shown[..., :-1] if own.alpha else shown).mean(axis=-1)


def find(name_or_number: str | int) -> Modality:
    """The modality of this name, alias or number ('image', '1' or 1); raises ValueError."""
    wanted = str(name_or_number).strip().lower()
    wanted = ALIASES.get(wanted, wanted)
    for entry in (*MODALITIES.values(), CALLABLES):
        if wanted in (entry.name, str(entry.number)):
            return entry
    known = ", ".join(f"{entry.name} ({entry.number})" for entry in MODALITIES.values())
    tile = "" if wanted else " (one tile of a field has none: give the folder of all)"
    raise ValueError(f"there is no modality {name_or_number!r}; choose one of {known}{tile}")


def for_path(path: str | Path) -> Modality:
    """The modality that reads `path`, by its extension; a folder is a video's frames; raises ValueError."""
    path = Path(path)
    if path.is_dir() and path.suffix.lower() != ".zarr":
        return find("video")
    if is_program(path):
        return CALLABLES
    refuse_model(path)
    for entry in MODALITIES.values():
        if path.suffix.lower() in entry.extensions:
            return entry
    known = ", ".join(extension for entry in MODALITIES.values() for extension in entry.extensions)
    raise ValueError(f"{path}: no modality reads {path.suffix or 'a file without extension'!r}; name its --modality to "
                     f"have it tried, or give one of {known}")  # fmt: skip


def kind_of(path: str | Path, name: str | int | None = None) -> Modality:
    """The modality that is named, else the one that reads `path`; raises ValueError.

    A named one is tried with any extension, with a printed warning where that is not one of its own.
    """
    if name is None:
        return for_path(path)
    kind, suffix = find(name), Path(path).suffix
    if Path(path).is_file() and suffix.lower() not in kind.extensions + kind.named_extensions:
        warn(f"{path}: {suffix or 'no extension'} is not one of {kind.name}; trying it as one")
    return kind
