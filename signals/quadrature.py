"""Convolutions of a callable by dense quadrature: the truth that its samples and fields are measured against.

Gauss-Legendre nodes in panels whose ends lie on the kernel's knots and where a boundary rule bends the callable.
"""

import math
from collections.abc import Sequence

import numpy as np

from kernels.sparse import SparseKernel
from kernels.target import Target
from signals.callables import Continuous
from signals.legendre import tensor_rule
from signals.measures import psnr
from signals.monte_carlo import within
from signals.signal import Signal, boundary_rules, coordinates

NODES = 4
# Points that a callable is asked for altogether.
EVALUATIONS = 1 << 21
MOST_KNOTS = 64
CHECKED_POINTS = 256
# Ramps at once.
BLOCK = 1 << 22


def dense_convolution(
    f: Continuous,
    kernel: SparseKernel | Target,
    axes: Sequence[int],
    rules: Sequence[str],
    points: np.ndarray,
    panels: int | None = None,
) -> np.ndarray:
    """f * kernel at points [P, d] -> [P, c], over the filtered `axes`; `rules` [d] say how f goes on beyond its box.

    A target has one coordinate per filtered axis. `panels` per axis; default: as many as EVALUATIONS allow.
    """
    if panels is None:
        panels = max(4, int((EVALUATIONS / len(points)) ** (1 / len(axes)) / NODES))
    if isinstance(kernel, SparseKernel):
        radius = [float(kernel.radius[axis]) for axis in axes]
        knots = [np.unique(kernel.positions[:, axis]) for axis in axes]
    else:
        radius, knots = list(kernel.radius), [np.zeros(1) for _ in axes]
    fixed = [
        np.union1d(np.linspace(-r, r, panels + 1), t if len(t) <= MOST_KNOTS else [0.0])
        for r, t in zip(radius, knots, strict=True)
    ]
    known: dict[bytes, np.ndarray] = {}
    results = []
    for point in points:
        lines = [_line(edges, point[axis], rules[axis]) for edges, axis in zip(fixed, axes, strict=True)]
        grid, product = tensor_rule(lines)
        key = b"".join(t.tobytes() for t, _ in lines)
        if key not in known:
            known = {key: _density(kernel, grid, axes)}
        moved = np.repeat(point[None], len(grid), axis=0)
        moved[:, list(axes)] -= grid
        results.append((product * known[key]) @ f(within(moved, rules)))
    return np.stack(results)


def convolved_somewhere(
    signal: Signal, kernel: SparseKernel | Target, axes: Sequence[int], boundary: str
) -> tuple[np.ndarray, np.ndarray, float]:
    """The callable of a signal, convolved at random samples of its grid: [P, c], their flat indices [P], and how good
    that is, compared with a coarser quadrature (dB)."""
    rules = boundary_rules(boundary, axes, signal.dim)
    rows = np.random.default_rng(0).permutation(math.prod(signal.shape))[:CHECKED_POINTS]
    index = np.unravel_index(rows, signal.shape)
    points = np.stack([coordinates(n)[i] for n, i in zip(signal.shape, index, strict=True)], axis=-1)
    truth = dense_convolution(signal.function, kernel, axes, rules, points)
    fewer = max(3, int((EVALUATIONS / len(points)) ** (1 / len(axes)) / NODES * 2 / 3))
    few = dense_convolution(signal.function, kernel, axes, rules, points[:16], fewer)
    return truth, rows, psnr(few, truth[:16])


def _line(edges: np.ndarray, x: float, rule: str) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights along one axis, for an output at x."""
    bent = cuts(edges, x, rule)
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    half = np.diff(bent)[:, None] / 2
    return (bent[:-1, None] + half + half * nodes).ravel(), (half * weights).ravel()


def cuts(edges: np.ndarray, x: float, rule: str) -> np.ndarray:
    """Offsets `edges` and those where the boundary rule bends the callable, seen from an output at x."""
    bends = [] if rule == "extend" else [x - end for end in (-3.0, -1.0, 1.0, 3.0)]
    inside = [t for t in bends if edges[0] < t < edges[-1]]
    return np.union1d(edges, inside) if inside else edges


def _density(kernel: SparseKernel | Target, grid: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """The kernel at offsets [Q, a] along the filtered axes."""
    if isinstance(kernel, Target):
        return np.asarray(kernel.density(grid), np.float64)
    whole = np.zeros((len(grid), kernel.dim))
    whole[:, list(axes)] = grid
    parts = np.array_split(whole, 1 + len(whole) * len(kernel) // BLOCK)
    return np.concatenate([kernel.density(part) for part in parts])
