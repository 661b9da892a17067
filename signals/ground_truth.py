"""Ground truth: a signal convolved with the minimal kernel, on its own grid and a margin around it.

A field is asked for values beyond [-1, 1]^d as soon as a kernel reaches over the border, so it is trained
on [-1 - m, 1 + m]^d; the margin m and everything else training requires are stored in the file.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from files import ArchiveError, checksum, load_archive, save_archive
from files.inputs import note, warn
from kernels import SparseKernel, minimal_kernel
from kernels.minimal import knot_spacing
from kernels.sparse import LARGEST_DIM, checked_axes, checked_order
from signals.callables import SamplingRequest
from signals.exact import minimal_convolution
from signals.metadata import Metadata, metadata_entries, parse_metadata
from signals.monte_carlo import BACKENDS, array_module, monte_carlo_convolution
from signals.sampling import refined, sample, storing_grid
from signals.signal import Signal, boundary_rules, coordinates, crop, shared_boundary, spacing, warn_of_loop

# Far below the distance between any signal's samples; weights of 1 / h^n stay finite.
SMALLEST_HALF_SIZE = 1e-6
LARGEST_MARGIN = 4.0
# Bytes: metadata of a skeleton with thousands of joints.
LARGEST_FACT = 1 << 24
FACTS = ("axes", "order", "half_size", "boundary", "pads", "method", "samples", "seed", "modality", "source", "meta")


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """f * B-spline at the samples of a padded grid, with the facts of how it was made.

    values [N_1 + 2 pads_1, ..., N_d + 2 pads_d, c]; half_size per filtered axis in domain units; pads in samples,
    0 in axes that are not filtered; samples is 0 for the exact method; each `backend` draws its own from a seed.
    Raises ValueError for facts that do not fit.
    """

    values: np.ndarray
    axes: tuple[int, ...]
    order: int
    half_size: tuple[float, ...]
    boundary: str
    pads: tuple[int, ...]
    method: str = "exact"
    samples: int = 0
    seed: int = 0
    modality: str = ""
    source: str = "signal"
    metadata: Metadata = Metadata()  # noqa: RUF009  # frozen
    backend: str = "numpy"

    def __post_init__(self) -> None:
        dim = self.values.ndim - 1
        if self.values.dtype not in (np.float32, np.float64) or not np.isfinite(self.values).all():
            raise ValueError("ground-truth values must be finite float32 or float64 numbers")
        if dim < 1 or len(self.pads) != dim or min(self.pads) < 0 or min(self.shape) < 1 or self.channels < 1:
            raise ValueError(f"pads {self.pads} do not fit ground truth of shape {self.values.shape}")
        checked_axes(self.axes, dim)
        checked_order(self.order)
        if any(pad and axis not in self.axes for axis, pad in enumerate(self.pads)):
            raise ValueError("only filtered axes have a margin")
        check_half_size(self.half_size, self.axes)
        boundary_rules(self.boundary, self.axes, dim)
        object.__setattr__(self, "boundary", shared_boundary(self.boundary))

    @property
    def dim(self) -> int:
        """d, the number of coordinates."""
        return self.values.ndim - 1

    @property
    def channels(self) -> int:
        """c, the number of values per point."""
        return self.values.shape[-1]

    @property
    def shape(self) -> tuple[int, ...]:
        """(N_1, ..., N_d), the signal's own samples per axis."""
        return tuple(n - 2 * p for n, p in zip(self.values.shape, self.pads, strict=False))

    @property
    def bounds(self) -> np.ndarray:
        """[d, 2], the box the values cover, in domain units."""
        ends = [(-1 - p * spacing(n), -1 + (n - 1 + p) * spacing(n))
                for p, n in zip(self.pads, self.shape, strict=True)]  # fmt: skip
        return np.array(ends)

    @property
    def margin(self) -> float:
        """m, what is covered beyond [-1, 1] in every filtered axis, in domain units."""
        return float(min(self.bounds[axis, 1] for axis in self.axes) - 1.0)

    @property
    def core(self) -> np.ndarray:
        """The values on the signal's own grid, [N_1, ..., N_d, c]."""
        return crop(self.values, self.pads)

    @property
    def digest(self) -> str:
        """SHA-256 of the values, which tells one ground truth from another."""
        return checksum(self.values)

    @property
    def h(self) -> dict[int, float]:
        """Distance between the minimal kernel's Diracs along every filtered axis, in domain units."""
        return {axis: knot_spacing(self.order, size) for axis, size in zip(self.axes, self.half_size, strict=True)}

    @property
    def kernel(self) -> SparseKernel:
        """The minimal kernel that the signal was convolved with."""
        return minimal_kernel(self.order, self.half_size, self.dim, self.axes)

    def coordinates(self, axis: int) -> np.ndarray:
        """Positions of the values along one axis, in domain units."""
        return coordinates(self.shape[axis], self.pads[axis])

    def save(self, path: str | Path) -> Path:
        """Write everything to one `.npz` file, atomically."""
        facts = {name: getattr(self, name) for name in FACTS if name not in ("half_size", "meta")}
        # One number where all axes share it, as files had it before half sizes could differ.
        facts["half_size"] = self.half_size[0] if len(set(self.half_size)) == 1 else self.half_size
        facts["backend"] = self.backend
        facts["meta"] = json.dumps(metadata_entries(self.metadata))
        arrays = {name: np.asarray(value) for name, value in facts.items()}
        return save_archive(path, {"values": self.values, "bounds": self.bounds, **arrays})

    @classmethod
    def load(cls, path: str | Path) -> "GroundTruth":
        """Read what `save` wrote; raises FileNotFoundError or ArchiveError with what is wrong."""
        arrays = load_archive(path, ("values", *FACTS))
        try:
            # Compressed, millions of them fit into a small file.
            if any(arrays[name].size > LARGEST_DIM or arrays[name].nbytes > LARGEST_FACT for name in FACTS):
                raise ValueError("it claims more facts than a signal has")
            axes = tuple(int(axis) for axis in arrays["axes"].ravel())
            sizes = [float(size) for size in arrays["half_size"].ravel()]
            # Files before version 0.3 do not say.
            backend = str(arrays.get("backend", "numpy"))
            if backend not in BACKENDS:
                raise ValueError(f"its samples are from {backend[:40]!r}, not from {' or '.join(BACKENDS)}")
            truth = cls(
                values=arrays["values"],
                axes=axes,
                order=checked_order(arrays["order"].item()),
                half_size=tuple(sizes * len(axes) if len(sizes) == 1 else sizes),
                boundary=str(arrays["boundary"]),
                pads=tuple(int(pad) for pad in arrays["pads"].ravel()),
                method=str(arrays["method"]),
                samples=int(arrays["samples"]),
                seed=int(arrays["seed"]),
                modality=str(arrays["modality"]),
                source=str(arrays["source"]),
                backend=backend,
            )
            entries = json.loads(str(arrays["meta"]))
            metadata = parse_metadata(truth.modality, entries, truth.shape, truth.channels)
            object.__setattr__(truth, "metadata", metadata)
            return truth
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ArchiveError(f"{path} is not a ground truth: {error}; make it again with mc_utils.py") from None


