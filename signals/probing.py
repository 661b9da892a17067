"""Probes a callable: the input type and device that it accepts, its channels, and whether its answers are valid."""

from typing import Any

import numpy as np

from signals.callables import LARGEST_CALLABLE_DIM, Continuous, Function, parse_domain

PROBES = 37
MOST_CHANNELS = 256
# Answers in batches of other sizes differ by the rounding of other matrix kernels, in half precision too.
TOLERANCE = 2e-2
REPEATED = 1e-4
# Default letters of the coordinates, by their number.
COLUMNS = {1: "x", 2: "yx", 3: "xyz", 4: "vuyx"}


def continuous(
    f: Any, columns: str | None = None, domain: Any = (-1.0, 1.0), dim: int | None = None, name: str = ""
) -> Continuous:
    """f as a signal, probed: how it is asked, its channels, finite and repeatable answers; raises ValueError.

    `columns` are the letters of its coordinates (default: by `dim`, and where that is None too, by the number of
    coordinates it accepts), `domain` (low, high) or one such pair per column.
    """
    name = name or getattr(f, "__name__", type(f).__name__)
    if columns is not None:
        if not columns or len(set(columns)) < len(columns) or not columns.isalpha() or not columns.islower():
            raise ValueError(f"--coordinates must be different small letters, such as yx, not {columns!r}")
        if dim not in (None, len(columns)):
            raise ValueError(f"{columns} are {len(columns)} coordinates, not {dim}")
        dim = len(columns)
    dims = [dim] if dim is not None else [2, 3, 1, 4]
    if not all(isinstance(d, int | np.integer) and 1 <= d <= LARGEST_CALLABLE_DIM for d in dims):
        raise ValueError(f"a callable has 1 to {LARGEST_CALLABLE_DIM} coordinates, not {dim!r}")
    found, failures = [], []
    for count in dims:
        letters = columns or COLUMNS[count]
        bounds = parse_domain(domain, count)
        try:
            found.append(_probed(f, letters, bounds, name))
        except NotAskedError as error:
            failures.append(error)
    # One that ignores further coordinates accepts any number of them.
    found = [one for one in found if _reads_last(one)] if len(found) > 1 else found
    if len(found) > 1:
        counts = " or ".join(str(one.dim) for one in sorted(found, key=lambda one: one.dim))
        raise ValueError(f"{name} accepts points of {counts} coordinates: say which with --coordinates yx or dim=2")
    if not found:
        raise failures[0] from failures[0].__cause__
    _check_repeatable(found[0])
    return found[0]


def _reads_last(f: Continuous) -> bool:
    """Whether answers depend on the last coordinate of f."""
    points = np.random.default_rng(2).uniform(-0.97, 0.97, (PROBES, f.dim))
    moved = points.copy()
    moved[:, -1] = points[::-1, -1]
    last = f.letters.index(f.columns[-1])
    points[:, [last, -1]], moved[:, [last, -1]] = points[:, [-1, last]], moved[:, [-1, last]]
    return not np.array_equal(f(points), f(moved))


class NotAskedError(ValueError):
    """f gave no answer in any way it was asked."""


def _probed(f: Any, columns: str, domain: np.ndarray, name: str) -> Continuous:
    """f in the first way in which it answers; raises NotAskedError, or ValueError for answers of a wrong shape."""
    points = np.random.default_rng(0).uniform(-0.97, 0.97, (PROBES, len(columns)))
    failed: Exception | None = None
    cuda = False
    for ask in _ways(f):
        whole = Continuous(ask, 1, columns, domain, name)
        try:
            values = ask(whole.theirs(points))
        except ShapeError as error:
            raise NotAskedError(f"{name} {error}") from None
        except Exception as error:  # a user's own program raises anything
            cuda |= "cuda" in str(error).lower()
            # That a tensor was expected, or an array, says less than what comes of one.
            if failed is None or "Tensor" in str(failed):
                failed = error
            continue
        if len(values) != PROBES:
            raise NotAskedError(f"{name} returned {list(values.shape)} for points {list(points.shape)}: return one row "
                                "of channels for every point")  # fmt: skip
        return Continuous(ask, values.shape[1], columns, domain, name)
    if cuda:
        raise NotAskedError(f"{name} requires CUDA: move it to the CPU (.cpu()), or use a machine with a GPU")
    reason = " ".join(str(failed).split())[:200]
    raise NotAskedError(f"{name} raised {type(failed).__name__} for points [{PROBES}, {len(columns)}]: {reason}") from (
        failed
    )


