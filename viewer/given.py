"""What the page was given: pictures of kernels and painted maps, bounded, checked, and named by what is in them."""

import hashlib
import tempfile
from collections import OrderedDict
from pathlib import Path

import numpy as np

from kernels.pictures import picture_target, read_light
from models.varying import turned_covariances

# Bytes of a dropped picture, and how many of them, and maps, are kept.
LARGEST_PICTURE = 8 << 20
MOST_KEPT = 16
# A painted map: rows and columns of (sigma along, sigma across, angle in degrees), float32.
MAP_SIDE = 64
MAP_BYTES = MAP_SIDE * MAP_SIDE * 3 * 4


class Given:
    """Pictures by name (`shipped` ones by their own, dropped ones by their digest), and maps of covariances."""

    def __init__(self, shipped: Path) -> None:
        self._shipped = {path.stem: path for path in sorted(shipped.glob("*.png"))}
        self._folder = tempfile.TemporaryDirectory(prefix="nfc_view_")
        self._pictures: OrderedDict[str, Path] = OrderedDict()
        self._maps: OrderedDict[str, np.ndarray] = OrderedDict()

    @property
    def names(self) -> list[str]:
        """Pictures that may be chosen."""
        return [*self._shipped, *self._pictures]

    def picture(self, name: str) -> Path:
        """The file of a picture; raises ValueError for unknown names, and so for every path."""
        known = self._shipped | dict(self._pictures)
        if name not in known:
            raise ValueError(f"there is no picture {name!r}: drop one on the kernel, or choose {', '.join(known)}")
        return known[name]

    def add_picture(self, content: bytes) -> str:
        """Keep a picture under a name of its own; raises ValueError for what is no picture of a kernel."""
        if len(content) > LARGEST_PICTURE:
            raise ValueError(f"a kernel's picture may have {LARGEST_PICTURE >> 20} MB: drop a smaller one")
        name = f"drop-{hashlib.sha256(content).hexdigest()[:16]}"
        path = Path(self._folder.name) / name
        path.write_bytes(content)
        try:
            picture_target(read_light(path), 1.0)
        except (ValueError, OSError) as error:
            path.unlink()
            raise ValueError(str(error).replace(str(path), "the picture")) from None
        self._pictures[name] = path
        while len(self._pictures) > MOST_KEPT:
            self._pictures.popitem(last=False)[1].unlink()
        return name

    def map(self, name: str) -> np.ndarray:
        """A map of covariances [n, n, 2, 2]; raises ValueError for a name of none."""
        if name not in self._maps:
            raise ValueError("nothing has been painted yet: paint on the filtered picture")
        return self._maps[name]

    def add_map(self, content: bytes) -> str:
        """Keep painted Gaussians as covariances; raises ValueError for other sizes and for no Gaussians."""
        if len(content) != MAP_BYTES:
            raise ValueError(f"a painted map has {MAP_BYTES} bytes, not {len(content)}")
        values = np.frombuffer(content, "<f4").reshape(MAP_SIDE, MAP_SIDE, 3).astype(np.float64)
        if not (np.isfinite(values).all() and values[..., :2].min() >= 1e-6 and np.abs(values).max() <= 1e3):
            raise ValueError("a painted map holds positive sizes and finite angles")
        along, across, angles = values[..., 0], values[..., 1], values[..., 2] / 180
        unit = turned_covariances(angles, 1.0, 0.0, (1.0, 1.0)), turned_covariances(angles, 0.0, 1.0, (1.0, 1.0))
        name = f"map-{hashlib.sha256(content).hexdigest()[:16]}"
        self._maps[name] = along[..., None, None] ** 2 * unit[0] + across[..., None, None] ** 2 * unit[1]
        while len(self._maps) > MOST_KEPT:
            self._maps.popitem(last=False)
        return name