def check_half_size(half_size: Sequence[float], axes: Sequence[int]) -> None:
    """Raise ValueError for half sizes that are not one number within bounds per filtered axis."""
    if len(half_size) != len(axes):
        raise ValueError(f"half size {half_size} must have one number for each of the {len(axes)} filtered axes")
    if not all(SMALLEST_HALF_SIZE <= size <= 2 for size in half_size):
        sizes = ", ".join(f"{size:g}" for size in half_size)
        raise ValueError(
            f"half size must lie in {SMALLEST_HALF_SIZE:g}..2 domain units (a signal spans 2), not {sizes}"
        )


def sampled(signal: Signal, request: SamplingRequest) -> Signal:
    """The samples of a callable that a request requires, with what that took in the metadata; says so, and warns where
    the accuracy is not met."""
    found = sample(signal.function, request)
    estimate = 0.0 if math.isnan(found.estimate) else found.estimate
    shape = " x ".join(map(str, found.signal.shape))
    note(f"{signal.name}: {shape} samples, {found.evaluations} evaluations, estimated {estimate:.1f} dB")
    wanted = signal.function.settings
    if not found.met:
        fixed = any(wanted.resolution)
        how, more = ("--resolution", "it") if fixed else (f"{wanted.evaluations} evaluations", "--evaluations")
        warn(f"{signal.name}: {how} ended at an estimated {estimate:.1f} dB, not {wanted.accuracy:g}: raise {more}, or "
             "use a larger kernel")  # fmt: skip
    fine = refined(found.signal, request)
    facts: dict[str, Any] = {"used": found.evaluations, "estimate": estimate, "resolution": fine.shape}
    known = {entry.name for entry in fields(signal.metadata)}
    metadata = replace(signal.metadata, **{name: value for name, value in facts.items() if name in known})
    return replace(fine, modality=signal.modality, name=signal.name, metadata=metadata)