class ShapeError(ValueError):
    """An answer that is no table of numbers."""


def _table(values: Any) -> np.ndarray:
    """An answer as float64 [N, c]; raises ShapeError."""
    if hasattr(values, "detach"):
        values = values.detach().to("cpu")
        # NumPy knows no bfloat16.
        values = values.double() if not values.is_complex() else values
    try:
        table = np.asarray(values)
    except (TypeError, ValueError):
        raise ShapeError(f"returned {type(values).__name__}, not an array [N, c]") from None
    if table.dtype.kind not in "fiub":
        raise ShapeError(f"returned {table.dtype}, not real numbers [N, c]")
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2 or not 1 <= table.shape[1] <= MOST_CHANNELS:
        raise ShapeError(f"returned an array {list(table.shape)}, not [N, c] with 1 to {MOST_CHANNELS} channels")
    return table.astype(np.float64)


def _ways(f: Any) -> list[Function]:
    """The ways f may be asked, the likeliest first."""
    if not callable(f):
        raise ValueError(f"{type(f).__name__} is not callable: give a function of points [N, d]")
    if isinstance(f, type):
        raise ValueError(f"{f.__name__} is a class: give an object of it")
    parameters = list(f.parameters()) if callable(getattr(f, "parameters", None)) else []
    tensors = parameters + (list(f.buffers()) if callable(getattr(f, "buffers", None)) else [])
    floating = [t for t in tensors if getattr(t, "is_floating_point", bool)()]
    if floating:
        return [_torch(f, floating[0].dtype, floating[0].device, grad) for grad in (False, True)]
    import torch

    numpy = [_numpy(f, kind) for kind in (np.float64, np.float32)]
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    types = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
    plain = [_torch(f, dtype, device, False) for device in devices for dtype in types]
    derived = [_torch(f, dtype, device, True) for device in devices for dtype in types[:2]]
    both = plain + derived
    return both + numpy if isinstance(f, torch.nn.Module) else numpy + both


def _numpy(f: Any, kind: type) -> Function:
    return lambda points: _table(f(np.ascontiguousarray(points, kind)))


def _torch(f: Any, dtype: Any, device: Any, grad: bool) -> Function:
    """f asked with tensors; `grad`: it differentiates itself, so that points carry gradients."""
    import torch

    def ask(points: np.ndarray) -> np.ndarray:
        with torch.set_grad_enabled(grad):
            tensor = torch.tensor(points, dtype=dtype, device=device, requires_grad=grad)
            return _table(f(tensor))

    return ask


def _check_repeatable(f: Continuous) -> None:
    """Raise ValueError where f answers differently the second time, or in a batch of another size."""
    points = np.random.default_rng(1).uniform(-0.97, 0.97, (PROBES, f.dim))
    first = f(points)
    size = float(np.abs(first).max()) or 1.0
    if np.abs(f(points) - first).max() > REPEATED * size:
        raise ValueError(f"{f.name} answers differently when asked twice: call .eval(), or take what is random out")
    few = f(points[:5])
    if np.abs(few - first[:5]).max() > TOLERANCE * size:
        raise ValueError(f"{f.name} answers differently in another batch: points must not depend on each other; "
                         "call .eval() where it normalises batches")  # fmt: skip
