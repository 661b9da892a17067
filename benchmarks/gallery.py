"""Every kernel of the library from one field, with its figures, and how good the shipped models are."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import nfconv
from benchmarks.common import ROOT, Settings, cost_of, table
from files import atomic_write
from kernels import SparseKernel
from kernels.fit import fit_errors
from kernels.library import Kernel
from kernels.separate import grid_density, is_signed
from modalities.display import picture, signed_size
from signals import Signal
from signals.exact import kernel_convolution
from signals.measures import psnr, snr

MODELS = ROOT / "trained_models"
PHOTOGRAPH = ROOT / "data" / "raw" / "images" / "astronaut.png"
HEART = ROOT / "data" / "raw" / "kernels" / "heart.png"
RADII = (0.1, 0.2, 0.4)
SHOWN = 0.2
TEASER = ("Gaussian", "heart from a picture", "motion blur", "difference of Gaussians")
# Kernels of the library that reach about r (domain units).
KERNELS: dict[str, Callable[[float], Kernel]] = {
    "box": lambda r: nfconv.box(half_size=r),
    "tent": lambda r: nfconv.tent(half_size=r),
    "quadratic B-spline": lambda r: nfconv.quadratic(half_size=r),
    "Gaussian": lambda r: nfconv.gaussian(sigma=r / 3),
    "difference of Gaussians": lambda r: nfconv.dog(sigma=r / 4.8),
    "derivative of Gaussian": lambda r: nfconv.derivative(sigma=r / 4),
    "Laplacian of Gaussian": lambda r: nfconv.log(sigma=r / 4),
    "disk": lambda r: nfconv.disk(radius=r),
    "ring": lambda r: nfconv.ring(radius=r, thickness=r / 3),
    "Gabor": lambda r: nfconv.gabor(sigma=r / 3, frequency=1 / r, angle=30),
    "Lanczos": lambda r: nfconv.lanczos(radius=r, lobes=2),
    "motion blur": lambda r: nfconv.motion(length=1.6 * r, thickness=r / 4, angle=30),
    "4:1 Gaussian at 30 degrees": lambda r: nfconv.anisotropic(sigma=r / 3, sigma_across=r / 12, angle=30),
    "heart from a picture": lambda r: nfconv.image(kernel_image=HEART, radius=r),
}
# Measures of shipped models that tables show, and how they are written.
MEASURES: dict[str, tuple[str, Callable[[float], str]]] = {
    "iou": ("IoU", "{:.4f}".format),
    "snr": ("SNR", "{:.1f} dB".format),
    "psnr": ("PSNR", "{:.1f} dB".format),
    "ssim": ("SSIM", "{:.4f}".format),
    "mse": ("MSE", "{:.1e}".format),
    "chamfer": ("Chamfer", "{:.1e}".format),
    "angle_error": ("mean angle error", "{:.4f}°".format),
    "angle_error_max": ("largest", "{:.3f}°".format),
}
Filtered = Mapping[str, tuple[SparseKernel, np.ndarray]]


def kernels(settings: Settings) -> str:
    """Quality and time of all kernels at three sizes, kernels.png and teaser.png."""
    field, signal = nfconv.load(MODELS / "images" / "model.pth"), nfconv.read(PHOTOGRAPH)
    radii, rows, shown = settings.choose(RADII, (SHOWN,)), [], {}
    for label in settings.choose(tuple(KERNELS), (*TEASER, "box")):
        cells = []
        for radius in radii:
            request = KERNELS[label](radius)
            kernel = request.sparse(1, 2)
            found, cost = cost_of(partial(field.filter, kernel))
            cells.append(decibels(found, kernel, signal))
            if radius == SHOWN:
                shown[label] = kernel, found
                fit = fit_errors(kernel, request.target(2)).relative_l2
                about = [f"`{request.name}`", len(kernel), f"{fit:.1%}", str(cost)]
        rows.append([label, *about, *cells])
    draw_kernels(shown, settings.docs / "kernels.png")
    draw_teaser(signal.core, shown, settings.docs / "teaser.png")
    head = ["kernel", "`--kernel`", "Diracs", "fit", "time", *[f"{radius:g}" for radius in radii]]
    return "\n\n".join([
        "## Kernels",
        "The shipped field of the photograph, trained once with a tent of half size 0.05, filtered with the kernels of "
        f"the library: time at radius {SHOWN:g}, and PSNR by radius against the exact convolution with the sparse "
        "kernel, whose own relative L2 error is called fit.",
        "![Kernels and what they do to the photograph](kernels.png)",
        table(head, rows),
    ])  # fmt: skip


def decibels(found: np.ndarray, kernel: SparseKernel, signal: Signal) -> str:
    """PSNR against the exact convolution, SNR where the kernel is signed."""
    exact = kernel_convolution(signal, kernel)
    return f"{snr(found, exact):.1f} (SNR)" if is_signed(kernel) else f"{psnr(found, exact):.1f}"


def show_kernel(plot: Axes, kernel: SparseKernel) -> None:
    """The kernel's values in blue, white and red."""
    reach = 1.1 * float(kernel.radius.max())
    values = grid_density(kernel, [np.linspace(-reach, reach, 161)] * 2)
    limit = np.abs(values).max()
    plot.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, extent=(-reach, reach, reach, -reach))


