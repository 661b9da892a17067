"""Every kernel of the library from one field: quality at three sizes, and thumbnails.

The field is the shipped one of the photograph; nothing is trained here. Truth is the exact convolution with the
fitted kernel; what fitting itself costs is measured apart, against the kernel as it is defined.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.measure import Bar, Settings
from benchmarks.runs import ROOT
from files import atomic_write
from kernels import SparseKernel, library
from kernels.fit import fit_errors
from kernels.separate import grid_density
from modalities.image import IMAGE
from modalities.measures import psnr, snr
from models.checkpoint import Checkpoint
from models.convolution import convolve_grid
from signals.exact import kernel_convolution
from signals.signal import coordinates

MODEL = ROOT / "trained_models" / "images" / "model.pth"
PICTURE = ROOT / "data" / "raw" / "images" / "astronaut.png"
HEART = ROOT / "data" / "raw" / "kernels" / "heart.png"
RADII = (0.1, 0.2, 0.4)
TEASER = ("Gaussian", "heart from a picture", "motion blur", "difference of Gaussians")
WANTED_PSNR, WANTED_SNR = 35.0, 25.0


def kernels_of(radius: float) -> dict[str, tuple[str, dict[str, Any]]]:
    """Names and parameters of library kernels that reach about `radius` (domain units)."""
    r = radius
    return {
        "box": ("box", {"half_size": r}),
        "tent": ("tent", {"half_size": r}),
        "quadratic B-spline": ("quadratic", {"half_size": r}),
        "Gaussian": ("gaussian", {"sigma": r / 3}),
        "difference of Gaussians": ("dog", {"sigma": r / 4.8}),
        "derivative of Gaussian": ("derivative", {"sigma": r / 4}),
        "Laplacian of Gaussian": ("log", {"sigma": r / 4}),
        "disk": ("disk", {"radius": r}),
        "ring": ("ring", {"radius": r, "thickness": r / 3}),
        "Gabor": ("gabor", {"sigma": r / 3, "frequency": 1.0 / r, "angle": 30.0}),
        "Lanczos": ("lanczos", {"radius": r, "lobes": 2}),
        "motion blur": ("motion", {"length": 1.6 * r, "thickness": r / 4, "angle": 30.0}),
        "4:1 Gaussian at 30 degrees": ("anisotropic", {"sigma": r / 3, "sigma_across": r / 12, "angle": 30.0}),
        "heart from a picture": ("image", {"kernel_image": str(HEART), "radius": r}),
    }


def run(settings: Settings) -> dict[str, Any]:
    """Quality of all kernels at all sizes, and the figure docs/kernels.png."""
    checkpoint = Checkpoint.load(MODEL)
    field, signal = checkpoint.build().double(), IMAGE.load(PICTURE)
    grid = [torch.as_tensor(coordinates(n)) for n in signal.shape]
    rows: list[dict[str, Any]] = []
    shown: dict[str, tuple[SparseKernel, np.ndarray]] = {}
    for radius in settings.choose(RADII, RADII[1:2]):
        for label, (name, parameters) in list(kernels_of(radius).items())[: settings.choose(None, 3)]:
            kernel = library.build(name, checkpoint.config.order, 2, **parameters)
            fit = fit_errors(kernel, library.target(name, 2, **parameters))
            start = time.perf_counter()
            found = convolve_grid(field, kernel, grid, checkpoint.origin.half_size).numpy()
            seconds = time.perf_counter() - start
            truth = kernel_convolution(signal, kernel, checkpoint.origin.boundary)
            signed = library.is_signed(kernel)
            rows.append({"kernel": label, "name": name, "parameters": _named(parameters), "radius": radius,
                         "diracs": len(kernel), "fit": fit.relative_l2, "signed": signed, "seconds": seconds,
                         "psnr": psnr(found, truth), "snr": snr(found, truth)})  # fmt: skip
            if radius == RADII[1]:
                shown[label] = (kernel, found)
    if not settings.quick:
        draw(shown, ROOT / "docs" / "kernels.png")
        draw_teaser(signal.core, shown, ROOT / "docs" / "teaser.png")
    return {"rows": rows, "bars": [bar.to_dict() for bar in _bars(rows)]}


def _named(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters without this machine's folders."""
    return {key: Path(value).name if key == "kernel_image" else round(value, 6) for key, value in parameters.items()}


