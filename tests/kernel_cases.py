"""Small kernels whose shape is known, for tests; none needs PyTorch."""

import numpy as np

from kernels import SparseKernel, combine, minimal_kernel


def broken_line(knots: np.ndarray, values: np.ndarray) -> SparseKernel:
    """The 1-D order-1 kernel through (knots, values), zero at both ends: its Diracs are the changes of slope."""
    slopes = np.diff(values) / np.diff(knots)
    return SparseKernel(knots[:, None], np.diff(slopes, prepend=0, append=0), 1, (0,))


def lopsided(count: int = 6, radius: float = 0.3, seed: int = 0) -> tuple[SparseKernel, np.ndarray, np.ndarray]:
    """An asymmetric broken-line kernel on uneven knots, with its knots and values."""
    rng = np.random.default_rng(seed)
    knots = np.cumsum(rng.uniform(0.5, 1.5, count))
    knots = radius * (2 * (knots - knots[0]) / (knots[-1] - knots[0]) - 1)
    values = np.concatenate([[0], rng.uniform(0, 2, count - 2) * np.linspace(2, 0.1, count - 2), [0]])
    return broken_line(knots, values), knots, values


def bumps(order: int, seed: int) -> tuple[SparseKernel, list[tuple[float, float, float]]]:
    """A lopsided kernel of several B-splines, and their (shift, half size, share)."""
    rng = np.random.default_rng(seed)
    parts = [(rng.uniform(-0.5, 0.5), rng.uniform(0.1, 0.4), rng.uniform(0.2, 2.0)) for _ in range(3)]
    kernels = []
    for shift, half_size, _ in parts:
        minimal = minimal_kernel(order, half_size)
        kernels.append(SparseKernel(minimal.positions + shift, minimal.weights, order, (0,)))
    return combine(kernels, [share for _, _, share in parts]), parts
