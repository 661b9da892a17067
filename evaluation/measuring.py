"""How near a result is to what was asked for: the part of the field, and of the Diracs that stand for the kernel."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from evaluation.references import Reference
from files.inputs import note, warn
from kernels.fit import fit_errors
from kernels.library import Kernel
from kernels.sparse import SparseKernel
from kernels.width import THINNEST, relative_width
from modalities import find
from models import Field
from models.filtering import warn_of_thin
from models.varying import Chosen, Filter
from signals import spacing
from signals.measures import mse, psnr, snr
from signals.signal import crop

# Share of a kernel's L2 norm that its Diracs may miss without a warning: edges as steep ramps miss 5 to 9 %.
LARGE_ERROR = 0.1
# Decibels that a fit may limit a result to without a warning.
FIT_LIMITS = {"psnr": 60.0, "snr": 50.0}


def measure(result: Any, reference: Reference, radius: np.ndarray, field: Field) -> dict[str, Any]:
    """Metrics against what was asked for, on the 'whole' signal and on the 'interior' where the kernel does not reach
    over the border; where that is an exact kernel ('ideal', the same), the part of the 'field', compared with what its
    Diracs would give, and of their 'fit'."""
    kind, metadata, truth, rows = find(field.origin.modality), field.origin.metadata, reference.truth, reference.rows
    if rows is not None:
        found = result.reshape(-1, result.shape[-1])[rows]
        measured = {"psnr": psnr(found, truth), "snr": snr(found, truth), "mse": mse(found, truth), "points": len(rows)}
        return {"whole": measured, "interior": None}
    report: dict[str, Any] = {"whole": kind.metrics(result, reference.asked, metadata), "interior": None}
    pads = [int(np.ceil(r / spacing(n) - 1e-9)) for r, n in zip(radius, truth.shape, strict=False)]
    if all(n > 2 * p for n, p in zip(truth.shape, pads, strict=False)):
        report["interior"] = kind.metrics(crop(result, pads), crop(reference.asked, pads), metadata)
    if reference.ideal is not None:
        report["ideal"] = report["whole"]
        report["field"] = kind.metrics(result, truth, metadata)
        report["fit"] = kind.metrics(truth, reference.ideal, metadata)
    return report


def fit_error(kernel: Kernel | SparseKernel, chosen: Chosen, field: Field) -> dict[str, float]:
    """How far the Diracs are from the kernel of the library that was asked for, relative to its L2 norm, as an entry of
    metrics.json; empty for kernels that are Diracs themselves."""
    if not isinstance(kernel, Kernel) or not isinstance(chosen, Filter):
        return {}
    target = kernel.target(field.config.dim, field.config.axes)
    return {"kernel_error": fit_errors(chosen.kernels[0], target).relative_l2}


def warn_of_fit(report: Mapping[str, Any], kernel: Kernel | SparseKernel, chosen: Chosen, field: Field) -> None:
    """Warn where the Diracs are far from the kernel that was asked for: by what they do to the signal where that is
    known, else by the kernel itself."""
    error = report.get("kernel_error", 0.0)
    if not isinstance(kernel, Kernel) or not isinstance(chosen, Filter) or error <= LARGE_ERROR / 2:
        return
    fit = report.get("fit", {})
    name = next((name for name in ("psnr", "snr") if name in fit), "")
    if (fit[name] < FIT_LIMITS[name]) if name else error > LARGE_ERROR:
        limit = f", which limits the result to {fit[name]:.0f} dB" if name else ""
        warn(f"the {report['diracs']} Diracs differ from the {kernel.name} that was asked for by {error:.0%} "
             f"(relative L2){limit}: ask for a kernel that is less thin for its length")  # fmt: skip
    # Diracs that miss a thin kernel are wider than it is, and not found thin themselves.
    if relative_width(chosen.kernels[0], field.config.order, field.origin.half_size) >= THINNEST:
        warn_of_thin(field, kernel.target(field.config.dim, field.config.axes), note)
