"""Shapes: signed distances [Nx, Ny, Nz, 1] over (x, y, z), negative inside, all three axes filtered.

A mesh is centred and scaled so that its longest side is EXTENT of the box's 2 domain units; distances are in domain
units too. A grid of signed distances is used as it is, as samples over [-1, 1]^3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from files.inputs import bounded, in_file, warn
from files.pictures import write_png
from files.results import write_array
from files.stored import Array, Stored, parts, with_channel
from modalities.figures import Comparison, Figure, pictures_figure
from modalities.formats.arrays import GRID_EXTENSIONS, read_grid
from modalities.formats.meshes import MESH_EXTENSIONS, Mesh, read_mesh, write_mesh
from modalities.modality import LoadOption, Modality, Sample
from modalities.render import Camera, render
from modalities.sdf import chamfer, extract_surface, has_surface, signed_distances, values_at
from signals import Signal, spacing
from signals.measures import mse, psnr
from signals.metadata import (
    LARGEST_NUMBER,
    Metadata,
    check,
    check_channels,
    check_number,
    check_numbers,
    check_whole_number,
    metadata_of,
)
from signals.units import Ruler, find_unit

EXTENT = 1.6
RESOLUTION = 128
# Formats whose coordinates have a unit (glTF 2.0, section 3.4).
FILE_UNITS = {".glb": "m", ".gltf": "m"}
# Share of points with an unclear winding number that is no cause for a warning: a ball with a hole of a fifth its size.
UNCLEAR_SHARE = 0.05


@dataclass(frozen=True)
class GeometryMetadata(Metadata, modality="geometry", axis_names="xyz"):
    """Where a shape lies in its mesh, mesh point = `centre` + `scale` * domain point, the `resolution` it was sampled
    at (None: a grid's own), and the `unit` of its coordinates ("": not stated)."""

    centre: tuple[float, ...] = (0.0, 0.0, 0.0)
    scale: float = 1.0
    resolution: int | None = None
    unit: str = ""

    def __post_init__(self) -> None:
        check_numbers("centre", self.centre, 3)
        check_number("scale", self.scale, 1 / LARGEST_NUMBER)
        if self.resolution is not None:
            check_whole_number("resolution", self.resolution, 4)
        known = not self.unit or (isinstance(self.unit, str) and (find_unit(self.unit) or ("",))[0] == "m")
        check("unit", self.unit, known, "a length, such as mm, cm, m or in")

    def rulers(self, shape: Sequence[int]) -> tuple[Ruler, ...]:
        """Samples, units of the mesh and, where they are known, metres."""
        unit = find_unit(self.unit)
        metres = {} if unit is None else {"m": 1.0 / (self.scale * unit[1])}
        return tuple(
            Ruler({"vox": spacing(n), "sample": spacing(n), "u": 1.0 / self.scale, **metres}, unit is None)
            for n in shape
        )

    def check_signal(self, shape: Sequence[int], channels: int) -> None:
        """Raise ValueError for more than a distance per point, and for an axis of a single point."""
        super().check_signal(shape, channels)
        check("the shape", tuple(shape), min(shape) > 1, "two samples or more along every axis")
        check_channels(channels, (1,))


class Geometry(Modality):
    """Meshes and grids of signed distances."""

    number = 2
    metadata_type = GeometryMetadata
    filtered = "xyz"
    results = (".ply", ".png", ".npy", ".tif", ".tiff", ".zarr")
    extensions = MESH_EXTENSIONS + GRID_EXTENSIONS
    named_extensions = (".zarr",)
    options = (
        LoadOption("resolution", int, RESOLUTION, "samples per axis of the distances made from a mesh"),
        LoadOption(
            "unit", str, "", "unit of a mesh's coordinates, e.g. mm or m (if not given, the file's, or unknown)"
        ),
    )
    sample = Sample(
        "geometry", "armadillo.off", half_size=0.05, margin=0.25, steps=500,
        training={"core_size": 200_000, "accuracy": 0.0},
        filters=(("tent", 0.05), ("tent", 0.1), ("tent", 0.2), ("gaussian", 0.2)),
    )  # fmt: skip

    def load(
        self, path: str | Path, reach: Sequence[float] = (), resolution: int = RESOLUTION, unit: str = ""
    ) -> Signal:
        """The shape at `path` as signed distances [N, N, N, 1], N = `resolution`, or [Nx, Ny, Nz, 1] of a grid file.

        Raises FileNotFoundError or ValueError.
        """
        path = Path(path)
        if path.suffix.lower() in GRID_EXTENSIONS + self.named_extensions:
            values = read_grid(path)
            with in_file(path):
                return self.from_array(values, name=path.name)
        unit = unit or FILE_UNITS.get(path.suffix.lower(), "")
        metadata = GeometryMetadata(resolution=resolution, unit=unit)
        bounded(path, resolution**3, "choose a smaller resolution")
        mesh = read_mesh(path)
        centre, scale = mesh.frame(EXTENT)
        values, unclear = signed_distances((mesh.vertices - centre) / scale, mesh.faces, resolution)
        if unclear > UNCLEAR_SHARE:
            warn(f"{path} does not enclose its inside clearly: at {unclear:.0%} of the points there the winding number "
                 "is neither near 0 nor near 1, and the sign is a guess")  # fmt: skip
        with in_file(path):
            metadata = GeometryMetadata(tuple(float(value) for value in centre), scale, resolution, unit)
            return self._shape(values, metadata, path.name, "it is too thin for this resolution, or too open")

    def from_array(
        self,
        values: Array,
        reach: Sequence[float] = (),
        *,
        centre: Sequence[float] = (0.0, 0.0, 0.0),
        scale: float = 1.0,
        name: str = "array",
    ) -> Signal:
        """Signed distances [Nx, Ny, Nz] or [Nx, Ny, Nz, 1] over [-1, 1]^3, in domain units; raises ValueError."""
        values = values if isinstance(values, Stored) else np.asarray(values, np.float32)
        return self._shape(values, GeometryMetadata(tuple(centre), scale), name, "distances are negative inside")

    def _shape(self, values: Array, metadata: GeometryMetadata, name: str, advice: str) -> Signal:
        values = with_channel(values, 3)
        if not has_surface(values):
            missing = "outside" if any((part < 0).any() for part in parts(values)) else "inside"
            raise ValueError(f"no sample of the {' x '.join(map(str, values.shape[:3]))} grid is {missing}; {advice}")
        return self.signal(values, metadata, name)

    def save(self, values: np.ndarray, folder: Path, metadata: Metadata, signed: bool | None = None) -> list[Path]:
        """Write mesh.ply (the zero level in the mesh's own units), output.png (its picture) and output.npy (the grid).

        Raises ValueError, with nothing written, where no surface is left.
        """
        own = metadata_of(GeometryMetadata, metadata)
        vertices, faces = extract_surface(values[..., 0])
        return [
            write_mesh(folder / "mesh.ply", Mesh(np.asarray(own.centre) + own.scale * vertices, faces)),
            write_png(folder / "output.png", render(values[..., 0]).pixels),
            write_array(folder / "output.npy", values),
        ]

    def metrics(self, values: np.ndarray, truth: np.ndarray, metadata: Metadata) -> dict[str, float]:
        """MSE and PSNR of the distances, IoU of the insides, Chamfer distance of the surfaces (domain units).

        Undefined ones (no inside, no surface) are left out.
        """
        measured = {"mse": mse(values, truth), "psnr": psnr(values, truth)}
        ours, theirs = values < 0, truth < 0
        union = int(np.count_nonzero(ours | theirs))
        if union:
            measured["iou"] = int(np.count_nonzero(ours & theirs)) / union
        if has_surface(values) and has_surface(truth):
            measured["chamfer"] = chamfer(extract_surface(values[..., 0])[0], extract_surface(truth[..., 0])[0])
        return measured

    def draw(self, shown: Comparison, metadata: Metadata) -> Figure:
        """The shape, the filtered one and, where given, the truth and the error at the filtered surface."""
        camera = Camera.onto(shown.before[..., 0])
        shots = [render(values[..., 0], camera) for _, values in shown.panels]
        error = None if shown.truth is None else surface_error(shots[1].hits, shown.truth[..., 0])
        return pictures_figure(shown, 3.8, [shot.pixels for shot in shots], error, "|distance to the true surface|")


def surface_error(hits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """|truth| [S, S] at the points [S, S, 3] where rays met the filtered surface, NaN where they met none."""
    return np.where(np.isnan(hits[..., 0]), np.nan, np.abs(values_at(truth, np.nan_to_num(hits))))
