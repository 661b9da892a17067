"""Consistent orientation of a mesh's faces, without which the winding number finds no inside.

F faces; two faces are neighbours where they are the only ones on an edge, compared by the positions of its ends (STL
shares no vertices). Neighbours agree where they run along their edge in opposite directions.
"""

import numpy as np

# Share of agreeing faces from which a body keeps the orientation of the majority; others are oriented outwards.
CLEAR_SHARE = 0.75


def consistent_faces(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The faces [F, 3], those flipped that disagree with their body.

    One-sided bodies (a Moebius strip) and edges of three and more faces are left as they are.
    """
    first, second, agree = _neighbours(vertices, faces)
    if agree.all():
        return faces
    body, turned = _sides(first, second, agree, len(faces))
    disordered = np.bincount(body[first], ~agree, minlength=len(faces)) > 0
    sizes = np.maximum(np.bincount(body, minlength=len(faces)), 1)
    share = np.bincount(body, turned, minlength=len(faces)) / sizes
    outwards = _volumes(vertices[faces], body, sizes) * np.where(turned, -1, 1)
    volume = np.bincount(body, outwards, minlength=len(faces))
    clear = np.abs(share - 0.5) > CLEAR_SHARE - 0.5
    other = np.where(clear, share > 0.5, volume < 0)
    flipped = disordered[body] & (turned ^ other[body])
    return np.where(flipped[:, None], faces[:, ::-1], faces)


def _neighbours(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of neighbours [P], [P] by their face numbers, and whether they agree [P]."""
    places = np.unique(vertices, axis=0, return_inverse=True)[1].reshape(-1)
    corners = places[faces]
    ends = np.stack([corners, np.roll(corners, -1, axis=1)], axis=-1).reshape(-1, 2)
    forward = ends[:, 0] < ends[:, 1]
    edge = ends.min(axis=1) * (places.max() + 1) + ends.max(axis=1)
    edge = np.where(ends[:, 0] == ends[:, 1], -1 - np.arange(len(ends)), edge)  # no edge of a face with no area
    order = np.argsort(edge, kind="stable")
    starts = np.flatnonzero(np.diff(edge[order], prepend=edge[order[0]] - 1))
    pairs = starts[np.diff(starts, append=len(edge)) == 2]
    one, other = order[pairs], order[pairs + 1]
    return one // 3, other // 3, forward[one] != forward[other]


def _sides(first: np.ndarray, second: np.ndarray, agree: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The body of every face [F] and whether it is flipped [F] against the body's first face.

    In a graph of both orientations of every face, agreeing orientations are connected. Where both orientations of a
    face are, the body is one-sided and no face is flipped.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    across = np.where(agree, second, second + count)
    back = np.where(agree, second + count, second)
    start, end = np.concatenate([first, first + count]), np.concatenate([across, back])
    links = coo_array((np.ones(len(start), bool), (start, end)), (2 * count, 2 * count))
    label = connected_components(links, directed=False)[1]
    own, turned = label[:count], label[count:]
    body = np.unique(np.minimum(own, turned), return_inverse=True)[1]
    return body, (own > turned)


def _volumes(corners: np.ndarray, body: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Signed volumes [F], in some unit, between each face [3, 3] and its body's middle; positive: oriented outwards."""
    corners = corners / max(float(np.abs(corners).max()), 1e-300)
    middles = corners.mean(axis=1)
    centres = np.stack([np.bincount(body, line, minlength=len(sizes)) / sizes for line in middles.T], axis=1)
    corners = corners - centres[body][:, None]
    return np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))
