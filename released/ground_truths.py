"""Ground truths of the authors' release: values without a margin; only their maker knows the order.

an `.npy` file of a dictionary: res (values on a grid, a NumPy or JAX array), size, samples
"""

import os
from pathlib import Path
from typing import IO, Any

import numpy as np

from files import ArchiveError
from files.reading import reading
from released.arrays import Arrays
from released.entries import Entries, numbers
from released.pickles import read_pickle
from signals.ground_truth import GroundTruth

MOST_SAMPLES = 1 << 62
# More channels than this are a third axis.
MOST_CHANNELS = 4
MAGIC = b"\x93NUMPY"


def read_ground_truth(path: str | Path, order: int | None) -> GroundTruth:
    """The released ground truth at `path`: image [H, W, C], shape [N, N, N] or video [H, W, T, C].

    `size` is the half size in domain units and the boundary was clamped. Raises ValueError where `order` is
    not given, FileNotFoundError or ArchiveError for another kind of file.
    """
    with reading(path, "a released ground truth") as stream:
        entries = Entries(_read_npy(stream), ("res", "size", "samples"))
        values = numbers(entries.found["res"], "res").astype(np.float32)
        half_size, samples = entries.positive("size"), entries.whole("samples", MOST_SAMPLES)
        if values.ndim == 2 or (values.ndim == 3 and values.shape[-1] > MOST_CHANNELS):
            values = values[..., None]
        if values.ndim not in (3, 4) or not values.size:
            raise ArchiveError(f"holds values of shape {values.shape}: neither image, shape nor video")
        image, shape = values.ndim == 3, values.shape[-1] == 1
        modality, axes = ("image", (0, 1)) if image else ("geometry", (0, 1, 2)) if shape else ("video", (2,))
    if order is None:
        raise ValueError(f"{path} does not hold the order it was made with: give it by --order (0 box, 1 tent, ...)")
    pads, sizes = (0,) * (values.ndim - 1), (half_size,) * len(axes)
    facts = ("clamp", pads, "monte_carlo", samples, 0, modality, Path(path).stem)
    return GroundTruth(values, axes, order, sizes, *facts)


def _read_npy(stream: IO[bytes]) -> Any:
    """The one object that `numpy.save` had to pickle."""
    magic = stream.read(8)
    if magic[:6] != MAGIC or magic[6:] not in (b"\x01\x00", b"\x02\x00"):
        raise ArchiveError("is not an .npy file of a known version")
    header = stream.read(int.from_bytes(stream.read(2 if magic[6] == 1 else 4), "little"))
    if b"'|O'" not in header or b"'shape': ()" not in header:
        raise ArchiveError("holds an array of plain values, not the dictionary of a ground truth")
    found = read_pickle(stream, Arrays(os.fstat(stream.fileno()).st_size))
    return found.item() if isinstance(found, np.ndarray) and found.shape == () else found