def _bars(rows: list[dict[str, Any]]) -> list[Bar]:
    """The promised figures: PSNR of smoothing kernels, SNR of signed ones, at the worst size."""
    smooth = min(row["psnr"] for row in rows if not row["signed"])
    signed = [row["snr"] for row in rows if row["signed"]]
    bars = [Bar("smoothing kernels of the library, worst PSNR in dB", WANTED_PSNR, smooth)]
    return bars + ([Bar("signed kernels of the library, worst SNR in dB", WANTED_SNR, min(signed))] if signed else [])


def draw(shown: dict[str, tuple[SparseKernel, np.ndarray]], path: Path) -> None:
    """Thumbnails: every kernel over the photograph filtered with it, signed results around a middle grey."""
    columns = 7
    blocks = -(-len(shown) // columns)
    figure = Figure(figsize=(1.7 * columns, 3.6 * blocks), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2 * blocks, columns, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for index, (label, (kernel, found)) in enumerate(shown.items()):
        row, column = divmod(index, columns)
        reach = float(kernel.radius.max()) * 1.15
        values = grid_density(kernel, [np.linspace(-reach, reach, 121)] * 2)
        limit = np.abs(values).max()
        axes[2 * row, column].imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit)
        axes[2 * row, column].set_title(f"{label}\n{len(kernel)} Diracs", fontsize=7)
        if library.is_signed(kernel):
            found = 0.5 + 0.5 * found / np.quantile(np.abs(found), 0.995)
        axes[2 * row + 1, column].imshow(np.clip(found[::2, ::2], 0, 1))
    with atomic_write(path) as stream:
        figure.savefig(stream, format="png", dpi=90)


def draw_teaser(picture: np.ndarray, shown: dict[str, tuple[SparseKernel, np.ndarray]], path: Path) -> None:
    """The photograph, the same field under four kernels, and the kernels with their Diracs."""
    figure = Figure(figsize=(11, 4.1), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 1 + len(TEASER), height_ratios=(2, 1.15))
    for axis in axes.flat:
        axis.axis("off")
    axes[0, 0].imshow(np.clip(picture, 0, 1))
    axes[0, 0].set_title("signal", fontsize=9)
    for column, label in enumerate(TEASER, start=1):
        kernel, found = shown[label]
        if library.is_signed(kernel):
            found = 0.5 + 0.5 * found / np.quantile(np.abs(found), 0.995)
        axes[0, column].imshow(np.clip(found, 0, 1))
        axes[0, column].set_title(label, fontsize=9)
        reach = float(kernel.radius.max()) * 1.1
        values = grid_density(kernel, [np.linspace(-reach, reach, 201)] * 2)
        limit = np.abs(values).max()
        box = (-reach, reach, reach, -reach)
        axes[1, column].imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, extent=box)
        size = 14 * np.abs(kernel.weights) / np.abs(kernel.weights).max()
        axes[1, column].scatter(kernel.positions[:, 1], kernel.positions[:, 0], s=size, c="black", linewidths=0)
        axes[1, column].set_title(f"{len(kernel)} Diracs", fontsize=8)
    with atomic_write(path) as stream:
        figure.savefig(stream, format="png", dpi=100)


def render(data: dict[str, Any]) -> str:
    """The Markdown table: a row per kernel, PSNR (SNR where signed) at every size."""
    radii = sorted({row["radius"] for row in data["rows"]})
    head = ["kernel", "`--kernel`", "Diracs", "fit", *[f"{radius:g}" for radius in radii]]
    lines = ["| " + " | ".join(head) + " |", "|---|---" + "|---:" * (len(head) - 2) + "|"]
    for label in dict.fromkeys(row["kernel"] for row in data["rows"]):
        rows = [row for row in data["rows"] if row["kernel"] == label]
        first = rows[0]
        values = [f"{row['snr']:.1f} (SNR)" if row["signed"] else f"{row['psnr']:.1f}" for row in rows]
        lines.append(f"| {label} | `{first['name']}` | {first['diracs']} | {first['fit']:.1%} | {' | '.join(values)} |")
    return (
        "One field, trained once with a tent of half size 0.05, and every kernel of its order (dB on the whole "
        "photograph against the exact convolution with the sparse kernel, at three radii in domain units; `fit` is the "
        "sparse kernel's own relative L2 error):\n\n![Kernels and what they do to the photograph](docs/kernels.png)\n\n"
    ) + "\n".join(lines)
