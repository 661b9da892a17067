"""Filter a signal with a trained field and any kernel of its order, or with a field that is fitted first.

    python eval.py --model_path trained_models/images/model.pth --kernel_path trained_models/kernels/gaussian \\
                   --kernel_scale 20 --save_path output/images
    python eval.py --model_path trained_models/images/model.pth --kernel disk --radius 0.1 --save_path output/disk
    python eval.py --signal my.jpg --kernel gaussian --sigma 5px --save_path out.png
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Read by OpenMP when torch is loaded: threads that spin while they wait starve everything else on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import click

import nfconv
from cluster import connected
from evaluation.destination import Destination
from evaluation.grids import evaluate, output_shape
from evaluation.kernels import choose_kernel, requests
from evaluation.maps import Maps
from evaluation.places import Places, check_together, sizes_to_fit
from evaluation.points import filter_places
from evaluation.quickfit import fit_for
from evaluation.references import Reference, exact_reference, read_reference, read_signal
from kernels.library import KERNELS, Kernel
from kernels.sparse import SparseKernel
from modalities import find, kind_of, read_mask
from models import Field
from models.device import describe_device, pick_device
from models.varying import Chosen, Filter
from signals import Signal
from utils import FILE, clear_errors, cluster_options, kernel_options, load_options, loader_options, signal_loader

# Options of loaders whose names mean something else here.
OWN = ("height", "accuracy")
SIZES = ("width", "height", "depth")
MAPS = tuple(Maps.__dataclass_fields__)


def trained(path: Path, modality: str | None, options: Mapping[str, Any]) -> Field:
    """The field in a file; raises ValueError for another modality than its own, and for options that only a fit has."""
    field = nfconv.load(path)
    if modality and (kind := find(modality)).name != field.origin.modality:
        raise ValueError(f"{path} is a field of {field.origin.modality}, not {kind.name}: leave --modality out")
    if given := [f"--{name}" for name, value in options.items() if value is not None]:
        raise ValueError(f"{path} keeps how its signal was read: leave {', '.join(given)} out")
    return field


def reference_of(
    raw: Signal | None, gt_path: Path | None, kernel: Kernel | SparseKernel, chosen: Chosen, field: Field
) -> Reference | None:
    """What a result is measured against: a file of ground truth, else the exact convolution of the signal."""
    if gt_path is not None and isinstance(chosen, Filter):
        return read_reference(gt_path, chosen.widest, field)
    return None if raw is None else exact_reference(raw, kernel, chosen, field)


@click.command()
@click.option("--model_path", type=FILE,
              help="Trained field, or its folder; without one a field is fitted to --signal first.")  # fmt: skip
@click.option("--kernel_path", default="", help="Saved kernel (.npz); default: the field's minimal kernel.")
@click.option("--kernel_scale",
              help="Saved kernels get 1 / this of their size, also per axis: 20,10, or with a unit that half size: "
                   "13px; default: the training kernel's size.")  # fmt: skip
@click.option("--kernel_weights", type=click.Choice(["auto", "stored", "corrected"]), default="auto", show_default=True,
              help="Of the authors' kernels: as stored, or corrected to exact moments "
                   "(auto: stored on their fields).")  # fmt: skip
@click.option("--filters", help="Several kernels by half size, e.g. tent:0.05,gaussian:13px, a folder each.")
@click.option("--save_path", required=True, type=FILE,
              help="Folder of results, new or empty, or a file: out.png, out.npy, out.wav, ...")  # fmt: skip
@click.option("--modality", help="Name or number; default: the field's, or by the signal's extension.")
@click.option("--axes", help="Axes to filter without a model: rows,columns, Y,X, time; default: as usual.")
@click.option("--width", type=click.IntRange(1), help="Columns; default: the signal's own size.")
@click.option("--height", type=click.IntRange(1), help="Rows.")
@click.option("--depth", type=click.IntRange(1), help="Slices, frames or time steps.")
@click.option("--block_size", type=click.IntRange(1), default=256, show_default=True, help="Points at once, squared.")
@click.option("--signal", type=FILE, help="Raw signal, to measure against or fit.")
@click.option("--mask", type=FILE,
              help="Weights of the signal's samples, 0 (missing) to 1: a picture's lightness, or .npy.")  # fmt: skip
@click.option("--gt_path", type=FILE, help="Ground truth to measure against.")
@click.option("--precision", type=click.Choice(["auto", "32", "64"]), default="auto", show_default=True)
@click.option("--accuracy", default=60.0, show_default=True, help="PSNR (dB) that rounding must not limit (with auto).")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--scale_map", type=FILE, help="Map of the kernel's size (0..1).")
@click.option("--scale_range", default="0.25,1", show_default=True, help="Kernel size where the map is 0 and 1.")
@click.option("--angle_map", type=FILE, help="Map of angles (0..1 is 0..180 deg).")
@click.option("--angles", type=click.IntRange(2, 180),
              help="Kernels blended by angle; default: 12, and none for the anisotropic Gaussian, which turns by "
                   "its covariance.")  # fmt: skip
@click.option("--covariance_map", type=FILE,
              help="Map of Gaussians: .npy of [.., 2, 2], or of [.., 3] variances and covariance, "
                   "domain units.")  # fmt: skip
@click.option("--points", type=FILE,
              help="Filter at the points of an .npy [N, axes], domain units, instead of on a grid.")  # fmt: skip
@click.option("--scale", type=FILE,
              help="How the kernel is stretched at every one of --points: .npy of [N] or [N, axes].")  # fmt: skip
@click.option("--covariance", type=FILE,
              help="Gaussian at every one of --points: .npy of [N, 2, 2], or [N, 3] "
                   "variances and covariance.")  # fmt: skip
@click.option("--kernel", type=click.Choice(list(KERNELS)), help="Kernel of the library.")
@kernel_options(units=True)
@load_options(without=OWN)
@cluster_options
@clear_errors
def main(model_path: Path | None, kernel_path: str, kernel_scale: str | None, kernel_weights: str, filters: str | None,
         save_path: Path, modality: str | None, axes: str | None, block_size: int, signal: Path | None,
         gt_path: Path | None, precision: str, accuracy: float, device: str, points: Path | None, scale: Path | None,
         covariance: Path | None, mask: Path | None, workers: int | None, scheduler: str | None,
         **named: Any) -> None:  # fmt: skip
    """Filter the signal a field has learned, write the result and, given the signal, how good it is.

    Without a model a spline field is fitted to --signal first.
    """
    place, target = pick_device(device), Destination(save_path)
    asked = requests(save_path, kernel_path, kernel_scale, filters)
    places = Places.read(points, scale, covariance)
    gaussians = check_together(click.get_current_context().params)
    loader, sizes, maps = (
        {name: named.pop(name) for name in names} for names in (loader_options(without=OWN), SIZES, MAPS)
    )
    varying, weights, raw = Maps(**maps), None if mask is None else read_mask(mask), None
    if model_path is not None:
        field = trained(model_path, modality, loader | {"axes": axes})
    elif signal is not None:
        kind = kind_of(signal, modality)
        target.check(kind.results, f"{kind.name} is")
        load = signal_loader(kind, signal, kind.given(loader), axes, weights)
        raw = load(())
        wanted, span = sizes_to_fit(places, varying, len(raw.axes))
        field = fit_for(load, raw, asked, named | wanted, span, device)
    else:
        raise ValueError("--model_path or --signal is missing: a trained field, or a file to fit one to")
    click.echo(f"device: {describe_device(place)}", err=True)
    field, kind = field.to(place), find(field.origin.modality)
    settings = {"precision": precision, "accuracy": accuracy, "block": block_size**2}
    if gaussians:
        # Covariances of one axis in a map are sizes.
        sizes_alone = varying.covariance_map and len(field.config.axes) == 1
        named |= {"kernel": "gaussian", "sigma": "1" if sizes_alone else None}
    kernels = [choose_kernel(field, request, named, kernel_weights) for request in asked]
    if places is not None:
        filter_places(field, kernels[0], places, target, signal, settings, weights)
        return
    jobs = [varying.filter(field, kernel, accuracy) for kernel in kernels]
    shape = output_shape(kind, field, sizes)
    target.check(kind.results, f"{kind.name} is")
    if signal and not gt_path and (raw is None or kind.counted):
        raw = read_signal(signal, field, max(float(chosen.radius.max()) for chosen in jobs), weights)
    with connected(workers, scheduler) as cluster:
        for request, kernel, chosen in zip(asked, kernels, jobs, strict=True):
            reference = reference_of(raw, gt_path, kernel, chosen, field)
            evaluate(field, chosen, shape, Destination(request.folder), reference, kernel, cluster, **settings)


if __name__ == "__main__":
    main()
