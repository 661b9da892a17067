"""The public functions: a signal becomes a field, and files become signals, fields, kernels and ground truths."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import released
from files import ArchiveError
from kernels import SparseKernel
from modalities import CALLABLES, MODALITIES, find, kind_of, read_mask
from modalities.measured import Size, load_measured
from models import Field
from models.checkpoint import load_checkpoint
from models.device import ordinary_tensors, pick_device
from models.levels import INDEX
from models.tiled import load_tiled
from signals import GroundTruth, Signal
from signals.masks import masked
from training import Source, fit_in_tiles, train
from training.source import Tile

# What a folder given as a model stands for.
MODEL_NAMES = ("model_final.pth", "model.pth", INDEX)


@ordinary_tensors()
def fit(
    signal: Any,
    half_size: Size = 0.05,
    order: int = 1,
    margin: float | str = 0.4,
    boundary: str = "clamp",
    *,
    modality: str | None = None,
    mask: Any = None,
    device: str = "auto",
    tile: Tile | None = None,
    folder: str | Path | None = None,
    **options: Any,
) -> Field:
    """A field of a signal, trained through the minimal kernel of `order` and `half_size`: domain units, one number or
    one per filtered axis, or text with units such as "13px", "5ms", "200Hz" or "3mm", as for `margin`.

    signal: an array [H, W, C] or [H, W] of an image, or of another `modality` as its grid has it; the path of a file;
    a `Signal`; or any function of points [N, d] -> [N, c] in NumPy or PyTorch, whose `dim`, `domain`, `coordinates`,
    `resolution`, `accuracy` and `evaluations` are options too (docs/callables.md). Kernels may reach `margin` +
    `half_size` over the border, where `boundary` continues the signal: one rule, or one per axis with commas. `mask`:
    weights of the samples, or their file, 0 where one is missing (NaN is, too).
    tile: samples per axis of the tiles that a large signal is cut into, one number or one per axis (0: not cut);
    without it, signals that one field does not hold to 75 dB are cut by themselves (docs/large.md). `folder` keeps the
    tiles, and goes on with those that are in it.
    `options` are those of training, e.g. factor="spline" (solved in closed form) or time_budget=60. Shows its progress
    in a terminal or notebook. Raises ValueError for values out of range and files that are not signals.
    """
    asked: dict[str, Any] = {"mask": mask}
    if callable(signal) or (isinstance(signal, str | Path) and kind_of(signal) is CALLABLES):
        names = ("dim", *(option.name for option in CALLABLES.options))
        asked |= {name: options.pop(name) for name in names if name in options}
    source = measured(signal, half_size, order, margin, boundary, modality, **asked)
    if folder is not None:
        return fit_in_tiles(source, tile, folder, pick_device(device), **options)
    return train(source, device=pick_device(device), tile=tile, **options)


def measured(
    signal: Any, half_size: Size, order: int = 1, margin: float | str = 0.4, boundary: str = "clamp",
    modality: str | None = None, axes: str | None = None, mask: Any = None, **options: Any,
) -> Source:  # fmt: skip
    """A signal as `fit` takes one, read with the loader's `options`, with the training kernel and the margin in domain
    units. Raises FileNotFoundError or ValueError."""

    def load_signal(reach: Sequence[float]) -> Signal:
        found = signal if isinstance(signal, Signal) else read(signal, modality, axes, reach, **options)
        if mask is None:
            return found
        weights = read_mask(mask) if isinstance(mask, str | Path) else mask
        return find(found.modality).masked(found, weights) if found.modality else masked(found, weights)

    found, sizes, beyond = load_measured(load_signal, order, half_size, margin)
    return Source(found, order, tuple(sizes), beyond, boundary)


def read(
    source: Any, modality: str | None = None, axes: str | None = None, reach: Sequence[float] = (), **options: Any
) -> Signal:
    """The signal in a file, or in an array of `modality` (default: image), with the letters of the `axes` to filter.

    `reach`: lengths (domain units) that filters reach beyond [-1, 1], for signals that are cut into pieces; `options`
    are those of the modality's loader (height=180, window=512). Raises FileNotFoundError or ValueError.
    """
    if callable(source):
        return CALLABLES.with_axes(CALLABLES.from_callable(source, **options), axes)
    if isinstance(source, str | Path):
        kind = kind_of(source, modality)
        signal = kind.load(source, reach, **options)
    else:
        kind = find(modality or "image")
        values = as_numbers(source)
        try:
            signal = kind.from_array(values, reach, **options)
        except TypeError as error:
            raise ValueError(
                f"an array requires more than that: nfconv.read(array, {kind.name!r}, ...) ({error})"
            ) from None
        if np.ma.is_masked(source):
            hidden = np.asarray(np.ma.getmaskarray(source)).reshape(*signal.shape, -1)
            signal = kind.masked(signal, ~np.any(hidden, axis=-1, keepdims=True))
    return kind.with_axes(signal, axes)


@ordinary_tensors()
def load(path: str | Path) -> Field:
    """The field in a checkpoint of this program or of the authors' release; nothing in it is executed.

    A folder stands for the model in it. Raises FileNotFoundError, or ArchiveError for any other file.
    """
    path = model_file(Path(path))
    refuse_signal(path, "a model: give it as --signal")
    if path.name == INDEX:
        return load_tiled(path)
    try:
        return load_checkpoint(path)[0]
    except ArchiveError as error:
        try:
            return released.read_field(path)
        except released.OtherKindError:
            raise error from None


def model_file(path: Path) -> Path:
    """The model that a folder stands for, or `path` itself; raises FileNotFoundError where a folder has none."""
    if not path.is_dir():
        return path
    for name in MODEL_NAMES:
        if (path / name).is_file():
            return path / name
    raise FileNotFoundError(f"the folder {path} has no {' or '.join(MODEL_NAMES)}: give the file of the model")


def refuse_signal(path: Path, advice: str) -> None:
    """Raise ArchiveError for a file that some modality reads, by its extension, where another kind is expected."""
    kinds = [kind for kind in MODALITIES.values() if path.suffix.lower() in kind.extensions]
    if kinds and path.is_file() and path.suffix.lower() not in (".npy", ".npz"):
        raise ArchiveError(f"{path} is a signal ({kinds[0].name}), not {advice}")


def load_kernel(
    path: str | Path, weights: str = "corrected", notify: Callable[[str], None] | None = None
) -> SparseKernel:
    """A saved kernel (`.npz`, the suffix may be left out), or one of the authors' release with its `weights`.

    Released weights break the moment conditions slightly: 'stored' keeps them, as released fields require, 'corrected'
    takes the nearest that do not. Raises FileNotFoundError or ArchiveError.
    """
    path = Path(path)
    refuse_signal(path, f"a saved kernel: use --kernel image --kernel_image {path.name} --radius R for a drawn one")
    saved = path if path.suffix == ".npz" else path.with_name(path.name + ".npz")
    if saved.is_file() or not path.is_file():
        return SparseKernel.load(saved)
    kernel, defect = released.read_kernel(path, corrected=weights == "corrected")
    if notify:
        notify(
            f"{path}: moments of the released kernel are off by {defect:.1e} (relative); using its {weights} weights"
        )
    return kernel


def as_numbers(source: Any) -> np.ndarray:
    """An array or tensor as NumPy's; raises ValueError where it holds no real numbers."""
    if isinstance(source, torch.Tensor):
        source = source.detach().cpu()
        source = source.float() if source.dtype == torch.bfloat16 else source
    values = np.asarray(source)
    if values.dtype.kind not in "biuf":
        raise ValueError(f"an array of {values.dtype} is no signal: give real numbers (of complex ones both parts, as "
                         "two channels)")  # fmt: skip
    return values


def load_ground_truth(path: str | Path, order: int | None = None) -> GroundTruth:
    """Ground truth of this program (`.npz`) or of the authors' release (`.npy`), whose `order` is not in the file.

    Raises FileNotFoundError, ArchiveError, or ValueError for another order.
    """
    if Path(path).suffix == ".npy":
        return released.read_ground_truth(path, order)
    truth = GroundTruth.load(path)
    if order is not None and order != truth.order:
        raise ValueError(f"{path} was made with order {truth.order}, not {order}: leave --order out")
    return truth
