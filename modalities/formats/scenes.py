"""Scenes in glTF and GLB files, read by trimesh and put together; what it would leave out without a word is refused."""

import io
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from files.inputs import warn
from modalities.formats.polygons import Polygons

BINARY = b"glTF"
# Modes of primitives: points and lines (0 to 3), triangles, strips of triangles.
TRIANGLES = (4, 5)
# What trimesh logs, tracebacks among it, would only surround our own sentence.
logging.getLogger("trimesh").addHandler(logging.NullHandler())


def parse_scene(path: Path, data: bytes) -> Polygons:
    """The triangles of all nodes in the default scene of a glTF file, transforms applied; raises ValueError."""
    import trimesh

    binary = data.startswith(BINARY)
    try:
        text = data[20 : 20 + int.from_bytes(data[12:16], "little")] if binary else data
        _check(path, json.loads(text.decode("utf-8-sig")))
        # Of the file's folder alone, where buffers are files of their own.
        resolver = trimesh.resolvers.FilePathResolver(str(path.absolute()))
        kind = "glb" if binary else "gltf"
        # Unprocessed: merging and dropping faces would change the winding number.
        scene: Any = trimesh.load(
            io.BytesIO(data), file_type=kind, resolver=resolver, force="mesh", process=False, skip_materials=True
        )
        vertices, faces = np.array(scene.vertices, np.float64), np.array(scene.faces, np.int64)
    except UnsupportedError:
        raise
    except Exception:  # its reader raises nearly anything, ImportError where it lacks an optional package
        raise ValueError("is not a readable glTF file, or it or a file that it names is damaged or missing") from None
    return Polygons(vertices, faces.reshape(-1), np.full(len(faces), 3))


class UnsupportedError(ValueError):
    """What a file has that is not supported."""


def _check(path: Path, tree: dict) -> None:
    """Raise UnsupportedError for geometry that trimesh leaves out or reads as zeros; warn of points and lines."""
    required = set(tree.get("extensionsRequired", []))
    instanced = {name for name in tree.get("extensionsUsed", []) if "instancing" in name}
    if lacking := sorted({name for name in required if "compression" in name} | instanced):
        raise UnsupportedError(f"uses {', '.join(lacking)}; export it without")
    parts = [part for mesh in tree.get("meshes", []) for part in mesh["primitives"]]
    modes = {part.get("mode", 4) for part in parts}
    if 6 in modes:
        raise UnsupportedError("has fans of triangles; export it as triangles")
    if modes - set(TRIANGLES):
        warn(f"{path}: points and lines are left out")
    for part in parts:
        for number in (part["attributes"].get("POSITION"), part.get("indices")):
            accessor = {} if number is None else tree["accessors"][number]
            if accessor.get("normalized") or "sparse" in accessor:
                raise UnsupportedError("has normalized or sparse coordinates; export it with plain ones")
