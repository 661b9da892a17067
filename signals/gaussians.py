"""Gaussians of any covariance over a grid signal by dense quadrature: the reference for a covariance per point.

Every cell of the signal, which is read multilinearly, has Gauss-Legendre nodes of its own; the Gaussian is untruncated.
"""

import math
from collections.abc import Sequence
from functools import reduce

import numpy as np

from signals.legendre import hat_rule, shared
from signals.signal import Signal, spacing

# Standard deviations that are integrated to either side: beyond lies a share of 2e-9.
REACH = 6.0
# Values of the Gaussian that are held at once.
SLAB = 1 << 22


def gaussian_convolution(
    signal: Signal, points: np.ndarray, covariances: np.ndarray, boundary: str = "clamp"
) -> np.ndarray:
    """The signal under an untruncated Gaussian of its own at every point: points [N, d] and covariances [N, d, d] in
    (square) domain units -> [N, c], float64."""
    cells = np.array([spacing(n) for n in signal.shape])
    deviations = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
    beyond = np.abs(points).max(axis=0) - 1 + REACH * deviations.max(axis=0)
    pads = [max(0, math.ceil(length / cell)) + 2 for length, cell in zip(beyond, cells, strict=True)]
    values = signal.padded(pads, boundary)
    results = []
    for point, sigma in zip(points, covariances, strict=True):
        first, taps = gaussian_taps(point, sigma, cells)
        window = tuple(slice(f + p, f + p + n) for f, p, n in zip(first, pads, taps.shape, strict=True))
        results.append(np.tensordot(taps, values[window], axes=signal.dim))
    return np.array(results).reshape(len(points), signal.channels)


def gaussian_taps(point: np.ndarray, sigma: np.ndarray, cells: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Index of the first sample and the weights [M_1, ..., M_d] of the samples from there on: the integrals of their
    hats under a Gaussian of covariance `sigma` about `point`, for samples `cells` [d] apart from -1 on."""
    inverse, thinnest = np.linalg.inv(sigma), math.sqrt(float(np.linalg.eigvalsh(sigma)[0]))
    first, offsets, shares = [], [], []
    for centre, size, cell in zip((point + 1) / cells, np.sqrt(np.diag(sigma)), cells, strict=True):
        u, share = hat_rule(2 + math.ceil(2 * cell / thinnest))
        start, stop = (math.floor(centre - REACH * size / cell), math.ceil(centre + REACH * size / cell))
        first.append(start)
        offsets.append((np.arange(start, stop)[:, None] + u - centre) * cell)
        shares.append(cell * share)
    rest = math.prod(offset.size for offset in offsets[1:])
    rows = max(1, SLAB // (rest * offsets[0].shape[1]))
    taps = np.zeros([len(offset) + 1 for offset in offsets])
    for row in range(0, len(offsets[0]), rows):
        slab = [offsets[0][row : row + rows], *offsets[1:]]
        values = _density(slab, inverse)
        for axis, share in enumerate(shares):
            values = shared(values, axis, share)
        taps[row : row + rows + 1] += values
    return first, taps / math.sqrt(np.linalg.det(2 * np.pi * sigma))


def _density(offsets: Sequence[np.ndarray], inverse: np.ndarray) -> np.ndarray:
    """exp(-x' inverse x / 2) on the tensor grid of `offsets` [cells_j, nodes_j] -> [cells_1 x nodes_1, ...]."""
    dim = len(offsets)
    lines = [x.reshape([-1 if axis == j else 1 for j in range(dim)]) for axis, x in enumerate(offsets)]
    square = reduce(np.add, [inverse[i, j] * lines[i] * lines[j] for i in range(dim) for j in range(dim)])
    return np.exp(square * -0.5)
