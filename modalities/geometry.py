"""Shapes: signed distances [Nx, Ny, Nz, 1] over (x, y, z), negative inside, all three axes filtered.

A mesh is centred and scaled so that its longest side is EXTENT of the box's 2 domain units; distances are in domain
units too. A grid of signed distances is taken as it is, as samples over [-1, 1]^3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modalities.facts import LARGEST_NUMBER, check, check_channels, check_number, check_numbers, taken, told_by
from modalities.figure import new_figure, show_picture, write_figure
from modalities.inputs import bounded, whole_number
from modalities.measures import mse, psnr
from modalities.meshes import GRID_EXTENSIONS, MESH_EXTENSIONS, Mesh, read_grid, read_mesh, write_mesh
from modalities.modality import CAPTIONS, LoadOption, Modality
from modalities.pixels import write_png, write_values
from modalities.render import Camera, render
from modalities.sdf import chamfer, extract_surface, has_surface, signed_distances
from signals import Signal

EXTENT = 1.6
RESOLUTION = 128


@dataclass(frozen=True)
class Placement:
    """Where a shape lies in its mesh: mesh point = `centre` + `scale` * domain point."""

    centre: Sequence[float] = (0.0, 0.0, 0.0)
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_numbers("centre", self.centre, 3)
        check_number("scale", self.scale, 1 / LARGEST_NUMBER)

    def fit(self, shape: tuple[int, ...], channels: int) -> None:
        """Refuse, with a ValueError, more than a distance per point, and an axis of a single one."""
        check("the shape", list(shape), min(shape) > 1, "two samples or more along every axis")
        check_channels(channels, (1,))


def load(path: str | Path, resolution: int = RESOLUTION) -> Signal:
    """The shape at `path` as signed distances [N, N, N, 1], N = `resolution`, or [Nx, Ny, Nz, 1] of a grid file.

    meta as `Placement` has it. Raises FileNotFoundError or ValueError.
    """
    path = Path(path)
    resolution = whole_number("resolution", resolution, least=4)
    if path.suffix.lower() in GRID_EXTENSIONS:
        grid, centre, scale = read_grid(path), np.zeros(3), 1.0
        advice = "signed distances are negative inside and positive outside"
        if grid.max() <= 0:
            raise ValueError(f"{path}: no sample is outside; {advice}")
    else:
        bounded(path, resolution**3, "take a smaller resolution")
        mesh = read_mesh(path)
        centre, scale = mesh.frame(EXTENT)
        grid = signed_distances((mesh.vertices - centre) / scale, mesh.faces, resolution)
        advice = "it is too thin for this resolution, or too open to have an inside"
    if not has_surface(grid):
        raise ValueError(f"{path} encloses no sample of the {' x '.join(map(str, grid.shape))} grid; {advice}")
    with told_by(path):
        placement = Placement([float(value) for value in centre], scale)
    return Signal(grid[..., None], axes=(0, 1, 2), modality="geometry", name=path.name, meta=asdict(placement))


def save(values: np.ndarray, folder: Path, meta: Mapping[str, Any]) -> list[Path]:
    """Write mesh.ply (the zero level in the mesh's own units), output.png (its picture) and output.npy (the grid).

    Raises ValueError, with nothing written, where no surface is left.
    """
    folder = Path(folder)
    vertices, faces = extract_surface(values[..., 0])
    placed = taken(Placement, meta, "geometry")
    return [
        write_mesh(folder / "mesh.ply", Mesh(np.asarray(placed.centre) + placed.scale * vertices, faces)),
        write_png(folder / "output.png", render(values[..., 0]).pixels),
        write_values(folder / "output.npy", values),
    ]


def metrics(values: np.ndarray, truth: np.ndarray, meta: Mapping[str, Any] | None = None) -> dict[str, float]:
    """MSE and PSNR of the distances, IoU of the insides, Chamfer distance of the surfaces (domain units).

    What has no value (no inside, no surface) is left out. `meta` is not needed.
    """
    measured = {"mse": mse(values, truth), "psnr": psnr(values, truth)}
    ours, theirs = values < 0, truth < 0
    union = int(np.count_nonzero(ours | theirs))
    if union:
        measured["iou"] = int(np.count_nonzero(ours & theirs)) / union
    if has_surface(values) and has_surface(truth):
        measured["chamfer"] = chamfer(extract_surface(values[..., 0])[0], extract_surface(truth[..., 0])[0])
    return measured


def compare(
    before: np.ndarray,
    after: np.ndarray,
    truth: np.ndarray | None,
    path: Path,
    meta: Mapping[str, Any],
    captions: tuple[str, str] = CAPTIONS,
) -> None:
    """Draw the shape, the filtered one and, if given, the truth and the error at the filtered surface to `path`."""
    count = 2 if truth is None else 4
    figure = new_figure(3.4 * count, 3.8)
    axes = figure.subplots(1, count)
    camera = Camera.onto(before[..., 0])
    shot = render(after[..., 0], camera)
    show_picture(axes[0], render(before[..., 0], camera).pixels, captions[0])
    show_picture(axes[1], shot.pixels, captions[1])
    if truth is not None:
        show_picture(axes[2], render(truth[..., 0], camera).pixels, "truth")
        error = surface_error(shot.hits, truth[..., 0])
        drawn = axes[3].imshow(error, cmap="magma", vmin=0)
        figure.colorbar(drawn, ax=axes[3], shrink=0.8)
        axes[3].set_title("|distance to the true surface|", fontsize=10)
        axes[3].set_axis_off()
    write_figure(figure, path)


def surface_error(hits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """|truth| [S, S] at the points [S, S, 3] where rays met the filtered surface, NaN where they met none."""
    from scipy.ndimage import map_coordinates

    places = (np.nan_to_num(hits) + 1) * (np.array(truth.shape) - 1) / 2
    error = np.abs(map_coordinates(truth, np.moveaxis(places, -1, 0), order=1, mode="nearest"))
    return np.where(np.isnan(hits[..., 0]), np.nan, error)


GEOMETRY = Modality(
    name="geometry",
    number=2,
    axis_names="xyz",
    filtered="xyz",
    extensions=MESH_EXTENSIONS + GRID_EXTENSIONS,
    load=load,
    save=save,
    metrics=metrics,
    compare=compare,
    facts=Placement,
    load_options=(LoadOption("resolution", int, RESOLUTION, "samples per axis of the distances made from a mesh"),),
)
