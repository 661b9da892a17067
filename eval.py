"""Filter a signal with a trained field and any kernel of its order.

    python eval.py --model_path trained_models/images/model.pth --kernel_path trained_models/kernels/gaussian \\
                   --kernel_scale 20 --save_path output/images
    python eval.py --model_path trained_models/images/model.pth --kernel disk --radius 0.1 --save_path output/disk
"""

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# Read by OpenMP when torch is loaded: threads that spin while they wait starve everything else on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import click
import numpy as np
from rich.console import Console

from files import atomic_write
from files.folders import writable_folder
from filtering.choice import Choice, choose_kernel, numbers
from filtering.plan import Blended, Constant, Plan, Scaled, Setting, described
from filtering.reference import Reference, from_ground_truth, read_signal
from filtering.run import check_border, check_fineness, in_precision
from filtering.varying import read_map
from kernels.recipes import RECIPES
from modalities import find
from modalities.modality import Modality
from models.checkpoint import Checkpoint
from models.convolution import check_kernel
from models.field import Field, FieldConfig
from models.released import load_checkpoint
from utils import clear_errors, kernel_options, pick_device, progress_bar

# Which flag sizes which axis; depth is time in a video, as in the authors' program.
SIZE_FLAGS = {"x": "width", "y": "height", "z": "depth", "t": "depth"}
LARGEST_OUTPUT = 1 << 31


def output_shape(modality: Modality, native: Sequence[int], asked: dict[str, int | None]) -> tuple[int, ...]:
    """Samples per axis: as asked by --width, --height and --depth, else the signal's own."""
    if len(native) != len(modality.axis_names):
        raise ValueError(f"a field of {len(native)} coordinates is none of {modality.name}")
    used = {SIZE_FLAGS.get(letter) for letter in modality.axis_names}
    # An axis that is not there has size 1: the authors' program is told so of images.
    if unused := [flag for flag, size in asked.items() if size not in (None, 1) and flag not in used]:
        raise ValueError(f"--{', --'.join(unused)} sizes no axis of {modality.name}: leave it out")
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
    signal: Path | None, gt_path: Path | None, modality: Modality, plan: Plan, checkpoint: Checkpoint
) -> Reference | None:
    """What the result is measured against: --gt_path, the exact convolution of --signal, or nothing."""
    if gt_path is not None:
        if not plan.fixed:
            raise ValueError("--gt_path holds one kernel's result: measure a varying kernel with --signal")
        return from_ground_truth(gt_path, plan.widest, checkpoint)
    if signal is None:
        return None
    return plan.reference(read_signal(signal, modality, plan.widest, checkpoint), checkpoint.origin.boundary)


def make_plan(
    choose: Callable[[dict[str, Any]], Choice], named: dict[str, Any], config: FieldConfig, maps: dict[str, Any]
) -> Plan:
    """One kernel, one of varying size (--scale_map), or some of varying angle (--angle_map)."""
    if maps["scale_map"] and maps["angle_map"]:
        raise ValueError("--scale_map and --angle_map do not go together: choose one")
    if maps["angle_map"]:
        if named.get("kernel") is None or named.get("angle") is not None:
            raise ValueError("--angle_map turns a --kernel that has an angle: name one, and give no --angle of its own")
        values = read_map(maps["angle_map"], config.dim, 1)
        count = maps["angles"]
        return Blended(tuple(choose(named | {"angle": 180.0 * k / count}) for k in range(count)), values)
    choice = choose(named)
    if maps["scale_map"]:
        span = tuple(numbers(maps["scale_range"], 2, "--scale_range"))
        return Scaled(choice, read_map(maps["scale_map"], config.dim, len(config.axes)), span)
    return Constant(choice)


def field_for(plan: Plan, checkpoint: Checkpoint) -> Field:
    """The field, known to answer for the plan's kernels (KernelError); warns where it answers less well."""

    def warn(text: str) -> None:
        click.echo(text, err=True)

    field = checkpoint.build()
    for kernel in plan.kernels:
        check_kernel(field, kernel)
    check_border(plan.widest, checkpoint.origin, warn)
    check_fineness(plan.finest, checkpoint.origin.half_size, warn)
    return field


