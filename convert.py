"""Convert a file of the authors' release (checkpoint, kernel or ground truth) to this repository's format.

python convert.py --path model.pth --kind checkpoint --save_path converted.pth
"""

from pathlib import Path

import click

import released
from files.folders import refuse_existing
from utils import FILE, clear_errors


@click.command()
@click.option("--path", required=True, type=FILE, help="File of the authors' release.")
@click.option("--kind", required=True, type=click.Choice(["checkpoint", "kernel", "ground_truth"]))
@click.option("--save_path", required=True, type=FILE, help="File to write (.pth or .npz).")
@click.option("--order", type=int, help="Order of a ground truth, which its file does not hold.")
@click.option("--weights", type=click.Choice(["stored", "corrected"]), default="corrected", show_default=True,
              help="Weights of a kernel: nearest ones that meet the moment conditions exactly, as fields trained "
                   "here require, or as stored, for fields of the release.")  # fmt: skip
@clear_errors
def main(path: Path, kind: str, save_path: Path, order: int | None, weights: str) -> None:
    """Read a released file, running nothing in it, and write it in this repository's format."""
    refuse_existing(save_path)
    match kind:
        case "checkpoint":
            released.read_field(path).save(save_path)
        case "kernel":
            kernel, defect = released.read_kernel(path, corrected=weights == "corrected")
            kernel.save(save_path)
            click.echo(f"moments are off by {defect:.1e} (relative) in the file; {weights} weights written")
        case _:
            released.read_ground_truth(path, order).save(save_path)
    click.echo(save_path)


if __name__ == "__main__":
    main()
