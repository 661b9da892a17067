"""What is filtered with: one kernel, one kernel of varying size, or a blend of kernels of varying angle."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from filtering.choice import Choice, Say
from filtering.reference import Reference, from_signal, measure
from filtering.run import filter_signal
from filtering.varying import blend_weights, exact_varying, filter_varying, resampled
from kernels import SparseKernel
from modalities.measures import mse, psnr, snr
from modalities.modality import Modality
from models.field import Field, Progress
from models.memory import in_smaller_blocks
from signals.exact import kernel_convolution
from signals.signal import Signal


@dataclass(frozen=True)
class Setting:
    """How a run works: the training kernel's half size (domain units), points at once, and who hears of it."""

    half_size: float
    block: int
    say: Say
    progress: Progress | None = None


class Plan(Protocol):
    """One way to filter; `kernels` are checked against the field, `widest` against its margin."""

    @property
    def kernels(self) -> Sequence[SparseKernel]:
        """Every kernel that is filtered with."""

    @property
    def widest(self) -> SparseKernel:
        """The kernel at its largest."""

    @property
    def finest(self) -> SparseKernel:
        """The kernel at its smallest, which asks most of the field's precision."""

    @property
    def fixed(self) -> bool:
        """Whether it is one kernel everywhere, as in a file of ground truth."""

    @property
    def signed(self) -> bool:
        """Whether results are to be shown around a middle grey."""

    def filter(self, field: Field, shape: Sequence[int], setting: Setting) -> np.ndarray:
        """The filtered signal on the regular grid of `shape`, [M_1, ..., M_d, c]."""

    def reference(self, signal: Signal, boundary: str) -> Reference:
        """The signal and what the result should be, as far as known on the whole grid."""

    def measure(self, modality: Modality, result: np.ndarray, reference: Reference, meta: Any) -> dict[str, Any]:
        """How near `result`, on the signal's own grid, is to the reference."""


@dataclass(frozen=True)
class Constant:
    """The same kernel everywhere."""

    choice: Choice
    fixed = True

    @property
    def kernels(self) -> Sequence[SparseKernel]:
        return [self.choice.kernel]

    @property
    def widest(self) -> SparseKernel:
        return self.choice.kernel

    @property
    def finest(self) -> SparseKernel:
        return self.choice.kernel

    @property
    def signed(self) -> bool:
        return self.choice.signed

    def filter(self, field: Field, shape: Sequence[int], setting: Setting) -> np.ndarray:
        kernel, block = self.choice.kernel, setting.block
        return filter_signal(field, kernel, shape, setting.half_size, block, setting.say, setting.progress)

    def reference(self, signal: Signal, boundary: str) -> Reference:
        return from_signal(signal, self.choice, boundary)

    def measure(self, modality: Modality, result: np.ndarray, reference: Reference, meta: Any) -> dict[str, Any]:
        return measure(modality, result, reference, self.choice.kernel, meta)


@dataclass(frozen=True, eq=False)
class Scaled:
    """One kernel whose size is a function of the place: `values` [..., a] in [0, 1] map to the factors of `span`.

    Raises ValueError for a span that is not positive.
    """

    choice: Choice
    values: np.ndarray
    span: tuple[float, float]
    fixed = False

    def __post_init__(self) -> None:
        if not (np.isfinite(self.span).all() and min(self.span) > 0):
            raise ValueError(f"--scale_range must be two positive numbers, not {self.span}")

    @property
    def kernels(self) -> Sequence[SparseKernel]:
        return [self.choice.kernel]

    @property
    def widest(self) -> SparseKernel:
        return self.choice.kernel.scaled(float(self._factors(self.values).max()))

    @property
    def finest(self) -> SparseKernel:
        return self.choice.kernel.scaled(float(self._factors(self.values).min()))

    @property
    def signed(self) -> bool:
        return self.choice.signed

    def _factors(self, values: np.ndarray) -> np.ndarray:
        return self.span[0] + (self.span[1] - self.span[0]) * values

    def filter(self, field: Field, shape: Sequence[int], setting: Setting) -> np.ndarray:
        factors = self._factors(resampled(self.values, shape))

        def work(block: int) -> np.ndarray:
            return filter_varying(field, self.choice.kernel, factors, block, setting.progress, setting.half_size)

        return in_smaller_blocks(work, setting.block, setting.say)

    def reference(self, signal: Signal, boundary: str) -> Reference:
        factors = self._factors(resampled(self.values, signal.shape))
        exact, rows = exact_varying(signal, self.choice.kernel, factors, boundary)
        return Reference(signal.core, None, rows=rows, exact=exact)

    def measure(self, modality: Modality, result: np.ndarray, reference: Reference, meta: Any) -> dict[str, Any]:
        """Measured at the points that `reference` answers exactly."""
        found = result.reshape(-1, result.shape[-1])[reference.rows]
        truth = reference.exact
        return {"whole": {"psnr": psnr(found, truth), "snr": snr(found, truth), "mse": mse(found, truth),
                          "points": len(found)}, "interior": None}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Blended:
    """Kernels at even angles, blended by a map [..., 1] of angles / 180 degrees; costs as many filters as angles."""

    choices: tuple[Choice, ...]
    values: np.ndarray
    fixed = False

    @property
    def kernels(self) -> Sequence[SparseKernel]:
        return [choice.kernel for choice in self.choices]

    @property
    def widest(self) -> SparseKernel:
        return max(self.kernels, key=lambda kernel: kernel.radius.max())

    @property
    def finest(self) -> SparseKernel:
        return max(self.kernels, key=lambda kernel: float(np.square(kernel.weights).sum()))

    @property
    def signed(self) -> bool:
        return self.choices[0].signed

    def _blend(self, shape: Sequence[int], filtered: Callable[[Choice], np.ndarray]) -> np.ndarray:
        """The sum of what `filtered` makes of every kernel, weighted from point to point, one result at a time."""
        weights = blend_weights(_angles(self.values, shape), len(self.choices))
        return sum(weight * filtered(choice) for weight, choice in zip(weights, self.choices, strict=True))

    def filter(self, field: Field, shape: Sequence[int], setting: Setting) -> np.ndarray:
        quiet = replace(setting, progress=None)
        done = itertools.count(1)

        def filtered(choice: Choice) -> np.ndarray:
            result = Constant(choice).filter(field, shape, quiet)
            if setting.progress:
                setting.progress(next(done) / len(self.choices))
            return result

        return self._blend(shape, filtered).astype(np.float32)

    def reference(self, signal: Signal, boundary: str) -> Reference:
        truth = self._blend(signal.shape, lambda choice: kernel_convolution(signal, choice.kernel, boundary))
        return Reference(signal.core, truth)

    def measure(self, modality: Modality, result: np.ndarray, reference: Reference, meta: Any) -> dict[str, Any]:
        return measure(modality, result, reference, self.widest, meta)


def _angles(values: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Angles / 180 degrees on another grid, [M_1, ..., M_d, 1]; half a turn is none, so directions are resampled."""
    turn = 2 * np.pi * values
    cosine, sine = resampled(np.cos(turn), shape), resampled(np.sin(turn), shape)
    return np.arctan2(sine, cosine) / (2 * np.pi) % 1.0


def described(plan: Plan) -> Mapping[str, Any]:
    """What the report says of the kernels."""
    kernel = plan.widest
    return {"diracs": len(kernel), "kernels": len(plan.kernels), "radius": kernel.radius.tolist(),
            "mass": kernel.mass, "order": kernel.order}  # fmt: skip
