"""Consistent orientation of a mesh's faces, without which the winding number finds no inside.

F faces; two faces are neighbours where they are the only ones on an edge, compared by the positions of its ends (STL
shares no vertices). Neighbours agree where they run along their edge in opposite directions. A body is what neighbours
connect.
"""

import numpy as np

from modalities.formats.doubles import edge_numbers

# Share of agreeing faces from which a body keeps the orientation of the majority; others are oriented outwards.
CLEAR_SHARE = 0.75
# A body counts as closed where the square of its openings' circumference is below this share of its area: a ball with
# a hole of half its radius does, half a ball does not.
OPEN_SHARE = 2.0
# Faces of a body that are tested for lying inside another one.
TESTED = 8
# A face with the body on both sides has a winding number of 1 and more, one of the surface has 1/2: the mean of points
# this close to it on either side, as a share of the mesh.
WITHIN, CLOSE = 0.8, 1e-4
FEWEST = 4


def oriented_faces(vertices: np.ndarray, corners: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The faces [F, 3], those flipped that disagree with their body, and bodies that are oriented inwards.

    `corners` [F, 3] number their positions. A body inside another one (a cavity, a kernel) stays as it is against the
    outermost. Left as they are: one-sided bodies (a Moebius strip), open ones, and edges of three and more faces.
    """
    first, second, agree = _neighbours(corners)
    body, turned = _sides(first, second, agree, len(faces))
    flipped = np.zeros(len(faces), bool)
    if not agree.all():
        disordered = np.bincount(body[first], ~agree, minlength=len(faces)) > 0
        sizes = np.maximum(np.bincount(body, minlength=len(faces)), 1)
        share = np.bincount(body, turned, minlength=len(faces)) / sizes
        outwards = _volumes(vertices[faces], body) * np.where(turned, -1, 1)
        volume = np.bincount(body, outwards, minlength=len(faces))
        clear = np.abs(share - 0.5) > CLEAR_SHARE - 0.5
        other = np.where(clear, share > 0.5, volume < 0)
        flipped = disordered[body] & (turned ^ other[body])
    faces = np.where(flipped[:, None], faces[:, ::-1], faces)
    inwards = _inward_bodies(vertices, corners, faces, body)
    return np.where(inwards[body][:, None], faces[:, ::-1], faces)


def walls(vertices: np.ndarray, corners: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Whether each of the oriented faces [F, 3] is of an open sheet that has the inside on both of its sides [F].

    Partitions and loose sheets within a body: they are no surface, and the winding number jumps across them. In a soup
    of pieces smaller than FEWEST faces each nothing is known to be a wall.
    """
    import igl

    body = _sides(*_neighbours(corners), len(faces))[0]
    found = ~_closed_bodies(vertices, corners, faces, body)
    if len(found) == 1 or not found.any() or len(faces) < FEWEST * len(found):
        return np.zeros(len(faces), bool)
    order, counts = np.argsort(body, kind="stable"), np.bincount(body)
    places = (np.cumsum(counts) - counts)[:, None] + counts[:, None] * (np.arange(TESTED) + 0.5) / TESTED
    tested = np.unique(order[places[found].astype(int)])
    triangles = vertices[faces[tested]]
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    step = CLOSE * np.ptp(vertices[faces.reshape(-1)], axis=0).max() * normals
    faces = np.ascontiguousarray(faces)
    beside = [igl.fast_winding_number(vertices, faces, triangles.mean(axis=1) + side) for side in (step, -step)]
    found[body[tested[np.abs(beside[0] + beside[1]) <= 2 * WITHIN]]] = False
    return found[body]


def _neighbours(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of neighbours [P], [P] by their face numbers, and whether they agree [P]."""
    edge, forward = edge_numbers(corners)
    edge, forward = edge.reshape(-1), forward.reshape(-1)
    order = np.argsort(edge, kind="stable")
    starts = np.flatnonzero(np.diff(edge[order], prepend=-1))
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


def _volumes(triangles: np.ndarray, body: np.ndarray) -> np.ndarray:
    """Signed volumes [F], in some unit, between each face [3, 3] and its body's middle; positive: oriented outwards."""
    triangles = triangles / max(float(np.abs(triangles).max()), 1e-300)
    sizes = np.maximum(np.bincount(body), 1)
    middles = triangles.mean(axis=1)
    centres = np.stack([np.bincount(body, line) / sizes for line in middles.T], axis=1)
    triangles = triangles - centres[body][:, None]
    return np.einsum("fi,fi->f", triangles[:, 0], np.cross(triangles[:, 1], triangles[:, 2]))


def _inward_bodies(vertices: np.ndarray, corners: np.ndarray, faces: np.ndarray, body: np.ndarray) -> np.ndarray:
    """Whether a body [B] is to be flipped: it, or the outermost one around it, is closed and oriented inwards."""
    closed = _closed_bodies(vertices, corners, faces, body)
    inwards = closed & (np.bincount(body, _volumes(vertices[faces], body)) < 0)
    if inwards.any() and len(inwards) > 1:
        outermost = _outermost(vertices, faces, body, closed)
        inwards = inwards[outermost]
    return inwards


def _closed_bodies(vertices: np.ndarray, corners: np.ndarray, faces: np.ndarray, body: np.ndarray) -> np.ndarray:
    """Whether a body [B] has no openings, or small ones."""
    edge = edge_numbers(corners)[0] * (int(body.max()) + 1) + body[:, None]  # every body has edges of its own
    _, found, count = np.unique(edge, return_inverse=True, return_counts=True)
    rim = (count[found.reshape(-1)] % 2 == 1).reshape(edge.shape)
    triangles = vertices[faces] / max(float(np.abs(vertices[faces]).max()), 1e-300)
    lengths = np.linalg.norm(np.roll(triangles, -1, axis=1) - triangles, axis=-1)
    sides = triangles[:, 1:] - triangles[:, :1]
    areas = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1) / 2
    return np.bincount(body, (lengths * rim).sum(axis=1)) ** 2 <= OPEN_SHARE * np.bincount(body, areas)


def _outermost(vertices: np.ndarray, faces: np.ndarray, body: np.ndarray, closed: np.ndarray) -> np.ndarray:
    """The number of the outermost closed body around each body [B], its own where there is none."""
    import igl

    order = np.argsort(body, kind="stable")
    starts = np.searchsorted(body[order], np.arange(len(closed) + 1))
    triangles = vertices[faces]
    low = np.minimum.reduceat(triangles.min(axis=1)[order], starts[:-1])
    high = np.maximum.reduceat(triangles.max(axis=1)[order], starts[:-1])
    outermost = np.arange(len(closed))
    free = np.ones(len(closed), bool)
    for around in np.argsort(-np.prod(high - low, axis=1), kind="stable"):
        if not (free[around] and closed[around]):
            continue
        free[around] = False
        within = np.flatnonzero(free & (low >= low[around]).all(axis=1) & (high <= high[around]).all(axis=1))
        if not len(within):
            continue
        picked = [order[np.linspace(starts[b], starts[b + 1] - 1, TESTED).round().astype(int)] for b in within]
        points = triangles[np.concatenate(picked)].mean(axis=1)
        own = faces[order[starts[around] : starts[around + 1]]]
        inside = np.abs(igl.fast_winding_number(vertices, np.ascontiguousarray(own), points)) > 0.5
        inside = within[inside.reshape(len(within), TESTED).all(axis=1)]
        outermost[inside], free[inside] = around, False
    return outermost
