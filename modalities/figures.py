"""Figures drawn without a display and without pyplot's global state."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from files import atomic_write
from files.stored import thinned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
else:  # slow to import, and only drawing needs it
    Axes = Figure = Any

DPI = 150
LONGEST_TITLE = 60
# What figures call the signal and the result, unless a caller names them otherwise.
CAPTIONS = ("signal", "filtered by the field")


@dataclass(frozen=True)
class Comparison:
    """What a figure shows: signal and result, titled by `captions`, and the truth where it is known; `signed`: whether
    the result holds differences about zero (None: as its values look)."""

    before: np.ndarray
    after: np.ndarray
    truth: np.ndarray | None = None
    captions: tuple[str, str] = CAPTIONS
    signed: bool | None = None

    @property
    def panels(self) -> list[tuple[str, np.ndarray]]:
        """Titles and values."""
        known = [] if self.truth is None else [("truth", self.truth)]
        return [(self.captions[0], self.before), (self.captions[1], self.after), *known]

    def thinned(self, most: int) -> "Comparison":
        """With every k-th value, so that no axis has more than `most`."""
        before, after = thinned(self.before, most), thinned(self.after, most)
        truth = None if self.truth is None else thinned(self.truth, most)
        return replace(self, before=before, after=after, truth=truth)

    @property
    def columns(self) -> int:
        """The number of panels, and with a truth one more for the error."""
        return 2 if self.truth is None else 4

    @property
    def best(self) -> np.ndarray:
        """The truth, or the result where there is none."""
        return self.after if self.truth is None else self.truth

    @property
    def aspect(self) -> float:
        """Height over width of a panel with the result's rows and columns, kept within reason."""
        return min(max(self.after.shape[0] / self.after.shape[1], 0.3), 3.0)


def new_figure(width: float, height: float) -> Figure:
    """A matplotlib figure of this many inches, its layout constrained so that labels never overlap."""
    from matplotlib import figure

    return figure.Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def write_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, atomically."""
    with atomic_write(path) as stream:
        figure.savefig(stream, format="png")
    return path


def figure_pixels(figure: Figure) -> np.ndarray:
    """The figure as uint8 [H, W, 3]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def show_picture(axes: Axes, pixels: np.ndarray, title: str) -> None:
    """Show a uint8 picture [H, W, 1 | 3 | 4] without ticks."""
    grey = pixels.shape[-1] == 1
    axes.imshow(pixels[..., 0] if grey else pixels, cmap="gray" if grey else None, vmin=0, vmax=255)
    axes.set_title(title, fontsize=10)
    axes.set_axis_off()


def show_error(axes: Axes, error: np.ndarray, title: str) -> None:
    """Show absolute errors [H, W] with a colour bar from 0."""
    drawn = axes.imshow(error, cmap="magma", vmin=0)
    axes.figure.colorbar(drawn, ax=axes, shrink=0.8)
    axes.set_title(title, fontsize=10)
    axes.set_axis_off()


def pictures_figure(
    shown: Comparison, height: float, pictures: Sequence[np.ndarray], error: np.ndarray | None, said: str
) -> Figure:
    """The uint8 `pictures` of signal, result and truth in a row, and where it is known their `error`, titled `said`."""
    figure = new_figure(3.4 * shown.columns, height)
    axes = figure.subplots(1, shown.columns)
    for panel, (title, _), pixels in zip(axes, shown.panels, pictures, strict=False):
        show_picture(panel, pixels, title)
    if error is not None:
        show_error(axes[-1], error, said)
    return figure


def curves_figure(
    names: Sequence[str], curves: Sequence[tuple[str, np.ndarray, np.ndarray]], unit: str, apart: bool = False
) -> Figure:
    """A row per name, in which all curves are drawn; a curve is (label, times [T], values [T, rows]).

    A third curve is the truth, and a second column then shows the second minus the third. `apart`: the first has a
    scale of its own, on the right.
    """
    columns = 2 if len(curves) == 3 else 1
    figure = new_figure(11, 2.0 * len(names) + 0.7)
    axes = figure.subplots(len(names), columns, squeeze=False, sharex=True, width_ratios=(2, 1)[:columns])
    styles = [("0.7", 1.6), ("C3", 1.2), ("k", 0.6)]
    for number, (name, row) in enumerate(zip(names, axes, strict=True)):
        panels = [row[0].twinx() if apart else row[0], row[0], row[0]]
        row[0].set_zorder(panels[0].get_zorder() + apart)  # the first curve stays behind the others
        row[0].patch.set_visible(not apart)
        lines = [
            panel.plot(times, values[:, number], color=colour, linewidth=width, label=label)[0]
            for panel, (label, times, values), (colour, width) in zip(panels, curves, styles, strict=False)
        ]
        # Names come from files.
        title = "".join(letter if letter.isprintable() else "?" for letter in name[:LONGEST_TITLE])
        row[0].set_title(title, fontsize=10, parse_math=False)
        if columns == 2:
            (_, times, values), (_, _, truth) = curves[1:]
            row[1].plot(times, values[:, number] - truth[:, number], color="C3", linewidth=0.8)
            row[1].set_title("error", fontsize=10)
    labels = [f"{curves[0][0]} (right scale)" if apart else curves[0][0], *(label for label, _, _ in curves[1:])]
    figure.legend(lines, labels, loc="outside upper center", ncols=len(labels), fontsize=9)
    for last in axes[-1]:
        last.set_xlabel(unit)
    return figure
