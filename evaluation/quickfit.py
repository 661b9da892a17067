"""A field for one command: solved in closed form, as fine and as wide as the kernels asked for require."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import nfconv
from evaluation.kernels import Request, choose_kernel
from files.inputs import note
from kernels.library import Kernel
from kernels.minimal import knot_spacing
from kernels.sparse import SparseKernel
from kernels.width import relative_width
from modalities import find
from models import Field, build_field
from models.config import FieldConfig, Origin
from models.filtering import sparse_kernel
from signals import Signal, spacing
from signals.ground_truth import LARGEST_MARGIN
from training.source import Source, too_large

ORDER = 1
# Fewest and most entries of a core that is not kept: those of the signal, as far as they are solved in a minute.
CORE_SIZES = 4_000_000, 16_000_000
# The training kernel's width, of that of the thinnest kernel asked for.
SHARE = 0.5
# Samples that a training kernel reaches to either side, at least, and half the domain, at most.
FEWEST_SAMPLES, LARGEST = 2.0, 1.0


def unfitted(signal: Signal) -> Field:
    """The smallest field of the signal's kind, used only to fit kernels to its axes, order and units."""
    config = FieldConfig("mlp", signal.dim, signal.channels, signal.axes, ORDER, num_channels=1, num_layers=1)
    facts = (signal.shape, signal.modality, signal.name, "", signal.metadata)
    return build_field(config, Origin((LARGEST,) * len(signal.axes), LARGEST_MARGIN, "clamp", *facts))


def training_size(
    signal: Signal, kernels: Sequence[Kernel | SparseKernel], scales: tuple[float, float] = (1.0, 1.0)
) -> tuple[list[float], list[float]]:
    """Half size of the training kernel and largest radius per filtered axis, in domain units, for kernels that are
    stretched between the `scales`."""
    field = unfitted(signal)
    sizes, radii = [], []
    for kernel in kernels:
        sparse = sparse_kernel(field, kernel)
        radius = sparse.radius[list(signal.axes)]
        exact = kernel.target(signal.dim, signal.axes) if isinstance(kernel, Kernel) else sparse
        width = SHARE * relative_width(exact, ORDER, radius.tolist())
        sizes.append(min(width, 1.0) * radius * scales[0])
        radii.append(radius * scales[1])
    # A callable is sampled as finely as the kernel requires.
    steps = np.array([0.0 if signal.function else spacing(signal.shape[axis]) for axis in signal.axes])
    size = np.clip(np.min(sizes, axis=0), np.minimum(FEWEST_SAMPLES * steps, LARGEST), LARGEST)
    return size.tolist(), np.max(radii, axis=0).tolist()


def fit_for(
    load: Callable[[Sequence[float]], Signal], signal: Signal, asked: Sequence[Request], named: Mapping[str, Any],
    scales: tuple[float, float], device: str,
) -> Field:  # fmt: skip
    """A spline field of `signal`, which `load` reads for other reaches (see `Modality`), for the kernels that are asked
    for; says so. Raises ValueError."""
    if named.get("kernel") is None and not any(request.path or request.scale or request.half_size for request in asked):
        raise ValueError(
            "--model_path names a trained field; without one, name a kernel: --kernel gaussian --sigma 5px"
        )
    field = unfitted(signal)
    kernels = [choose_kernel(field, request, named, "corrected") for request in asked]
    sizes, radii = training_size(signal, kernels, scales)
    # Whole lattices cover up to half a step of the training kernel less than the margin that is asked for.
    reaches = [max(r - s, 0.0) + knot_spacing(ORDER, s) / 2 for r, s in zip(radii, sizes, strict=True)]
    margin, kind = max(reaches), find(signal.modality)
    if margin > LARGEST_MARGIN:
        windows = any(option.name == "window" for option in kind.options)
        raise ValueError(f"the kernel has radius {max(radii):.4g} in domain units, of which the signal spans 2: use a "
                         f"smaller one{' or a larger --window' * windows}; sizes without a unit (5px, 3s) are in "
                         "domain units")  # fmt: skip
    if kind.counted:
        signal = load((margin, max(sizes)))
    shown = ", ".join(f"{size:.3g}" for size in dict.fromkeys(sizes))
    note(f"no --model_path: fitting a spline field to {signal.name} first, half size {shown}, margin {margin:.3g}")
    if too_large(Source(signal, ORDER, tuple(sizes), margin, "clamp")):
        return nfconv.fit(signal, sizes, ORDER, margin, device=device, factor="spline")
    core_size = min(max(CORE_SIZES[0], 2 * math.prod(signal.shape)), CORE_SIZES[1])
    return nfconv.fit(signal, sizes, ORDER, margin, device=device, factor="spline",
                      core_size=core_size, accuracy=0.0)  # fmt: skip
