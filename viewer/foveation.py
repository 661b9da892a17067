"""A kernel that grows away from where one looks: filters of a few sizes are kept, and a click only blends them."""

from collections.abc import Callable, Sequence

import numpy as np

from models.gridded import size_shares
from models.varying import Filter, resampled

# Sizes that are kept, in even steps of the logarithm: 60 dB.
SIZES = 8


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
        result = np.zeros_like(self._values[0])
        for share, values in zip(size_shares(factors, sizes), self._values, strict=True):
            result += share * values
        return result
