"""A page without a server: the separable field's factors as tables and its kernels' products in one HTML file.

Everything the page may ask is linear in tables: along every axis the factors are read through a kernel's Diracs, and
the core joins them. The browser does both, on the graphics card where it can.
"""

import base64
import html
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from evaluation.references import read_signal
from kernels.library import Kernel
from kernels.separate import is_signed, tensor_terms
from kernels.shapes import SMOOTHING_CUT
from kernels.sparse import SparseKernel
from models import Field
from models.bundles import whole_core
from models.factors import SplineFactor
from models.separable import SeparableField
from viewer.selection import LEAST, MOST
from viewer.sliders import largest_radius, length_unit

PAGE = Path(__file__).resolve().parent / "page"
# The page's modules, which become one script.
MODULES = ("net.js", "controls.js", "draw.js", "filter.js", "static.js")
# Rows of a table per knot of the training kernel, and what products of a kernel may leave out of its L2 norm, as a
# result and as a draft: results agree with eval.py to 80 dB.
FINENESS, TOLERANCE, DRAFT_TOLERANCE = 6, 2e-4, 0.1
# Kernels by name, at radius 1; those that turn are fitted every so many degrees up to 45, and mirrored beyond.
KERNELS = {
    "gaussian": {"sigma": 1 / SMOOTHING_CUT}, "tent": {"half_size": 1.0}, "disk": {"radius": 1.0},
    "hexagon": {"radius": 1.0}, "ring": {"radius": 1.0, "thickness": 0.25}, "dog": {"sigma": 1 / (1.6 * SMOOTHING_CUT)},
    "motion": {"length": 1.8, "thickness": 0.2},
    "anisotropic": {"sigma": 1 / SMOOTHING_CUT, "sigma_across": 0.35 / SMOOTHING_CUT}, "image": {"radius": 1.0},
}  # fmt: skip
TURNING, STEP = ("motion", "anisotropic"), 7.5


def tables(field: SeparableField) -> dict[str, Any]:
    """Start, step and values [N, R_j + p] (float32) of the factors and polynomials of both axes, and the whole core.

    Diracs annul straight lines: without the one that is nearest to it a factor has far fewer digits to lose.
    """
    reach = 1.0 + field.origin.margin + max(field.origin.half_size)
    knots = [u.step for u in field.axis_factors if isinstance(u, SplineFactor)]
    step = min(min(field.h.values()) / FINENESS, *knots, 1.0)
    count = int(np.ceil(2 * reach / step)) + 1
    x = torch.linspace(-reach, reach, count, dtype=torch.float64)
    line = np.stack([np.ones(count), x.numpy()], axis=1) if field.config.order else np.ones((count, 1))
    axes = []
    with torch.no_grad():
        for axis, u in enumerate(field.axis_factors):
            values = torch.cat([u(x).double(), field.polynomial.basis(x, axis)], 1).numpy()
            bent = values - line @ np.linalg.lstsq(line, values, rcond=None)[0]
            axes.append(encode(bent.astype(np.float32)))
        core = whole_core(field, torch.float32).numpy()
    return {"start": -reach, "step": 2 * reach / (count - 1), "axes": axes,
            "ranks": list(core.shape[:2]), "core": encode(core)}  # fmt: skip


def fit_of(kernel: SparseKernel) -> dict[str, Any]:
    """A kernel as a sum of products: positions and weights per axis, the largest product first."""
    terms = tensor_terms(kernel, TOLERANCE) or []
    return {"positions": [encode(line[0]) for line in terms[0]],
            "weights": [[encode(line[1]) for line in term] for term in terms]}  # fmt: skip


def kernel_entries(field: Field, heart: Path) -> dict[str, Any]:
    """The kernels of the page by their names."""
    found = {}
    for name, parameters in KERNELS.items():
        given: dict[str, Any] = parameters | ({"kernel_image": str(heart)} if name == "image" else {})
        angles = np.arange(0, 45.01, STEP).tolist() if name in TURNING else [None]
        made = [Kernel(name, given | ({} if angle is None else {"angle": angle})) for angle in angles]
        sparse = [kernel.sparse(field.config.order, 2) for kernel in made]
        # The radius of a picture is that of its paper, not of its ink.
        radius = 1.0 if name == "image" else float(max(kernel.radius.max() for kernel in sparse))
        found[heart.stem if name == "image" else name] = {
            "diracs": len(sparse[0]), "signed": bool(is_signed(sparse[0])), "radius": radius, "step": STEP,
            "draft": len(tensor_terms(sparse[0], DRAFT_TOLERANCE) or []), "fits": [fit_of(kernel) for kernel in sparse],
        }  # fmt: skip
    return found


def picture_of(field: Field, path: Path) -> str:
    """The field's signal as PNG, in base 64; raises ValueError for what 8 bits do not hold, or the page cannot
    continue beyond the border."""
    signal = read_signal(path, field, largest_radius(field))
    pixels = np.round(255 * signal.core)
    if signal.metadata.known is not None or np.abs(pixels - 255 * signal.core).max() > 1e-3:
        raise ValueError(f"a page without a server keeps whole pictures of 8 bits, not {path}: leave --signal out")
    if field.origin.boundary != "clamp":
        raise ValueError(f"a page without a server knows the boundary clamp, not {field.origin.boundary}: leave "
                         "--signal out")  # fmt: skip
    flags = [cv2.IMWRITE_PNG_COMPRESSION, 9]
    content = cv2.imencode(".png", np.ascontiguousarray(pixels[..., ::-1].astype(np.uint8)), flags)[1]
    return encode(content)


def encode(values: np.ndarray) -> str:
    """An array's bytes, little-endian, in base 64."""
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def script() -> str:
    """The page's modules as one, without what they say to each other."""
    texts = [(PAGE / name).read_text() for name in MODULES]
    return "\n".join(re.sub(r"^(import .*|export )", "", text, flags=re.MULTILINE) for text in texts)


def static_page(field: Field, heart: Path, signal: Path | None = None) -> str:
    """The HTML of one file, with the field's signal where that is given; raises ValueError for fields that are no
    separable picture."""
    if not isinstance(field, SeparableField) or field.config.dim != 2 or len(field.config.axes) != 2:
        raise ValueError("a page without a server holds a separable field of a picture: train one, or serve this model")
    if field.config.channels not in (1, 3) or field.origin.metadata.known is not None:
        raise ValueError("a page without a server shows whole pictures, grey or RGB: serve this model")
    origin = field.origin
    data = tables(field) | {
        "shape": list(origin.shape), "n": field.config.order + 1, "smallest": min(origin.half_size),
        "largest": origin.margin + min(origin.half_size), "source": origin.source, "channels": field.config.channels,
        "unit": length_unit(field), "least": float(LEAST), "most": float(MOST),
        "picture": None if signal is None else picture_of(field, signal), "kernels": kernel_entries(field, heart),
    }  # fmt: skip
    # No text of a file may end the script it stands in.
    content = json.dumps(data).replace("<", "\\u003c")
    parts = {"/*STYLE*/": (PAGE / "page.css").read_text(), "/*SCRIPT*/": script(), "/*DATA*/": content,
             "<!--SOURCE-->": html.escape(origin.source)}  # fmt: skip
    page = (PAGE / "static.html").read_text()
    return re.sub("|".join(map(re.escape, parts)), lambda found: parts[found[0]], page)
