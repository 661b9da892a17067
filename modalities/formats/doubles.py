"""Faces that are in a mesh twice: copies, back sides, and walls between bodies that touch.

Either way round they shift or cancel the winding number on both of their sides.
"""

import numpy as np

NEVER, ONCE, ALWAYS = range(3)


def edge_numbers(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A number of each edge of faces [F, 3] whose corners number positions, and whether it runs upwards [F, 3]."""
    ends = np.roll(corners, -1, axis=1)
    forward = corners < ends
    pairs = np.minimum(corners, ends) * (int(corners.max()) + 1) + np.maximum(corners, ends)
    return np.unique(pairs, return_inverse=True)[1].reshape(corners.shape), forward


def single_faces(corners: np.ndarray) -> np.ndarray:
    """The faces [F'] to keep, by number: none whose corners meet, one of each set of copies, none of a wall.

    A wall is a patch of doubled faces on whose rim two other faces meet already; without it these two are the surface.
    Between doubled faces alone (voxels) all copies are kept, which cancel.
    """
    full = np.flatnonzero((corners != np.roll(corners, 1, axis=1)).all(axis=1))
    key, first, group, count = np.unique(
        np.sort(corners[full], axis=1), axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    doubled = count > 1
    if not doubled.any():
        return full
    verdict = _verdicts(key, doubled)[group.reshape(-1)]
    once = np.isin(np.arange(len(full)), first)
    return full[(verdict == ALWAYS) | (verdict == ONCE) & once]


def _verdicts(faces: np.ndarray, doubled: np.ndarray) -> np.ndarray:
    """ONCE, NEVER or ALWAYS for each of the different faces [G, 3], some of which are `doubled`."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edge = edge_numbers(faces)[0]
    around = np.bincount(edge.reshape(-1))[edge]
    singles = np.bincount(edge.reshape(-1), np.repeat(~doubled, 3).astype(float))[edge]
    inner = doubled[:, None] & (around == 2) & (singles == 0)
    owner = np.broadcast_to(np.arange(len(faces))[:, None], edge.shape)
    links = coo_array((np.ones(inner.sum(), bool), (owner[inner], edge[inner])), (len(faces), int(edge.max()) + 1))
    patch = connected_components(links @ links.T, directed=False)[1]
    surface = doubled[:, None] & (around == 2) & (singles == 1)
    wall = doubled[:, None] & (singles >= 2)
    votes = np.bincount(patch, (surface.astype(float) - wall).sum(axis=1))[patch]
    # Edges of more than two doubled faces: between voxels, unless nothing else is there.
    unclear = np.bincount(patch, ((around > 2) & (singles == 0)).sum(axis=1))[patch] > 0
    verdict = np.where(votes < 0, NEVER, np.where((votes == 0) & unclear & (not doubled.all()), ALWAYS, ONCE))
    return np.where(doubled, verdict, ALWAYS)
