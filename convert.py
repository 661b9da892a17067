"""Convert a file of the authors' release (checkpoint, kernel or ground truth) to this repository's format.

python convert.py --path model.pth --kind checkpoint --save_path converted.pth
"""

from pathlib import Path

import click

from files.folders import refuse_existing
from kernels.released import load_released as load_kernel
from models.released import load_released as load_checkpoint
from signals.released import load_released as load_ground_truth
from utils import clear_errors


@click.command()
@click.option("--path", required=True, type=click.Path(path_type=Path), help="File of the authors' release.")
@click.option("--kind", required=True, type=click.Choice(["checkpoint", "kernel", "ground_truth"]))
@click.option("--save_path", required=True, type=click.Path(path_type=Path), help="File to write (.pth or .npz).")
@click.option("--order", type=int, default=None, help="Order of a ground truth, which its file does not say.")
@clear_errors
def main(path: Path, kind: str, save_path: Path, order: int | None) -> None:
    """Read a released file, running nothing in it, and write it in this repository's format."""
    refuse_existing(save_path)
    match kind:
        case "checkpoint":
            load_checkpoint(path).save(save_path)
        case "kernel":
            kernel, defect = load_kernel(path)
            kernel.save(save_path)
            click.echo(f"moments were off by {defect:.1e} (relative) and now vanish")
        case _:
            load_ground_truth(path, order).save(save_path)
    click.echo(save_path)


if __name__ == "__main__":
    main()
