"""What the programs share: one-sentence errors, options of kernels and loaders, progress.

PyTorch is imported where it is used, so that `mc_utils.py` runs without it.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from kernels.library import parameters
from modalities import MODALITIES

Command = TypeVar("Command", bound=Callable[..., Any])
# Characters of an error; a file can bring text of any length.
LONGEST_ERROR = 400


def one_line(text: str, most: int = LONGEST_ERROR) -> str:
    """`text` as one line that is safe to print: control characters escaped, its middle left out where too long."""
    if len(text) > 2 * most:
        text = f"{text[:most]} {text[-most:]}"
    words = " ".join(text.split())
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)
    return plain if len(plain) <= most else f"{plain[: most * 2 // 3]} ... {plain[-(most // 4) :]}"


def clear_errors(command: Command) -> Command:
    """Turn what a user can fix (wrong values, missing or unwritable files) into one sentence and exit code 1."""

    @functools.wraps(command)
    def guarded(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except OSError as error:
            named = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
            raise click.ClickException(one_line(named)) from None
        except ValueError as error:
            raise click.ClickException(one_line(str(error))) from None
        except (RuntimeError, MemoryError) as error:
            from models.memory import is_out_of_memory

            if not is_out_of_memory(error):
                raise
            reason = one_line(str(error), 200)
            raise click.ClickException(f"out of memory; ask for less at once ({reason})") from None

    return guarded  # type: ignore[return-value]


def load_montecarlo_gt(path: str | Path) -> np.ndarray:
    """Ground-truth values on the signal's own grid, [H, W, C] for an image, the margin cropped.

    Reads files of this program and of the authors' release; raises FileNotFoundError or ArchiveError for others.
    """
    from nfconv import load_ground_truth

    # The order does not matter for a look at the values.
    return load_ground_truth(path, 0 if Path(path).suffix == ".npy" else None).core


def kernel_options(command: Command) -> Command:
    """One click option for every parameter of the library's kernels; none has a default."""
    for name, (parameter, kernels) in reversed(parameters().items()):
        text = f"{parameter.help[0].upper()}{parameter.help[1:]} ({', '.join(kernels)})."
        command = click.option(f"--{name}", type=parameter.type, default=None, help=text)(command)
    return command


def load_options(command: Command) -> Command:
    """One click option for every option of the modalities' loaders."""
    options = {option.name: option for modality in MODALITIES.values() for option in modality.options}
    for name, option in options.items():
        command = click.option(f"--{name}", type=option.type, default=None, help=option.help)(command)
    return command


def progress_bar(console: Console) -> Progress:
    """A bar with a note (rate, loss, PSNR) and the time left; when it ends it leaves no trace."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        refresh_per_second=2,
        transient=True,
    )
