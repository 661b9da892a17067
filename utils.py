"""What the programs share: one-sentence errors, options of kernels and loaders.

PyTorch is imported where it is used, so that `mc_utils.py` runs without it.
"""

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np

from kernels.library import parameters
from modalities import CALLABLES, MODALITIES
from modalities.modality import LoadOption, Modality
from signals import Signal

Command = TypeVar("Command", bound=Callable[..., Any])
FILE = click.Path(path_type=Path)
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
            with warnings.catch_warnings():
                # Those of the library without the line of code that they come from.
                warnings.showwarning = lambda message, *_: click.echo(f"warning: {message}", err=True)
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


def kernel_options(units: bool = False) -> Callable[[Command], Command]:
    """One click option for every parameter of the library's kernels; none has a default.

    With `units`, sizes stay text: 0.05, 13px, 5ms or 3mm, one for all axes or one for each.
    """

    def decorate(command: Command) -> Command:
        for name, (parameter, kernels) in reversed(parameters().items()):
            text = f"{parameter.help[0].upper()}{parameter.help[1:]} ({', '.join(kernels)})."
            kind = str if units and parameter.kind in ("length", "frequency") else parameter.type
            command = click.option(f"--{name}", type=kind, help=text)(command)
        return command

    return decorate


def cluster_options(command: Command) -> Command:
    """--workers and --scheduler, which choose the processes that work on the tiles of a large signal."""
    command = click.option("--scheduler", help="Address of a Dask scheduler that is there: "
                           "tcp://host:8786 (docs/cluster.md).")(command)  # fmt: skip
    return click.option("--workers", type=click.IntRange(1, 1024),
                        help="Processes of this machine that share the tiles.")(command)  # fmt: skip


def signal_loader(
    kind: Modality, path: Path, options: Mapping[str, Any], axes: str | None, mask: np.ndarray | None
) -> Callable[[Sequence[float]], Signal]:
    """What reads a signal for a reach (see `Modality`), as a program's options have it; raises ValueError."""

    def load(reach: Sequence[float]) -> Signal:
        signal = kind.with_axes(kind.load(path, reach, **options), axes)
        return signal if mask is None else kind.masked(signal, mask)

    return load


def loader_options(without: Sequence[str] = ()) -> dict[str, LoadOption]:
    """The options of the modalities' loaders, by their names."""
    found = {option.name: option for modality in (*MODALITIES.values(), CALLABLES) for option in modality.options}
    return {name: option for name, option in found.items() if name not in without}


def load_options(without: Sequence[str] = ()) -> Callable[[Command], Command]:
    """One click option for every option of the modalities' loaders."""

    def decorate(command: Command) -> Command:
        for name, option in loader_options(without).items():
            command = click.option(f"--{name}", type=option.type, help=option.help)(command)
        return command

    return decorate
