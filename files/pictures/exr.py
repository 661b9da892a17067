"""EXR by OpenEXR: which part and which channels are the picture, luminance and chroma, both windows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import map_coordinates

from files.inputs import LARGEST_SAMPLES
from files.pictures.picture import Picture, check_size, grey_as_colours, missing_pixels

# Red, green, blue and white of Rec. 709, which a file without chromaticities has.
REC_709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)


def read_exr(path: Path) -> Picture:
    """The colours of an EXR file as float32; raises ValueError for damage and for files without one picture."""
    with _opened(path, header_only=True) as file:
        headers = [dict(part.header) for part in file.parts]
        sizes = [_size(header) for header in headers]
        names = [[channel.name for channel in header["channels"]] for header in headers]
    for width, height in sizes:
        check_size(path, width, height)
    # OpenEXR reads all parts at once.
    if sum(w * h * len(part) for (w, h), part in zip(sizes, names, strict=True)) > LARGEST_SAMPLES:
        raise ValueError(f"{path} claims more than the {LARGEST_SAMPLES} samples supported; write the colours alone")
    choice = choose(headers)
    if choice is None:
        raise _no_picture(path, [name for part in names for name in part])
    number, chosen = choice
    with _opened(path, separate_channels=True) as file:
        # OpenEXR leaves out parts that it cannot read.
        if len(file.parts) != len(headers):
            raise ValueError("parts are missing")
        stored = file.parts[number].channels
        planes = {what: np.array(stored[name].pixels) for what, name in chosen.items()}
    if any(plane.dtype.kind != "f" for plane in planes.values()):
        raise _no_picture(path, names[number])
    notes = []
    if len(headers) > 1:
        parts = [str(header.get("name", place)) for place, header in enumerate(headers)]
        notes.append(f"it has the parts {', '.join(parts)}: {parts[number]} is read")
    if left := sorted(set(names[number]) - set(chosen.values())):
        notes.append(f"its channels {', '.join(left)} are left out")
    return _picture(planes, headers[number], notes)


@contextmanager
def _opened(path: Path, **options: bool) -> Iterator[Any]:
    """The file as OpenEXR opens it; whatever is raised on damaged bytes becomes one sentence."""
    import OpenEXR

    try:
        with OpenEXR.File(str(path), **options) as file:
            yield file
    except Exception:
        raise ValueError(f"{path} is not a whole EXR image, or it is damaged; write it again") from None


def _picture(planes: dict[str, np.ndarray], header: Mapping[str, Any], notes: list[str]) -> Picture:
    """The `planes` of one part, by what they are, as a picture."""
    width, height = _size(header)
    if "RY" in planes:
        notes.append("its luminance and chroma are converted to RGB")
        if planes["RY"].shape != (height, width):
            notes.append("its chroma has fewer samples, interpolated linearly")
    planes = {what: _spread(plane.astype(np.float32), (height, width)) for what, plane in planes.items()}
    if "RY" in planes:
        colours = from_chroma(planes["Y"], planes["RY"], planes["BY"], header.get("chromaticities", REC_709))
    else:
        colours = np.stack([plane for what, plane in planes.items() if what != "A"], axis=-1)
    pixels = np.concatenate([colours, planes["A"][..., None]], axis=-1) if "A" in planes else colours
    if "A" in planes and colours.shape[-1] == 1:
        pixels = grey_as_colours(pixels)
    windows = tuple(int(place) for name in ("dataWindow", "displayWindow") for place in np.ravel(header[name]))
    return Picture(
        pixels,
        alpha="A" in planes,
        multiplied=True,  # EXR stores colours so
        linear=True,
        missing=missing_pixels(pixels),
        windows=() if windows == (0, 0, width - 1, height - 1) * 2 else windows,
        notes=tuple(notes),
    )


def _no_picture(path: Path, names: Iterable[str]) -> ValueError:
    return ValueError(f"{path} has the channels {', '.join(names)}; save it with float RGB, RGBA or Y first")


def choose(headers: Sequence[Mapping[str, Any]]) -> tuple[int, dict[str, str]] | None:
    """The number of the part and, by what they are ("R", "RY", ...), the names of the channels that are the picture.

    The first colours of any part, else the first luminance, else the first part of one channel. Channels without a
    layer come before layers ("diffuse.R"). Deep parts have no one value per pixel.
    """
    flat = [number for number, header in enumerate(headers) if "deep" not in str(header.get("type", ""))]
    wanted = (("R", "G", "B"), ("Y", "RY", "BY"), ("Y",))
    for colours in wanted:
        for number in flat:
            for layer in _layers(headers[number]):
                # A layer of luminance with one chroma is neither.
                if set(colours) <= set(layer) and (len(colours) > 1 or not {"RY", "BY"} & set(layer)):
                    kept = (*colours, "A") if "A" in layer else colours
                    return number, {what: layer[what] for what in kept}
    for number in flat:
        if len(channels := headers[number]["channels"]) == 1:
            return number, {"Y": channels[0].name}
    return None


def _layers(header: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """For each layer its channels' names by their last part, in capitals; the one without a name first."""
    layers: dict[str, dict[str, str]] = {"": {}}
    for channel in header["channels"]:
        layer, _, what = channel.name.rpartition(".")
        layers.setdefault(layer, {})[what.upper()] = channel.name
    yield from layers.values()


def _size(header: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height of the data window."""
    low, high = (np.asarray(corner, np.int64) for corner in header["dataWindow"])
    width, height = (high - low + 1).tolist()
    if min(width, height) < 1:
        raise ValueError("empty")
    return width, height


def _spread(plane: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A plane with every 2nd sample of rows or columns on all of them, by linear interpolation."""
    if plane.shape == shape:
        return plane
    steps = [-(-full // count) for full, count in zip(shape, plane.shape, strict=True)]
    places = np.meshgrid(*(np.arange(full) / step for full, step in zip(shape, steps, strict=True)), indexing="ij")
    return map_coordinates(plane, places, order=1, mode="nearest")


def from_chroma(luminance: np.ndarray, red: np.ndarray, blue: np.ndarray, chromaticities: Any) -> np.ndarray:
    """RGB [H, W, 3] of Y, RY = (R - Y) / Y and BY = (B - Y) / Y ("Technical Introduction to OpenEXR").

    The weights of luminance are those that make white of the primaries.
    """
    corners = np.reshape(np.asarray(chromaticities, np.float64), (4, 2))
    x, y = corners[:, 0], corners[:, 1]
    colours = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    weights = np.linalg.solve(colours[:, :3], colours[:, 3])
    red, blue = (red + 1) * luminance, (blue + 1) * luminance
    green = (luminance - weights[0] * red - weights[2] * blue) / weights[1]
    return np.stack([red, green, blue], axis=-1).astype(np.float32)
