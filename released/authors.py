"""The files of the authors' release: ground truths, kernels and checkpoints, as plain numbers.

They are pickles, so they are read by `files.pickles`, which runs nothing; what comes out is checked against the
layout below before anything else sees it.

    ground truth   `.npy` of a dictionary: res (values on a grid, a NumPy or JAX array), size, samples
    kernel         `torch.save` of a dictionary: ckpt (weights [K]), ctrl_pts (positions [K]), radius, n_ctrl_pts
    checkpoint     `torch.save` of a dictionary: input, output, channels, layers, pe, encodings, normalize_pe,
                   include_input, activation, ckpt (layers + 2 linear layers net.net.I.0.weight and .bias), epoch, optim

Sine layers compute sin(20 (W x + b)) from the plain coordinates, swish layers x sigmoid(x) from encoded ones.

Source: the release beside Nsampi et al. 2023 (file layout only).
"""

import io
import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from files.archive import LARGEST_ARRAY, READ_FAULTS, ArchiveError, read_header
from files.arrays import Arrays
from files.pickles import PickleError, read_pickle
from files.torchfiles import read_torch

MOST_DIRACS = 1 << 20
MOST_LAYERS = 64
MOST_CHANNELS = 1 << 14
MOST_BANDS = 64
ACTIVATIONS = ("swish", "sine")
WHOLE_FACTS = {"input": 16, "output": 1024, "channels": MOST_CHANNELS, "layers": MOST_LAYERS}
FLAGS = ("pe", "normalize_pe", "include_input")


class OtherKindError(ArchiveError):
    """The file holds none of what the authors' files of this kind hold, or not all of it."""


def read_ground_truth(path: str | Path) -> tuple[np.ndarray, float, int]:
    """The ground truth at `path`: values [N_1, ..., N_d, c] or [N_1, ..., N_d] as stored, kernel size, samples.

    Raises FileNotFoundError, or ArchiveError for anything else than a whole `.npy` file of that layout.
    """
    path = Path(path)
    facts = _dictionary(_read_npy(path), ("res", "size", "samples"), path)
    values = _numbers(facts["res"], "res", path)
    if not 1 <= values.ndim <= 5 or values.size == 0:
        raise ArchiveError(f"{path} holds values of shape {values.shape}, which is no grid of samples")
    size = _number(facts["size"], "size", path)
    samples = _whole(facts["samples"], "samples", path, 1 << 62)
    if not 0 < size < math.inf:
        raise ArchiveError(f"{path} gives the kernel the size {size}, which is not a positive number")
    return values, size, samples


def read_kernel(path: str | Path) -> tuple[np.ndarray, np.ndarray, float]:
    """The kernel at `path`: positions [K] in units of its half size, weights [K], radius.

    One axis, order 1; the weights are as stored, whose moments are not quite 0. Raises FileNotFoundError, or
    ArchiveError for anything else than a whole file of that layout.
    """
    path = Path(path)
    facts = _dictionary(read_torch(path), ("ckpt", "ctrl_pts", "radius", "n_ctrl_pts"), path)
    weights = _numbers(facts["ckpt"], "ckpt", path).astype(np.float64).squeeze()
    positions = _numbers(facts["ctrl_pts"], "ctrl_pts", path).astype(np.float64).squeeze()
    count = _whole(facts["n_ctrl_pts"], "n_ctrl_pts", path, MOST_DIRACS)
    if weights.shape != (count,) or positions.shape != (count,):
        raise ArchiveError(
            f"{path} says n_ctrl_pts is {count}, but holds ckpt {weights.shape} and ctrl_pts {positions.shape}"
        )
    radius = _number(facts["radius"], "radius", path)
    if not 0 < radius < math.inf:
        raise ArchiveError(f"{path} gives the kernel the radius {radius}, which is not a positive number")
    return positions, weights, radius


