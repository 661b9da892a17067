"""A signal read together with the half size and margin asked for, which may be in units that only it knows."""

import contextlib
from collections.abc import Callable, Sequence

import numpy as np

from files.inputs import warn
from kernels.library import Kernel
from kernels.width import cutoff
from modalities import find
from signals import Signal
from signals.metadata import Metadata
from signals.units import Units, has_unit

Size = float | str | Sequence[float]


def units_of(metadata: Metadata, shape: Sequence[int], axes: Sequence[int]) -> Units:
    """What lengths along the filtered axes of a signal may be given in; what is assumed of it is a printed warning."""
    rulers, names = metadata.rulers(shape), metadata.axis_names or [str(axis) for axis in range(len(shape))]
    return Units([rulers[axis] for axis in axes], [names[axis] for axis in axes], warn)


def as_text(size: Size) -> str:
    """A size as it would be typed; raises ValueError for what is none."""
    if isinstance(size, str):
        return size
    try:
        return ",".join(repr(float(part)) for part in np.atleast_1d(size))
    except (TypeError, ValueError):
        raise ValueError(f"a length is a number, one per filtered axis or text such as '13px', not {size!r}") from None


def margin_of(units: Units, text: str) -> float:
    """A margin in domain units, the largest of those of the filtered axes; raises ValueError."""
    if has_unit(text) or "," in text:
        return max(units.lengths(text, "margin"))
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"margin must be a number, not {text!r}") from None


def load_measured(
    load: Callable[[Sequence[float]], Signal], order: int, half_size: Size, margin: Size
) -> tuple[Signal, list[float], float]:
    """The signal that `load` gives for a reach (see `Modality`), half sizes per filtered axis and the margin in domain
    units; raises ValueError as `load` does.

    A signal in pieces, whose halos must hold these sizes, is read again if it alone defines their units.
    """
    size, beyond = as_text(half_size), as_text(margin)
    reach: tuple[float, ...] = ()
    with contextlib.suppress(ValueError):
        reach = float(beyond), max(float(part) for part in size.split(","))
    signal = load(reach)
    units = units_of(signal.metadata, signal.shape, signal.axes)

    def passed(_: int) -> float:
        return cutoff(Kernel("bspline", {"half_size": 1.0, "degree": order}).target(1))

    sizes, covered = units.lengths(size, "half_size", passed), margin_of(units, beyond)
    if not reach and signal.modality and find(signal.modality).counted:
        signal = load((covered, max(sizes)))
    return signal, sizes, covered
