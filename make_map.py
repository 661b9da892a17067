"""Write a map for eval.py --scale_map (fovea, depth) or --angle_map (flow) for a picture.

python make_map.py --kind fovea --path photo.png --save_path map.npy

Size maps hold 0 (smallest kernel) to 1 (largest); angle maps hold angles / 180 degrees.
"""

from pathlib import Path

import click
import numpy as np

from evaluation.maps import fovea
from files import atomic_write
from files.folders import refuse_existing
from modalities import find
from signals import coordinates
from utils import FILE, clear_errors


def depth(shape: tuple[int, ...], row: float) -> np.ndarray:
    """Circle of confusion [H, W] on a ground plane that recedes upwards, in focus at `row`, as a share of the largest.

    A thin lens blurs by |1 / z - 1 / z_focus|, and inverse depth 1 / z falls linearly from the lower to the upper edge.
    """
    blur = np.abs(coordinates(shape[0]) - row)
    return np.broadcast_to((blur / max(float(blur.max()), 1e-12))[:, None], shape).copy()


def flow(picture: np.ndarray) -> np.ndarray:
    """Direction of edges [H, W] / 180 degrees, counter-clockwise from the columns, by the structure tensor.

    Smoothed over 4 pixels (Bigun & Granlund 1987).
    """
    from skimage.feature import structure_tensor

    rows, mixed, columns = structure_tensor(picture.mean(axis=-1), sigma=4.0, order="rc")
    # The steepest direction, in columns and rows; an edge runs across it, and rows count downwards.
    steepest = 0.5 * np.arctan2(2 * mixed, columns - rows)
    return ((np.pi / 2 - steepest) / np.pi) % 1.0


@click.command()
@click.option("--kind", type=click.Choice(["fovea", "depth", "flow"]), required=True)
@click.option("--path", type=FILE, required=True, help="The picture the map is for.")
@click.option("--save_path", type=FILE, required=True, help="The .npy file to write.")
@click.option("--row", default=0.0, show_default=True, help="Row looked at or in focus, domain units.")
@click.option("--column", default=0.0, show_default=True, help="Column looked at, domain units.")
@clear_errors
def main(kind: str, path: Path, save_path: Path, row: float, column: float) -> None:
    """Write a map of a kernel's size or angle for a picture."""
    if save_path.suffix != ".npy":
        raise ValueError(f"--save_path {save_path} must name an .npy file")
    refuse_existing(save_path)
    picture = find("image").load(path).values[..., :3]
    shape = picture.shape[:2]
    values = {"fovea": lambda: fovea(shape, row, column), "depth": lambda: depth(shape, row),
              "flow": lambda: flow(picture)}[kind]()  # fmt: skip
    with atomic_write(save_path) as stream:
        np.save(stream, values.astype(np.float32))
    click.echo(save_path)


if __name__ == "__main__":
    main()
