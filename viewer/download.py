"""The file that `eval.py` writes for a request of the page, and the command that writes the same file."""

import shlex
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from modalities.modality import Modality
from viewer.foveation import fovea_map
from viewer.session import Session
from viewer.wish import Wish, downloads

# What eval.py filters with where it is not told otherwise.
EVAL_SETTINGS: dict[str, Any] = {"precision": "auto", "accuracy": 60.0, "block": 256**2}
FOVEA_FILE, BRUSH_FILE = "fovea.npy", "brush.npy"


def result_name(kind: Modality, wish: Wish) -> str:
    """Name of the file of a result; raises ValueError for a suffix that the modality is not written with."""
    known = downloads(kind)
    suffix = f".{wish.suffix}" if wish.suffix else known[0]
    if suffix not in known:
        raise ValueError(f"{kind.name} is not downloaded as {suffix}: choose one of {', '.join(known)}")
    return f"output{suffix}"


def result_file(session: Session, wish: Wish) -> bytes:
    """The bytes that `eval.py --save_path output.SUFFIX` writes."""
    name, chosen = result_name(session.kind, wish), session.chosen(wish)
    result = chosen.apply(session.field, session.shape(wish), **EVAL_SETTINGS)
    with tempfile.TemporaryDirectory(prefix="nfc_view_") as folder:
        path = Path(folder) / name
        metadata = session.field.origin.metadata
        return session.kind.save_as(result, path, metadata, chosen.signed or None).read_bytes()


def map_file(session: Session, wish: Wish) -> tuple[str, bytes]:
    """Name and bytes of the `.npy` map that the command reads; raises ValueError for kernels that do not vary."""
    if wish.vary == "fixed":
        raise ValueError("this kernel is the same everywhere: there is no map")
    brush = wish.vary == "brush"
    values = session.given.map(wish.map) if brush else fovea_map(session.field.origin.shape, wish.row, wish.column)
    with tempfile.TemporaryFile() as stream:
        np.save(stream, values)
        stream.seek(0)
        return (BRUSH_FILE if brush else FOVEA_FILE), stream.read()


def command(session: Session, wish: Wish) -> str:
    """The lines that write the same file, to be run in the repository."""
    session.chosen(wish)  # raises ValueError for what eval.py refuses
    words = ["python", "eval.py", "--model_path", str(session.model)]
    first = ""
    if wish.vary == "brush":
        words += ["--covariance_map", BRUSH_FILE]
    else:
        for name, text in wish.named.items():
            words += [f"--{name}", str(session.given.picture(text)) if name == "kernel_image" else text]
    if wish.vary == "fovea":
        words += ["--scale_map", FOVEA_FILE, "--scale_range", f"{wish.least},{wish.most}"]
        if session.path is not None:
            made = ["python", "make_map.py", "--kind", "fovea", "--path", str(session.path), "--save_path", FOVEA_FILE]
            first = shlex.join([*made, "--row", f"{wish.row:g}", "--column", f"{wish.column:g}"]) + "\n"
    for flag, size in session.sizes(wish).items():
        words += [f"--{flag}", str(size)]
    return first + shlex.join([*words, "--save_path", result_name(session.kind, wish)])
