"""Filter a signal with a trained field and any kernel of its order.

    python eval.py --model_path trained_models/images/model.pth --kernel_path trained_models/kernels/gaussian \\
                   --kernel_scale 20 --save_path output/images
    python eval.py --model_path trained_models/images/model.pth --kernel disk --radius 0.1 --save_path output/disk
"""

import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

# Read by OpenMP when torch is loaded: threads that spin while they wait starve everything else on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import click
import numpy as np

import nfconv
from evaluation import evaluate, exact_reference, read_reference, read_signal
from files import load_array
from kernels.library import KERNELS, Kernel, kernel_from_options
from kernels.sparse import SparseKernel
from modalities import find
from modalities.modality import Modality
from models import Field
from models.convolution import check_reach
from models.device import pick_device
from models.filtering import sparse_kernel
from models.varying import Filter
from utils import clear_errors, kernel_options

# Which flag sizes which axis; depth is time in a video, as in the authors' program.
SIZE_FLAGS = {"x": "width", "y": "height", "z": "depth", "t": "depth"}
LARGEST_OUTPUT = 1 << 31
SHIPPED_KERNELS = Path(__file__).resolve().parent / "trained_models" / "kernels"


def output_shape(kind: Modality, field: Field, asked: Mapping[str, int | None]) -> tuple[int, ...]:
    """Samples per axis: as asked by --width, --height and --depth, else the signal's own; raises ValueError."""
    flags = [SIZE_FLAGS.get(letter, "") for letter in kind.axis_names]
    # The authors' commands give images a depth, which has no effect there.
    if unused := [flag for flag, size in asked.items() if size is not None and flag not in (*flags, "depth")]:
        raise ValueError(f"--{', --'.join(unused)} sizes no axis of {kind.name}: leave it out")
    sizes = [asked.get(flag) or size for flag, size in zip(flags, field.origin.shape, strict=True)]
    if math.prod(sizes) > LARGEST_OUTPUT:
        raise ValueError(f"{' x '.join(map(str, sizes))} samples are more than fit anywhere: ask for fewer")
    return tuple(sizes)


def numbers(text: str, count: int, what: str) -> list[float]:
    """One positive number, or `count` of them with commas in between, as `count` numbers; raises ValueError."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, count) or not all(np.isfinite(v) and v > 0 for v in values):
        raise ValueError(f"{what} must be one positive number or {count} of them with commas, not {text!r}")
    return values * count if len(values) == 1 else values


def read_map(path: Path, dim: int, axes: int) -> np.ndarray:
    """A map in [0, 1], [M_1, ..., M_d, 1 or `axes`]: a picture's lightness, or an `.npy` array; raises ValueError."""
    if path.suffix == ".npy":
        values = load_array(path).astype(np.float64)
        values = values[..., None] if values.ndim == dim else values
    else:
        values = find("image").load(path).values[..., :3].mean(axis=-1, keepdims=True)
    if values.ndim != dim + 1 or values.shape[-1] not in (1, axes) or values.size == 0:
        raise ValueError(f"{path} has shape {values.shape}: a map requires {dim} axes, and 1 or {axes} channels")
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"{path} must hold finite numbers from 0 to 1: scale it first")
    return values


def choose_kernel(
    field: Field, path: str, scale: str | None, named: Mapping[str, Any], weights: str
) -> Kernel | SparseKernel:
    """The kernel that --kernel and its parameters, or --kernel_path and --kernel_scale, ask for.

    Saved kernels (and the minimal one of half size 1, when nothing is asked) get 1 / `scale` of their size, one number
    or one per filtered axis, or the training kernel's size. Raises ValueError.
    """
    kernel = kernel_from_options(named)
    if kernel is not None:
        if path or scale:
            raise ValueError("--kernel has its size in its own parameters: leave --kernel_path and --kernel_scale out")
        return kernel
    axes, half_size = field.config.axes, field.origin.half_size
    sizes = [1.0 / value for value in numbers(scale, len(axes), "--kernel_scale")] if scale else list(half_size)
    if not path:
        return nfconv.minimal_kernel(field.config.order, sizes, field.config.dim, axes)
    if weights == "auto":
        weights = "stored" if field.origin.released else "corrected"
    saved = nfconv.load_kernel(path, weights, click.echo)
    return sparse_kernel(field, saved).scaled(sizes)


def make_filter(
    field: Field, kernel: Kernel | SparseKernel, scale_map: Path | None, scale_range: str, angle_map: Path | None,
    angles: int,
) -> Filter:  # fmt: skip
    """One kernel, one of varying size (--scale_map), or several of varying angle (--angle_map); raises ValueError."""
    config = field.config
    if scale_map and angle_map:
        raise ValueError("--scale_map and --angle_map do not go together: choose one")
    if angle_map:
        given = dict(kernel.parameters) if isinstance(kernel, Kernel) else {}
        if not isinstance(kernel, Kernel) or "angle" not in kernel.type.parameters or given.get("angle"):
            raise ValueError("--angle_map turns a --kernel that has an angle: name one, and give no --angle of its own")
        turned = [replace(kernel, parameters={**given, "angle": 180.0 * k / angles}) for k in range(angles)]
        return Filter(tuple(sparse_kernel(field, k) for k in turned), angles=read_map(angle_map, config.dim, 1))
    found = sparse_kernel(field, kernel)
    if scale_map is None:
        return Filter((found,))
    least, most = numbers(scale_range, 2, "--scale_range")
    values = read_map(scale_map, config.dim, len(config.axes))
    return Filter((found,), factors=least + (most - least) * values)


