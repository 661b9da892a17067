"""Signals in tiles that several tests share."""

import numpy as np
from builders import noise_signal, smooth_signal

import nfconv
from signals import Signal


def rough_signal(shape, channels=2, axes=None, modality=""):
    """Waves with noise, a little smoothed, so that neither of them hides an error of the other."""
    axes = tuple(range(len(shape))) if axes is None else axes
    values = smooth_signal(shape, channels, axes).values + 0.2 * noise_signal(shape, channels, axes).values
    return Signal(values.astype(np.float32), axes, modality)


def samples(signal, count):
    """`count` samples along every filtered axis, in domain units."""
    return [2 * count / (signal.shape[axis] - 1) for axis in signal.axes]


def tiled(signal, tile, half=3, margin=0.5, order=1, boundary="clamp", **options):
    """A field in tiles."""
    return nfconv.fit(signal, samples(signal, half), order, margin, boundary, tile=tile, core_size=100_000, accuracy=0,
                      **options)  # fmt: skip


PICTURE = rough_signal((110, 101))
