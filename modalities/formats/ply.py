"""Meshes in PLY files, text and binary of both byte orders, faces as they are in the file.

A reader of our own: trimesh calls binary files of triangles and quads damaged, meshio lacks number types and lists
beside those of the corners, assimp rounds to float32, libigl aborts the process; plyfile is under the GPL.
"""

import re
import struct
from dataclasses import dataclass

import numpy as np

from modalities.formats.polygons import Polygons

SHORT = {
    "char": "b", "uchar": "B", "short": "h", "ushort": "H", "int": "i", "uint": "I", "float": "f", "double": "d",
    "int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "float32": "f",
    "float64": "d", "int64": "q", "uint64": "Q",
}  # fmt: skip
ORDERS = {"ascii": "<", "binary_little_endian": "<", "binary_big_endian": ">"}
CORNERS = ("vertex_indices", "vertex_index")
LINE_END = rb"\r\n|\r|\n"


@dataclass(frozen=True)
class _Property:
    """A number per row, or (`count`) a list of numbers behind its length; types as in `struct`."""

    name: str
    kind: str
    count: str = ""


@dataclass(frozen=True)
class _Element:
    """`rows` rows of the same properties."""

    name: str
    rows: int
    properties: list[_Property]


# Values of a property in all rows, and how many each row has.
_Column = tuple[np.ndarray, np.ndarray]


def parse_ply(data: bytes) -> Polygons:
    """The faces of a PLY file; raises ValueError."""
    order, elements, body = _split(data)
    position, points, faces = 0, np.zeros((0, 3)), [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    for element in elements:
        columns, position = _rows(body, position, order, element)
        if element.name == "vertex":
            if not {"x", "y", "z"} <= set(columns):
                raise ValueError("has vertices without x, y and z")
            points = np.stack([columns[axis][0] for axis in "xyz"], axis=1).astype(np.float64)
        elif name := next((name for name in CORNERS if name in columns), None):
            corners, sizes = columns[name]
            strip = element.name == "tristrips"
            faces.append(_strips(corners, sizes) if strip else (corners.astype(np.int64), sizes))
    return Polygons(points, np.concatenate([corners for corners, _ in faces]), np.concatenate([s for _, s in faces]))


def _split(data: bytes) -> tuple[str, list[_Element], bytes]:
    """Byte order, elements and the numbers behind the header; those of text as float64."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    line_end = re.search(LINE_END, data)
    last = re.search(rb"[\r\n]\s*end_header[ \t]*", data)
    if line_end is None or last is None or data[: line_end.start()].strip() != b"ply":
        raise ValueError("has no PLY header")
    # Of '\r\n' behind a header with '\r' alone, '\n' is the first byte of the numbers.
    behind = re.compile(re.escape(line_end[0])).match(data, last.end()) or re.compile(LINE_END).match(data, last.end())
    body = data[behind.end() if behind else last.end() :]
    kind, elements = _header(re.split(LINE_END, data[: last.start()]))
    if kind != "ascii":
        return ORDERS[kind], elements, body
    try:
        body = np.array(body.strip(b"\0\x1a \r\n\t").split(), dtype="S").astype("<f8").tobytes()
    except ValueError:
        raise ValueError("has words among its numbers") from None
    wide = [[_Property(p.name, "d", p.count and "d") for p in element.properties] for element in elements]
    return "<", [_Element(e.name, e.rows, properties) for e, properties in zip(elements, wide, strict=True)], body


def _header(lines: list[bytes]) -> tuple[str, list[_Element]]:
    """The format and the elements; raises ValueError."""
    kind, elements = "", []
    for line in lines[1:]:
        match line.decode("latin-1").split():
            case [] | ["comment" | "obj_info", *_]:
                continue
            case ["format", name, *_] if name in ORDERS:
                kind = name
            case ["element", name, rows] if rows.isdecimal():
                elements.append(_Element(name, int(rows), []))
            case ["property", "list", count, number, name] if elements and count in SHORT and number in SHORT:
                elements[-1].properties.append(_Property(name, SHORT[number], SHORT[count]))
            case ["property", number, name] if elements and number in SHORT:
                elements[-1].properties.append(_Property(name, SHORT[number]))
            case words:
                raise ValueError(f"has a header that is not PLY: {' '.join(words)[:60]!r}")
    if not kind:
        raise ValueError("has a header without a format")
    return kind, elements


def _rows(body: bytes, position: int, order: str, element: _Element) -> tuple[dict[str, _Column], int]:
    """The columns of an element that begins at byte `position`, and where it ends; raises ValueError."""
    if not element.properties or not element.rows:
        return {p.name: (np.zeros(0), np.zeros(0, np.int64)) for p in element.properties}, position
    try:
        columns, end = _uneven(body, position, order, _Element(element.name, 1, element.properties))
        sizes = [len(columns[p.name][0]) for p in element.properties]
        same = _even(body, position, order, element, sizes)
        if same is None:
            return _uneven(body, position, order, element)
        return same, position + element.rows * (end - position)
    except struct.error:
        raise ValueError("is cut off: vertices or faces are missing at its end") from None


def _even(body: bytes, position: int, order: str, element: _Element, sizes: list[int]) -> dict[str, _Column] | None:
    """The columns where every row has lists as long as the first row's (`sizes`), otherwise None."""
    fields: list[tuple] = []
    for number, (p, size) in enumerate(zip(element.properties, sizes, strict=True)):
        fields += [(f"count{number}", order + p.count)] if p.count else []
        fields += [(f"value{number}", order + p.kind, (size,))]
    row = np.dtype(fields)
    if position + element.rows * row.itemsize > len(body):
        return None
    table = np.frombuffer(body, row, element.rows, position)
    columns = {}
    for number, (p, size) in enumerate(zip(element.properties, sizes, strict=True)):
        if p.count and (table[f"count{number}"] != size).any():
            return None
        columns[p.name] = table[f"value{number}"].reshape(-1), np.full(element.rows, size)
    return columns


def _uneven(body: bytes, position: int, order: str, element: _Element) -> tuple[dict[str, _Column], int]:
    """The columns row by row, and where they end; raises struct.error where the file ends before."""
    values: dict[str, list] = {p.name: [] for p in element.properties}
    sizes: dict[str, list[int]] = {p.name: [] for p in element.properties}
    for _ in range(element.rows):
        for p in element.properties:
            size = 1
            if p.count:
                size = int(struct.unpack_from(order + p.count, body, position)[0])
                position += struct.calcsize(order + p.count)
            numbers = struct.unpack_from(f"{order}{size}{p.kind}", body, position)
            position += size * struct.calcsize(order + p.kind)
            values[p.name] += numbers
            sizes[p.name].append(size)
    return {name: (np.array(values[name]), np.array(sizes[name], np.int64)) for name in values}, position


def _strips(values: np.ndarray, sizes: np.ndarray) -> _Column:
    """The triangles of strips, which end at negative numbers and with every row."""
    rows = np.split(values.astype(np.int64), np.cumsum(sizes)[:-1])
    values = np.concatenate([np.append(row, -1) for row in rows])
    index = np.arange(len(values))
    begin = np.maximum.accumulate(np.where(values < 0, index, -1))
    triangles = np.stack([values[:-2], values[1:-1], values[2:]], axis=1)
    backwards = (index - begin)[:-2] % 2 == 0
    triangles[backwards] = triangles[backwards, ::-1]
    triangles = triangles[(triangles >= 0).all(axis=1)]
    return triangles.reshape(-1), np.full(len(triangles), 3)
