"""What a filtered signal should have been, and how near it is."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from filtering.choice import Choice
from kernels import SparseKernel
from modalities.modality import Modality
from models.checkpoint import Checkpoint
from signals.exact import kernel_convolution, target_convolution
from signals.released import load_ground_truth
from signals.signal import Signal, crop, spacing


@dataclass(frozen=True, eq=False)
class Reference:
    """On the signal's own grid [N_1, ..., N_d, c]: the signal, its convolution with the sparse kernel, and with
    the exact kernel that one approximates, where it approximates one.

    Where the whole truth is too dear, it is None and `exact` [P, c] holds it at the flat indices `rows` [P].
    """

    before: np.ndarray
    truth: np.ndarray | None
    ideal: np.ndarray | None = None
    rows: np.ndarray | None = None
    exact: np.ndarray | None = None


def from_ground_truth(path: Path, kernel: SparseKernel, checkpoint: Checkpoint) -> Reference:
    """The values of a ground-truth file; raises ValueError where they are of another kernel or kind of signal."""
    truth = load_ground_truth(path, kernel.order if path.suffix == ".npy" else None)
    radius = kernel.radius[list(kernel.axes)]
    if truth.order != kernel.order or truth.axes != kernel.axes or not np.allclose(radius, truth.half_size, rtol=1e-6):
        raise ValueError(
            f"--gt_path holds order {truth.order} and half size {truth.half_size:g}; this kernel is another one: "
            f"use --kernel_scale {1 / truth.half_size:g} without --kernel_path, or --signal instead of --gt_path"
        )
    channels, boundary = checkpoint.config.channels, checkpoint.origin.boundary
    if (truth.channels, truth.boundary) != (channels, boundary):
        raise ValueError(
            f"--gt_path holds {truth.channels} channels, boundary {truth.boundary}; the field has {channels}, boundary "
            f"{boundary}: make the ground truth from the same signal in the same way"
        )
    return Reference(truth.core, truth.core)


def read_signal(path: Path, modality: Modality, kernel: SparseKernel, checkpoint: Checkpoint) -> Signal:
    """The raw signal, read as the field's was, as far as `kernel` reaches; raises ValueError where it is not of the
    field's kind and size."""
    origin, reach = checkpoint.origin, [float(kernel.radius.max())]
    signal = modality.load_to(path, reach, **modality.options_of(origin.meta.get("load", {})))
    if (signal.channels, signal.dim) != (checkpoint.config.channels, checkpoint.config.dim):
        raise ValueError(
            f"--signal {path} has {signal.channels} channels on {signal.dim} axes, "
            f"the field {checkpoint.config.channels} on {checkpoint.config.dim}"
        )
    # What the authors' fields were trained on is not known.
    if signal.shape != tuple(origin.shape) and not origin.released:
        theirs, own = (" x ".join(map(str, shape)) for shape in (signal.shape, origin.shape))
        raise ValueError(f"--signal {path} has {theirs} samples, the field was trained on {own}: give that signal")
    return replace(signal, axes=kernel.axes)


def from_signal(signal: Signal, choice: Choice, boundary: str) -> Reference:
    """The exact convolutions of a signal."""
    truth = kernel_convolution(signal, choice.kernel, boundary)
    ideal = None if choice.target is None else target_convolution(signal, choice.target, boundary)
    return Reference(signal.core, truth, ideal)


def measure(
    modality: Modality, result: np.ndarray, reference: Reference, kernel: SparseKernel, meta: Any
) -> dict[str, Any]:
    """Metrics on the whole signal, on the interior where the kernel does not reach over the border, and against
    the ideal kernel: of the result, and of the sparse kernel's own exact convolution ('fit')."""
    truth = reference.truth
    pads = [int(np.ceil(r / spacing(n) - 1e-9)) for r, n in zip(kernel.radius, truth.shape, strict=False)]
    found: dict[str, Any] = {"whole": modality.metrics(result, truth, meta), "interior": None}
    if all(n > 2 * p for n, p in zip(truth.shape, pads, strict=False)):
        found["interior"] = modality.metrics(crop(result, pads), crop(truth, pads), meta)
    if reference.ideal is not None:
        found["ideal"] = modality.metrics(result, reference.ideal, meta)
        found["fit"] = modality.metrics(truth, reference.ideal, meta)
    return found