def pads_for(margin: float, shape: Sequence[int], axes: Sequence[int]) -> tuple[int, ...]:
    """Samples per axis that cover `margin` domain units beyond [-1, 1] in the filtered axes."""
    # A single sample lies at -1: it takes one more to cover the other end.
    count = {axis: math.ceil(margin / spacing(shape[axis]) - 1e-9) + (shape[axis] == 1 and margin > 0) for axis in axes}
    return tuple(count.get(axis, 0) for axis in range(len(shape)))


def make_ground_truth(
    signal: Signal,
    order: int = 1,
    half_size: float | Sequence[float] = 0.05,
    margin: float = 0.4,
    boundary: str = "clamp",
    method: str = "exact",
    samples: int = 100,
    seed: int = 0,
    sampler: str = "lattice",
    backend: str = "numpy",
    dtype: str = "float32",
) -> GroundTruth:
    """Convolve a signal with the minimal kernel of `order` and `half_size` (domain units, one number or one per
    filtered axis) on its grid and `margin` beyond it, exactly or from Monte Carlo `samples` per point.

    `boundary` is one rule, or one per filtered axis with commas in between. A callable is sampled for it first. Raises
    ValueError for numbers out of range and a backend that does not work.
    """
    checked_order(order)
    sizes = tuple(np.broadcast_to(np.asarray(half_size, float), (len(signal.axes),)).tolist())
    check_half_size(sizes, signal.axes)
    boundary = shared_boundary(boundary)
    boundary_rules(boundary, signal.axes, signal.dim)
    warn_of_loop(signal, boundary)
    if not 0 <= margin <= LARGEST_MARGIN:
        raise ValueError(f"the margin must lie in 0..{LARGEST_MARGIN:g} domain units, not {margin:g}")
    if signal.function is not None:
        request = SamplingRequest(signal.axes, order, sizes, margin, boundary)
        signal = sampled(signal, request) if method == "exact" else replace(
            storing_grid(signal.function, request), modality=signal.modality, name=signal.name, metadata=signal.metadata
        )  # fmt: skip
    pads = pads_for(margin, signal.shape, signal.axes)
    if method == "exact":
        values, samples = minimal_convolution(signal, order, sizes, boundary, pads, np.dtype(dtype)), 0
    elif method == "monte_carlo":
        xp = array_module(backend)
        values = monte_carlo_convolution(signal, order, sizes, boundary, pads, samples, seed, sampler, xp, dtype)
    else:
        raise ValueError(f"the method must be exact or monte_carlo, not {method!r}")
    facts = (signal.axes, order, sizes, boundary, pads, method, samples, seed, signal.modality, signal.name)
    return GroundTruth(values, *facts, signal.metadata, backend if samples else "numpy")
