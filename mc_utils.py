"""Ground truth: a signal convolved with the minimal kernel, exactly or by Monte Carlo.

python mc_utils.py --path data/raw/images/astronaut.png --save_path data/GTs/images --half_size 0.05 --order 1
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from files.folders import refuse_existing, writable_folder
from files.inputs import warn
from kernels.sparse import LARGEST_ORDER
from modalities import kind_of, read_mask
from modalities.figures import Comparison
from modalities.measured import load_measured
from modalities.modality import Modality
from signals import GroundTruth, Signal, make_ground_truth, spacing
from signals.masks import quotient
from signals.monte_carlo import SAMPLERS, array_module
from signals.signal import BOUNDARIES, boundary_rules
from utils import FILE, clear_errors, load_options, signal_loader

SMALLEST_HALF_SIZE, LARGEST_HALF_SIZE = 1e-6, 1.0


def ground_truth_file(save_path: Path, stem: str, order: int, half_size: float | str, how: str) -> Path:
    """`save_path` itself if it names an `.npz` file, else a file in that folder named after how it is made."""
    if save_path.suffix == ".npz":
        return save_path
    parts = [f"{float(part):g}" if is_plain(part) else "".join(part.split()) for part in str(half_size).split(",")]
    return save_path / f"{stem}_order_{order}_{'_'.join(parts)}_{how}.npz"


def preview_files(preview: Path | None, kind: Modality) -> list[Path]:
    """Every file that --preview writes; raises ValueError for one that is not named as a PNG picture."""
    if preview and preview.suffix != ".png":
        raise ValueError(f"--preview is a PNG picture: name it {preview.stem or 'preview'}.png, not {preview.name}")
    return [preview.with_suffix(suffix) for suffix in kind.figure_suffixes] if preview else []


def is_plain(size: str) -> bool:
    """Whether a size is in domain units, one number or several."""
    with contextlib.suppress(ValueError):
        return bool([float(part) for part in size.split(",")])
    return False


def check_half_size(sizes: Sequence[float]) -> None:
    """Raise ValueError for half sizes that no ground truth is made with."""
    if not all(SMALLEST_HALF_SIZE <= size <= LARGEST_HALF_SIZE for size in sizes):
        shown = ", ".join(f"{size:g}" for size in dict.fromkeys(sizes))
        raise ValueError(f"--half_size must lie in {SMALLEST_HALF_SIZE:g}..{LARGEST_HALF_SIZE:g} domain units "
                         f"(the signal spans 2), not {shown}")  # fmt: skip


def warn_of_coarse(signal: Signal, sizes: Sequence[float]) -> None:
    """Warn where the samples of a signal are further apart than the half size along their axis."""
    for axis, size in zip(signal.axes, sizes, strict=True):
        step = spacing(signal.shape[axis])
        if size < step < 2 and signal.function is None:
            warn(f"the samples are {step:.3g} apart, more than the half size {size:.3g}: between them a field cannot "
                 "learn what such a kernel sees")  # fmt: skip
            return


def check_request(order: int, samples: int, method: str, backend: str) -> None:
    """Raise ValueError for numbers no ground truth can be made with, before anything is read."""
    if not 0 <= order <= LARGEST_ORDER:
        raise ValueError(f"--order must be a whole number from 0 to {LARGEST_ORDER}, not {order}")
    if samples < 1:
        raise ValueError(f"--sample_number must be at least 1, not {samples}")
    if method == "exact" and backend == "cupy":
        raise ValueError("--backend cupy requires --method monte_carlo: the exact method runs on the CPU")
    array_module(backend)


def save_preview(file: Path, kind: Modality, signal: Signal, truth: GroundTruth) -> None:
    """Draw a signal beside its ground truth."""
    file.parent.mkdir(parents=True, exist_ok=True)
    before, after = (quotient(values, signal.metadata.known) for values in (signal.core, truth.core))
    kind.save_figure(Comparison(before, after, captions=("signal", "ground truth")), file, signal.metadata)
    click.echo(f"{file}: the signal and its ground truth")


@click.command()
@click.option("--path", required=True, type=FILE,
              help="Signal: image, mesh, video, sound, ..., or a callable, my_field.py:field.")  # fmt: skip
@click.option("--save_path", required=True, type=FILE, help="Folder, or the .npz file to write.")
@click.option("--half_size", default="0.05", show_default=True,
              help="Half size of the minimal kernel: domain units, 13px, 5ms, 200Hz (its -3 dB), 3mm; per axis: "
                   "13px,5px.")  # fmt: skip
@click.option("--order", default=1, show_default=True, help="Polynomial order: box 0, tent 1, quadratic 2, ...")
@click.option("--method", type=click.Choice(["exact", "monte_carlo"]),
              help="How; default: exact, or monte_carlo where --sample_number is given.")  # fmt: skip
@click.option("--sample_number", type=int, help="Monte Carlo samples per point (100).")
@click.option("--sampler", type=click.Choice(SAMPLERS), default="lattice", show_default=True, help="Monte Carlo draws.")
@click.option("--boundary", default="clamp", show_default=True,
              help=f"How it goes on beyond [-1, 1]: {', '.join(BOUNDARIES)}; per axis: clamp,periodic.")  # fmt: skip
@click.option("--margin", default="0.4", show_default=True,
              help="What is covered beyond [-1, 1], domain units or as --half_size.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, (1 << 63) - 1), default=0, show_default=True)
@click.option("--backend", type=click.Choice(["numpy", "cupy"]), default="numpy", show_default=True)
@click.option("--dtype", type=click.Choice(["float32", "float64"]), default="float32", show_default=True)
@click.option("--modality", help="Name or number; default: by the file's extension.")
@click.option("--axes", help="Axes to filter: yx, Y,X, rows,columns, time; default: the modality's.")
@click.option("--preview", type=FILE, help="PNG of signal and ground truth.")
@click.option("--mask", type=FILE, help="Weights of the samples, 0 (missing) to 1: a picture's lightness, or .npy.")
@load_options()
@clear_errors
def main(path: Path, save_path: Path, order: int, half_size: str, method: str | None, sample_number: int | None,
         sampler: str, boundary: str, margin: str, seed: int, backend: str, dtype: str, modality: str | None,
         axes: str | None, preview: Path | None, mask: Path | None, **loader: Any) -> None:  # fmt: skip
    """Convolve a signal with the minimal kernel and write it as the ground truth a field is trained on."""
    # The authors' program knows Monte Carlo alone: a number of samples asks for it.
    method = method or ("exact" if sample_number is None else "monte_carlo")
    samples = 100 if sample_number is None else sample_number
    check_request(order, samples, method, backend)
    if is_plain(half_size):
        check_half_size([float(part) for part in half_size.split(",")])
    if unknown := [rule for rule in boundary.split(",") if rule not in BOUNDARIES]:
        raise ValueError(f"--boundary must be one of {', '.join(BOUNDARIES)}, or one per axis with commas, not "
                         f"{unknown[0]!r}")  # fmt: skip
    kind = kind_of(path, modality)
    kind.check_boundary(boundary)
    how = "exact" if method == "exact" else f"samples_{samples}"
    file = ground_truth_file(save_path, path.stem, order, half_size, how)
    refuse_existing(file, *preview_files(preview, kind))
    kind.axes_of(axes)
    load = signal_loader(kind, path, kind.given(loader), axes, None if mask is None else read_mask(mask))
    signal, sizes, beyond = load_measured(load, order, half_size, margin)
    check_half_size(sizes)
    boundary_rules(boundary, signal.axes, signal.dim)
    warn_of_coarse(signal, sizes)
    # Hours of sampling do not begin for a place that cannot be written to.
    with writable_folder(file.parent):
        truth = make_ground_truth(
            signal, order, sizes, beyond, boundary, method, samples, seed, sampler, backend, dtype
        )
        truth.save(file)
    shown = ", ".join(f"{size:.6g}" for size in dict.fromkeys(sizes))
    click.echo(f"{file}: {' x '.join(map(str, truth.shape))} samples of {truth.channels}, order {order}, "
               f"half size {shown}, margin {truth.margin:.3f}")  # fmt: skip
    if preview:
        save_preview(preview, kind, signal, truth)


if __name__ == "__main__":
    main()
