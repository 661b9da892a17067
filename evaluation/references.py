"""What results are measured against: the signal's exact convolution, a ground truth, or quadrature of a callable."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from files.inputs import note
from files.results import room_if_large
from kernels.library import Kernel
from kernels.sparse import SparseKernel
from modalities import find
from models import Field
from models.varying import Chosen, Filter
from nfconv import load_ground_truth
from signals import Signal
from signals.exact import target_convolution
from signals.masks import own_channels, quotient
from signals.quadrature import convolved_somewhere


@dataclass(frozen=True, eq=False)
class Reference:
    """On the signal's own grid [N_1, ..., N_d, c]: the signal, its exact convolution with the Diracs and, where known,
    with the kernel that was asked for and they are fitted to ('ideal').

    Those too large for memory stay in files (`files.stored`). Where the whole truth costs too much, `truth` [P, c]
    holds it at the flat indices `rows` [P].
    """

    before: Any
    truth: Any
    rows: np.ndarray | None = None
    ideal: Any = None

    @property
    def asked(self) -> Any:
        """What the result should be."""
        return self.truth if self.ideal is None else self.ideal


def read_signal(path: Path, field: Field, radius: float, mask: np.ndarray | None = None) -> Signal:
    """The raw signal, read as the field's was; raises ValueError where it is not of the field's kind and size."""
    kind = find(field.origin.modality or "field")
    signal = kind.load_again(path, field.origin.metadata, [radius])
    signal = signal if mask is None else kind.masked(signal, mask)
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


def exact_reference(signal: Signal, kernel: Kernel | SparseKernel, chosen: Chosen, field: Field) -> Reference:
    """The exact convolutions of a signal; of a callable, dense quadrature at random points of the grid."""
    if signal.function is not None:
        return callable_reference(signal, kernel, chosen, field)
    truth, rows = chosen.exact(signal, field.origin.boundary)
    ideal = None
    if isinstance(kernel, Kernel) and chosen.fixed:
        target = kernel.target(field.config.dim, field.config.axes)
        out = room_if_large((*signal.shape, signal.channels))
        ideal = target_convolution(signal, target, field.origin.boundary, out)
    known = signal.metadata.known
    ideal = None if ideal is None else quotient(ideal, known)
    return Reference(quotient(signal.core, known), quotient(truth, known), rows, ideal)


def callable_reference(signal: Signal, kernel: Kernel | SparseKernel, chosen: Chosen, field: Field) -> Reference:
    """A callable convolved with the kernel that was asked for at some points; says how good the quadrature is."""
    if not (isinstance(chosen, Filter) and chosen.fixed):
        raise ValueError("a callable is measured with one kernel: leave the maps out, or --signal")
    axes = field.config.axes
    asked = kernel.target(field.config.dim, axes) if isinstance(kernel, Kernel) else chosen.kernels[0]
    truth, rows, own = convolved_somewhere(signal, asked, axes, field.origin.boundary)
    note(f"measured against quadrature of {signal.name} itself at {len(rows)} points, itself good to {own:.0f} dB")
    return Reference(signal.core, truth, rows)
