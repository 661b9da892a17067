"""Filtering on a grid: the result's files, and how near it is to what it should be."""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from evaluation.destination import Destination, print_report
from evaluation.measuring import fit_error, measure, warn_of_fit
from evaluation.references import Reference, warn
from files.results import room_if_large
from kernels.library import Kernel
from kernels.sparse import SparseKernel
from modalities import find
from modalities.formats.grids import write_values
from modalities.modality import Modality
from models import Field
from models.varying import CovarianceFilter, Filter
from signals.masks import own_channels
from utils import progress_bar

LARGEST_OUTPUT = 1 << 31


def output_shape(kind: Modality, field: Field, asked: Mapping[str, int | None]) -> tuple[int, ...]:
    """Samples per axis: as asked by --width, --height and --depth, else the signal's own; raises ValueError."""
    flags = kind.flags_of(field.origin.metadata)
    # The authors' commands give images a depth, which has no effect there.
    if unused := [flag for flag, size in asked.items() if size is not None and flag not in (*flags, "depth")]:
        raise ValueError(f"--{', --'.join(unused)} sizes no axis of {kind.name}: leave it out")
    sizes = [asked.get(flag) or size for flag, size in zip(flags, field.origin.shape, strict=True)]
    if math.prod(sizes) > LARGEST_OUTPUT:
        raise ValueError(f"{' x '.join(map(str, sizes))} samples are more than fit anywhere: ask for fewer")
    return tuple(sizes)


def evaluate(
    field: Field, chosen: Filter | CovarianceFilter, shape: Sequence[int], target: Destination,
    reference: Reference | None, kernel: Kernel | SparseKernel, **options: Any,
) -> dict[str, Any]:  # fmt: skip
    """Filter on the grid of `shape`, write the result and, where a reference is known, how near it is to what `kernel`,
    as it was asked for, would give.

    `options` are those of Field.filter. Returns what metrics.json holds.
    """
    with target.writable(), progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task("filtering", total=1.0, note="")
        options |= {"progress": lambda share: bar.update(task, completed=share), "notify": warn}
        start = time.perf_counter()
        share = field.origin.metadata.known is not None
        room = room_if_large((*shape, own_channels(field.config.channels, field.origin.metadata.known) + share))
        result = chosen.apply(field, shape, **options, share=share, out=room)
        report = {"seconds": time.perf_counter() - start, "shape": list(result.shape)} | chosen.facts
        report |= fit_error(kernel, chosen, field)
        signed = chosen.signed or None
        result, files = write_result(field, result, target, signed)
        report["shape"] = list(result.shape)
        if reference is not None:
            before = reference.before
            own = result if result.shape == before.shape else chosen.apply(field, before.shape[:-1], **options)
            report |= measure(own, reference, chosen.radius, field)
            files += write_comparison(field, own, reference, target, signed)
        warn_of_fit(report, kernel, chosen, field)
        files += target.write_metrics(report)
    print_report(report, files)
    return report


def write_result(field: Field, result: Any, target: Destination, signed: bool | None) -> tuple[Any, list[Path]]:
    """Write a result [..., c], or [..., c + 1] with the share of known weight of a signal with missing samples, which
    becomes known.npy in a folder; returns the result alone and the files."""
    kind, metadata, shares = find(field.origin.modality), field.origin.metadata, []
    if metadata.known is not None:
        result, share = result[..., :-1], result[..., -1:]
        shares = [] if target.alone else [write_values(target.path / "known.npy", share)]
    if target.alone:
        return result, [kind.save_as(result, target.path, metadata, signed)]
    return result, kind.save(result, target.path, metadata, signed) + shares


def write_comparison(
    field: Field, result: Any, reference: Reference, target: Destination, signed: bool | None
) -> list[Path]:
    """Draw signal, result and, where it is known everywhere, what it should be, into a folder."""
    if target.alone:
        return []
    truth = None if reference.rows is not None else reference.asked
    kind, file = find(field.origin.modality), target.path / "comparison.png"
    return kind.save_figure(reference.before, result, truth, file, field.origin.metadata, signed=signed)
