"""Continuous signals: any function of points [N, d], of 1 to 4 coordinates, sampled as finely as it requires.

In the plane 1, 3 and 4 channels are shown as a picture, a distance in space as its surface, everything else as curves
or slices; values are written as .npy in any case.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from files.pictures import write_png
from files.results import write_array
from modalities.display import picture, say_scale, signed_size
from modalities.figures import Comparison, Figure, curves_figure, pictures_figure
from modalities.formats.programs import PROGRAM_EXTENSIONS, read_program
from modalities.modality import LoadOption, Modality
from modalities.sdf import has_surface
from signals import Signal
from signals.callables import FieldMetadata, SamplingSettings, parse_sizes
from signals.measures import peak
from signals.metadata import Metadata, metadata_of
from signals.probing import continuous
from signals.sampling import ACCURACY, EVALUATIONS, on_grid

# Samples per axis by which a callable is looked at before it is sampled.
PREVIEW = {1: 257, 2: 65, 3: 25, 4: 9}


class Continuum(Modality):
    """Functions of points: a network, a procedure, an analytic distance."""

    number = 7
    metadata_type = FieldMetadata
    filtered = ""
    extensions = PROGRAM_EXTENSIONS
    results = (".npy", ".png", ".zarr")
    options = (
        LoadOption("resolution", int, 0, "samples per axis of a callable (0: by itself), or of a mesh's distances"),
        LoadOption("accuracy", float, ACCURACY, "estimated dB at which a callable is sampled finely enough"),
        LoadOption("evaluations", int, EVALUATIONS, "points at most that a callable is asked for"),
        LoadOption("domain", str, "-1,1", "bounds of a callable's box: low,high, or a pair for each coordinate"),
        LoadOption("coordinates", str, None, "letters of a callable's coordinates, in its order: yx, xy, xyz, ..."),
    )

    def load(self, path: str | Path, reach: Sequence[float] = (), **options: Any) -> Signal:
        """The callable in 'my_field.py:field' or a .onnx file, a few samples of it; raises as every loader."""
        return self.from_callable(read_program(path), name=Path(path).name, **options)

    def from_callable(
        self, f: Any, *, dim: int | None = None, resolution: int | Sequence[int] = 0, accuracy: float = ACCURACY,
        evaluations: int = EVALUATIONS, domain: Any = (-1.0, 1.0), coordinates: str | None = None, name: str = "",
    ) -> Signal:  # fmt: skip
        """f as a signal that is sampled when it is known what for; raises ValueError for what no field is made of."""
        if not (np.isfinite(accuracy) and 0 < accuracy <= 200):
            raise ValueError(f"--accuracy must lie in 0..200 dB, not {accuracy}")
        if not 1000 <= evaluations <= 1 << 32:
            raise ValueError(f"--evaluations must be a whole number from 1000 to {1 << 32}, not {evaluations}")
        found = continuous(f, coordinates, domain, dim, name)
        settings = SamplingSettings(parse_sizes(resolution, found.dim), accuracy, evaluations)
        found = replace(found, settings=settings)
        shape = tuple(n or PREVIEW[found.dim] for n in settings.resolution)
        bounds = tuple(found.domain.ravel().tolist())
        metadata = FieldMetadata(found.columns, bounds, settings.resolution, accuracy, evaluations)
        values = on_grid(found, shape).astype(np.float32)
        return Signal(values, tuple(range(found.dim)), self.name, found.name, metadata, function=found)

    def with_axes(self, signal: Signal, letters: str | None) -> Signal:
        if not letters:
            return signal
        known, wanted = metadata_of(FieldMetadata, signal.metadata).letters, set(letters.replace(",", "").lower())
        if unknown := sorted(wanted - set(known)):
            raise ValueError(f"{signal.name} has the axes {', '.join(known)}, not {', '.join(unknown)}")
        return replace(signal, axes=tuple(sorted(known.index(letter) for letter in wanted)))

    def axes_of(self, letters: str | None) -> tuple[int, ...]:
        return ()

    def flags_of(self, metadata: Metadata) -> tuple[str, ...]:
        flags = {"x": "width", "y": "height", "z": "depth"}
        return tuple(flags.get(letter, "") for letter in metadata_of(FieldMetadata, metadata).letters)

    def load_again(self, path: str | Path, metadata: Metadata, reach: Sequence[float] = ()) -> Signal:
        """The callable at `path`, read as the one that `metadata` describes, on the grid it was sampled on."""
        own = metadata_of(FieldMetadata, metadata)
        bounds = np.array(own.domain).reshape(-1, 2)
        return self.from_callable(read_program(path), resolution=own.resolution, accuracy=own.accuracy,
                                  evaluations=own.evaluations, domain=bounds, coordinates=own.coordinates,
                                  name=Path(path).name)  # fmt: skip

    def save(self, values: np.ndarray, folder: Path, metadata: Metadata, signed: bool | None = None) -> list[Path]:
        """Write output.npy (float32 values) and, where they are a picture or a surface, output.png and mesh.ply."""
        if values.ndim == 4 and values.shape[-1] == 1 and has_surface(values) and min(values.shape[:3]) > 1:
            from modalities.geometry import Geometry

            return Geometry().save(values, folder, Metadata())
        written = [write_array(folder / "output.npy", values)]
        if values.ndim > 2:
            plane = middle_plane(values)
            say_scale(size := signed_size(plane, signed), plane.shape[-1])
            written.append(write_png(folder / "output.png", shown(plane, size)))
        return written

    def draw(self, shown_: Comparison, metadata: Metadata) -> Figure:
        """Curves of one coordinate, pictures of two, and of more the middle slices, with the error where known."""
        if shown_.after.ndim == 2:
            names = [f"channel {c + 1}" for c in range(min(4, shown_.after.shape[-1]))]
            curves = [(title, np.linspace(-1, 1, len(v)), v) for title, v in shown_.panels]
            return curves_figure(names, curves, metadata_of(FieldMetadata, metadata).letters)
        before, *others = [middle_plane(values) for _, values in shown_.panels]
        best = signed_size(others[-1], shown_.signed)
        pictures = [shown(before, signed_size(before, None)), *(shown(plane, best) for plane in others)]
        error = None if shown_.truth is None else np.abs(others[0] - others[1]).mean(-1)
        return pictures_figure(shown_, 3.8, pictures, error, "|error|")


def middle_plane(values: np.ndarray) -> np.ndarray:
    """The last two axes in the middle of the others, [H, W, 1 | 3 | 4]; other channels as their mean."""
    while values.ndim > 3:
        values = values[len(values) // 2]
    return values if values.shape[-1] in (1, 3, 4) else values.mean(axis=-1, keepdims=True)


def shown(plane: np.ndarray, size: float) -> np.ndarray:
    """A plane as 8-bit pixels, on a scale of its own where it leaves [0, 1]."""
    if not size and peak(plane) != 1:
        low, high = float(plane.min()), float(plane.max())
        plane = (plane - low) / ((high - low) or 1.0)
    return picture(plane, size=size)
