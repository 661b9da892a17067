"""One filter of one field, carried out: the result's files, and how near it is to what it should be."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console

from files import atomic_write
from files.folders import writable_folder
from kernels.library import Kernel, is_signed
from kernels.sparse import SparseKernel
from modalities import find
from modalities.modality import Modality
from models import Field
from models.varying import Filter
from nfconv import load_ground_truth
from signals import Signal, spacing
from signals.exact import target_convolution
from signals.measures import mse, psnr, snr
from signals.signal import crop
from utils import progress_bar


@dataclass(frozen=True, eq=False)
class Reference:
    """On the signal's own grid [N_1, ..., N_d, c]: the signal, its convolution with the sparse kernel and, where known,
    with the exact kernel that one approximates ('ideal').

    Where the whole truth costs too much, `truth` [P, c] holds it at the flat indices `rows` [P].
    """

    before: np.ndarray
    truth: np.ndarray
    rows: np.ndarray | None = None
    ideal: np.ndarray | None = None


def read_signal(path: Path, kind: Modality, field: Field, radius: float) -> Signal:
    """The raw signal, read as the field's was; raises ValueError where it is not of the field's kind and size."""
    signal = kind.load_again(path, field.origin.metadata, [radius])
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
    facts, own = (truth.channels, truth.boundary), (field.config.channels, field.origin.boundary)
    if facts != own:
        raise ValueError(f"--gt_path holds {facts[0]} channels, boundary {facts[1]}; the field has {own[0]}, boundary "
                         f"{own[1]}: make the ground truth from the same signal in the same way")  # fmt: skip
    return Reference(truth.core, truth.core)


def exact_reference(signal: Signal, kernel: Kernel | SparseKernel, chosen: Filter, field: Field) -> Reference:
    """The exact convolutions of a signal."""
    truth, rows = chosen.exact(signal, field.origin.boundary)
    ideal = None
    if isinstance(kernel, Kernel) and chosen.fixed:
        ideal = target_convolution(signal, kernel.target(field.config.dim, field.config.axes), field.origin.boundary)
    return Reference(signal.core, truth, rows, ideal)


def measure(result: np.ndarray, reference: Reference, radius: np.ndarray, field: Field) -> dict[str, Any]:
    """Metrics on the whole signal, on the interior where the kernel does not reach over the border, and against
    the ideal kernel: of the result, and of the sparse kernel's own exact convolution ('fit')."""
    kind, metadata, truth, rows = find(field.origin.modality), field.origin.metadata, reference.truth, reference.rows
    if rows is not None:
        found = result.reshape(-1, result.shape[-1])[rows]
        measured = {"psnr": psnr(found, truth), "snr": snr(found, truth), "mse": mse(found, truth), "points": len(rows)}
        return {"whole": measured, "interior": None}
    report: dict[str, Any] = {"whole": kind.metrics(result, truth, metadata), "interior": None}
    pads = [int(np.ceil(r / spacing(n) - 1e-9)) for r, n in zip(radius, truth.shape, strict=False)]
    if all(n > 2 * p for n, p in zip(truth.shape, pads, strict=False)):
        report["interior"] = kind.metrics(crop(result, pads), crop(truth, pads), metadata)
    if reference.ideal is not None:
        report["ideal"] = kind.metrics(result, reference.ideal, metadata)
        report["fit"] = kind.metrics(truth, reference.ideal, metadata)
    return report


def evaluate(
    field: Field, chosen: Filter, shape: Sequence[int], save_path: Path, reference: Reference | None, **options: Any
) -> dict[str, Any]:
    """Filter on the grid of `shape`, write the result and, where a reference is known, how near it is.

    `options` are those of Field.filter. Returns what metrics.json holds.
    """
    kind, metadata, widest = find(field.origin.modality), field.origin.metadata, chosen.widest
    signed = is_signed(chosen.kernels[0]) or None
    with writable_folder(save_path), progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task("filtering", total=1.0, note="")
        options |= {"progress": lambda share: bar.update(task, completed=share), "notify": warn}
        start = time.perf_counter()
        result = chosen.apply(field, shape, **options)
        report = {"seconds": time.perf_counter() - start, "diracs": len(widest), "kernels": len(chosen.kernels),
                  "radius": widest.radius.tolist(), "mass": widest.mass, "order": widest.order,
                  "shape": list(result.shape)}  # fmt: skip
        files = kind.save(result, save_path, metadata, signed)
        if reference is not None:
            before, truth = reference.before, None if reference.rows is not None else reference.truth
            own = result if result.shape == before.shape else chosen.apply(field, before.shape[:-1], **options)
            report |= measure(own, reference, widest.radius, field)
            files += kind.save_figure(before, own, truth, save_path / "comparison.png", metadata, signed=signed)
        files.append(save_path / "metrics.json")
        with atomic_write(files[-1]) as stream:
            stream.write(json.dumps(report, indent=2).encode() + b"\n")
    print_report(report, files)
    return report


def warn(text: str) -> None:
    """Print a message to standard error."""
    click.echo(text, err=True)


def print_report(report: Mapping[str, Any], files: Sequence[Path]) -> None:
    """The metrics, and the files written."""
    for part, label in (("whole", ""), ("ideal", "against the exact kernel, "), ("fit", "of that, the fit's own: ")):
        for name, value in report.get(part, {}).items():
            if not label or name in ("psnr", "snr"):
                click.echo(f"{label}{name}: {value:.6g}")
    many = f"{report['kernels']} kernels of " if report["kernels"] > 1 else ""
    size = " x ".join(map(str, report["shape"][:-1]))
    radius = max(report["radius"])
    click.echo(f"{many}{report['diracs']} Diracs, radius {radius:.3g}, {size}: {report['seconds']:.2f} s")
    for file in files:
        click.echo(f"  {file}")
