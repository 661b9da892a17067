"""The file that `eval.py` writes for a request of the page, and the command that writes the same file."""

import io
import shlex
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.maps import fovea
from modalities.modality import Modality
from viewer.selection import Selection, downloads
from viewer.session import Session

# What eval.py filters with where it is not told otherwise.
EVAL_SETTINGS: dict[str, Any] = {"precision": "auto", "accuracy": 60.0, "block": 256**2}
FOVEA_FILE, BRUSH_FILE = "fovea.npy", "brush.npy"


def result_name(kind: Modality, selection: Selection) -> str:
    """Name of the file of a result; raises ValueError for a suffix that the modality is not written with."""
    known = downloads(kind)
    suffix = f".{selection.suffix}" if selection.suffix else known[0]
    if suffix not in known:
        raise ValueError(f"{kind.name} is not downloaded as {suffix}: choose one of {', '.join(known)}")
    return f"output{suffix}"


def result_file(session: Session, selection: Selection) -> bytes:
    """The bytes that `eval.py --save_path output.SUFFIX` writes."""
    name, chosen = result_name(session.kind, selection), session.chosen(selection)
    result = chosen.apply(session.field, session.shape(selection), **EVAL_SETTINGS)
    with tempfile.TemporaryDirectory(prefix="nfc_view_") as folder:
        path = Path(folder) / name
        metadata = session.field.origin.metadata
        return session.kind.save_as(result, path, metadata, chosen.signed or None).read_bytes()


def map_file(session: Session, selection: Selection) -> tuple[str, bytes]:
    """Name and bytes of the `.npy` map that the command reads; raises ValueError for kernels that do not vary."""
    if selection.vary == "fixed":
        raise ValueError("this kernel is the same everywhere: there is no map")
    if selection.vary == "brush":
        name, values = BRUSH_FILE, session.given.map(selection.map)
    else:
        name, values = FOVEA_FILE, fovea(session.field.origin.shape, selection.row, selection.column)
    content = io.BytesIO()
    np.save(content, values)
    return name, content.getvalue()


def command(session: Session, selection: Selection) -> str:
    """The lines that write the same file, to be run in the repository."""
    session.chosen(selection)  # raises ValueError for what eval.py refuses
    words = ["python", "eval.py", "--model_path", str(session.model)]
    first = ""
    if selection.vary == "brush":
        words += ["--covariance_map", BRUSH_FILE]
    else:
        for name, text in selection.named.items():
            words += [f"--{name}", str(session.given.picture(text)) if name == "kernel_image" else text]
    if selection.vary == "fovea":
        words += ["--scale_map", FOVEA_FILE, "--scale_range", f"{selection.least},{selection.most}"]
        if session.path is not None:
            made = ["python", "make_map.py", "--kind", "fovea", "--path", str(session.path), "--save_path", FOVEA_FILE]
            first = shlex.join([*made, "--row", f"{selection.row:g}", "--column", f"{selection.column:g}"]) + "\n"
    for flag, size in session.sizes(selection).items():
        words += [f"--{flag}", str(size)]
    return first + shlex.join([*words, "--save_path", result_name(session.kind, selection)])
