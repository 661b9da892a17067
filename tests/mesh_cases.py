"""A solid with concave faces in closed form: an L, 4 x 4 with arms 1 wide, and 1.5 high."""

import numpy as np

OUTLINE = [(4, 1), (1, 1), (1, 4), (0, 4), (0, 0), (4, 0)]
POINTS = np.array([(x, y, z) for z in (0.0, 1.5) for x, y in OUTLINE])
FACES = [[5, 4, 3, 2, 1, 0], [6, 7, 8, 9, 10, 11], *([i, (i + 1) % 6, (i + 1) % 6 + 6, i + 6] for i in range(6))]
VOLUME, AREA = 10.5, 38.0


def measures(points: np.ndarray, faces: np.ndarray) -> tuple[float, float]:
    """Signed volume and area of triangles."""
    corners = points[faces]
    sides = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return float((corners[:, 0] * sides).sum()) / 6, float(np.linalg.norm(sides, axis=1).sum()) / 2


def box_distance(points: np.ndarray, low: tuple, high: tuple) -> np.ndarray:
    """Signed distances of points [..., 3] to a box."""
    apart = np.maximum(np.array(low) - points, points - np.array(high))
    return np.linalg.norm(np.maximum(apart, 0), axis=-1) + np.minimum(apart.max(axis=-1), 0)


def solid_distance(points: np.ndarray) -> np.ndarray:
    """Distances [...] to the L outside of it; inside, only their sign is right."""
    arms = box_distance(points, (0, 0, 0), (4, 1, 1.5)), box_distance(points, (0, 0, 0), (1, 4, 1.5))
    return np.minimum(*arms)


def obj_text(points: np.ndarray = POINTS, faces: list = FACES, corner: str = "{}") -> str:
    lines = ["v " + " ".join(str(float(value)) for value in point) for point in points]
    return "\n".join([*lines, *("f " + " ".join(corner.format(i + 1) for i in face) for face in faces)]) + "\n"


def off_text(header: str = "OFF", behind_point: str = "", behind_face: str = "") -> str:
    lines = [header, f"{len(POINTS)} {len(FACES)} 0"]
    lines += [" ".join(map(str, point)) + behind_point for point in POINTS]
    return "\n".join([*lines, *(" ".join(map(str, [len(face), *face])) + behind_face for face in FACES)]) + "\n"