def requests(
    save_path: Path, kernel_path: str, kernel_scale: str | None, filters: str | None
) -> list[tuple[Path, str, str | None]]:
    """(folder, kernel path, kernel scale) of every filter: one, or those of --filters; raises ValueError."""
    if filters is None:
        return [(save_path, kernel_path, kernel_scale)]
    if kernel_path or kernel_scale:
        raise ValueError("--filters names kernels and sizes: leave --kernel_path and --kernel_scale out")
    found: list[tuple[Path, str, str | None]] = []
    for entry in filters.split(","):
        name, _, size = entry.rpartition(":")
        scale = 1.0 / numbers(size, 1, "the half size in --filters")[0]
        path = "" if name in ("", "tent") else str(SHIPPED_KERNELS / name) if Path(name).name == name else name
        found.append((save_path / f"{Path(name or 'tent').stem}_{size}", path, repr(scale)))
    if len({folder for folder, *_ in found}) < len(found):
        raise ValueError("--filters puts two results in one folder: rename a kernel, or leave one out")
    return found


@click.command()
@click.option("--model_path", required=True, type=click.Path(path_type=Path), help="Trained field.")
@click.option("--kernel_path", default="", help="Saved kernel (.npz); default: the field's minimal kernel.")
@click.option(
    "--kernel_scale",
    default=None,
    help="Saved kernels get 1 / this of their size; also per axis: 20,10; default: the training kernel's size.",
)
@click.option(
    "--kernel_weights",
    type=click.Choice(["auto", "stored", "corrected"]),
    default="auto",
    show_default=True,
    help="Of the authors' kernels: as stored, or corrected to exact moments (auto: stored on their fields).",
)
@click.option(
    "--filters", default=None, help="Several kernels by half size, e.g. tent:0.05,gaussian:0.2, a folder each."
)
@click.option("--save_path", required=True, type=click.Path(path_type=Path), help="Folder of results, new or empty.")
@click.option("--modality", default=None, help="Name or number; default: the field's.")
@click.option("--width", type=click.IntRange(1), default=None, help="Columns; default: the signal's own size.")
@click.option("--height", type=click.IntRange(1), default=None, help="Rows.")
@click.option("--depth", type=click.IntRange(1), default=None, help="Slices, frames or time steps.")
@click.option("--block_size", type=click.IntRange(1), default=256, show_default=True, help="Points at once, squared.")
@click.option("--signal", type=click.Path(path_type=Path), default=None, help="Raw signal, to measure against.")
@click.option("--gt_path", type=click.Path(path_type=Path), default=None, help="Ground truth to measure against.")
@click.option("--precision", type=click.Choice(["auto", "32", "64"]), default="auto", show_default=True)
@click.option("--accuracy", default=60.0, show_default=True, help="PSNR (dB) that rounding must not limit (with auto).")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--scale_map", type=click.Path(path_type=Path), default=None, help="Map of the kernel's size (0..1).")
@click.option("--scale_range", default="0.25,1", show_default=True, help="Kernel size where the map is 0 and 1.")
@click.option("--angle_map", type=click.Path(path_type=Path), default=None, help="Map of angles (0..1 is 0..180 deg).")
@click.option("--angles", type=click.IntRange(2, 180), default=12, show_default=True, help="Kernels blended by angle.")
@click.option("--kernel", type=click.Choice(list(KERNELS)), default=None, help="Kernel of the library.")
@kernel_options
@clear_errors
def main(model_path: Path, kernel_path: str, kernel_scale: str | None, kernel_weights: str, filters: str | None,
         save_path: Path, modality: str | None, block_size: int, signal: Path | None, gt_path: Path | None,
         precision: str, accuracy: float, device: str, width: int | None, height: int | None, depth: int | None,
         scale_map: Path | None, scale_range: str, angle_map: Path | None, angles: int,
         **named: Any) -> None:  # fmt: skip
    """Filter the signal a field has learned, write the result and, given the signal, how good it is."""
    place = pick_device(device)
    field = nfconv.load(model_path)
    kind = find(modality or field.origin.modality)
    if kind.name != field.origin.modality:
        raise ValueError(f"{model_path} is a field of {field.origin.modality}, not {kind.name}: leave --modality out")
    jobs = {}
    for folder, path, scale in requests(save_path, kernel_path, kernel_scale, filters):
        kernel = choose_kernel(field, path, scale, named, kernel_weights)
        jobs[folder] = kernel, make_filter(field, kernel, scale_map, scale_range, angle_map, angles)
    shape = output_shape(kind, field, {"width": width, "height": height, "depth": depth})
    for _, chosen in jobs.values():
        if gt_path is not None and not chosen.fixed:
            raise ValueError("--gt_path holds one kernel's result: measure a varying kernel with --signal")
        if not field.origin.released:
            check_reach(field, chosen.widest.radius.tolist())
    if save_path.exists() and (not save_path.is_dir() or any(save_path.iterdir())):
        raise ValueError(f"{save_path} is not empty and is never overwritten: choose another --save_path")
    radius = max(float(chosen.widest.radius.max()) for _, chosen in jobs.values())
    raw = None if signal is None or gt_path else read_signal(signal, kind, field, radius)
    field = field.to(place)
    for folder, (kernel, chosen) in jobs.items():
        reference = None if raw is None else exact_reference(raw, kernel, chosen, field)
        if gt_path is not None:
            reference = read_reference(gt_path, chosen.widest, field)
        evaluate(field, chosen, shape, folder, reference, precision=precision, accuracy=accuracy, block=block_size**2)


if __name__ == "__main__":
    main()
