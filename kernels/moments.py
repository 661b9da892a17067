"""The moment conditions of Dirac weights as linear equations, and the nearest weights that meet them.

For every filtered axis j, every line of Diracs along j and every k < n:  sum_i w_i t_ij^k = 0
"""

from collections.abc import Sequence

import numpy as np

# Coordinates nearer than this, relative to the radius, are on the same line.
SAME_LINE = 1e-9
LARGEST_SYSTEM = 1 << 26


def lines_along(positions: np.ndarray, axis: int) -> np.ndarray:
    """[K], the number of the line along `axis` that each of the `positions` [K, d] (units of the radius) lies on."""
    places = np.round(np.delete(positions, axis, axis=1) / SAME_LINE).T
    if not len(places):
        return np.zeros(len(positions), dtype=np.intp)
    order = np.lexsort(places)
    line = np.empty(len(order), dtype=np.intp)
    line[order] = np.append(0, np.cumsum((np.diff(places[:, order], axis=1) != 0).any(axis=0)))
    return line


def moment_equations(positions: np.ndarray, order: int, axes: Sequence[int]) -> np.ndarray:
    """B [E, K] with B @ w = 0 for weights that meet the moment conditions, in powers of t / radius."""
    radius = np.abs(positions).max(axis=0)
    scaled = positions / np.where(radius > 0, radius, 1.0)
    rows = []
    for axis in axes:
        line = lines_along(scaled, axis)
        if (line.max() + 1) * (order + 1) * line.size > LARGEST_SYSTEM:
            raise ValueError(f"{len(positions)} Diracs on {line.max() + 1} lines are too many to correct at once")
        on_line = np.equal.outer(np.arange(line.max() + 1), line)
        rows += [on_line * scaled[:, axis] ** k for k in range(order + 1)]
    return np.vstack(rows)


def corrected_weights(positions: np.ndarray, weights: np.ndarray, order: int, axes: Sequence[int]) -> np.ndarray:
    """The weights [K] nearest to `weights` that meet the moment conditions.

    Nearest is the least sum of squared relative changes; weights of 0 stay 0. positions [K, d] in domain
    units. Raises ValueError where only 0 meets the conditions (Diracs that do not share lines along
    the axes).
    """
    equations = moment_equations(positions, order, axes)
    scale = np.abs(weights)
    found = weights
    # The second pass removes what rounding left of the first.
    for _ in range(2):
        change, *_ = np.linalg.lstsq(equations * scale, -equations @ found, rcond=1e-12)
        found = found + scale * change
    if np.abs(found).sum() < 1e-6 * scale.sum():
        raise ValueError(
            "no weights at these positions meet the moment conditions: Diracs must share lines along the axes"
        )
    return found
