"""Samples of coarse levels: every second of the level before, seen through a training kernel twice as wide.

A B-spline of half size 2 s is the binomial average of B-splines of half size s, h apart, so these samples are exact.
Every tile of a level leaves a block of them in a file; the tiles of the next level read what they need of it.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch

from models.interpolation import lagrange
from signals.tiling import Index
from training.lattice import ALIGNED
from training.plan import BETWEEN, TilePlan
from training.validation import binomial_average


def reach_of_block(plan: TilePlan, level: int, index: Index) -> tuple[list[int], list[int]]:
    """First and last sample + 1 per axis of a level that a tile's block of the next one is an average of."""
    first, last = plan.block(level, index)
    for axis, (a, b) in enumerate(zip(first, last, strict=True)):
        if plan.factor(axis) == 2:
            reach = math.ceil(plan.spacing[axis] * (plan.config.order + 1) / 2) + BETWEEN
            first[axis], last[axis] = 2 * a - reach, 2 * (b - 1) + reach + 1
    return first, last


def averaged(values: np.ndarray, first: Sequence[int], plan: TilePlan, level: int, index: Index) -> np.ndarray:
    """A tile's block [.., c] of the next level from `values` [.., c] that begin at sample `first`, float32."""
    shifts, weights = binomial_average(plan.config.order + 1, 2)
    begin, end = plan.block(level, index)
    for axis, (a, b) in enumerate(zip(begin, end, strict=True)):
        lead = (slice(None),) * axis
        if plan.factor(axis) == 1:
            values = values[(*lead, slice(a - first[axis], b - first[axis]))]
            continue
        total = np.zeros((*values.shape[:axis], b - a, *values.shape[axis + 1 :]))
        for shift, weight in zip(shifts * plan.spacing[axis], weights, strict=True):
            for offset, share in between(shift):
                start = 2 * a + offset - first[axis]
                total += weight * share * values[(*lead, slice(start, start + 2 * (b - a) - 1, 2))]
        values = total
    return np.ascontiguousarray(values, np.float32)


def between(shift: float) -> list[tuple[int, float]]:
    """The samples, and their weights, that give the value `shift` samples further on: one where that is whole."""
    if abs(shift - round(shift)) < ALIGNED:
        return [(round(shift), 1.0)]
    first = math.floor(shift) - BETWEEN + 1
    weights = lagrange(torch.tensor(shift - first, dtype=torch.float64), 2 * BETWEEN).tolist()
    return [(first + k, weight) for k, weight in enumerate(weights)]


def coarse_stretch(plan: TilePlan, level: int, first: Sequence[int], last: Sequence[int]) -> np.ndarray:
    """Samples `first` to `last` per axis of a coarse level, [.., c] float32, from the blocks that the level before has
    left; beyond what is stored those at its end."""
    edges = [np.array(plan.block_edges(level - 1, axis)) for axis in range(plan.config.dim)]
    runs = []
    for axis, edge in enumerate(edges):
        index = np.arange(first[axis], last[axis]).clip(edge[0], edge[-1] - 1)
        owner = np.searchsorted(edge, index, side="right") - 1
        cuts = np.flatnonzero(np.diff(owner)) + 1
        parts = zip(np.split(index, cuts), np.split(owner, cuts), np.split(np.arange(len(index)), cuts), strict=True)
        runs.append([(part - edge[own[0]], int(own[0]), place) for part, own, place in parts])
    shape = [b - a for a, b in zip(first, last, strict=True)]
    result = np.empty((*shape, plan.config.channels), np.float32)
    for choice in itertools.product(*runs):
        block = np.load(plan.block_file(level - 1, tuple(own for _, own, _ in choice)), mmap_mode="r")
        for axis, (rows, _, _) in enumerate(choice):
            # A stretch first, so that no more of the file is read than is asked for.
            block = block[(slice(None),) * axis + (slice(int(rows[0]), int(rows[-1]) + 1),)]
            if len(rows) != block.shape[axis]:
                block = np.take(block, rows - rows[0], axis=axis)
        result[tuple(slice(int(place[0]), int(place[-1]) + 1) for _, _, place in choice)] = block
    return result