def read_checkpoint(path: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The checkpoint at `path`: its facts (input, output, channels, layers, pe, encodings, normalize_pe,
    include_input, activation) and its state {'net.net.0.0.weight': [out, in], ...} as float arrays.

    The epoch and the optimiser's state are left out. Raises FileNotFoundError, or ArchiveError for anything else
    than a whole file whose arrays have the shapes that the facts ask for.
    """
    path = Path(path)
    wanted = (*WHOLE_FACTS, *FLAGS, "encodings", "activation", "ckpt")
    found = _dictionary(read_torch(path), wanted, path)
    facts: dict[str, Any] = {key: _whole(found[key], key, path, most) for key, most in WHOLE_FACTS.items()}
    facts.update({key: _flag(found[key], key, path) for key in FLAGS})
    facts["encodings"] = _whole(found["encodings"], "encodings", path, MOST_BANDS, least=0)
    facts["activation"] = found["activation"]
    if not isinstance(facts["activation"], str) or facts["activation"] not in ACTIVATIONS:
        raise ArchiveError(f"{path} has an activation that is not supported; {' and '.join(ACTIVATIONS)} are")
    return facts, _state(found["ckpt"], state_shapes(facts), path)


def encoded_width(facts: Mapping[str, Any]) -> int:
    """The number of inputs of the first layer: the coordinates, and a sine and a cosine of them per band."""
    # Sine networks take their coordinates as they are, whatever `pe` says.
    if facts["activation"] == "sine" or not facts["pe"]:
        return facts["input"]
    return facts["input"] * (2 * facts["encodings"] + bool(facts["include_input"]))


def state_shapes(facts: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The names and shapes of the state that `facts` ask for: `layers` + 2 linear layers."""
    widths = [encoded_width(facts), *[facts["channels"]] * (facts["layers"] + 1), facts["output"]]
    shapes: dict[str, tuple[int, ...]] = {}
    for index, (before, after) in enumerate(itertools.pairwise(widths)):
        shapes[f"net.net.{index}.0.weight"] = (after, before)
        shapes[f"net.net.{index}.0.bias"] = (after,)
    return shapes


def _state(found: Any, shapes: Mapping[str, tuple[int, ...]], path: Path) -> dict[str, np.ndarray]:
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise ArchiveError(f"{path} has no state under 'ckpt'")
    # Trained on several GPUs, every name has this prefix.
    found = {name.removeprefix("module."): value for name, value in found.items()}
    if set(found) != set(shapes):
        odd = sorted(set(found) ^ set(shapes))[0][:80]
        kind = "lacks" if odd in shapes else "has"
        raise ArchiveError(f"{path} {kind} {odd!r}, which does not fit the layers it describes")
    for name, shape in shapes.items():
        held = getattr(found[name], "shape", None)
        if held != shape:
            raise ArchiveError(f"{path} holds {name} {held}, but its description asks for {shape}")
    return {name: _numbers(found[name], name, path) for name in shapes}


def _read_npy(path: Path) -> Any:
    """The one object in an `.npy` file that `numpy.save` had to pickle."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; check the path")
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, io.SEEK_END)
            stream.seek(0)
            if size > LARGEST_ARRAY:
                raise PickleError("it is larger than any ground truth")
            shape, _, dtype = read_header(stream)
            if not dtype.hasobject or shape != ():
                raise PickleError(f"it holds an array {shape} of {dtype}, not the dictionary of a ground truth")
            found = read_pickle(stream, Arrays(size).vocabulary())
    except PickleError as error:
        raise ArchiveError(f"{path} cannot be read: {error}") from None
    except READ_FAULTS as error:
        raise ArchiveError(f"{path} is damaged or not an .npy file ({type(error).__name__})") from None
    return found.item() if isinstance(found, np.ndarray) and found.shape == () else found


def _dictionary(found: Any, keys: tuple[str, ...], path: Path) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise OtherKindError(f"{path} holds a {type(found).__name__}, not a dictionary with {', '.join(keys)}")
    missing = [key for key in keys if key not in found]
    if missing:
        raise OtherKindError(f"{path} lacks {', '.join(missing)}: it is another kind of file")
    return found


def _numbers(value: Any, key: str, path: Path) -> np.ndarray:
    """`value` as an array of its own of finite float32 or float64."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        raise ArchiveError(f"{path} has {key} that is not an array of numbers")
    wide = value.dtype.itemsize > 4 or (value.dtype.kind != "f" and value.dtype.itemsize > 2)
    array = np.array(value, dtype=np.float64 if wide else np.float32, order="C")
    if not np.isfinite(array).all():
        raise ArchiveError(f"{path} has {key} with values that are NaN or infinite")
    return array


def _scalar(value: Any, key: str, path: Path) -> Any:
    """A Python number from a number, a NumPy scalar or an array of one element."""
    if isinstance(value, np.ndarray) and value.size == 1 and not value.dtype.hasobject:
        value = value.reshape(())[()]
    if isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, (bool, int, float)):
        raise ArchiveError(f"{path} has {key} that is not a number")
    return value


def _number(value: Any, key: str, path: Path) -> float:
    value = _scalar(value, key, path)
    if isinstance(value, int) and value.bit_length() > 1000:
        raise ArchiveError(f"{path} has {key} that is beyond all use")
    return float(value)


def _whole(value: Any, key: str, path: Path, most: int, least: int = 1) -> int:
    value = _scalar(value, key, path)
    if not least <= value <= most or int(value) != value:
        raise ArchiveError(f"{path} has {key} that is not a whole number from {least} to {most}")
    return int(value)


def _flag(value: Any, key: str, path: Path) -> bool:
    return bool(_whole(value, key, path, 1, least=0))
