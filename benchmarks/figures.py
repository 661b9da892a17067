"""The README's figures, drawn from the benchmark's JSON."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report import Parts

DPI = 100


def draw_figures(parts: Parts, folder: Path) -> list[Path]:
    """A PNG for every part that has one; returns their paths."""
    drawn = []
    for name, draw in (("quality", quality), ("filtering", filtering), ("ground_truth", ground_truth)):
        if name in parts:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"benchmark_{name}.png"
            # No date inside: the same figures give the same file.
            draw(parts[name]["data"]).savefig(path, dpi=DPI, metadata={"Software": None})
            drawn.append(path)
    return drawn


def new_axes(count: int) -> tuple[Figure, list[Axes]]:
    """A figure of `count` plots side by side."""
    figure = Figure(figsize=(4.2 * count, 3.2), layout="constrained")
    axes = list(figure.subplots(1, count, squeeze=False)[0])
    for plot in axes:
        plot.grid(True, alpha=0.3, which="both")
        plot.spines[["top", "right"]].set_visible(False)
    return figure, axes


def quality(data: dict[str, Any]) -> Figure:
    """PSNR against seconds of training, one plot for each of the two smallest half sizes and the largest."""
    shown = [0, 1, len(data["sizes"]) - 1]
    figure, axes = new_axes(len(shown))
    lines: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for entry in data["runs"]:
        lines.setdefault((entry["method"], entry["picture"]), []).append(entry)
    pictures = {method: sum(m == method for m, _ in lines) for method, _ in lines}
    for plot, index in zip(axes, shown, strict=True):
        for (method, picture), entries in lines.items():
            points = sorted((e["budget"], e["psnr"][index]) for e in entries)
            several = pictures[method] > 1
            label = f"{method} ({picture})" if several else method
            marker = "o" if len(points) > 1 else "*"
            plot.plot(*zip(*points, strict=True), marker=marker, ms=4, lw=1.8 if several else 1.0, label=label)
        plot.set(xscale="log", xlabel="training, s", title=f"half size {data['sizes'][index]:g}")
    axes[0].set_ylabel("PSNR, dB")
    axes[-1].legend(fontsize=6, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return figure


def filtering(data: dict[str, Any]) -> Figure:
    """Seconds against kernel size and Diracs per axis, shared grids with the direct sum for comparison."""
    figure, axes = new_axes(2)
    for plot, part, label in zip(axes, ("sizes", "counts"), ("half size", "Diracs per axis"), strict=True):
        for number, (kind, seconds) in enumerate(data[part].items()):
            x = [float(name) for name in seconds]
            plot.plot(x, list(seconds.values()), marker="o", ms=4, color=f"C{number}", label=f"{kind}, grid")
            direct = data["compared"]["gaussian"][kind]["seconds_direct"]
            # The direct sum is proportional to the number of Diracs, 169 where it was measured.
            y = [direct * (value / 13) ** 2 if part == "counts" else direct for value in x]
            plot.plot(x, y, "--", lw=1, color=f"C{number}", label=f"{kind}, Dirac by Dirac")
        plot.set(yscale="log", xlabel=label, ylabel="s for 512 x 512")
    axes[-1].legend(fontsize=6, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return figure


def ground_truth(data: dict[str, Any]) -> Figure:
    """rms error against samples of both samplers."""
    figure, (plot,) = new_axes(1)
    for sampler in ("independent", "lattice"):
        plot.plot(data["samples"], data[sampler]["rms"], marker="o", ms=4, label=sampler)
    plot.set(xscale="log", yscale="log", xlabel="samples per pixel", ylabel="rms error")
    plot.legend(fontsize=8, frameon=False)
    return figure
