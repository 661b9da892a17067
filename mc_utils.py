"""Ground truth: a signal convolved with the minimal kernel, exactly or by Monte Carlo.

python mc_utils.py --path data/raw/images/astronaut.png --save_path data/GTs/images --half_size 0.05 --order 1
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from files.folders import refuse_existing, writable_folder
from kernels.sparse import LARGEST_ORDER
from modalities import find, for_path
from modalities.modality import Modality
from signals import make_ground_truth, spacing
from signals.monte_carlo import SAMPLERS, array_module
from signals.signal import BOUNDARIES
from utils import clear_errors, load_options

SMALLEST_HALF_SIZE, LARGEST_HALF_SIZE = 1e-6, 1.0


def ground_truth_file(save_path: Path, stem: str, order: int, half_size: float, how: str) -> Path:
    """`save_path` itself if it names an `.npz` file, else a file in that folder named after how it is made."""
    if save_path.suffix == ".npz":
        return save_path
    return save_path / f"{stem}_order_{order}_{half_size:g}_{how}.npz"


def preview_files(preview: Path | None, kind: Modality) -> list[Path]:
    """Every file that --preview writes; raises ValueError for one that is not named as a PNG picture."""
    if preview and preview.suffix != ".png":
        raise ValueError(f"--preview is a PNG picture: name it {preview.stem or 'preview'}.png, not {preview.name}")
    return [preview.with_suffix(suffix) for suffix in kind.figure_suffixes] if preview else []


def check_request(order: int, half_size: float, samples: int, method: str, backend: str) -> None:
    """Raise ValueError for numbers no ground truth can be made with, before anything is read."""
    if not 0 <= order <= LARGEST_ORDER:
        raise ValueError(f"--order must be a whole number from 0 to {LARGEST_ORDER}, not {order}")
    if not SMALLEST_HALF_SIZE <= half_size <= LARGEST_HALF_SIZE:
        raise ValueError(f"--half_size must lie in {SMALLEST_HALF_SIZE:g}..{LARGEST_HALF_SIZE:g} domain units "
                         f"(the signal spans 2), not {half_size:g}")  # fmt: skip
    if samples < 1:
        raise ValueError(f"--sample_number must be at least 1, not {samples}")
    if method == "exact" and backend == "cupy":
        raise ValueError("--backend cupy requires --method monte_carlo: the exact method runs on the CPU")
    array_module(backend)


@click.command()
@click.option("--path", required=True, type=click.Path(path_type=Path), help="Signal: image, mesh, video, sound, ...")
@click.option("--save_path", required=True, type=click.Path(path_type=Path), help="Folder, or the .npz file to write.")
@click.option("--half_size", default=0.05, show_default=True, help="Half size of the minimal kernel, domain units.")
@click.option("--order", default=1, show_default=True, help="Polynomial order: box 0, tent 1, quadratic 2, ...")
@click.option(
    "--method",
    type=click.Choice(["exact", "monte_carlo"]),
    default=None,
    help="How; default: exact, or monte_carlo where --sample_number is given.",
)
@click.option("--sample_number", type=int, default=None, help="Monte Carlo samples per point (100).")
@click.option("--sampler", type=click.Choice(SAMPLERS), default="lattice", show_default=True, help="Monte Carlo draws.")
@click.option("--boundary", type=click.Choice(list(BOUNDARIES)), default="clamp", show_default=True)
@click.option("--margin", default=0.4, show_default=True, help="What is covered beyond [-1, 1], domain units.")
@click.option("--seed", type=click.IntRange(0, (1 << 63) - 1), default=0, show_default=True)
@click.option("--backend", type=click.Choice(["numpy", "cupy"]), default="numpy", show_default=True)
@click.option("--dtype", type=click.Choice(["float32", "float64"]), default="float32", show_default=True)
@click.option("--modality", default=None, help="Name or number; default: by the file's extension.")
@click.option("--axes", default=None, help="Letters of the axes to filter, e.g. yx, xyz, t; default: the modality's.")
@click.option("--preview", type=click.Path(path_type=Path), default=None, help="PNG of signal and ground truth.")
@load_options
@clear_errors
def main(path: Path, save_path: Path, order: int, half_size: float, method: str | None, sample_number: int | None,
         sampler: str, boundary: str, margin: float, seed: int, backend: str, dtype: str, modality: str | None,
         axes: str | None, preview: Path | None, **loader: Any) -> None:  # fmt: skip
    """Convolve a signal with the minimal kernel and write it as the ground truth a field is trained on."""
    # The authors' program knows Monte Carlo alone: a number of samples asks for it.
    method = method or ("exact" if sample_number is None else "monte_carlo")
    samples = 100 if sample_number is None else sample_number
    check_request(order, half_size, samples, method, backend)
    kind = find(modality) if modality else for_path(path)
    kind.check_boundary(boundary)
    how = "exact" if method == "exact" else f"samples_{samples}"
    file = ground_truth_file(save_path, path.stem, order, half_size, how)
    refuse_existing(file, *preview_files(preview, kind))
    chosen = kind.axes_of(axes)
    signal = replace(kind.load(path, (margin, half_size), **kind.given(loader)), axes=chosen)
    coarsest = max(spacing(signal.shape[axis]) for axis in signal.axes)
    if half_size < coarsest < 2:
        click.echo(f"warning: the samples are {coarsest:.3g} apart, more than the half size {half_size:g}: between "
                   "them a field cannot learn what such a kernel sees", err=True)  # fmt: skip
    # Hours of sampling do not begin for a place that cannot be written to.
    with writable_folder(file.parent):
        truth = make_ground_truth(
            signal, order, half_size, margin, boundary, method, samples, seed, sampler, backend, dtype
        )
        truth.save(file)
    click.echo(f"{file}: {' x '.join(map(str, truth.shape))} samples of {truth.channels}, order {order}, "
               f"half size {half_size:g}, margin {truth.margin:.3f}")  # fmt: skip
    if preview:
        preview.parent.mkdir(parents=True, exist_ok=True)
        kind.save_figure(signal.core, truth.core, None, preview, signal.metadata, ("signal", "ground truth"))
        click.echo(f"{preview}: the signal and its ground truth")


if __name__ == "__main__":
    main()
