"""Filter a signal with a trained field and any kernel of its order.

    python eval.py --model_path trained_models/images/model.pth --kernel_path trained_models/kernels/gaussian \\
                   --kernel_scale 20 --save_path output/images
    python eval.py --model_path trained_models/images/model.pth --kernel disk --radius 0.1 --save_path output/disk
"""

import json
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Read by OpenMP when torch is loaded: threads that spin while they wait starve everything else on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import click
import numpy as np
from rich.console import Console

from files import atomic_write
from files.folders import writable_folder
from filtering.choice import Choice, choose_kernel
from filtering.reference import Reference, from_ground_truth, from_signal, measure, read_signal
from filtering.run import check_border, filter_signal, in_precision
from kernels.recipes import PARAMETERS, RECIPES
from modalities import find
from modalities.modality import Modality
from models.checkpoint import Checkpoint
from models.convolution import check_kernel
from models.released import load_checkpoint
from utils import clear_errors, pick_device

# Which flag sizes which axis; depth is time in a video, as in the authors' program.
SIZE_FLAGS = {"x": "width", "y": "height", "z": "depth", "t": "depth"}
LARGEST_OUTPUT = 1 << 31


def kernel_options(command: Any) -> Any:
    """One click option for every parameter of the library's kernels."""
    for name, parameter in reversed(PARAMETERS.items()):
        command = click.option(f"--{name}", type=parameter.type, default=None, help=f"Kernel: {parameter.help}.")(
            command
        )
    return click.option("--kernel", type=click.Choice(list(RECIPES)), default=None, help="Kernel of the library.")(
        command
    )


def output_shape(modality: Modality, native: Sequence[int], asked: dict[str, int | None]) -> tuple[int, ...]:
    """Samples per axis: as asked by --width, --height and --depth, else the signal's own."""
    if len(native) != len(modality.axis_names):
        raise ValueError(f"a field of {len(native)} coordinates is none of {modality.name}")
    pairs = zip(modality.axis_names, native, strict=True)
    sizes = [size if (flag := asked.get(SIZE_FLAGS.get(letter, ""))) is None else flag for letter, size in pairs]
    if min(sizes) < 1:
        raise ValueError("--width, --height and --depth must be at least 1")
    if math.prod(sizes) > LARGEST_OUTPUT:
        raise ValueError(f"{' x '.join(map(str, sizes))} samples are more than fit anywhere: ask for fewer")
    return tuple(sizes)


def check_empty(path: Path) -> None:
    """Refuse a folder for results that holds something: it is left as it is (ValueError)."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(f"{path} is not empty and is never overwritten: choose another --save_path")


def find_reference(
    signal: Path | None, gt_path: Path | None, modality: Modality, choice: Choice, checkpoint: Checkpoint
) -> Reference | None:
    """What the result is measured against: --gt_path, the exact convolution of --signal, or nothing."""
    if gt_path is not None:
        return from_ground_truth(gt_path, choice.kernel)
    if signal is None:
        return None
    return from_signal(read_signal(signal, modality, choice.kernel, checkpoint), choice, checkpoint.origin.boundary)


def write_report(
    report: dict[str, Any], modality: Modality, own: np.ndarray | None, reference: Reference | None, choice: Choice,
    meta: Any, folder: Path,
) -> list[Path]:  # fmt: skip
    """metrics.json and, where the truth is known, comparison.png of the result `own` on its grid; their paths."""
    files = [folder / "metrics.json"]
    if reference is not None and own is not None:
        report |= measure(modality, own, reference, choice.kernel, meta)
        for name, value in report["whole"].items():
            click.echo(f"{name}: {value:.6g}")
        modality.compare(reference.before, own, reference.truth, folder / "comparison.png", meta)
        files.append(folder / "comparison.png")
    with atomic_write(files[0]) as stream:
        stream.write(json.dumps(report, indent=2).encode() + b"\n")
    return files


@click.command()
@click.option("--model_path", required=True, type=click.Path(path_type=Path), help="Trained field.")
@click.option("--kernel_path", default="", help="Saved kernel (.npz); default: the field's minimal kernel.")
@click.option("--kernel_scale", default=None, help="Saved kernels get 1 / this of their size; also per axis: 20,10.")
@click.option("--save_path", required=True, type=click.Path(path_type=Path), help="Folder of results, new or empty.")
@click.option("--modality", default=None, help="Name or number; default: the field's.")
@click.option("--width", type=int, default=None, help="Columns; default: the signal's own size.")
@click.option("--height", type=int, default=None, help="Rows.")
@click.option("--depth", type=int, default=None, help="Slices, frames or time steps.")
@click.option("--block_size", type=click.IntRange(1), default=256, show_default=True, help="Points at once, squared.")
@click.option("--signal", type=click.Path(path_type=Path), default=None, help="Raw signal, to measure against.")
@click.option("--gt_path", type=click.Path(path_type=Path), default=None, help="Ground truth to measure against.")
@click.option("--precision", type=click.Choice(["auto", "32", "64"]), default="auto", show_default=True)
@click.option("--accuracy", default=60.0, show_default=True, help="dB that rounding may not limit (with auto).")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@kernel_options
@clear_errors
def main(model_path: Path, kernel_path: str, kernel_scale: str | None, save_path: Path, modality: str | None,
         block_size: int, signal: Path | None, gt_path: Path | None, precision: str, accuracy: float, device: str,
         width: int | None, height: int | None, depth: int | None, **named: Any) -> None:  # fmt: skip
    """Filter the signal a field has learned, write the result and, given the signal, how good it is."""
    place = pick_device(device)
    checkpoint = load_checkpoint(model_path)
    config, origin = checkpoint.config, checkpoint.origin
    kind = find(modality or origin.modality)
    if kind.name != origin.modality:
        raise ValueError(f"{model_path} is a field of {origin.modality}, not {kind.name}: leave --modality out")
    choice = choose_kernel(kernel_path, kernel_scale, named, config.order, config.dim, config.axes, click.echo)
    kernel = choice.kernel
    field = checkpoint.build()
    check_kernel(field, kernel)
    check_border(kernel, origin, lambda text: click.echo(text, err=True))
    shape = output_shape(kind, origin.shape, {"width": width, "height": height, "depth": depth})
    reference = find_reference(signal, gt_path, kind, choice, checkpoint)
    check_empty(save_path)
    with writable_folder(save_path):
        field = in_precision(field, kernel, precision, accuracy, click.echo).to(place)
        with Console(stderr=True).status("filtering"):
            start = time.perf_counter()
            result = filter_signal(field, kernel, shape, origin.half_size, block_size**2, click.echo)
            seconds = time.perf_counter() - start
            own = result
            if reference is not None and shape != (size := reference.truth.shape[:-1]):
                own = filter_signal(field, kernel, size, origin.half_size, block_size**2, click.echo)
        meta = dict(origin.meta) | ({"signed": True} if choice.signed else {})
        files = kind.save(result, save_path, meta)
        report = {"seconds": seconds, "diracs": len(kernel), "radius": kernel.radius.tolist(), "mass": kernel.mass,
                  "order": kernel.order, "shape": list(result.shape)}  # fmt: skip
        files += write_report(report, kind, own, reference, choice, meta, save_path)
    click.echo(
        f"{len(kernel)} Diracs of radius {kernel.radius.max():.3g}, {' x '.join(map(str, shape))}: {seconds:.2f} s"
    )
    for file in files:
        click.echo(f"  {file}")


if __name__ == "__main__":
    main()
