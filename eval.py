"""Filter a signal with a trained field and any kernel of its order.

    python eval.py --model_path trained_models/images/model.pth --kernel_path trained_models/kernels/gaussian \\
                   --kernel_scale 20 --save_path output/images
"""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

# Read by OpenMP when torch is loaded: threads that spin while they wait starve everything else on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import click
import numpy as np
import torch
from rich.console import Console

from files import atomic_write
from kernels import SparseKernel, minimal_kernel, outer
from kernels.released import load_released
from modalities import MODALITIES, find
from modalities.modality import Modality
from models.checkpoint import Checkpoint, Origin
from models.convolution import KernelError, check_kernel, check_reach, convolve_grid
from models.field import Field, FieldConfig
from models.precision import estimate_noise
from models.released import load_checkpoint
from models.separable import SeparableField
from signals.exact import kernel_convolution
from signals.released import load_ground_truth
from signals.signal import coordinates, crop, spacing
from utils import clear_errors, numbers, pick_device

# Which flag sizes which axis; depth is time in a video, as in the authors' program.
SIZE_FLAGS = {"x": "width", "y": "height", "z": "depth", "t": "depth"}
# Output values that are held at once; more are filtered slab by slab along an axis that is not filtered.
SLAB = 1 << 24


def load_kernel(path: str, scale: str, config: FieldConfig) -> SparseKernel:
    """The kernel at `path` (default: the minimal one of half size 1), 1 / `scale` its size, on the field's axes.

    1-D kernels are multiplied to a tensor product over all filtered axes.
    """
    factors = [1.0 / value for value in numbers(scale, len(config.axes), "--kernel_scale")]
    if not path:
        return minimal_kernel(config.order, factors, config.dim, config.axes)
    kernel = read_kernel_file(Path(path))
    if kernel.dim == 1:
        kernel = reduce(outer, [kernel] * len(config.axes))
    if kernel.dim != len(config.axes):
        raise ValueError(f"{path} filters {kernel.dim} axes, the field {len(config.axes)}: choose a kernel of its axes")
    return kernel.scaled(factors).embedded(config.axes, config.dim)


def read_kernel_file(path: Path) -> SparseKernel:
    """A saved kernel (`.npz`, which may be left out) or one of the authors' release, made lawful."""
    saved = path if path.suffix == ".npz" else path.with_name(path.name + ".npz")
    if saved.is_file() or not path.is_file():
        return SparseKernel.load(saved)
    kernel, defect = load_released(path)
    click.echo(f"{path}: a released kernel whose moments are off by {defect:.1e}; using the nearest lawful weights")
    return kernel


def check_border(kernel: SparseKernel, origin: Origin) -> None:
    """Refuse a kernel that reaches beyond the field's margin; warn where the authors trained none."""
    try:
        check_reach(kernel, origin.margin, origin.half_size)
    except KernelError as error:
        if not origin.released:
            raise
        click.echo(f"warning: the authors' fields have no margin, so a border of {kernel.radius.max():.3g} is wrong "
                   "where this kernel reaches over it; the interior is right", err=True)  # fmt: skip
        click.echo(f"({error})", err=True)


def output_shape(modality: Modality, native: Sequence[int], asked: dict[str, int | None]) -> tuple[int, ...]:
    """Samples per axis: as asked by --width, --height and --depth, else the signal's own."""
    pairs = zip(modality.axis_names, native, strict=True)
    sizes = [size if (flag := asked.get(SIZE_FLAGS.get(letter, ""))) is None else flag for letter, size in pairs]
    if min(sizes) < 1:
        raise ValueError("--width, --height and --depth must be at least 1")
    return tuple(sizes)


def in_precision(field: Field, kernel: SparseKernel, precision: str, accuracy: float) -> Field:
    """The field in the arithmetic that `precision` names; 'auto' takes float64 where float32 misses `accuracy` dB."""
    if isinstance(field, SeparableField):
        # Its queries are one-dimensional: float64 costs nothing to speak of.
        return field.double()
    if precision != "auto":
        return field.double() if precision == "64" else field.float()
    noise = estimate_noise(field, kernel)
    reachable = -20 * float(np.log10(max(noise, 1e-30)))
    if reachable >= accuracy:
        return field.float()
    click.echo(f"float32 would limit this kernel to {reachable:.0f} dB (rounding noise {noise:.1e}): using float64")
    return field.double()


