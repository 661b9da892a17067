"""A kernel that grows away from where one looks: filters of a few sizes are kept, and a click only blends them."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from evaluation.maps import fovea
from models.interpolation import interpolation
from models.varying import Filter, resampled

# Sizes that are kept, in even steps of the logarithm, and how many are blended at a point: 60 dB.
SIZES, BLENDED = 8, 4


def fovea_map(shape: Sequence[int], row: float, column: float) -> np.ndarray:
    """The map [H, W] that `make_map.py --kind fovea` writes."""
    return fovea((shape[0], shape[1]), row, column).astype(np.float32)


class Bank:
    """The filtered signal at a few sizes of one kernel, on one grid."""

    def __init__(self) -> None:
        self._key: object = None
        self._values: list[np.ndarray] = []

    def blend(
        self, key: object, chosen: Filter, shape: Sequence[int], filtered: Callable[[float], np.ndarray]
    ) -> np.ndarray:
        """What `chosen`, of varying size, gives on the grid of `shape`, [M_1, ..., M_d, c]; `filtered(size)` is the
        signal filtered everywhere by the kernel of that size, asked for where `key` names another one than before."""
        assert chosen.factors is not None
        least, most = float(chosen.factors.min()), float(chosen.factors.max())
        sizes = np.geomspace(least, most, SIZES)
        key = (key, tuple(shape), tuple(sizes.tolist()))
        if key != self._key:
            self._values, self._key = [filtered(float(size)) for size in sizes], key
        factors = resampled(chosen.factors, shape)[..., 0]
        place = (SIZES - 1) * np.log(factors / least) / max(math.log(most / least), 1e-12)
        first, weights = interpolation(torch.as_tensor(place), SIZES, BLENDED)
        near, local = first.numpy(), weights.numpy().astype(np.float32)
        result = np.zeros_like(self._values[0])
        for index, values in enumerate(self._values):
            offset = index - near
            used = (offset >= 0) & (offset < BLENDED)
            share = np.take_along_axis(local, np.clip(offset, 0, BLENDED - 1)[..., None], -1)
            result += np.where(used[..., None], share, 0) * values
        return result
