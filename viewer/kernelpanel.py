"""A sparse kernel as the page draws it: its density and its Diracs."""

import numpy as np

from kernels.separate import grid_density
from kernels.sparse import SparseKernel
from viewer.views import Parts

# Samples of the density, by the number of axes, and Diracs that are drawn, the largest ones.
SAMPLES = {1: 401, 2: 129, 3: 97}
MOST_DIRACS = 4000
BEYOND = 1.1


def kernel_parts(kernel: SparseKernel) -> Parts:
    """density [M] or [M, M] (of three axes the middle slice of the first two), divided by its largest value; Diracs
    [K, 3] as places along the first two axes, in units of the shown half width, and weights of at most 1."""
    axes = list(kernel.axes)
    radius = kernel.radius[axes]
    lines = [BEYOND * r * np.linspace(-1, 1, SAMPLES[len(axes)]) for r in radius[:2]]
    density = grid_density(kernel, [*lines, *(np.zeros(1) for _ in radius[2:])]).reshape(*map(len, lines))
    largest = float(np.abs(density).max()) or 1.0
    order = np.argsort(-np.abs(kernel.weights), kind="stable")[:MOST_DIRACS]
    places = kernel.positions[order][:, axes[:2]] / (BEYOND * radius[:2])
    if len(axes) == 1:
        places = np.column_stack([np.zeros(len(order)), places])
    weights = kernel.weights[order] / np.abs(kernel.weights).max()
    return {"density": density / largest, "diracs": np.column_stack([places, weights]),
            "extent": np.asarray(BEYOND * radius[:2], np.float32)}  # fmt: skip
