"""Figures drawn without a display and without pyplot's global state."""

from pathlib import Path
from typing import Any

import numpy as np

from files import atomic_write


def new_figure(width: float, height: float) -> Any:
    """A matplotlib figure of this many inches, its layout constrained so that labels never overlap."""
    from matplotlib.figure import Figure  # slow to import, and only figures need it

    return Figure(figsize=(width, height), layout="constrained")


def write_figure(figure: Any, path: Path) -> None:
    """Write a figure as PNG, atomically."""
    with atomic_write(path) as stream:
        figure.savefig(stream, format="png", dpi=150)


def show_picture(axes: Any, pixels: np.ndarray, title: str) -> None:
    """Show a uint8 picture [H, W, 1 | 3 | 4] without ticks."""
    grey = pixels.shape[-1] == 1
    axes.imshow(pixels[..., 0] if grey else pixels, cmap="gray" if grey else None, vmin=0, vmax=255)
    axes.set_title(title, fontsize=10)
    axes.set_axis_off()


def show_error(figure: Any, axes: Any, values: np.ndarray, truth: np.ndarray, title: str) -> None:
    """Show |values - truth| of pictures [H, W, C], averaged over the channels, with a colour bar."""
    drawn = axes.imshow(np.abs(values - truth).mean(-1), cmap="magma", vmin=0)
    figure.colorbar(drawn, ax=axes, shrink=0.8)
    axes.set_title(title, fontsize=10)
    axes.set_axis_off()
