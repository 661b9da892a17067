"""Time series: values [T, c] over time, filtered in time, from tables of a time column and c value columns.

Every column has its mean subtracted and is divided by its own size, because columns rarely share a unit (or by one
common size, where they do). Uneven times are resampled linearly to even ones.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from files import load_array
from files.inputs import bounded, existing_file, in_file, warn
from files.results import write_array
from files.stored import Array
from modalities.figures import Comparison, Figure, curves_figure
from modalities.formats.tables import ADVICE, DELIMITERS, Table, read_table, write_table
from modalities.modality import LoadOption, Modality, Sample
from signals import Signal, spacing
from signals.measures import mse, psnr, snr
from signals.metadata import Metadata, check, check_number, check_numbers, check_whole_number, metadata_of
from signals.units import Ruler, find_unit

# The unit at the end of a column's name.
TIME_UNIT = re.compile(r"(?:^|[\W_])([^\W\d_]+)[\s\])}]*$")
SCALINGS = ("column", "common")
SHOWN_COLUMNS = 4
# Sizes that may be squared and summed.
LARGEST_SIZE = 1e100
# Times count as even if none is further off than this share of a step: milliseconds at 60 Hz are rounded by 3 %.
TIME_TOLERANCE = 0.05


@dataclass(frozen=True)
class SeriesMetadata(Metadata, modality="series", axis_names="t"):
    """Time of the first sample, `step` to the next and number of `samples` (T); `offset` and `scale` of each column [c]
    and how they were chosen (`scaling`); names of all `columns` (none: no header) and `delimiter` of the file."""

    start: float
    step: float
    samples: int
    offset: tuple[float, ...]
    scale: tuple[float, ...]
    columns: tuple[str, ...] = ()
    delimiter: str = ","
    scaling: str = "column"

    def __post_init__(self) -> None:
        check_number("start", self.start)
        check_number("step", self.step, 1 / LARGEST_SIZE, LARGEST_SIZE)
        check_whole_number("samples", self.samples)
        check("scale", self.scale, isinstance(self.scale, tuple) and bool(self.scale), "numbers")
        check_numbers("scale", self.scale, len(self.scale), 1 / LARGEST_SIZE, LARGEST_SIZE)
        check_numbers("offset", self.offset, len(self.scale), -LARGEST_SIZE, LARGEST_SIZE)
        named = isinstance(self.columns, tuple) and all(isinstance(name, str) for name in self.columns)
        check("columns", self.columns, named and len(self.columns) in (0, 1 + len(self.scale)), "a name per column")
        check("delimiter", self.delimiter, self.delimiter in DELIMITERS, "a semicolon, tab, comma, bar or space")
        check("scaling", self.scaling, self.scaling in SCALINGS, " or ".join(SCALINGS))

    def check_signal(self, shape: Sequence[int], channels: int) -> None:
        """Raise ValueError for other numbers of samples and columns."""
        super().check_signal(shape, channels)
        check("samples", self.samples, (self.samples,) == tuple(shape), f"the signal's {shape[0]}")
        check("the number of channels", channels, channels == len(self.scale), f"its {len(self.scale)} columns")

    def rulers(self, shape: Sequence[int]) -> tuple[Ruler, ...]:
        """Samples, units of the column of times, and seconds, where its name ends in its unit: `t [ms]`, `time_s`."""
        sample, unit = spacing(shape[0]), None
        if self.columns and (named := TIME_UNIT.search(self.columns[0].strip())):
            unit = find_unit(named[1])
        stated = unit is not None and unit[0] == "s"
        second = 1.0 / (unit[1] if unit is not None and stated else 1.0)
        own = sample / self.step
        return (Ruler({"sample": sample, "u": own, "s": own * second}, not stated),)

    def times(self, count: int) -> np.ndarray:
        """Times [count] of that many samples over the duration of the loaded ones."""
        return self.start + np.linspace(0.0, self.step * (self.samples - 1), count)

    def original(self, values: np.ndarray, signed: bool | None = None) -> np.ndarray:
        """Values [T, c] in the file's units, to the digits of float32, without offset for differences (`signed`)."""
        numbers = np.asarray(values, np.float64) * np.asarray(self.scale) + (0.0 if signed else np.asarray(self.offset))
        digits = [6 - math.floor(math.log10(scale)) for scale in self.scale]
        return np.column_stack([np.round(column, count) for column, count in zip(numbers.T, digits, strict=True)])


