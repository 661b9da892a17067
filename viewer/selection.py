"""What the page asks for: the words of a query, typed and in range before anything is done."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kernels.library import KERNELS, parameters
from modalities.modality import Modality

VARIES = ("fixed", "fovea", "brush")
# How many times as many samples per axis as the signal has.
SIZES = ("0.25", "0.5", "1", "2", "4")
LONGEST_WORD = 64
# Results that are folders: no browser downloads one.
FOLDERS = (".zarr",)
TOKEN = re.compile(r"[a-z0-9_-]{1,64}")
# What `make_map.py` and `eval.py` are told of a fovea.
LEAST, MOST = "0.17", "1"


@dataclass(frozen=True)
class Selection:
    """A kernel of the library with its parameters as they are typed (`named`), where it varies and how, the size of the
    result, the frame that is shown and the kind of file that is downloaded."""

    named: Mapping[str, str] = field(default_factory=dict)
    vary: str = "fixed"
    row: float = 0.0
    column: float = 0.0
    least: str = LEAST
    most: str = MOST
    map: str = ""
    size: str = "1"
    frame: int = 0
    suffix: str = ""


def downloads(kind: Modality) -> list[str]:
    """Suffixes of the files that results of a modality are downloaded as, the usual one first."""
    return [suffix for suffix in kind.results if suffix not in FOLDERS]


def parse_selection(query: Mapping[str, str]) -> Selection:
    """The selection in a query; raises ValueError for unknown words and for values that none has."""
    known = {"kernel", "vary", "row", "column", "least", "most", "map", "size", "frame", "suffix", *parameters()}
    if unknown := sorted(set(query) - known):
        raise ValueError(f"the page has no {unknown[0]!r:.40}")
    if long := [name for name, text in query.items() if len(text) > LONGEST_WORD]:
        raise ValueError(f"{long[0]} is longer than {LONGEST_WORD} letters")
    words = {name: text for name, text in query.items() if text}
    if words.get("kernel") not in KERNELS:
        raise ValueError(f"there is no kernel called {words.get('kernel', '')!r}; choose one of {', '.join(KERNELS)}")
    named = {name: words.pop(name) for name in ("kernel", *parameters()) if name in words}
    plain: dict[str, Any] = {name: words[name] for name in ("least", "most") if name in words}
    for name in ("map", "suffix"):
        if name in words:
            plain[name] = _token(name, words[name].removeprefix("."))
    if "kernel_image" in named:
        named["kernel_image"] = _token("kernel_image", named["kernel_image"])
    plain |= {name: _number(name, words[name], -1.0, 1.0) for name in ("row", "column") if name in words}
    frame = int(_number("frame", words.get("frame", "0"), 0, 1 << 24))
    vary, size = words.get("vary", "fixed"), words.get("size", "1")
    if vary not in VARIES or size not in SIZES:
        raise ValueError(f"vary is one of {', '.join(VARIES)}, size one of {', '.join(SIZES)}")
    return Selection(named, vary, size=size, frame=frame, **plain)


def _token(name: str, text: str) -> str:
    """A name of something the page was given; raises ValueError for paths and everything else."""
    if not TOKEN.fullmatch(text):
        raise ValueError(f"{name} names something the page was given, and is no path")
    return text


def _number(name: str, text: str, least: float, most: float) -> float:
    """A number in range; raises ValueError."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise ValueError(f"{name} must be a number from {least:g} to {most:g}, not {text!r}")
    return value
