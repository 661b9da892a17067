"""Figures of kernels with their Diracs, as in the paper: what is fitted, how well, and that nothing is left outside.

Drawn with Matplotlib's objects alone, so no window, style or figure of the caller's is touched.
"""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from files import atomic_write
from kernels.separate import grid_density, is_signed
from kernels.sparse import SparseKernel
from kernels.target import Target

FIT, WANTED, POSITIVE, NEGATIVE = "#1b4f8f", "#e08214", "#b2182b", "#2166ac"
# How far beyond the support a figure reaches, so that anything left there would show.
REACH = 1.3


def kernel_figure(kernel: SparseKernel, target: Target | None = None) -> Figure:
    """A figure of `kernel` in its filtered axes, with its target and the error where one is given.

    One axis: curve, Diracs (and error). Two: pictures and the Diracs. Three: slices through the middle.
    Raises ValueError for a target of other axes.
    """
    axes = list(kernel.axes)
    if target is not None and target.dim != len(axes):
        raise ValueError(f"a target of {target.dim} axes does not belong to a kernel of {len(axes)}")
    draw = {1: _draw_line, 2: _draw_plane}.get(len(axes), _draw_slices)
    figure = Figure(layout="constrained")
    radius = kernel.radius[axes] if target is None else np.maximum(kernel.radius[axes], target.radius)
    draw(figure, kernel, target, radius)
    figure.suptitle(f"order {kernel.order}, {len(kernel)} Diracs, mass {round(kernel.mass, 9) + 0.0:.6g}")
    return figure


def kernel_picture(kernel: SparseKernel, target: Target | None = None) -> np.ndarray:
    """The figure as pixels [H, W, 3], uint8."""
    canvas = FigureCanvasAgg(kernel_figure(kernel, target))
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def save_figure(path: str | Path, kernel: SparseKernel, target: Target | None = None) -> Path:
    """Write the figure to a `.png` file."""
    figure = kernel_figure(kernel, target)
    with atomic_write(path) as stream:
        figure.savefig(stream, format="png", dpi=120)
    return Path(path)


def _draw_line(figure: Figure, kernel: SparseKernel, target: Target | None, radius: np.ndarray) -> None:
    """Curve over Diracs, and under them the error."""
    x = REACH * radius[0] * np.linspace(-1, 1, 2001)
    fit = grid_density(kernel, [x])
    rows = 2 if target is None else 3
    figure.set_size_inches(6, 2 * rows)
    top, middle, *bottom = figure.subplots(rows, 1, sharex=True, height_ratios=[2, 1.4, 1][:rows])
    if target is not None:
        wanted = target.on_grid([x])
        top.plot(x, wanted, color=WANTED, lw=3, alpha=0.6, label="target")
        bottom[0].plot(x, fit - wanted, color=FIT, lw=1)
        bottom[0].set_ylabel("error")
        bottom[0].axhline(0, color="0.7", lw=0.5, zorder=0)
    top.plot(x, fit, color=FIT, lw=1.2, label="kernel")
    top.fill_between(x, fit, color=FIT, alpha=0.1)
    top.axvspan(-kernel.radius.max(), kernel.radius.max(), color="0.95", zorder=0, label="support")
    top.legend(fontsize="small", frameon=False)
    top.set_ylabel("g(x)")
    t = kernel.positions[:, kernel.axes[0]]
    colours = np.where(kernel.weights > 0, POSITIVE, NEGATIVE)
    middle.vlines(t, 0, kernel.weights, colors=colours, lw=1.5)
    middle.scatter(t, kernel.weights, c=colours, s=18)
    middle.axhline(0, color="0.5", lw=0.8)
    middle.set_ylabel("weights")
    (bottom[0] if bottom else middle).set_xlabel("x, domain units")


def _draw_plane(figure: Figure, kernel: SparseKernel, target: Target | None, radius: np.ndarray) -> None:
    """Target, kernel, error and Diracs side by side, rows downwards."""
    grid = [REACH * r * np.linspace(-1, 1, 401) for r in radius]
    fit = grid_density(kernel, grid)
    support = kernel.radius[list(kernel.axes)]
    panels, signed = [("kernel", fit)], is_signed(kernel)
    if target is not None:
        wanted = target.on_grid(grid)
        panels = [("target", wanted), ("kernel", fit), ("error", fit - wanted)]
    figure.set_size_inches(3.1 * (len(panels) + 1), 3.3)
    *shown, last = figure.subplots(1, len(panels) + 1)
    for axes, (title, values) in zip(shown, panels, strict=True):
        _show(axes, values, grid, title, support, title == "error" or signed)
    sizes = np.sqrt(np.abs(kernel.weights) / np.abs(kernel.weights).max())
    rows, columns = kernel.positions[:, list(kernel.axes)].T
    order = np.argsort(-sizes)
    area = 60 * min(1.0, 20 / np.sqrt(len(kernel)))
    colours = np.where(kernel.weights > 0, POSITIVE, NEGATIVE)
    last.scatter(columns[order], rows[order], s=area * sizes[order] + 0.3, c=colours[order], lw=0)
    last.set_xlim(grid[1][0], grid[1][-1])
    last.set_ylim(grid[0][-1], grid[0][0])
    last.set_aspect("equal")
    last.set_title("Diracs", fontsize="small")


def _draw_slices(figure: Figure, kernel: SparseKernel, target: Target | None, radius: np.ndarray) -> None:
    """The middle slice along every pair of axes, the target's above the kernel's."""
    pairs = list(combinations(range(len(radius)), 2))
    figure.set_size_inches(3.1 * len(pairs), 3.1 if target is None else 5.6)
    rows = figure.subplots(1 if target is None else 2, len(pairs), squeeze=False)
    support, signed = kernel.radius[list(kernel.axes)], is_signed(kernel)
    for column, (i, j) in enumerate(pairs):
        grid = [REACH * r * np.linspace(-1, 1, 201) if k in (i, j) else np.zeros(1) for k, r in enumerate(radius)]
        plane, names = [grid[i], grid[j]], f"axes {kernel.axes[i]} and {kernel.axes[j]}"
        fit = grid_density(kernel, grid).reshape(len(grid[i]), len(grid[j]))
        _show(rows[-1][column], fit, plane, f"kernel, {names}", support[[i, j]], signed)
        if target is not None:
            wanted = target.on_grid(grid).reshape(fit.shape)
            _show(rows[0][column], wanted, plane, f"target, {names}", support[[i, j]], signed)


def _show(
    axes: Axes, values: np.ndarray, grid: Sequence[np.ndarray], title: str, support: np.ndarray, signed: bool
) -> None:
    """One picture with its colour bar, 0 in its middle where `signed`; a dotted frame marks the kernel's support."""
    size = float(np.abs(values).max()) or 1.0
    extent = (grid[1][0], grid[1][-1], grid[0][-1], grid[0][0])
    low = -size if signed else min(0.0, float(values.min()))
    image = axes.imshow(values, extent=extent, cmap="RdBu_r" if signed else "magma", vmin=low, vmax=size)
    frame = Rectangle((-support[1], -support[0]), 2 * support[1], 2 * support[0], fill=False, ls=":", ec="0.5")
    axes.add_patch(frame)
    axes.set_title(title, fontsize="small")
    axes.figure.colorbar(image, ax=axes, shrink=0.7)
