"""Levels of a field in tiles, and the index of a folder that holds one: a checkpoint per tile, and `tiles.json`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from files import ArchiveError, atomic_write
from models.checkpoint import origin_entries
from models.config import FieldConfig, Origin
from signals.tiling import Index, Tiling

INDEX = "tiles.json"
FORMAT = "neural-field-convolutions tiles 1"
# Bytes of an index.
LARGEST_INDEX = 1 << 24
MOST_LEVELS = 32


@dataclass(frozen=True)
class Level:
    """Tiles of every 2^l-th sample, each with a margin of `pads` [d] samples that is trained, for a training kernel of
    half sizes `half` [d] in samples (0 in axes that are not filtered)."""

    tiling: Tiling
    pads: tuple[int, ...]
    half: tuple[float, ...]

    def __post_init__(self) -> None:
        dim = len(self.tiling.tile)
        if (len(self.pads), len(self.half)) != (dim, dim) or min(self.pads) < 0 or not min(self.half) >= 0:
            raise ValueError(f"margins {self.pads} and half sizes {self.half} do not fit tiles of {dim} axes")

    @property
    def unit(self) -> np.ndarray:
        """[d], domain units from sample to sample."""
        return np.array([2.0 / steps if steps else 2.0 for steps in self.tiling.steps])

    @property
    def reach(self) -> np.ndarray:
        """[d], radius in domain units of kernels that it answers at all points, up to a sample beyond a tile."""
        cut = np.array(self.tiling.counts) > 1
        return (np.array(self.pads) - cut + self.half) * self.unit

    def half_size(self, axes: Sequence[int]) -> tuple[float, ...]:
        """Of the training kernel along `axes`, in the coordinates of a tile."""
        scale = self.unit * self.tiling.stretch
        return tuple(float(self.half[axis] * scale[axis]) for axis in axes)

    @classmethod
    def parse(cls, entries: Mapping[str, Any]) -> "Level":
        """From an index; raises ValueError, TypeError or KeyError."""
        tiling = Tiling(tuple(map(float, entries["steps"])), tuple(entries["tile"]))
        return cls(tiling, tuple(map(int, entries["pads"])), tuple(map(float, entries["half"])))


def tile_file(folder: Path, level: int, index: Index) -> Path:
    """The checkpoint of a tile in a field's folder."""
    return folder / f"level_{level}" / f"tile_{'_'.join(f'{k:04d}' for k in index)}.pth"


def index_entries(
    config: FieldConfig, origin: Origin, levels: Sequence[Level], complete: bool, digests: Sequence[Sequence[str]] = ()
) -> dict[str, Any]:
    """What an index holds, plain values; `complete`: whether all tiles are there, with these `digests`."""
    tiles = [{**asdict(level.tiling), "pads": level.pads, "half": level.half, "counts": level.tiling.counts,
              "shape": level.tiling.shape} for level in levels]  # fmt: skip
    return {"format": FORMAT, "complete": complete, "config": config.to_dict(), "origin": origin_entries(origin),
            "levels": tiles, "digests": list(digests)}  # fmt: skip


def write_index(folder: Path, entries: Mapping[str, Any]) -> None:
    """Write the index of a folder of tiles, whole or not at all."""
    with atomic_write(folder / INDEX) as stream:
        stream.write(json.dumps(entries, indent=1).encode() + b"\n")


def read_index(path: Path) -> dict[str, Any]:
    """The entries of an index as JSON has them; raises FileNotFoundError or ArchiveError."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; check the path")
    try:
        if path.stat().st_size > LARGEST_INDEX:
            raise ValueError(f"it has more than {LARGEST_INDEX} bytes")
        entries = json.loads(path.read_bytes())
        if not isinstance(entries, dict) or entries.get("format") != FORMAT:
            raise ValueError("it is another kind of file")
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"{path} is no index of tiles: {error}; give the folder of a tiled field") from None
    return entries
