"""The kinds of signals: how each is loaded, written and measured (knows no fields and no kernels).

A new modality is one file here and one entry in MODALITIES.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modalities.audio import AUDIO
from modalities.geometry import GEOMETRY
from modalities.image import IMAGE
from modalities.modality import CAPTIONS, LoadOption, Modality
from modalities.motion import MOTION
from modalities.video import VIDEO

MODALITIES: dict[str, Modality] = {entry.name: entry for entry in (IMAGE, GEOMETRY, VIDEO, AUDIO, MOTION)}
ALIASES = {"sound": "audio", "mesh": "geometry", "images": "image", "videos": "video"}

__all__ = ["ALIASES", "CAPTIONS", "MODALITIES", "LoadOption", "Modality", "check_known", "find", "for_path"]


def find(name_or_number: str | int) -> Modality:
    """The modality of this name, alias or number ('image', '1' or 1); raises ValueError."""
    wanted = str(name_or_number).strip().lower()
    wanted = ALIASES.get(wanted, wanted)
    for entry in MODALITIES.values():
        if wanted in (entry.name, str(entry.number)):
            return entry
    known = ", ".join(f"{entry.name} ({entry.number})" for entry in MODALITIES.values())
    raise ValueError(f"there is no modality {name_or_number!r}; choose one of {known}")


def check_known(name: str, meta: Mapping[str, Any], shape: Sequence[int], channels: int) -> None:
    """`Modality.check` of a signal of the modality `name`, where there is one: nobody asks others to be drawn."""
    if name in MODALITIES:
        MODALITIES[name].check(meta, shape, channels)


def for_path(path: str | Path) -> Modality:
    """The modality that reads `path`, by its extension; a folder is a video's frames; raises ValueError."""
    path = Path(path)
    if path.is_dir():
        return find("video")
    for entry in MODALITIES.values():
        if path.suffix.lower() in entry.extensions:
            return entry
    known = ", ".join(extension for entry in MODALITIES.values() for extension in entry.extensions)
    raise ValueError(f"{path}: no modality reads {path.suffix or 'a file without extension'!r}; known are {known}")
