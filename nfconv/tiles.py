"""Fields in tiles: when a signal is cut, and how its tiles are fitted."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models import Field
from models.device import pick_device
from signals import Signal
from signals.ground_truth import pads_for
from training import fit_tiles, plan_tiles, resolve
from training.display import Display
from training.plan import Tile, tile_sizes

# Values of a ground truth beyond which no single field is tried.
LARGEST_WHOLE = 1 << 26
# Options that mean the same for one field and for tiles of splines.
SHARED = {"factor", "seed", "levels", "knots", "poly_degree"}


def may_tile(signal: Signal, half_size: Sequence[float], options: Mapping[str, Any]) -> bool:
    """Whether tiles may replace a field that was asked for with these options: one of the usual size that is larger
    than a tile."""
    given = {name for name, value in options.items() if value is not None}
    if signal.function is not None or not given <= SHARED or options.get("factor") not in (None, "spline"):
        return False
    pairs = zip(signal.axes, half_size, strict=True)
    samples = {axis: size * (signal.shape[axis] - 1) / 2 for axis, size in pairs}
    return tuple(tile_sizes(signal, None, samples)) != signal.shape


def must_tile(signal: Signal, margin: float) -> bool:
    """Whether one field would take too much memory."""
    pads = pads_for(margin, signal.shape, signal.axes)
    size = signal.channels
    for count, pad in zip(signal.shape, pads, strict=True):
        size *= count + 2 * pad
    return size > LARGEST_WHOLE


def fit_in_tiles(
    signal: Signal, order: int, half_size: Sequence[float], margin: float, boundary: str, tile: Tile | None,
    folder: str | Path | None, device: str, **options: Any,
) -> Field:  # fmt: skip
    """A field in tiles, of splines by default, in `folder` (none: one that is removed with the field)."""
    if signal.function is not None:
        raise ValueError("a callable is sampled as finely as it requires, and not in tiles: leave the tile out")
    holder = None if folder else tempfile.TemporaryDirectory(prefix="tiles_")
    resolved = resolve({"factor": "spline"} | {name: value for name, value in options.items() if value is not None})
    place = Path(folder or holder.name)  # type: ignore[union-attr]
    plan = plan_tiles(signal, order, half_size, margin, boundary, tile, resolved.to_dict(), place,
                      str(pick_device(device)))  # fmt: skip
    with Display() as display:
        field = fit_tiles(plan, signal, display).to(plan.device)
    field.holder = holder
    return field
