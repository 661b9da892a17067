"""Meshes as text: OBJ, OFF and STL, faces as they are in the file.

Readers of our own, because those of trimesh, libigl, meshio, tinyobjloader and assimp were each wrong, often without a
word, on one or more of: tabs and indents, comments behind numbers, CR line ends, byte-order marks, continued lines,
negative indices between vertices, faces over several lines, lower-case headers; assimp rounds to float32 as well.
"""

import re
from collections.abc import Iterator
from itertools import chain

import numpy as np

from modalities.formats.polygons import Polygons

OFF_HEADER = re.compile(r"\s*(?:(st)?(c)?(n)?(4)?(n)?off)\b\s*(binary\b)?", re.IGNORECASE)


def parse_obj(text: str) -> Polygons:
    """The faces of an OBJ text; raises ValueError that names the line."""
    points: list[list[str]] = []
    faces: list[list[int]] = []
    for number, words in _statements(text):
        try:
            if words[0] == "v":
                points.append(words[1:4])
            elif words[0] in ("f", "fo"):
                faces.append([_index(word, len(points)) for word in words[1:]])
        except ValueError:
            raise ValueError(f"line {number} is no face: {' '.join(words)[:60]!r}") from None
    return _polygons(points, faces)


def _statements(text: str) -> Iterator[tuple[int, list[str]]]:
    """Numbers of lines and the words of their statements, the first in lower case; comments left out, lines that end in
    a backslash joined with the next."""
    joined: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.split("#", 1)[0].rstrip(" \t")
        joined.append(line.rstrip("\\"))
        if line.endswith("\\"):
            continue
        words = " ".join(joined).split()
        joined = []
        if words:
            yield number, [words[0].lower(), *words[1:]]


def _index(word: str, count: int) -> int:
    """A corner 'v', 'v/vt', 'v//vn', 'v/vt/vn' as the number of its point, `count` of which came before it."""
    index = int(word.split("/", 1)[0])
    if index == 0 or index < -count:
        raise ValueError
    return index - 1 if index > 0 else count + index


def parse_off(text: str) -> Polygons:
    """The faces of an OFF text, colours, normals and texture coordinates left out; raises ValueError."""
    text = "\n".join(line for line in (line.split("#", 1)[0] for line in text.split("\n")) if line.strip())
    header = OFF_HEADER.match(text)
    if header and (header[4] or header[5] or header[6]):
        raise ValueError("is an OFF file in binary or of other than three dimensions; write it as plain text in 3-D")
    lines = iter(text[header.end() if header else 0 :].strip().split("\n"))
    counts = [int(word) for word in next(lines).split()[:2]]
    if len(counts) < 2 or min(counts) < 0:
        raise ValueError("has no counts of vertices and faces behind its header")
    points = [_gathered(lines, 3, [])[:3] for _ in range(counts[0])]
    faces = []
    for _ in range(counts[1]):
        words = _gathered(lines, 1, [])
        size = int(words[0])
        faces.append([int(word) for word in _gathered(lines, size + 1, words)[1 : size + 1]])
    return _polygons(points, faces)


def _gathered(lines: Iterator[str], count: int, words: list[str]) -> list[str]:
    """`words` and those of as many lines as it takes to have `count`; raises ValueError where the lines end before."""
    line: str | None
    while len(words) < count and (line := next(lines, None)) is not None:
        words = words + line.split()
    if len(words) < count:
        raise ValueError("is cut off: vertices or faces are missing at its end")
    return words


def parse_stl(text: str) -> Polygons:
    """The triangles of an STL text, all its solids together; raises ValueError."""
    lines = (line.lower().split() for line in text.split("\n"))
    # Names are free text.
    words = list(chain.from_iterable(line for line in lines if line and line[0] not in ("solid", "endsolid")))
    places = [i for i, word in enumerate(words) if word == "vertex"]
    facets = words.count("facet")
    if not facets:
        raise ValueError("is text, but not an STL")
    if text.lower().rfind("endsolid") <= text.lower().rfind("endloop"):
        raise ValueError("is cut off: there is no endsolid behind its last facet")
    if len(places) != 3 * facets:
        raise ValueError(f"has {facets} facets with {len(places)} corners, not three each")
    return _polygons([words[i + 1 : i + 4] for i in places], np.arange(len(places)).reshape(-1, 3).tolist())


def _polygons(points: list[list[str]], faces: list[list[int]]) -> Polygons:
    """Points as words and faces as lists of their numbers; raises ValueError where words are no numbers."""
    if not points:
        raise ValueError("has no triangles")
    try:
        values = np.array(points, dtype=np.float64).reshape(-1, 3)
    except ValueError:
        raise ValueError("has vertices that are not three numbers with decimal points") from None
    corners = np.fromiter(chain.from_iterable(faces), np.int64)
    return Polygons(values, corners, np.array([len(face) for face in faces], np.int64))
