"""Ground truths of the authors' release: values without a margin, the order known only to their maker."""

from pathlib import Path

import numpy as np

from files.authors import read_ground_truth
from signals.ground_truth import GroundTruth


def load_released(path: str | Path, order: int | None) -> GroundTruth:
    """The released ground truth at `path` as one of ours: image [H, W, C], shape [N, N, N] or video [H, W, T, C].

    `size` is the half size in domain units and the boundary was clamped. Raises ValueError where `order` is
    not given, FileNotFoundError or ArchiveError for another kind of file.
    """
    values, half_size, samples = read_ground_truth(path)
    if order is None:
        raise ValueError(f"{path} does not say which order it was made with: give it by --order (0 box, 1 tent, ...)")
    if values.ndim == 2 or (values.ndim == 3 and values.shape[-1] > 4):
        values = values[..., None]
    if values.ndim not in (3, 4):
        raise ValueError(f"{path} holds values of shape {values.shape}: neither image, shape nor video")
    image, shape = values.ndim == 3, values.shape[-1] == 1
    modality, axes = ("image", (0, 1)) if image else ("geometry", (0, 1, 2)) if shape else ("video", (2,))
    pads = (0,) * (values.ndim - 1)
    values = values.astype(np.float32)
    name = Path(path).stem
    return GroundTruth(values, axes, order, half_size, "clamp", pads, "monte_carlo", samples, 0, modality, name)


def load_ground_truth(path: str | Path, order: int | None = None) -> GroundTruth:
    """Ground truth of ours (`.npz`) or of the authors' release (`.npy`), which needs its `order` told."""
    if Path(path).suffix == ".npy":
        return load_released(path, order)
    truth = GroundTruth.load(path)
    if order is not None and order != truth.order:
        raise ValueError(f"{path} was made with order {truth.order}, not {order}: leave --order out")
    return truth
