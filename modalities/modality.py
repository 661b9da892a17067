"""What a modality is: how one kind of signal is loaded, written, measured, and along which axes it is filtered."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from modalities.facts import Facts, check_flag, check_whole_number, option, taken
from modalities.inputs import LARGEST_SAMPLES
from signals import Signal, spacing

# How a figure calls what it compares, unless it is told what else they are.
CAPTIONS = ("signal", "filtered by the field")


@dataclass(frozen=True)
class LoadOption:
    """An option of a loader that the command line offers; a default of None leaves the decision to the file."""

    name: str
    kind: type
    default: Any
    help: str


@dataclass(frozen=True)
class Modality:
    """One entry of the table of modalities.

    load(path, **options) -> Signal; raises ValueError or FileNotFoundError with one clear sentence.
    save(values, folder, meta) -> files; values [N_1, ..., N_d, c] at any size, `meta` as `load` made it.
    metrics(values, truth, meta=None) -> {name: number}; both on one grid, all finite; some numbers need `meta`.
    `axis_names` has a letter per coordinate in grid order ('yx': rows first), `filtered` those filtered by
    default, `counted` those that number things of which none may be left out. `load_options` are `load`'s keywords,
    and `halo` is that by which a signal of many pieces is told how many of its neighbours' samples each piece knows.
    compare(before, after, truth, path, meta, captions) draws the figure: signal and filtered (called `captions`), and
    truth and error if any, to the PNG `path` and to files beside it with the other endings of `figures`.
    `facts` are what `load` writes to `meta`, and check what a file says of it (see `check`).
    """

    name: str
    number: int
    axis_names: str
    filtered: str
    extensions: tuple[str, ...]
    load: Callable[..., Signal]
    save: Callable[[np.ndarray, Path, Mapping[str, Any]], list[Path]]
    metrics: Callable[..., dict[str, float]]
    compare: Callable[..., None]
    facts: type[Facts]
    load_options: tuple[LoadOption, ...] = ()
    figures: tuple[str, ...] = (".png",)
    counted: str = ""
    halo: str = ""

    def __post_init__(self) -> None:
        if len(set(self.axis_names)) != len(self.axis_names) or not self.filtered:
            raise ValueError(f"{self.name} needs a letter of its own for every axis and an axis to filter")
        if self.halo and self.halo not in {entry.name for entry in self.load_options}:
            raise ValueError(f"{self.name} has no load option {self.halo!r} to be its halo")
        self.axes_of(self.filtered)

    @property
    def counted_axes(self) -> tuple[int, ...]:
        """Axis numbers of `counted`."""
        return tuple(self.axis_names.index(letter) for letter in self.counted)

    def load_to(self, path: str | Path, reach: Sequence[float], **options: Any) -> Signal:
        """The signal, known as far beyond [-1, 1] in its filtered axes as a filter reaches, where the file knows it.

        The lengths `reach` (domain units: a margin, a kernel's radius) add up, each in whole samples, and one sample
        more is what interpolation asks. A halo that `options` leaves out is made large enough; raises as `load` does
        and ValueError for one that is too small.
        """
        signal = self.load(path, **options)
        if not self.halo or all(signal.shape[axis] == 1 for axis in self.counted_axes):
            return signal  # beyond the only piece there is nothing to know
        steps = {axis: spacing(signal.shape[axis]) for axis in self.axes_of(None)}
        needed = {axis: 1 + sum(math.ceil(r / step - 1e-9) for r in reach) for axis, step in steps.items()}
        if all(signal.halo[axis] >= count for axis, count in needed.items()):
            return signal
        most = max(needed.values())
        if options.get(self.halo) is not None:
            raise ValueError(
                f"--{self.halo} {options[self.halo]} is too small: {most} samples beyond each piece are reached; "
                f"give {most} or leave it out"
            )
        return self.load(path, **options | {self.halo: most})

    def check_boundary(self, boundary: str) -> None:
        """Refuse, with a ValueError, a rule that the samples of a halo do not follow beyond the signal's ends."""
        if self.halo and boundary != "clamp":
            raise ValueError(f"{self.name} is cut into pieces that go on by their neighbours; use --boundary clamp")

    def asked_of(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Those of a command line's `options` that were given; raises ValueError for one this loader is not told."""
        asked = {name: value for name, value in options.items() if value is not None}
        if unknown := sorted(set(asked) - {entry.name for entry in self.load_options}):
            raise ValueError(f"{self.name} has no option {', '.join('--' + name for name in unknown)}")
        return asked

    def check(self, meta: Mapping[str, Any], shape: Sequence[int], channels: int) -> None:
        """Refuse, with a ValueError, a signal that no `load` of this modality makes, by what its file says of it.

        `meta` may also hold 'load', the options it was read with, and 'released', of the authors' models.
        """
        self.options_of(meta.get("load", {}))
        try:
            if len(shape) != len(self.axis_names):
                raise ValueError(f"it has the axes {', '.join(self.axis_names)}, not {len(shape)} of them")
            check_whole_number("the number of its values", math.prod(shape) * channels, 1, LARGEST_SAMPLES)
            check_flag("released", meta.get("released", True))
            if unknown := sorted(set(meta) - {entry.name for entry in fields(self.facts)} - {"load", "released"}):
                raise ValueError(f"it has no {', '.join(unknown):.60}")
            taken(self.facts, meta, self.name).fit(tuple(shape), channels)
        except ValueError as error:
            raise ValueError(
                f"what the file says of its {self.name} cannot be: {error}; make it again from the signal"
            ) from None

    def options_of(self, stored: Any) -> dict[str, Any]:
        """Options of `load` as a file says they were given; raises ValueError for what this loader is not told."""
        known = {entry.name: entry.kind for entry in self.load_options}
        try:
            return {name: option(known[name], value) for name, value in dict(stored).items()}
        except (KeyError, TypeError, ValueError, OverflowError):
            raise ValueError(f"the file says its signal was read with {stored!r:.80}, which nothing can be") from None

    def axes_of(self, letters: str | None) -> tuple[int, ...]:
        """Axis numbers for letters such as 't' or 'xyt'; raises ValueError for one that cannot be filtered."""
        letters = letters or self.filtered
        if numbering := sorted(set(letters) & set(self.counted)):
            raise ValueError(f"{', '.join(numbering)} only numbers the pieces of {self.name}; leave it out of --axes")
        unknown = sorted(set(letters) - set(self.axis_names))
        if unknown:
            raise ValueError(f"{self.name} has the axes {', '.join(self.axis_names)}, not {', '.join(unknown)}")
        return tuple(sorted(self.axis_names.index(letter) for letter in set(letters)))
