"""Convolutions of callables by dense quadrature, which several tests share."""

import math

import numpy as np

from signals.estimate import hat_integrals
from signals.measures import peak
from signals.signal import coordinates, spacing


def integral(f, half_size, points, axes, fold, cells=24):
    """f * tent at points by Gauss-Legendre of 4 nodes in cells that end on knots and borders."""
    x, w = np.polynomial.legendre.leggauss(4)
    found = []
    for point in points:
        lines = []
        for axis in axes:
            bends = [point[axis] - 1, point[axis] + 1, 0.0]
            cuts = np.union1d(np.linspace(-half_size, half_size, cells + 1), [b for b in bends if abs(b) < half_size])
            half = np.diff(cuts)[:, None] / 2
            t = (cuts[:-1, None] + half + half * x).ravel()
            lines.append((t, (half * w).ravel() * (1 - np.abs(t) / half_size) / half_size))
        mesh = np.meshgrid(*[t for t, _ in lines], indexing="ij")
        weights = math.prod(np.meshgrid(*[v for _, v in lines], indexing="ij")).ravel()
        moved = np.repeat(point[None], mesh[0].size, axis=0)
        moved[:, axes] -= np.stack([m.ravel() for m in mesh], -1)
        found.append(weights @ f(fold(moved)))
    return np.array(found)


FOLDS = {"clamp": lambda p: np.clip(p, -1, 1), "extend": lambda p: p, "periodic": lambda p: (p + 1) % 2 - 1}


def decibels(values, truth):
    return 20 * math.log10(peak(truth) / math.sqrt(np.mean((values - truth) ** 2)))


def convolved(signal, request, points):
    """The tent over the samples at any points: hats and B-spline integrated point by point."""
    pads = [math.ceil(request.half_size[0] / spacing(n)) + 2 for n in signal.shape]
    values = signal.padded(pads, request.boundary)
    lines = [hat_integrals(points[:, a], coordinates(n, pads[a]), 1, request.half_size[0])
             for a, n in enumerate(signal.shape)]  # fmt: skip
    letters = "ijk"[: signal.dim]
    return np.einsum(f"{','.join('n' + x for x in letters)},{letters}c->nc", *lines, values)
