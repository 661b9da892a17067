"""Ground truth: a signal convolved with the minimal kernel, by Monte Carlo or exactly.

    python mc_utils.py --path data/raw/images/astronaut.png --save_path data/GTs/images --half_size 0.05 --order 1

NumPy and CuPy meet here and only here: one sampler body, `xp` is either.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import track

from files.folders import refuse_existing, writable_folder
from kernels.minimal import knot_spacing
from kernels.sparse import LARGEST_ORDER
from modalities import find, for_path
from modalities.modality import Modality
from signals.exact import minimal_convolution
from signals.ground_truth import SMALLEST_HALF_SIZE, GroundTruth, pads_for
from signals.signal import BOUNDARIES, Signal, coordinates, spacing
from utils import clear_errors, load_options

# Points per chunk: bounds memory, and fixes the random streams whatever the machine.
CHUNK = 1 << 17
SAMPLERS = ("lattice", "independent")

Sample = Callable[[Any], Any]


def array_module(backend: str) -> ModuleType:
    """NumPy, or CuPy where it works; raises ValueError with what to do where it does not."""
    if backend == "numpy":
        return np
    try:
        import cupy
    except ImportError:
        raise ValueError("--backend cupy needs CuPy: install cupy-cuda12x or cupy-cuda13x, or use numpy") from None
    try:
        if not cupy.cuda.is_available():
            raise RuntimeError("no CUDA device")
        cupy.zeros(1) + 1
    except Exception as error:  # CuPy's driver and runtime errors share no base class.
        raise ValueError(f"--backend cupy needs a working CUDA device ({error}); use --backend numpy") from None
    return cupy


def bspline_offsets(uniforms: Any, order: int, half_size: float) -> Any:
    """Offsets t [N, a] distributed as the minimal kernel, from uniforms [N, a, n] in [0, 1).

    The B-spline of order p is the density of the sum of n = p + 1 uniforms on [-h/2, h/2] (Heckbert 1986).
    """
    return (uniforms - 0.5).sum(axis=-1) * knot_spacing(order, half_size)


def additive_steps(dimensions: int) -> np.ndarray:
    """Steps [D] of the additive lattice whose points fill the unit cube evenly (Roberts 2018, R_d sequence)."""
    root = 1.0
    for _ in range(64):
        root = (1.0 + root) ** (1.0 / (dimensions + 1))
    return root ** -np.arange(1.0, dimensions + 1)


def monte_carlo(
    sample: Sample,
    points: Any,
    axes: Sequence[int],
    order: int,
    half_size: float,
    samples: int,
    generator: Any,
    sampler: str,
    xp: ModuleType,
) -> Any:
    """Average of `sample` at points - t over `samples` draws t of the minimal kernel: [N, d] -> [N, c].

    Every point has its own stream: independent uniforms, or one lattice rotated at random for each point,
    which is as unbiased and much less noisy (Cranley & Patterson 1976).
    """
    n, columns = order + 1, list(axes)
    size = (len(points), len(columns), n)
    start = generator.random(size)
    steps = xp.asarray(additive_steps(len(columns) * n).reshape(1, len(columns), n))
    total = 0.0
    for index in range(samples):
        uniforms = (start + index * steps) % 1.0 if sampler == "lattice" else generator.random(size)
        shifted = points.copy()
        shifted[:, columns] -= bspline_offsets(uniforms, order, half_size)
        total = total + sample(shifted)
    return total / samples


def grid_sampler(signal: Signal, boundary: str, reach: float, xp: ModuleType) -> Sample:
    """The signal as a function of points [N, d] -> [N, c]: multilinear between samples, up to `reach` beyond [-1, 1].

    Axes that are not filtered are only ever asked at their samples.
    """
    pads = pads_for(reach + max(spacing(signal.shape[axis]) for axis in signal.axes), signal.shape, signal.axes)
    values = xp.asarray(signal.padded(pads, boundary))
    shape = values.shape[:-1]
    flat = values.reshape(-1, values.shape[-1])
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]

    def sample(points: Any) -> Any:
        base, corners = 0, [(0, 1.0)]
        for axis, stride in enumerate(strides):
            place = (points[:, axis] + 1.0) / spacing(signal.shape[axis]) + pads[axis]
            if axis in signal.axes:
                low = xp.clip(xp.floor(place).astype(xp.int64), 0, max(shape[axis] - 2, 0))
                part = place - low
                step = stride if shape[axis] > 1 else 0
                corners = [(o + b * step, w * (part if b else 1.0 - part)) for o, w in corners for b in (0, 1)]
            else:
                low = xp.rint(place).astype(xp.int64)
            base = base + low * stride
        return sum(flat[base + offset] * weight[:, None] for offset, weight in corners)

    return sample


def monte_carlo_convolution(
    signal: Signal,
    order: int,
    half_size: float,
    boundary: str,
    pads: Sequence[int],
    samples: int,
    seed: int,
    sampler: str = "lattice",
    xp: ModuleType = np,
    dtype: Any = np.float32,
) -> np.ndarray:
    """Monte Carlo estimate of signal * minimal kernel on the padded grid, [N_1 + 2 pads_1, ..., c], chunk by chunk."""
    axes = [coordinates(n, pad) for n, pad in zip(signal.shape, pads, strict=True)]
    shape = tuple(len(x) for x in axes)
    reach = half_size + max(p * spacing(n) for p, n in zip(pads, signal.shape, strict=True))
    sample = grid_sampler(signal, boundary, reach, xp)
    result = np.empty((math.prod(shape), signal.channels), dtype=dtype)
    starts = range(0, len(result), CHUNK)
    for start in track(starts, f"Monte Carlo, {samples} samples", console=Console(stderr=True), transient=True):
        rows = np.arange(start, min(start + CHUNK, len(result)))
        index = np.unravel_index(rows, shape)
        points = xp.asarray(np.stack([x[i] for x, i in zip(axes, index, strict=True)], axis=-1))
        generator = xp.random.default_rng((seed << 32) + start // CHUNK)
        mean = monte_carlo(sample, points, signal.axes, order, half_size, samples, generator, sampler, xp)
        result[rows] = mean if xp is np else mean.get()
    return result.reshape(*shape, signal.channels)


def target_file(save_path: Path, stem: str, order: int, half_size: float, method: str, samples: int) -> Path:
    """`save_path` itself if it names an `.npz` file, else a file in that folder named after its facts."""
    if save_path.suffix == ".npz":
        return save_path
    how = f"samples_{samples}" if method == "monte_carlo" else "exact"
    return save_path / f"{stem}_order_{order}_{half_size:g}_{how}.npz"


def preview_files(preview: Path | None, kind: Modality) -> list[Path]:
    """Every file that --preview asks for; raises ValueError for one that is not named as the picture it is."""
    if preview and preview.suffix != ".png":
        raise ValueError(f"--preview is a PNG picture: name it {preview.stem or 'preview'}.png, not {preview.name}")
    return [preview.with_suffix(suffix) for suffix in kind.figures] if preview else []


def check_request(order: int, half_size: float, margin: float, samples: int, method: str, backend: str) -> None:
    """Refuse numbers no ground truth can be made with, before anything is read; raises ValueError."""
    if not 0 <= order <= LARGEST_ORDER:
        raise ValueError(f"--order must be a whole number from 0 to {LARGEST_ORDER}, not {order}")
    if not SMALLEST_HALF_SIZE <= half_size <= 1:
        raise ValueError(
            f"--half_size must lie in {SMALLEST_HALF_SIZE:g}..1 domain units (the signal spans 2), not {half_size:g}"
        )
    if not (math.isfinite(margin) and 0 <= margin <= 4):
        raise ValueError(f"--margin must lie in 0..4 domain units, not {margin:g}")
    if samples < 1:
        raise ValueError(f"--sample_number must be at least 1, not {samples}")
    if method == "exact" and backend == "cupy":
        raise ValueError("--backend cupy is for --method monte_carlo: the exact method runs on the CPU")


def load_signal(path: Path, kind: Modality, axes: str | None, asked: dict[str, Any], reach: Sequence[float]) -> Signal:
    """The signal at `path` with the axes to filter, read as `asked`; `reach` as `Modality.load_to` takes it."""
    told, chosen = kind.asked_of(asked), kind.axes_of(axes)
    signal = kind.load_to(path, reach, **told)
    # How it was read travels along, so that eval.py reads the raw signal the same way.
    return replace(signal, axes=chosen, meta=dict(signal.meta) | {"load": told})


@click.command()
@click.option(
    "--path", required=True, type=click.Path(path_type=Path), help="Signal: image, mesh, video, sound, motion."
)
@click.option("--save_path", required=True, type=click.Path(path_type=Path), help="Folder, or the .npz file to write.")
@click.option("--half_size", default=0.05, show_default=True, help="Half size of the minimal kernel, domain units.")
@click.option("--order", default=1, show_default=True, help="Polynomial order: box 0, tent 1, quadratic 2, ...")
@click.option("--method", type=click.Choice(["exact", "monte_carlo"]), default="exact", show_default=True)
@click.option("--sample_number", default=100, show_default=True, help="Monte Carlo samples per point.")
@click.option("--sampler", type=click.Choice(SAMPLERS), default="lattice", show_default=True, help="Monte Carlo draws.")
@click.option("--boundary", type=click.Choice(list(BOUNDARIES)), default="clamp", show_default=True)
@click.option("--margin", default=0.4, show_default=True, help="What is covered beyond [-1, 1], domain units.")
@click.option("--seed", type=click.IntRange(0, (1 << 63) - 1), default=0, show_default=True)
@click.option("--backend", type=click.Choice(["numpy", "cupy"]), default="numpy", show_default=True)
@click.option("--dtype", type=click.Choice(["float32", "float64"]), default="float32", show_default=True)
@click.option("--modality", default=None, help="Name or number; default: by the file's extension.")
@click.option("--axes", default=None, help="Letters of the axes to filter, e.g. yx, xyz, t; default: the modality's.")
@click.option("--preview", type=click.Path(path_type=Path), default=None, help="PNG of signal and ground truth.")
@load_options()
@clear_errors
def main(path: Path, save_path: Path, order: int, half_size: float, method: str, sample_number: int, sampler: str,
         boundary: str, margin: float, seed: int, backend: str, dtype: str, modality: str | None, axes: str | None,
         preview: Path | None, **loader: Any) -> None:  # fmt: skip
    """Convolve a signal with the minimal kernel and write it as the ground truth a field is trained on."""
    check_request(order, half_size, margin, sample_number, method, backend)
    xp = array_module(backend)
    kind = find(modality) if modality else for_path(path)
    kind.check_boundary(boundary)
    file = target_file(save_path, path.stem, order, half_size, method, sample_number)
    refuse_existing(file, *preview_files(preview, kind))
    signal = load_signal(path, kind, axes, loader, (margin, half_size))
    pads = pads_for(margin, signal.shape, signal.axes)
    coarsest = max(spacing(signal.shape[axis]) for axis in signal.axes)
    if half_size < coarsest < 2:
        click.echo(f"warning: the samples are {coarsest:.3g} apart, more than the half size {half_size:g}: between "
                   "them a field cannot learn what such a kernel sees", err=True)  # fmt: skip
    # Hours of sampling are not begun for a place that cannot be written to.
    with writable_folder(file.parent):
        if method == "exact":
            sizes = [half_size] * len(signal.axes)
            values = minimal_convolution(signal, order, sizes, boundary, pads, np.dtype(dtype))
        else:
            values = monte_carlo_convolution(
                signal, order, half_size, boundary, pads, sample_number, seed, sampler, xp, np.dtype(dtype)
            )
        samples = sample_number if method == "monte_carlo" else 0
        truth = GroundTruth(values, signal.axes, order, half_size, boundary, pads, method, samples, seed,
                            kind.name, signal.name, signal.meta)  # fmt: skip
        truth.save(file)
    click.echo(f"{file}: {' x '.join(map(str, truth.shape))} samples of {truth.channels}, order {order}, "
               f"half size {half_size:g}, margin {truth.margin:.3f}")  # fmt: skip
    if preview:
        preview.parent.mkdir(parents=True, exist_ok=True)
        kind.compare(signal.core, truth.core, None, preview, signal.meta, ("signal", "ground truth"))
        click.echo(f"{preview}: the signal and its ground truth")


if __name__ == "__main__":
    main()
