"""The kernel a user asks for: a saved one, one of the library by name, or the field's minimal kernel."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from kernels import SparseKernel, library, minimal_kernel, outer
from kernels.recipes import PARAMETERS
from kernels.released import load_released
from kernels.target import Target
from models.field import FieldConfig

Say = Callable[[str], None]


@dataclass(frozen=True)
class Choice:
    """A kernel on a field's axes and, for the library's kernels, the exact kernel it approximates."""

    kernel: SparseKernel
    target: Target | None = None

    @property
    def signed(self) -> bool:
        """Whether results are to be shown around a middle grey."""
        return library.is_signed(self.kernel)


def choose_kernel(
    path: str, scale: str | None, named: Mapping[str, Any], config: FieldConfig, half_size: float, say: Say
) -> Choice:
    """The kernel that --kernel_path and --kernel_scale, or --kernel and its parameters, ask for.

    A saved kernel (and the minimal one of half size 1, when nothing is asked) is made 1 / `scale` its size, one
    number or one per filtered axis, or `half_size` its size (the training kernel's); 1-D kernels are multiplied
    over all filtered axes. Raises ValueError.
    """
    order, dim, axes = config.order, config.dim, config.axes
    asked = {name: named[name] for name in PARAMETERS if named.get(name) is not None}
    kernel = library.from_options(named, order, dim, axes)
    if kernel is not None:
        if path or scale:
            raise ValueError("--kernel has its size in its own parameters: leave --kernel_path and --kernel_scale out")
        return Choice(kernel, library.target(named["kernel"], dim, axes, **asked))
    factors = [1.0 / value for value in numbers(scale or repr(1.0 / half_size), len(axes), "--kernel_scale")]
    if not path:
        return Choice(minimal_kernel(order, factors, dim, axes))
    kernel = read_kernel(Path(path), say)
    if kernel.dim == 1:
        kernel = reduce(outer, [kernel] * len(axes))
    if kernel.dim != len(axes):
        raise ValueError(f"{path} filters {kernel.dim} axes, the field {len(axes)}: choose a kernel of its axes")
    return Choice(kernel.scaled(factors).embedded(axes, dim))


def read_kernel(path: Path, say: Say) -> SparseKernel:
    """A saved kernel (`.npz`, which may be left out) or one of the authors' release, made lawful."""
    saved = path if path.suffix == ".npz" else path.with_name(path.name + ".npz")
    if saved.is_file() or not path.is_file():
        return SparseKernel.load(saved)
    kernel, defect = load_released(path)
    say(f"{path}: a released kernel whose moments are off by {defect:.1e}; using the nearest lawful weights")
    return kernel


def numbers(text: str, count: int, what: str) -> list[float]:
    """One positive number, or `count` of them with commas in between, as `count` numbers; raises ValueError."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"{what} must be a number or {count} numbers with commas, not {text!r}") from None
    if len(values) not in (1, count) or not all(np.isfinite(v) and v > 0 for v in values):
        raise ValueError(f"{what} must be one positive number or {count} of them with commas, not {text!r}")
    return values * count if len(values) == 1 else values