def write_report(
    report: dict[str, Any], modality: Modality, own: np.ndarray, reference: Reference | None, plan: Plan, meta: Any,
    folder: Path,
) -> list[Path]:  # fmt: skip
    """metrics.json and, where the signal is known, comparison.png of the result `own` on its grid; their paths."""
    files = [folder / "metrics.json"]
    if reference is not None:
        report |= plan.measure(modality, own, reference, meta)
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
@click.option(
    "--kernel_scale",
    default=None,
    help="Saved kernels get 1 / this of their size; also per axis: 20,10; default: the training kernel's size.",
)
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
@click.option("--scale_map", type=click.Path(path_type=Path), default=None, help="Map of the kernel's size (0..1).")
@click.option("--scale_range", default="0.25,1", show_default=True, help="Kernel size where the map is 0 and 1.")
@click.option("--angle_map", type=click.Path(path_type=Path), default=None, help="Map of angles (0..1 is 0..180 deg).")
@click.option("--angles", type=click.IntRange(2, 180), default=12, show_default=True, help="Kernels blended by angle.")
@click.option("--kernel", type=click.Choice(list(RECIPES)), default=None, help="Kernel of the library.")
@kernel_options
@clear_errors
def main(model_path: Path, kernel_path: str, kernel_scale: str | None, save_path: Path, modality: str | None,
         block_size: int, signal: Path | None, gt_path: Path | None, precision: str, accuracy: float, device: str,
         width: int | None, height: int | None, depth: int | None, scale_map: Path | None, scale_range: str,
         angle_map: Path | None, angles: int, **named: Any) -> None:  # fmt: skip
    """Filter the signal a field has learned, write the result and, given the signal, how good it is."""
    place = pick_device(device)
    checkpoint = load_checkpoint(model_path)
    config, origin = checkpoint.config, checkpoint.origin
    kind = find(modality or origin.modality)
    if kind.name != origin.modality:
        raise ValueError(f"{model_path} is a field of {origin.modality}, not {kind.name}: leave --modality out")
    kind.check(origin.meta, origin.shape, config.channels)

    def choose(parameters: dict[str, Any]) -> Choice:
        return choose_kernel(kernel_path, kernel_scale, parameters, config, origin.half_size, click.echo)

    maps = {"scale_map": scale_map, "scale_range": scale_range, "angle_map": angle_map, "angles": angles}
    plan = make_plan(choose, named, config, maps)
    field = field_for(plan, checkpoint)
    shape = output_shape(kind, origin.shape, {"width": width, "height": height, "depth": depth})
    reference = find_reference(signal, gt_path, kind, plan, checkpoint)
    check_empty(save_path)
    with writable_folder(save_path):
        field = in_precision(field, plan.finest, precision, accuracy, click.echo).to(place)
        with progress_bar(Console(stderr=True)) as bar:
            task = bar.add_task("filtering", total=1.0, note="")
            setting = Setting(origin.half_size, block_size**2, click.echo, lambda p: bar.update(task, completed=p))
            start = time.perf_counter()
            result = plan.filter(field, shape, setting)
            seconds = time.perf_counter() - start
            own_shape = shape if reference is None else reference.before.shape[:-1]
            own = result if own_shape == shape else plan.filter(field, own_shape, setting)
        meta = dict(origin.meta) | ({"signed": True} if plan.signed else {})
        files = kind.save(result, save_path, meta)
        report = {"seconds": seconds, **described(plan), "shape": list(result.shape)}
        files += write_report(report, kind, own, reference, plan, meta, save_path)
    many = f"{len(plan.kernels)} kernels of " if len(plan.kernels) > 1 else ""
    size = " x ".join(map(str, shape))
    click.echo(f"{many}{len(plan.widest)} Diracs, radius {plan.widest.radius.max():.3g}, {size}: {seconds:.2f} s")
    for file in files:
        click.echo(f"  {file}")


if __name__ == "__main__":
    main()
