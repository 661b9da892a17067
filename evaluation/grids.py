"""Filtering on a grid: the result's files, and how near it is to what it should be."""

import contextlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from cluster.session import Cluster
from evaluation.destination import Destination, print_report
from evaluation.kernels import derivative_unit
from evaluation.maps import say_resampled
from evaluation.measuring import fit_error, measure, warn_of_fit
from evaluation.references import Reference
from files.inputs import note
from files.results import room_if_large, write_array
from kernels.library import Kernel
from kernels.sparse import SparseKernel
from modalities import find
from modalities.figures import Comparison
from modalities.modality import Modality
from models import Field
from models.varying import Chosen
from signals.masks import own_channels
from training.display import progress_bar

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
    field: Field, chosen: Chosen, shape: Sequence[int], target: Destination, reference: Reference | None,
    kernel: Kernel | SparseKernel, cluster: Cluster | None, **options: Any,
) -> dict[str, Any]:  # fmt: skip
    """Filter on the grid of `shape`, write the result and, where a reference is known, how near it is to what `kernel`,
    as it was asked for, would give.

    `options` are those of Field.filter; with a `cluster` the tiles of the field are shared out. Returns what
    metrics.json holds.
    """
    say_resampled(chosen, shape)
    with contextlib.ExitStack() as stack:
        stack.enter_context(target.writable())
        bar = stack.enter_context(progress_bar(Console(stderr=True)))
        task = bar.add_task("filtering", total=1.0, note="")
        options |= {"progress": lambda share: bar.update(task, completed=share), "notify": note}
        start = time.perf_counter()
        result = stack.enter_context(applied(chosen, field, shape, target.path, cluster, options))
        seconds, signed = time.perf_counter() - start, chosen.signed or None
        result, files = write_result(field, result, target, signed)
        report = {"seconds": seconds, "shape": list(result.shape)} | chosen.facts | fit_error(kernel, chosen, field)
        if reference is not None:
            before = reference.before
            own = result if result.shape == before.shape else chosen.apply(field, before.shape[:-1], **options)
            report |= measure(own, reference, chosen.radius, field)
            files += write_comparison(field, own, reference, target, signed)
        warn_of_fit(report, kernel, chosen, field)
        if unit := derivative_unit(field, kernel):
            note(unit)
        files += target.write_metrics(report)
    print_report(report, files)
    return report


@contextlib.contextmanager
def applied(
    chosen: Chosen, field: Field, shape: Sequence[int], path: Path, cluster: Cluster | None, options: Mapping[str, Any]
) -> Iterator[Any]:
    """The filtered signal, with the share of known weight of one with missing samples; large ones in a file that is
    there as long as it is needed, by `path` where a cluster writes it."""
    known = field.origin.metadata.known
    share = known is not None
    if cluster is None:
        room = room_if_large((*shape, own_channels(field.config.channels, known) + share))
        yield chosen.apply(field, shape, **options, share=share, out=room)
        return
    # Dask is slow to import.
    from cluster.filtering import filtered

    with filtered(cluster, field, chosen, shape, path, share=share, **options) as result:
        yield result


def write_result(field: Field, result: Any, target: Destination, signed: bool | None) -> tuple[Any, list[Path]]:
    """Write a result [..., c], or [..., c + 1] with the share of known weight of a signal with missing samples, which
    becomes known.npy in a folder; returns the result alone and the files."""
    kind, metadata, shares = find(field.origin.modality), field.origin.metadata, []
    if metadata.known is not None:
        result, share = result[..., :-1], result[..., -1:]
        shares = [] if target.alone else [write_array(target.path / "known.npy", kind.as_array(share, metadata))]
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
    shown = Comparison(reference.before, result, truth, signed=signed)
    return find(field.origin.modality).save_figure(shown, target.path / "comparison.png", field.origin.metadata)
