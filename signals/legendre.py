"""Gauss-Legendre quadrature over tensor grids, and of what is read linearly between samples."""

from functools import reduce

import numpy as np

# Nodes and weights along every axis.
Lines = list[tuple[np.ndarray, np.ndarray]]


def tensor_rule(lines: Lines) -> tuple[np.ndarray, np.ndarray]:
    """The product of quadrature rules of one axis each: nodes [Q, d] and weights [Q]."""
    grid = np.meshgrid(*[t for t, _ in lines], indexing="ij")
    return np.stack(grid, axis=-1).reshape(-1, len(lines)), reduce(np.multiply.outer, [w for _, w in lines]).ravel()


def hat_rule(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes [K] of a cell [0, 1], and the shares [K, 2] that the samples at its ends have of them."""
    u, w = np.polynomial.legendre.leggauss(nodes)
    u, w = (u + 1) / 2, w / 2
    return u, np.stack([w * (1 - u), w * u], axis=-1)


def shared(values: np.ndarray, axis: int, share: np.ndarray) -> np.ndarray:
    """Values at the K nodes of each of M cells along an axis, [M K] -> [M + 1] at their ends, by shares [K, 2]."""
    moved = np.moveaxis(values, axis, -1)
    parts = moved.reshape(*moved.shape[:-1], -1, len(share)) @ share
    taps = np.zeros((*parts.shape[:-2], parts.shape[-2] + 1))
    taps[..., :-1] += parts[..., 0]
    taps[..., 1:] += parts[..., 1]
    return np.moveaxis(taps, -1, axis)
