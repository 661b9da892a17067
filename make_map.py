"""Write a map for eval.py --scale_map (fovea, depth) or --angle_map (flow) for a picture.

python make_map.py --kind fovea --path photo.png --save_path map.npy
"""

from pathlib import Path

import click
import numpy as np

from files import atomic_write
from files.folders import refuse_existing
from filtering.maps import depth, flow, fovea
from modalities.image import IMAGE
from utils import clear_errors


@click.command()
@click.option("--kind", type=click.Choice(["fovea", "depth", "flow"]), required=True)
@click.option("--path", type=click.Path(path_type=Path), required=True, help="The picture the map is for.")
@click.option("--save_path", type=click.Path(path_type=Path), required=True, help="The .npy file to write.")
@click.option("--row", default=0.0, show_default=True, help="Row looked at or in focus, domain units.")
@click.option("--column", default=0.0, show_default=True, help="Column looked at, domain units.")
@clear_errors
def main(kind: str, path: Path, save_path: Path, row: float, column: float) -> None:
    """Write a map of a kernel's size or angle for a picture."""
    if save_path.suffix != ".npy":
        raise ValueError(f"--save_path {save_path} must name an .npy file")
    refuse_existing(save_path)
    picture = IMAGE.load(path).values[..., :3]
    shape = picture.shape[:2]
    match kind:
        case "fovea":
            values = fovea(shape, row, column)
        case "depth":
            values = depth(shape, row)
        case _:
            values = flow(picture)
    with atomic_write(save_path) as stream:
        np.save(stream, values.astype(np.float32))
    click.echo(save_path)


if __name__ == "__main__":
    main()