class Series(Modality):
    """Tables of measurements over time."""

    number = 6
    metadata_type = SeriesMetadata
    filtered = "t"
    results = (".csv", ".npy", ".zarr")
    extensions = (".csv", ".tsv")
    options = (
        LoadOption("scaling", str, "column", "divide each column by its own size (column) or all by one (common)"),
    )
    sample = Sample(
        "series", "lorenz.csv", half_size=0.01, margin=0.1, steps=1, training={"factor": "spline"},
        filters=(("tent", 0.01), ("tent", 0.02), ("tent", 0.04), ("gaussian", 0.1)),
    )  # fmt: skip

    def load(self, path: str | Path, reach: Sequence[float] = (), scaling: str = "column") -> Signal:
        """The table at `path`, a CSV or TSV file or a .npy array [T, 1 + c], as float32 [T, c] of about unit size.

        The first column is time. Prints a warning where times are uneven. Raises FileNotFoundError or ValueError.
        """
        path = Path(path)
        if path.suffix.lower() == ".npy":
            values = load_array(existing_file(path, "a table", ADVICE))
            if values.ndim != 2 or values.shape[0] < 1 or values.shape[1] < 2 or values.dtype.kind not in "fiu":
                raise ValueError(
                    f"{path} holds {values.dtype} {list(values.shape)}; give numbers [T, 1 + c], times first"
                )
            table = Table(values.astype(np.float64))
        else:
            table = read_table(path)
        with in_file(path):
            return self._signal(table, scaling, path.name)

    def from_array(
        self,
        values: np.ndarray,
        reach: Sequence[float] = (),
        *,
        times: np.ndarray | None = None,
        columns: Sequence[str] = (),
        scaling: str = "column",
        name: str = "array",
    ) -> Signal:
        """Values [T] or [T, c] at `times` [T] (None: 0, 1, 2, ...), their `columns` named from the time on."""
        values = np.asarray(values, np.float64)
        values = values[:, None] if values.ndim == 1 else values
        times = np.arange(len(values)) if times is None else np.asarray(times)
        return self._signal(Table(np.column_stack([times, values]), tuple(columns)), scaling, name)

    def _signal(self, table: Table, scaling: str, name: str) -> Signal:
        check("scaling", scaling, scaling in SCALINGS, " or ".join(SCALINGS))
        if np.isinf(table.values).any() or not np.isfinite(table.values[:, 0]).all():
            raise ValueError("it has infinite values, or times that are missing; fix the table first")
        if np.isnan(table.values[:, 1:]).all(axis=0).any():
            raise ValueError("it has columns without a value; leave them out")
        start, step, values = evenly(table.values[:, 0], table.values[:, 1:], name)
        offset = np.nanmean(values, axis=0)
        scale = column_scales(values - offset, offset, scaling)
        sizes = tuple(offset.tolist()), tuple(scale.tolist())
        metadata = SeriesMetadata(start, step, len(values), *sizes, table.columns, table.delimiter, scaling)
        return self.signal(((values - offset) / scale).astype(np.float32), metadata, name)

    def save(self, values: np.ndarray, folder: Path, metadata: Metadata, signed: bool | None = None) -> list[Path]:
        """Write output.csv (header and delimiter as loaded, original units) and output.npy (float32 values [T, c])."""
        own = metadata_of(SeriesMetadata, metadata)
        numbers = np.column_stack([own.times(len(values)), own.original(values, signed)])
        table = write_table(folder / "output.csv", Table(numbers, own.columns, own.delimiter))
        return [table, write_array(folder / "output.npy", values)]

    def write_array(self, values: Array, path: Path, metadata: Metadata) -> Path:
        """As every modality, with a printed warning: a field's columns have no units."""
        warn(f"{path.name}: columns are (value - mean) / size, as the field has them; name a .csv for their units")
        return super().write_array(values, path, metadata)

    def metrics(self, values: np.ndarray, truth: np.ndarray, metadata: Metadata) -> dict[str, float]:
        """SNR about the mean and PSNR (over the truth's range) in dB, and MSE, of the scaled columns."""
        return {"snr": snr(values, truth), "psnr": psnr(values, truth), "mse": mse(values, truth)}

    def draw(self, shown: Comparison, metadata: Metadata) -> Figure:
        """The columns that vary most, in their own units, before and after, and with `truth` the error of each."""
        own = metadata_of(SeriesMetadata, metadata)
        varying = np.sort(np.argsort(-shown.before.std(axis=0), kind="stable")[:SHOWN_COLUMNS])
        signed = (False, shown.signed, shown.signed)
        curves = [
            (title, own.times(len(values)), own.original(values, differences)[:, varying])
            for (title, values), differences in zip(shown.panels, signed, strict=False)
        ]
        columns = own.columns or ("time", *(f"column {number + 1}" for number in range(len(own.scale))))
        return curves_figure([columns[1 + number] for number in varying], curves, columns[0], apart=bool(shown.signed))


def evenly(times: np.ndarray, values: np.ndarray, name: str) -> tuple[float, float, np.ndarray]:
    """Start, step and values [T', c] at even times, resampled linearly (with a printed warning) where they are not.

    Raises ValueError where times do not increase.
    """
    steps = np.diff(times)
    if not (steps > 0).all():
        row = int(np.argmin(steps > 0)) + 2
        raise ValueError(
            f"times must increase, and do not at row {row} of the numbers; sort rows, remove repeated times"
        )
    if len(times) == 1:
        return float(times[0]), 1.0, values
    span, usual = float(times[-1] - times[0]), float(np.median(steps))
    even = np.linspace(times[0], times[-1], len(times))
    if np.abs(times - even).max() > TIME_TOLERANCE * span / len(steps):
        count = round(span / usual) + 1
        bounded("the table at even times", count * values.shape[1], "cut out a piece without gaps")
        even = np.linspace(times[0], times[-1], count)
        values = np.column_stack([np.interp(even, times, column) for column in values.T])
        warn(f"{name} has uneven times: resampled linearly to {count} samples, {usual:g} apart as most; "
             f"the largest gap is {steps.max():g}")  # fmt: skip
    return float(times[0]), span / (len(even) - 1), values


def column_scales(centred: np.ndarray, offset: np.ndarray, scaling: str) -> np.ndarray:
    """The root mean square [c] of each column, or of all; 1 for columns that vary by no more than rounding."""
    with np.errstate(over="ignore"):
        sizes = np.sqrt(np.nanmean(np.square(centred), axis=0))
        if scaling == "common":
            sizes = np.full_like(sizes, np.sqrt(np.mean(np.square(sizes))))
    return np.where(sizes > 1e-12 * np.abs(offset), sizes, 1.0)
