"""A page without a server: the separable field's factors as tables and its kernels' products in one HTML file.

Everything the page may ask is linear in tables: along every axis the factors are read through a kernel's Diracs, and
the core joins them. The browser does both, on the graphics card where it can.
"""

import base64
import html
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kernels.library import Kernel, is_signed
from kernels.separate import tensor_terms
from kernels.shapes import SMOOTHING_CUT
from models import Field
from models.bundles import whole_core
from models.separable import SeparableField

PAGE = Path(__file__).resolve().parent / "page"
# Rows of a table per knot of the training kernel, and what products of a kernel may leave out of its L2 norm: results
# agree with eval.py to 80 dB.
FINENESS, TOLERANCE = 12, 2e-4
# Kernels by name, at radius 1.
KERNELS = {
    "gaussian": {"sigma": 1 / SMOOTHING_CUT}, "tent": {"half_size": 1.0}, "disk": {"radius": 1.0},
    "hexagon": {"radius": 1.0}, "ring": {"radius": 1.0, "thickness": 0.25}, "dog": {"sigma": 1 / (1.6 * SMOOTHING_CUT)},
    "motion": {"length": 1.6, "thickness": 0.2, "angle": 30.0}, "image": {"radius": 1.0},
}  # fmt: skip


def tables(field: SeparableField) -> dict[str, Any]:
    """Start, step and values [N, R_j + p] (float64) of the factors and polynomials of both axes, and the whole core."""
    reach = 1.0 + field.origin.margin + max(field.origin.half_size)
    step = min(field.h.values()) / FINENESS
    count = int(np.ceil(2 * reach / step)) + 1
    x = torch.linspace(-reach, reach, count, dtype=torch.float64)
    with torch.no_grad():
        axes = [torch.cat([u(x).double(), field.polynomial.basis(x, axis)], 1).numpy()
                for axis, u in enumerate(field.axis_factors)]  # fmt: skip
        core = whole_core(field, torch.float32).numpy()
    padded = np.zeros((*core.shape[:2], 4), np.float32)
    shown = core if core.shape[-1] in (1, 3) else core[..., :1]
    padded[..., :3] = shown
    return {"start": -reach, "step": 2 * reach / (count - 1), "axes": [encode(part) for part in axes],
            "ranks": list(core.shape[:2]), "core": encode(padded)}  # fmt: skip


def products(field: Field, heart: Path) -> dict[str, Any]:
    """The kernels as sums of products: positions and weights per axis, the largest product first."""
    found = {}
    for name, parameters in KERNELS.items():
        given = parameters | ({"kernel_image": str(heart)} if name == "image" else {})
        kernel = Kernel(name, given).sparse(field.config.order, 2)
        terms = tensor_terms(kernel, TOLERANCE) or []
        title = heart.stem if name == "image" else name
        # The radius of a picture is that of its paper, not of its ink.
        radius = 1.0 if name == "image" else float(kernel.radius.max())
        found[title] = {"diracs": len(kernel), "signed": bool(is_signed(kernel)), "radius": radius,
                        "positions": [encode(line[0]) for line in terms[0]],
                        "weights": [[encode(line[1]) for line in term] for term in terms]}  # fmt: skip
    return found


def encode(values: np.ndarray) -> str:
    """An array's bytes, little-endian, in base 64."""
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def static_page(field: Field, heart: Path) -> str:
    """The HTML of one file; raises ValueError for fields that are no separable picture."""
    if not isinstance(field, SeparableField) or field.config.dim != 2 or len(field.config.axes) != 2:
        raise ValueError("a page without a server holds a separable field of a picture: train one, or serve this model")
    if field.config.channels not in (1, 3):
        raise ValueError(f"a page without a server shows grey or RGB, not {field.config.channels} channels")
    origin = field.origin
    data = tables(field) | {
        "shape": list(origin.shape), "n": field.config.order + 1, "smallest": min(origin.half_size),
        "largest": origin.margin + min(origin.half_size), "source": origin.source, "channels": field.config.channels,
        "kernels": products(field, heart),
    }  # fmt: skip
    page = (PAGE / "static.html").read_text()
    # No text of a file may end the script it stands in.
    content = json.dumps(data).replace("<", "\\u003c")
    return page.replace("/*DATA*/", content).replace("<!--SOURCE-->", html.escape(origin.source))
