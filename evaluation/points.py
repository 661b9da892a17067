"""Filtering at the points of a file, each with a size or a covariance of its own, a chunk at a time."""

import contextlib
import functools
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console

import nfconv
from evaluation.destination import Destination, print_report
from evaluation.kernels import derivative_unit
from evaluation.measuring import fit_error, measure
from evaluation.places import Places
from evaluation.references import Reference, read_signal
from files import atomic_write
from files.inputs import note
from kernels.correlated import LEVELS
from kernels.library import Kernel
from kernels.sparse import SparseKernel
from models import Field
from models.exact import exact_at
from models.filtering import sparse_kernel
from models.varying import CHECKED_GAUSSIANS, CovarianceFilter, Filter
from signals import Signal
from signals.gaussians import gaussian_convolution
from signals.masks import own_channels, quotient
from training.display import progress_bar


def filter_places(
    field: Field, kernel: Kernel | SparseKernel, places: Places, target: Destination, signal: Path | None,
    settings: Mapping[str, Any], mask: np.ndarray | None,
) -> None:  # fmt: skip
    """Check what is asked for and where it goes, read the `signal` and its `mask` where given, and filter at all
    points."""
    most = places.extremes(len(field.config.axes))[1]
    if places.covariance is None:
        radius = most * sparse_kernel(field, kernel).radius
    else:
        # For points over the border all must be known to reach no further.
        radius = np.full(field.config.dim, LEVELS[-1].reach * most)
    places.check(field, radius)
    target.check((".npy",), "values at points are")
    raw = read_signal(signal, field, float(radius.max()), mask) if signal else None
    evaluate_points(field, kernel, places, target, raw, **settings)


def evaluate_points(
    field: Field, kernel: Kernel | SparseKernel, places: Places, target: Destination, raw: Signal | None, **options: Any
) -> None:
    """Filter at the points, chunk by chunk, write values.npy [N, c], float32, or the file that `target` names, beside
    it the share of known weight of a signal with missing samples, known.npy [N, 1], and, where the signal is known, how
    near some of the values are to the exact answer.

    `options` are those of Field.filter.
    """
    file = target.path if target.alone else target.path / "values.npy"
    known, report = field.origin.metadata.known, dict[str, Any]()
    shares = [] if known is None or target.alone else [target.path / "known.npy"]
    with target.writable(), progress_bar(Console(stderr=True)) as bar, contextlib.ExitStack() as stack:
        task, start = bar.add_task("filtering", total=len(places.points), note=""), time.perf_counter()
        columns = (own_channels(field.config.channels, known), 1)
        streams = [stack.enter_context(atomic_write(path)) for path in (file, *shares)]
        for stream, count in zip(streams, columns, strict=False):
            shape = (len(places.points), count)
            np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
        for rows, values, found in filtered_chunks(field, kernel, places, options | {"share": bool(shares)}):
            report = widest(report, found)
            for stream, part in zip(streams, np.split(values, columns[:1], axis=1), strict=False):
                stream.write(np.ascontiguousarray(part, "<f4").tobytes())
            bar.update(task, completed=rows.stop)
        stack.close()
        report = {"seconds": time.perf_counter() - start, "shape": [len(places.points), columns[0]]} | report
        if isinstance(kernel, Kernel) and places.covariance is None:
            report |= fit_error(kernel, Filter((sparse_kernel(field, kernel),)), field)
        if raw is not None:
            reference = exact_points(raw, kernel, places, field)
            report |= measure(np.load(file, mmap_mode="r"), reference, np.array(report["radius"]), field)
        files = [file, *shares, *target.write_metrics(report)]
    if unit := derivative_unit(field, kernel):
        note(unit)
    print_report(report, files)


def filtered_chunks(
    field: Field, kernel: Kernel | SparseKernel, places: Places, options: Mapping[str, Any]
) -> Iterator[tuple[slice, np.ndarray, dict[str, Any]]]:
    """Rows, values [n, c] and facts of one chunk after another, every warning said once; raises ValueError."""
    notify = functools.cache(functools.partial(click.echo, err=True))
    for rows in places.chunks():
        try:
            found = places.settings(rows, len(field.config.axes))
            values = field.filter(kernel, notify=notify, **found, **options)
            yield rows, values, facts(field, kernel, found, options["accuracy"])
        except ValueError as error:
            raise ValueError(f"points {rows.start} to {rows.stop - 1}: {error}") from None


def facts(
    field: Field, kernel: Kernel | SparseKernel, found: Mapping[str, np.ndarray | None], accuracy: float
) -> dict[str, Any]:
    """What metrics.json says of a kernel at some points, at its largest."""
    sigma, scale = found["covariance"], found["scale"]
    if sigma is not None and sigma.shape[-1] > 1:
        return CovarianceFilter(sigma, field.config.order, accuracy).facts
    if sigma is not None:
        kernel, scale = nfconv.gaussian(sigma=1.0), np.sqrt(sigma)
    return Filter((sparse_kernel(field, kernel).scaled(1.0 if scale is None else float(scale.max())),)).facts


def widest(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The facts of whichever has more Diracs, with the larger radius of both."""
    if not one:
        return other
    most = max(one, other, key=lambda entry: entry["diracs"])
    return most | {"radius": np.maximum(one["radius"], other["radius"]).tolist()}


def exact_points(signal: Signal, kernel: Kernel | SparseKernel, places: Places, field: Field) -> Reference:
    """The exact answer at some of the points: of the Diracs, or of untruncated Gaussians."""
    rows = np.random.default_rng(0).permutation(len(places.points))[:CHECKED_GAUSSIANS]
    found, boundary = places.settings(np.sort(rows), len(signal.axes)), field.origin.boundary
    at, scale, sigma = found["at"], found["scale"], found["covariance"]
    assert at is not None
    if sigma is not None:
        truth = gaussian_convolution(signal, at, sigma, boundary)
    else:
        stretch = None if scale is None else torch.as_tensor(scale.reshape(len(at), -1)).expand(-1, len(signal.axes))
        truth = exact_at(signal, sparse_kernel(field, kernel), torch.as_tensor(at), stretch, boundary)
    return Reference(signal.core, quotient(truth, signal.metadata.known), np.sort(rows))
