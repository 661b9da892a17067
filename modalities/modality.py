"""What a modality is: how one kind of signal is loaded, written, measured, and along which axes it is filtered."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from signals import Signal


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
    default, `counted` those that number things of which none may be left out. `load_options` are `load`'s keywords.
    compare(before, after, truth, path, meta) draws the figure: signal, filtered, and truth and error if any, to the
    PNG `path` and to files beside it with the other endings of `figures`.
    """

    name: str
    number: int
    axis_names: str
    filtered: str
    extensions: tuple[str, ...]
    load: Callable[..., Signal]
    save: Callable[[np.ndarray, Path, Mapping[str, Any]], list[Path]]
    metrics: Callable[..., dict[str, float]]
    compare: Callable[[np.ndarray, np.ndarray, np.ndarray | None, Path, Mapping[str, Any]], None]
    load_options: tuple[LoadOption, ...] = ()
    figures: tuple[str, ...] = (".png",)
    counted: str = ""

    def __post_init__(self) -> None:
        if len(set(self.axis_names)) != len(self.axis_names) or not self.filtered:
            raise ValueError(f"{self.name} needs a letter of its own for every axis and an axis to filter")
        self.axes_of(self.filtered)

    @property
    def counted_axes(self) -> tuple[int, ...]:
        """Axis numbers of `counted`."""
        return tuple(self.axis_names.index(letter) for letter in self.counted)

    def options_of(self, stored: Any) -> dict[str, Any]:
        """Options of `load` as a file says they were given; raises ValueError for what this loader is not told."""
        known = {entry.name: entry.kind for entry in self.load_options}
        try:
            return {name: known[name](value) for name, value in dict(stored).items()}
        except (KeyError, TypeError, ValueError, OverflowError):
            raise ValueError(f"the file says its signal was read with {stored!r:.80}, which nothing can be") from None

    def axes_of(self, letters: str | None) -> tuple[int, ...]:
        """Axis numbers for letters such as 't' or 'xyt'; raises ValueError for a letter this modality lacks."""
        letters = letters or self.filtered
        unknown = sorted(set(letters) - set(self.axis_names))
        if unknown:
            raise ValueError(f"{self.name} has the axes {', '.join(self.axis_names)}, not {', '.join(unknown)}")
        return tuple(sorted(self.axis_names.index(letter) for letter in set(letters)))
