"""What a modality is: one class per kind of signal that loads, writes, measures and draws it."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from files.folders import refuse_existing
from files.inputs import warn
from files.results import ARRAYS, write_array, write_tiff, write_zarr
from files.stored import Array, Stored, has_nan
from modalities.figures import Comparison, Figure, write_figure
from signals import Signal
from signals.masks import masked, pack
from signals.measures import mse, peak, psnr, snr
from signals.metadata import Metadata

# Which option sizes which axis; depth is time in a video, as in the authors' program.
SIZE_FLAGS = {"x": "width", "y": "height", "z": "depth", "t": "depth"}
# What people call axes; rows and columns are those of pictures alone.
AXIS_WORDS = {"t": ("time", "times", "frame", "frames"), "z": ("depth",), "w": ("window", "windows")}
PICTURE_WORDS = {"y": ("row", "rows", "height", "vertical"), "x": ("col", "column", "columns", "width", "horizontal")}
# Squares of numbers up to this size, and of their inverses, are far inside what 32-bit floats hold; and steps of these
# that a signal's values should span.
LARGEST_SINGLE, LEAST_STEPS = 1e15, 1e4


@dataclass(frozen=True)
class LoadOption:
    """An option of a loader that command lines offer; a default of None leaves the decision to the file."""

    name: str
    type: type
    default: Any
    help: str


@dataclass(frozen=True)
class Sample:
    """The shipped signal data/raw/`folder`/`raw`, how its ground truth is made, how its field is trained and shown.

    half_size and margin in domain units, `training` options by name, `filters` as (kernel, half size).
    """

    folder: str
    raw: str
    half_size: float
    margin: float
    filters: tuple[tuple[str, float], ...]
    training: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 1000
    order: int = 1


def check_single(values: np.ndarray, name: str) -> None:
    """Print a warning for channels of floats [..., c] that vary by little more than 32-bit floats of their size, in
    which fields work, can tell apart; raises ValueError where squares of these would be 0 or infinite."""
    axes = tuple(range(values.ndim - 1))
    low, high = (end.reduce(values, axis=axes).astype(np.float64) for end in (np.fmin, np.fmax))
    size = np.fmax(np.abs(low), np.abs(high))
    size, spread = size[np.isfinite(size)], (high - low)[np.isfinite(size)]
    if size.any() and not 1 / LARGEST_SINGLE <= size.max() <= LARGEST_SINGLE:
        raise ValueError(f"{name} holds values of about {size.max():.3g}, too far from 1 for 32-bit floats: scale them")
    steps = spread / np.spacing(size.astype(np.float32))
    if ((steps > 0) & (steps < LEAST_STEPS)).any():
        least = int(np.argmin(np.where(steps > 0, steps, np.inf)))
        warn(f"{name}: values of about {size[least]:.3g} differ by only {spread[least]:.3g}, and fields work in 32-bit "
             "floats, which lose most of that: subtract the mean first")  # fmt: skip


class Modality:
    """Base class; every subclass has one instance in `modalities.MODALITIES`.

    `filtered` are the letters of the axes filtered by default, `counted` of those that number pieces and are never
    filtered. `named_extensions` are of files that are read where the modality is named, `results` of single files that
    `save` writes. `options` are the keywords that `load` accepts beside a path and `reach`.

    load(path, reach=(), **options) -> Signal. `reach` are lengths in domain units (a margin, a kernel's radius) that
    add up: signals cut into pieces know that much of their neighbours. Raises FileNotFoundError or ValueError.
    from_array(values, reach=(), **options) -> Signal, from an array in the units of the modality. Raises ValueError.
    """

    number: ClassVar[int]
    metadata_type: ClassVar[type[Metadata]]
    filtered: ClassVar[str]
    extensions: ClassVar[tuple[str, ...]]
    named_extensions: ClassVar[tuple[str, ...]] = ()
    sample: ClassVar[Sample]
    counted: ClassVar[str] = ""
    options: ClassVar[tuple[LoadOption, ...]] = ()
    figure_suffixes: ClassVar[tuple[str, ...]] = (".png",)
    results: ClassVar[tuple[str, ...]] = (".npy",)

    load: Callable[..., Signal]
    from_array: Callable[..., Signal]

    def save(self, values: np.ndarray, folder: Path, metadata: Metadata, signed: bool | None = None) -> list[Path]:
        """Write values [N_1, ..., N_d, c], at any size, to files in `folder`; `signed`: differences about zero."""
        raise NotImplementedError

    def save_as(self, values: np.ndarray, path: Path, metadata: Metadata, signed: bool | None = None) -> Path:
        """Write the one file of `save` with the suffix of `path` to that path, whole, never over another.

        Raises ValueError where the signal has no such file.
        """
        if path.suffix.lower() in ARRAYS:
            refuse_existing(path)
            return self.write_array(self.as_array(values, metadata), path, metadata)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}_") as folder:
            written = self.save(values, Path(folder), metadata, signed)
            suffix = path.suffix.lower()
            found = [file for file in written if file.suffix == suffix and file.parent == Path(folder)]
            if not found:
                known = ", ".join(sorted({file.suffix for file in written}))
                raise ValueError(f"this {self.name} is not written as {suffix}: name a file with {known}, or a folder")
            refuse_existing(path)
            found[0].rename(path)
        return path

    def as_array(self, values: Array, metadata: Metadata) -> Array:
        """What array files hold: the values."""
        return values

    def write_array(self, values: Array, path: Path, metadata: Metadata) -> Path:
        """Write the values of `as_array` as .npy, as Zarr, or as TIFF with a page for every step along an axis that is
        neither rows nor columns; raises ValueError where there are none."""
        match path.suffix.lower():
            case ".npy":
                return write_array(path, values)
            case ".zarr":
                return write_zarr(path, values)
        names = self.axis_names
        if not {"x", "y"} <= set(names):
            raise ValueError(f"this {self.name} has no rows and columns: name a .npy or .zarr file")
        order = [*(names.index(letter) for letter in names if letter not in "yx"), names.index("y"), names.index("x")]
        ordered, alpha = Stored.of(values).ordered([*order, len(names)]), bool(getattr(metadata, "alpha", False))
        return write_tiff(path, ordered, alpha)

    def metrics(self, values: np.ndarray, truth: np.ndarray, metadata: Metadata) -> dict[str, float]:
        """Finite numbers by name for values and truth on one grid; some require the signal's `metadata`.

        Usually PSNR and SNR in dB, MSE and the peak of PSNR.
        """
        return {"psnr": psnr(values, truth), "snr": snr(values, truth), "mse": mse(values, truth), "peak": peak(truth)}

    def draw(self, shown: Comparison, metadata: Metadata) -> Figure:
        """A matplotlib Figure of signal and result and, where it is known, truth and error."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """Name in files and on command lines."""
        return self.metadata_type.modality

    @property
    def axis_names(self) -> str:
        """A letter per coordinate in grid order ('yx': rows first)."""
        return self.metadata_type.axis_names

    @property
    def counted_axes(self) -> tuple[int, ...]:
        """Axis numbers of `counted`."""
        return tuple(self.axis_names.index(letter) for letter in self.counted)

    def load_again(self, path: str | Path, metadata: Metadata, reach: Sequence[float] = ()) -> Signal:
        """The signal at `path`, read as the one that `metadata` describes; raises as `load`."""
        stored = {option.name: getattr(metadata, option.name, None) for option in self.options}
        return self.load(path, reach, **{name: value for name, value in stored.items() if value is not None})

    def save_figure(self, shown: Comparison, path: Path, metadata: Metadata) -> list[Path]:
        """Draw to the PNG file `path`; files with the other `figure_suffixes` go beside it."""
        return [write_figure(self.draw(shown, metadata), path)]

    def masked(self, signal: Signal, mask: np.ndarray) -> Signal:
        """The signal with weights in [0, 1] for its samples, laid out as those of an array are; raises ValueError."""
        return masked(signal, mask)

    def signal(self, values: Array, metadata: Metadata, name: str, halo: tuple[int, ...] = ()) -> Signal:
        """`values` as a signal of this modality, those that are NaN as missing samples; raises ValueError where
        `metadata` does not describe them."""
        shape = tuple(n - 2 * h for n, h in zip(values.shape[:-1], halo or (0,) * values.ndim, strict=False))
        metadata.check_signal(shape, values.shape[-1])
        if isinstance(values, np.ndarray) and values.size and values.dtype.kind == "f":
            check_single(values, name)
        if values.size and has_nan(values):
            values, known = pack(np.asarray(values), None, name)
            metadata = replace(metadata, known=known)
        return Signal(values, self.axes_of(None), self.name, name, metadata, halo)

    def given(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Those `options` of a command line that are not None; raises ValueError for one this loader lacks."""
        given = {name: value for name, value in options.items() if value is not None}
        if unknown := sorted(set(given) - {option.name for option in self.options}):
            raise ValueError(f"{self.name} has no option {', '.join('--' + name for name in unknown)}")
        return given

    def check_boundary(self, boundary: str) -> None:
        """Raise ValueError for a boundary rule that the neighbours of a piece do not follow."""
        if self.counted and boundary != "clamp":
            raise ValueError(f"{self.name} is cut into pieces that continue in their neighbours; use --boundary clamp")

    @property
    def size_flags(self) -> tuple[str, ...]:
        """The option that sizes each axis of a result: width, height, depth, or none."""
        return tuple(SIZE_FLAGS.get(letter, "") for letter in self.axis_names)

    def flags_of(self, metadata: Metadata) -> tuple[str, ...]:
        """`size_flags`, where they depend on the signal."""
        return self.size_flags

    def with_axes(self, signal: Signal, letters: str | None) -> Signal:
        """`signal` filtered along the axes of `letters`, as `axes_of` reads them."""
        return replace(signal, axes=self.axes_of(letters))

    def axes_of(self, letters: str | None) -> tuple[int, ...]:
        """Axis numbers of letters such as 't' or 'xyt', of names such as 'rows, columns' or 'time', or of both with
        commas or spaces in between, in any case (None: `filtered`); raises ValueError for others."""
        table = AXIS_WORDS | (PICTURE_WORDS if self.axis_names.startswith("yx") else {})
        known = {name: letter for letter, group in table.items() if letter in self.axis_names for name in group}
        words = (letters or self.filtered).lower().replace(",", " ").split()
        letters = "".join(known.get(word, word) for word in words)
        if counted := sorted(set(letters) & set(self.counted)):
            raise ValueError(f"{', '.join(counted)} only numbers the pieces of {self.name}; leave it out of --axes")
        if unknown := sorted(set(letters) - set(self.axis_names)):
            raise ValueError(f"{self.name} has the axes {', '.join(self.axis_names)}, not {', '.join(unknown)}")
        return tuple(sorted(self.axis_names.index(letter) for letter in set(letters)))