def shown_values(kernel: SparseKernel, values: np.ndarray) -> np.ndarray:
    """A filtered photograph as 8-bit pixels, about a middle grey where the kernel is signed."""
    return picture(values, size=signed_size(values) if is_signed(kernel) else 0.0)


def draw_kernels(shown: Filtered, path: Path) -> None:
    """Thumbnails: every kernel over the photograph filtered with it."""
    columns = min(7, len(shown))
    blocks = -(-len(shown) // columns)
    figure, plots = new_figure((1.7 * columns, 3.6 * blocks), 2 * blocks, columns)
    for index, (label, (kernel, found)) in enumerate(shown.items()):
        row, column = divmod(index, columns)
        show_kernel(plots[2 * row, column], kernel)
        plots[2 * row, column].set_title(f"{label}\n{len(kernel)} Diracs", fontsize=7)
        plots[2 * row + 1, column].imshow(shown_values(kernel, found)[::2, ::2])
    write_figure(figure, path, 90)


def draw_teaser(photograph: np.ndarray, shown: Filtered, path: Path) -> None:
    """The photograph, the same field under four kernels, and the kernels with their Diracs."""
    figure, plots = new_figure((11, 4.1), 2, 1 + len(TEASER), height_ratios=(2, 1.15))
    plots[0, 0].imshow(picture(photograph))
    plots[0, 0].set_title("signal", fontsize=9)
    for column, label in enumerate(TEASER, start=1):
        kernel, found = shown[label]
        plots[0, column].imshow(shown_values(kernel, found))
        plots[0, column].set_title(label, fontsize=9)
        show_kernel(plots[1, column], kernel)
        sizes = 14 * np.abs(kernel.weights) / np.abs(kernel.weights).max()
        plots[1, column].scatter(*kernel.positions.T[::-1], s=sizes, c="black", linewidths=0)
        plots[1, column].set_title(f"{len(kernel)} Diracs", fontsize=8)
    write_figure(figure, path, 100)


def new_figure(size: tuple[float, float], rows: int, columns: int, **ratios: Any) -> tuple[Figure, np.ndarray]:
    """A figure of `size` inches and its plots [rows, columns], without axes."""
    figure = Figure(figsize=size, layout="constrained")
    plots = figure.subplots(rows, columns, squeeze=False, **ratios)
    for plot in plots.flat:
        plot.axis("off")
    return figure, plots


def write_figure(figure: Figure, path: Path, dpi: int) -> None:
    """Write a `.png`; no date or version inside, so that equal figures are equal files."""
    with atomic_write(path) as stream:
        figure.savefig(stream, format="png", dpi=dpi, metadata={"Software": None})


def models(settings: Settings) -> str:
    """Every shipped model, from the record of how it was made."""
    blocks = [
        model_table(path.parent.name, json.loads(path.read_text())) for path in sorted(MODELS.glob("*/model.json"))
    ]
    text = (
        "Quality of the whole signal under every shown filter, from `trained_models/*/model.json`, which "
        "`sh scripts/train_all.sh` writes; it and the times are of when the model was made. A filter is named by its "
        "half size."
    )
    return "\n\n".join(["## Shipped models", text, *blocks])


def model_table(name: str, record: Mapping[str, Any]) -> str:
    """What a model is, what it took to make, and a row per filter."""
    truth, filters = record["ground_truth"], record["filters"]
    measures = [key for key in MEASURES if all(key in found["whole"] for found in filters.values())]
    rows = [
        [name.replace("_", " "), found["diracs"], *[MEASURES[key][1](found["whole"][key]) for key in measures]]
        for name, found in filters.items()
    ]
    steps = f"{record['steps']:,} steps in {record['seconds']:.0f} s" if record["steps"] else "solved without a step"
    return (
        f"**{name}**: `{Path(truth['signal']).name}`, order {truth['order']}, half size {truth['half_size']:g}, margin "
        f"{truth['margin']:g}; {record['parameters']:,} weights in {record['bytes'] / 1e6:.2f} MB; prepared in "
        f"{record['preparation']:.1f} s, {steps}, seed {record['options']['seed']} ({record['machine']}, "
        f"{record['threads']} threads). Made by `{record['command']}`.\n\n"
        + table(["filter", "Diracs", *[MEASURES[key][0] for key in measures]], rows)
    )
