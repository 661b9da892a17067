"""One filter of one field, carried out: the result's files, and how near it is to what it should be."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console

from files import atomic_write
from files.folders import writable_folder
from kernels.fit import fit_errors
from kernels.library import Kernel
from kernels.sparse import SparseKernel
from kernels.width import THINNEST, relative_width
from modalities import MODALITIES, find
from modalities.formats.grids import write_values
from modalities.modality import Modality
from models import Field
from models.filtering import warn_of_thin
from models.varying import CovarianceFilter, Filter
from nfconv import load_ground_truth
from signals import Signal, spacing
from signals.exact import target_convolution
from signals.masks import masked, own_channels, quotient
from signals.measures import mse, psnr, snr
from signals.quadrature import convolved_somewhere
from signals.signal import crop
from utils import progress_bar

# Share of a kernel's L2 norm that its Diracs may miss without a warning: edges as steep ramps miss 5 to 9 %.
LARGE_ERROR = 0.1
# Decibels that a fit may limit a result to without a warning.
FIT_LIMITS = {"psnr": 60.0, "snr": 50.0}

warn = partial(click.echo, err=True)


@dataclass(frozen=True, eq=False)
class Reference:
    """On the signal's own grid [N_1, ..., N_d, c]: the signal, its exact convolution with the Diracs and, where known,
    with the kernel that was asked for and they are fitted to ('ideal').

    Where the whole truth costs too much, `truth` [P, c] holds it at the flat indices `rows` [P].
    """

    before: np.ndarray
    truth: np.ndarray
    rows: np.ndarray | None = None
    ideal: np.ndarray | None = None

    @property
    def asked(self) -> np.ndarray:
        """What the result should be."""
        return self.truth if self.ideal is None else self.ideal


def read_signal(path: Path, kind: Modality, field: Field, radius: float, mask: np.ndarray | None = None) -> Signal:
    """The raw signal, read as the field's was; raises ValueError where it is not of the field's kind and size."""
    signal = kind.load_again(path, field.origin.metadata, [radius])
    signal = signal if mask is None else masked(signal, mask)
    if field.origin.metadata.known is not None and signal.metadata.known is None:
        raise ValueError(f"samples of the field's signal are missing: give their --mask with --signal {path}")
    if (signal.channels, signal.dim) != (field.config.channels, field.config.dim):
        raise ValueError(f"--signal {path} has {signal.channels} channels on {signal.dim} axes, the field "
                         f"{field.config.channels} on {field.config.dim}")  # fmt: skip
    # What the authors' fields were trained on is unknown.
    if signal.shape != field.origin.shape and not field.origin.released:
        own, theirs = (" x ".join(map(str, shape)) for shape in (signal.shape, field.origin.shape))
        raise ValueError(f"--signal {path} has {own} samples, the field was trained on {theirs}: give that signal")
    return replace(signal, axes=field.config.axes)


def read_reference(path: Path, kernel: SparseKernel, field: Field) -> Reference:
    """The values of a ground-truth file; raises ValueError where they are of another kernel or kind of signal."""
    truth = load_ground_truth(path, kernel.order if path.suffix == ".npy" else None)
    radius = kernel.radius[list(kernel.axes)]
    if truth.order != kernel.order or truth.axes != kernel.axes or not np.allclose(radius, truth.half_size, rtol=1e-6):
        scale = ",".join(f"{1 / size:g}" for size in dict.fromkeys(truth.half_size))
        raise ValueError(f"--gt_path holds order {truth.order} and half size {truth.half_size}, another kernel: use "
                         f"--kernel_scale {scale} without --kernel_path, or --signal instead of --gt_path")  # fmt: skip
    facts = own_channels(truth.channels, truth.metadata.known), truth.boundary
    own = own_channels(field.config.channels, field.origin.metadata.known), field.origin.boundary
    if facts != own:
        raise ValueError(f"--gt_path holds {facts[0]} channels, boundary {facts[1]}; the field has {own[0]}, boundary "
                         f"{own[1]}: make the ground truth from the same signal in the same way")  # fmt: skip
    values = quotient(truth.core, truth.metadata.known)
    return Reference(values, values)


def exact_reference(
    signal: Signal, kernel: Kernel | SparseKernel, chosen: Filter | CovarianceFilter, field: Field
) -> Reference:
    """The exact convolutions of a signal; of a callable, dense quadrature at random points of the grid."""
    if signal.function is not None:
        return callable_reference(signal, kernel, chosen, field)
    truth, rows = chosen.exact(signal, field.origin.boundary)
    ideal = None
    if isinstance(kernel, Kernel) and chosen.fixed:
        ideal = target_convolution(signal, kernel.target(field.config.dim, field.config.axes), field.origin.boundary)
    known = signal.metadata.known
    ideal = None if ideal is None else quotient(ideal, known)
    return Reference(quotient(signal.core, known), quotient(truth, known), rows, ideal)


def callable_reference(
    signal: Signal, kernel: Kernel | SparseKernel, chosen: Filter | CovarianceFilter, field: Field
) -> Reference:
    """A callable convolved with the kernel that was asked for at some points; says how good the quadrature is."""
    if not (isinstance(chosen, Filter) and chosen.fixed):
        raise ValueError("a callable is measured with one kernel: leave the maps out, or --signal")
    axes = field.config.axes
    asked = kernel.target(field.config.dim, axes) if isinstance(kernel, Kernel) else chosen.kernels[0]
    truth, rows, own = convolved_somewhere(signal, asked, axes, field.origin.boundary)
    warn(f"measured against quadrature of {signal.name} itself at {len(rows)} points, itself good to {own:.0f} dB")
    return Reference(signal.core, truth, rows)


def measure(result: np.ndarray, reference: Reference, radius: np.ndarray, field: Field) -> dict[str, Any]:
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


def fit_error(kernel: Kernel | SparseKernel, chosen: Filter | CovarianceFilter, field: Field) -> dict[str, float]:
    """How far the Diracs are from the kernel of the library that was asked for, relative to its L2 norm, as an entry of
    metrics.json; empty for kernels that are Diracs themselves."""
    if not isinstance(kernel, Kernel) or not isinstance(chosen, Filter):
        return {}
    sparse = chosen.kernels[0]
    flat = replace(sparse, positions=sparse.positions[:, sparse.axes], axes=tuple(range(len(sparse.axes))))
    return {"kernel_error": fit_errors(flat, kernel.target(field.config.dim, field.config.axes)).relative_l2}


def warn_of_fit(
    report: Mapping[str, Any], kernel: Kernel | SparseKernel, chosen: Filter | CovarianceFilter, field: Field
) -> None:
    """Warn where the Diracs are far from the kernel that was asked for: by what they do to the signal where that is
    known, else by the kernel itself."""
    error = report.get("kernel_error", 0.0)
    if not isinstance(kernel, Kernel) or not isinstance(chosen, Filter) or error <= LARGE_ERROR / 2:
        return
    fit = report.get("fit", {})
    name = next((name for name in ("psnr", "snr") if name in fit), "")
    if (fit[name] < FIT_LIMITS[name]) if name else error > LARGE_ERROR:
        limit = f", which limits the result to {fit[name]:.0f} dB" if name else ""
        warn(f"warning: the {report['diracs']} Diracs differ from the {kernel.name} that was asked for by {error:.0%} "
             f"(relative L2){limit}: ask for a kernel that is less thin for its length")  # fmt: skip
    # Diracs that miss a thin kernel are wider than it is, and not found thin themselves.
    if relative_width(chosen.kernels[0], field.config.order, field.origin.half_size) >= THINNEST:
        warn_of_thin(field, kernel.target(field.config.dim, field.config.axes), warn)


def evaluate(
    field: Field,
    chosen: Filter | CovarianceFilter,
    shape: Sequence[int],
    save_path: Path,
    reference: Reference | None,
    kernel: Kernel | SparseKernel,
    **options: Any,
) -> dict[str, Any]:
    """Filter on the grid of `shape`, write the result and, where a reference is known, how near it is to what `kernel`,
    as it was asked for, would give.

    `options` are those of Field.filter. Returns what metrics.json holds; a `save_path` that names a file becomes the
    result alone.
    """
    kind, metadata = find(field.origin.modality), field.origin.metadata
    signed = chosen.signed or None
    alone = names_file(save_path)
    with writable_folder(save_path.parent if alone else save_path), progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task("filtering", total=1.0, note="")
        options |= {"progress": lambda share: bar.update(task, completed=share), "notify": warn}
        start = time.perf_counter()
        result = chosen.apply(field, shape, **options, share=metadata.known is not None)
        report = {"seconds": time.perf_counter() - start, "shape": list(result.shape)} | chosen.facts
        report |= fit_error(kernel, chosen, field)
        shares = []
        if metadata.known is not None:
            result, share = result[..., :-1], result[..., -1:]
            report["shape"] = list(result.shape)
            shares = [] if alone else [write_values(save_path / "known.npy", share)]
        if alone:
            files = [kind.save_as(result, save_path, metadata, signed)]
        else:
            files = kind.save(result, save_path, metadata, signed) + shares
        if reference is not None:
            before = reference.before
            own = result if result.shape == before.shape else chosen.apply(field, before.shape[:-1], **options)
            report |= measure(own, reference, chosen.radius, field)
            if not alone:
                truth = None if reference.rows is not None else reference.asked
                files += kind.save_figure(before, own, truth, save_path / "comparison.png", metadata, signed=signed)
        warn_of_fit(report, kernel, chosen, field)
        if not alone:
            files.append(save_path / "metrics.json")
            with atomic_write(files[-1]) as stream:
                stream.write(json.dumps(report, indent=2).encode() + b"\n")
    print_report(report, files)
    return report


def names_file(path: Path) -> bool:
    """Whether `path` names a file of a result rather than a folder: by a suffix that some modality reads or writes."""
    known = {suffix for kind in MODALITIES.values() for suffix in (*kind.extensions, *kind.results)}
    return path.suffix.lower() in known and not path.is_dir()


def check_result_name(path: Path, kind: Modality) -> None:
    """Raise ValueError for a file that this kind of signal is not written to."""
    if path.suffix.lower() not in kind.results:
        known = ", ".join(kind.results)
        raise ValueError(f"{kind.name} is not written as {path.suffix}: name a file with {known}, or a folder")


def print_report(report: Mapping[str, Any], files: Sequence[Path]) -> None:
    """The metrics against what was asked for, what the field and the fit have in them, and the files written."""
    for name, value in report.get("whole", {}).items():
        click.echo(f"{name}: {value:.6g}")
    if "ideal" in report:
        name = next(name for name in ("psnr", "snr", "mse") if name in report["ideal"])
        parts = (("ideal", "against the exact kernel,"), ("field", "of that, the field's own:"),
                 ("fit", "of that, the fit's own:"))  # fmt: skip
        click.echo("; ".join(f"{label} {name}: {report[part][name]:.6g}" for part, label in parts))
    many = f"{report['kernels']} kernels of " if report["kernels"] > 1 else ""
    size = " x ".join(map(str, report["shape"][:-1]))
    radius = max(report["radius"])
    click.echo(f"{many}{report['diracs']} Diracs, radius {radius:.3g}, {size}: {report['seconds']:.2f} s")
    for file in files:
        click.echo(f"  {file}")
