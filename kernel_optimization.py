"""Fit a kernel by a few Diracs: weights by constrained least squares, positions by variable projection.

python kernel_optimization.py --kernel gaussian --sigma 0.05 --count 13 --save_path output/kernels/gaussian
python kernel_optimization.py --kernel image --kernel_image heart.png --radius 0.1 --error 0.05 --save_path output/heart

Writes SAVE_PATH.npz (the kernel), SAVE_PATH.png (kernel, target, error and Diracs) and SAVE_PATH.json (its errors).
With --sweep it plots the error of a kernel against its number of Diracs instead.
From Python, `kernels.fit.fit_kernel` takes any function of points as its target.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from files import atomic_write
from files.folders import refuse_existing
from kernels import SparseKernel
from kernels.convergence import save_sweep, sweep
from kernels.figure import save_figure
from kernels.fit import fit_errors
from kernels.library import KERNELS, Kernel
from utils import FILE, clear_errors, kernel_options

# A fit that finishes sooner prints no progress.
QUIET_SECONDS = 2.0


def output_files(save_path: Path, suffixes: Sequence[str], overwrite: bool) -> dict[str, Path]:
    """The files to write, by suffix; raises ValueError where one exists and may not be replaced."""
    stem = save_path.with_suffix("") if save_path.suffix == ".npz" else save_path
    files = {suffix: stem.with_name(f"{stem.name}.{suffix}") for suffix in suffixes}
    if not overwrite:
        refuse_existing(*files.values())
    return files


def notifier(start: float) -> Callable[[str], None]:
    """Prints what a fit tries, once it takes long."""

    def notify(text: str) -> None:
        seconds = time.perf_counter() - start
        if seconds > QUIET_SECONDS:
            click.echo(f"{seconds:5.1f} s  {text}", err=True)

    return notify


def optimise(kernel: Kernel, order: int, dim: int, unit: bool, files: dict[str, Path], given: dict[str, Any]) -> None:
    """Fit, measure and save one kernel of the library; raises ValueError or OSError."""
    start = time.perf_counter()
    fitted, target = kernel.sparse(order, dim, notify=notifier(start)), kernel.target(dim)
    seconds = time.perf_counter() - start
    if unit:
        scale = 1.0 / float(fitted.radius.max())
        fitted, target = fitted.scaled(scale), target.scaled(scale)
    errors = fit_errors(fitted, target)
    request = {"kernel": kernel.name, "parameters": given, "order": order, "dim": dim, "unit": unit}
    facts = {**request, **asdict(errors), "radius": fitted.radius.tolist(), "seconds": round(seconds, 3)}
    fitted.save(files["npz"])
    save_figure(files["png"], fitted, target)
    with atomic_write(files["json"]) as stream:
        stream.write((json.dumps(facts, indent=2) + "\n").encode())
    click.echo(
        f"{kernel.name}: {errors.diracs} Diracs, relative L2 error {errors.relative_l2:.2%}, "
        f"largest {errors.max_error:.2%} of the peak, mass {fitted.mass:.9g}, {seconds:.1f} s"
    )


def compare(kernel: Kernel, dim: int, files: dict[str, Path]) -> None:
    """Errors of one kernel against its number of Diracs, for orders 0 to 2; raises ValueError or OSError."""
    notify = notifier(time.perf_counter())

    def build(order: int, count: int) -> SparseKernel:
        notify(f"order {order}, {count} Diracs per axis")
        return replace(kernel, count=count).sparse(order, dim)

    save_sweep(files["png"], files["json"], sweep(build, kernel.target(dim)))


@click.command(context_settings={"show_default": True})
@click.option("--kernel", required=True, help=f"Kernel to fit: {', '.join(KERNELS)}.")
@click.option("--order", type=int, default=1, help="Degree of its pieces: 0 constant, 1 linear, 2 quadratic.")
@click.option("--dim", type=int, help="Axes the kernel filters; default: the fewest it can.")
@click.option("--count", type=int, help="Diracs per axis; default: the kernel's usual number.")
@click.option("--error", type=float, help="Relative L2 error to reach, instead of a count.")
@click.option("--unit", is_flag=True,
              help="Stretch to half size 1, as eval.py --kernel_path with --kernel_scale expects it.")  # fmt: skip
@click.option("--sweep", "sweeping", is_flag=True, help="Plot the error against the number of Diracs, orders 0 to 2.")
@click.option("--save_path", type=FILE, required=True, help="Where to write, without a suffix.")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@kernel_options()
@clear_errors
def main(kernel: str, order: int, dim: int | None, count: int | None, error: float | None, unit: bool,
         sweeping: bool, save_path: Path, overwrite: bool, **parameters: Any) -> None:  # fmt: skip
    """Fit a kernel by a few Diracs and save it with its figure and errors; lengths are in domain units."""
    given = {name: value for name, value in parameters.items() if value is not None}
    chosen = Kernel(kernel, given, count, error)
    dim = chosen.type.axes[0] if dim is None else dim
    if sweeping:
        if count is not None or error is not None or unit:
            raise ValueError("--sweep tries numbers of its own: leave --count, --error and --unit out")
        files = output_files(save_path, ("png", "json"), overwrite)
        compare(chosen, dim, files)
    else:
        files = output_files(save_path, ("npz", "png", "json"), overwrite)
        optimise(chosen, order, dim, unit, files, given)
    click.echo(f"wrote {', '.join(str(path) for path in files.values())}")


if __name__ == "__main__":
    main()