def filter_signal(field: Field, kernel: SparseKernel, shape: Sequence[int], half_size: float, block: int) -> np.ndarray:
    """The filtered signal on the regular grid of `shape` over [-1, 1]^d, [M_1, ..., M_d, c], float32."""
    grid = [torch.as_tensor(coordinates(size)) for size in shape]
    free = [axis for axis in range(len(shape)) if axis not in kernel.axes]
    count = int(np.prod(shape)) * field.config.channels
    if count <= SLAB or not free:
        return convolve_grid(field, kernel, grid, half_size, block).float().cpu().numpy()
    rows = max(1, SLAB * shape[free[0]] // count)
    result = np.empty((*shape, field.config.channels), dtype=np.float32)
    for start in range(0, shape[free[0]], rows):
        part = list(grid)
        part[free[0]] = grid[free[0]][start : start + rows]
        where = (slice(None),) * free[0] + (slice(start, start + rows),)
        result[where] = convolve_grid(field, kernel, part, half_size, block).float().cpu().numpy()
    return result


def reference(signal_path: Path | None, gt_path: Path | None, modality: Modality, kernel: SparseKernel,
              checkpoint: Checkpoint) -> tuple[np.ndarray, np.ndarray] | None:  # fmt: skip
    """(signal, truth) on the signal's own grid: exact convolution of --signal, or the values of --gt_path."""
    if gt_path is not None:
        truth = load_ground_truth(gt_path, kernel.order if gt_path.suffix == ".npy" else None)
        sizes = np.asarray([truth.half_size] * len(truth.axes))
        if (
            truth.order != kernel.order
            or truth.axes != kernel.axes
            or not np.allclose(kernel.radius[list(kernel.axes)], sizes, rtol=1e-6)
        ):
            raise ValueError(
                f"--gt_path holds order {truth.order} and half size {truth.half_size:g}; this kernel is another one: "
                f"use --kernel_scale {1 / truth.half_size:g} without --kernel_path, or --signal instead of --gt_path"
            )
        return truth.core, truth.core
    if signal_path is None:
        return None
    signal = modality.load(signal_path, **checkpoint.origin.meta.get("load", {}))
    signal = replace(signal, axes=kernel.axes)
    if signal.channels != checkpoint.config.channels or signal.dim != checkpoint.config.dim:
        raise ValueError(
            f"--signal {signal_path} has {signal.channels} channels, the field {checkpoint.config.channels}"
        )
    return signal.core, kernel_convolution(signal, kernel, checkpoint.origin.boundary)


def measure(
    modality: Modality, result: np.ndarray, truth: np.ndarray, kernel: SparseKernel, meta: Any
) -> dict[str, Any]:
    """Metrics on the whole signal and on the interior, where the kernel does not reach over the border."""
    pads = [int(np.ceil(r / spacing(n))) for r, n in zip(kernel.radius, truth.shape, strict=False)]
    found: dict[str, Any] = {"whole": modality.metrics(result, truth, meta), "interior": None}
    if all(n > 2 * p for n, p in zip(truth.shape, pads, strict=False)):
        found["interior"] = modality.metrics(crop(result, pads), crop(truth, pads))
    return found


def prepare_folder(path: Path) -> None:
    """Make the folder for results; one that holds something is left as it is and refused."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(f"{path} is not empty and is never overwritten: choose another --save_path")
    path.mkdir(parents=True, exist_ok=True)


@click.command()
@click.option("--model_path", required=True, type=click.Path(path_type=Path), help="Trained field.")
@click.option("--kernel_path", default="", help="Kernel (.npz); default: the field's minimal kernel.")
@click.option("--kernel_scale", default="20", show_default=True, help="Kernel size is 1 / this, also per axis: 20,10.")
@click.option(
    "--save_path", required=True, type=click.Path(path_type=Path), help="Folder for the results, new or empty."
)
@click.option("--modality", default=None, help="Name or number; default: the field's.")
@click.option("--width", type=int, default=None, help="Columns; default: the signal's own size.")
@click.option("--height", type=int, default=None, help="Rows.")
@click.option("--depth", type=int, default=None, help="Slices, frames or time steps.")
@click.option("--block_size", default=256, show_default=True, help="A network sees this squared points at once.")
@click.option(
    "--signal",
    type=click.Path(path_type=Path),
    default=None,
    help="Raw signal, to measure against.",
)
@click.option("--gt_path", type=click.Path(path_type=Path), default=None, help="Ground truth to measure against.")
@click.option("--precision", type=click.Choice(["auto", "32", "64"]), default="auto", show_default=True)
@click.option(
    "--accuracy", default=60.0, show_default=True, help="dB that rounding may not limit (with --precision auto)."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@clear_errors
def main(model_path: Path, kernel_path: str, kernel_scale: str, save_path: Path, modality: str | None, block_size: int,
         signal: Path | None, gt_path: Path | None, precision: str, accuracy: float, device: str,
         width: int | None, height: int | None, depth: int | None) -> None:  # fmt: skip
    """Filter the signal a field has learned, write the result and, given the signal, how good it is."""
    place = pick_device(device)
    checkpoint = load_checkpoint(model_path)
    config, origin = checkpoint.config, checkpoint.origin
    kind = find(modality) if modality else MODALITIES[origin.modality]
    if kind.name != origin.modality:
        raise ValueError(f"{model_path} is a field of {origin.modality}, not {kind.name}: leave --modality out")
    kernel = load_kernel(kernel_path, kernel_scale, config)
    field = checkpoint.build()
    check_kernel(field, kernel)
    check_border(kernel, origin)
    shape = output_shape(kind, origin.shape, {"width": width, "height": height, "depth": depth})
    known = reference(signal, gt_path, kind, kernel, checkpoint)
    prepare_folder(save_path)
    field = in_precision(field, kernel, precision, accuracy).to(place)
    start = time.perf_counter()
    with Console(stderr=True).status("filtering"):
        result = filter_signal(field, kernel, shape, origin.half_size, block_size**2)
    seconds = time.perf_counter() - start
    files = kind.save(result, save_path, origin.meta)
    files += write_report(kind, result, known, kernel, checkpoint, save_path, field, seconds, block_size)
    click.echo(
        f"{len(kernel)} Diracs of radius {kernel.radius.max():.3g}, {' x '.join(map(str, shape))}: {seconds:.2f} s"
    )
    for file in files:
        click.echo(f"  {file}")


def write_report(
    kind: Modality,
    result: np.ndarray,
    known: tuple[np.ndarray, np.ndarray] | None,
    kernel: SparseKernel,
    checkpoint: Checkpoint,
    folder: Path,
    field: Field,
    seconds: float,
    block_size: int,
) -> list[Path]:
    """metrics.json and, where the truth is known, comparison.png; returns their paths."""
    report: dict[str, Any] = {"seconds": seconds, "diracs": len(kernel), "radius": kernel.radius.tolist(),
                              "mass": kernel.mass, "order": kernel.order, "shape": list(result.shape)}  # fmt: skip
    files = [folder / "metrics.json"]
    if known is not None:
        before, truth = known
        own = result
        if result.shape != truth.shape:
            own = filter_signal(field, kernel, truth.shape[:-1], checkpoint.origin.half_size, block_size**2)
        report |= measure(kind, own, truth, kernel, checkpoint.origin.meta)
        for name, value in report["whole"].items():
            click.echo(f"{name}: {value:.6g}")
        kind.compare(before, own, truth, folder / "comparison.png", checkpoint.origin.meta)
        files.append(folder / "comparison.png")
    with atomic_write(files[0]) as stream:
        stream.write(json.dumps(report, indent=2).encode() + b"\n")
    return files


if __name__ == "__main__":
    main()
