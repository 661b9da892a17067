"""Checkpoints of the authors' release as fields of this project: the same networks under other conventions.

    a dictionary by `torch.save`: input, output, channels, layers, pe, encodings, normalize_pe, include_input,
    activation, ckpt (layers + 2 linear layers net.net.I.0.weight and .bias), epoch, optim

Sine layers compute sin(20 (W x + b)) from the plain coordinates, swish layers x sigmoid(x) from encoded ones.

The authors sum w_i F(x + t_i), we sum w_i F(x - t_i). Their field of n integrations has therefore learned (-1)^n F per
filtered axis, which is undone here, in the last layer. Order and axes follow from what the authors trained: images (2
coordinates) order 1, shapes (3, one channel) order 0, videos (3 coordinates) order 1 in time.
"""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from files import ArchiveError
from files.reading import reading
from models.checkpoint import restored
from models.config import FieldConfig, Origin
from models.field import Field
from released.entries import Entries, numbers
from released.storages import read_torch
from signals.metadata import parse_metadata

OMEGA_0 = 20.0
NORM_EXP = 2.0
# What the authors' scripts train with; the files do not say.
HALF_SIZE = 0.05
SHAPES = {"image": (128, 128), "geometry": (128, 128, 128), "video": (128, 128, 100)}
ACTIVATIONS = ("swish", "sine")
# The largest values that entries may have.
SIZES = {"input": 16, "output": 1024, "channels": 1 << 14, "layers": 64}
FLAGS = ("pe", "normalize_pe", "include_input")
MOST_BANDS = 64


def read_field(path: str | Path) -> Field:
    """The released field at `path`; its margin is 0: near the border only the training kernel is right.

    Raises FileNotFoundError or ArchiveError.
    """
    with reading(path, "a released checkpoint") as stream:
        entries = Entries(read_torch(stream), (*SIZES, *FLAGS, "encodings", "activation", "ckpt"))
        facts: dict[str, Any] = {key: entries.whole(key, most) for key, most in SIZES.items()}
        facts |= {key: bool(entries.whole(key, 1, least=0)) for key in FLAGS}
        facts["encodings"] = entries.whole("encodings", MOST_BANDS, least=0)
        facts["activation"] = activation = entries.found["activation"]
        if not isinstance(activation, str) or activation not in ACTIVATIONS:
            raise ArchiveError(f"has an activation that is not supported; {' and '.join(ACTIVATIONS)} are")
        state = read_state(entries.found["ckpt"], state_shapes(facts))
        if activation == "swish" and facts["pe"] and not facts["include_input"]:
            raise ArchiveError("encodes positions without the positions themselves, which is not supported")
        modality, axes, order = trained_as(facts["input"], facts["output"])
        config = field_config(facts, axes, order)
        metadata = parse_metadata(modality, {}, SHAPES[modality], config.channels)
        sizes = (HALF_SIZE,) * len(axes)
        origin = Origin(sizes, 0.0, "clamp", SHAPES[modality], modality, Path(path).stem, "", metadata, released=True)
        return restored(config, origin, field_state(config, state))


def trained_as(coordinates: int, channels: int) -> tuple[str, tuple[int, ...], int]:
    """Modality, filtered axes and order of a released field."""
    match coordinates, channels:
        case 2, _:
            return "image", (0, 1), 1
        case 3, 1:
            return "geometry", (0, 1, 2), 0
        case 3, _:
            return "video", (2,), 1
    raise ArchiveError(f"has a field of {coordinates} coordinates; the authors released none")


def field_config(facts: Mapping[str, Any], axes: tuple[int, ...], order: int) -> FieldConfig:
    """The configuration of a released field; its last bias stays: the authors' kernels do not cancel it."""
    return FieldConfig(
        "mlp" if facts["activation"] == "swish" else "siren", facts["input"], facts["output"], axes, order,
        num_channels=facts["channels"], num_layers=facts["layers"], pe=facts["encodings"] if facts["pe"] else 0,
        norm_exp=NORM_EXP if facts["normalize_pe"] else 0.0, omega_0=OMEGA_0, poly_degree=0, bias=True,
    )  # fmt: skip


def field_state(config: FieldConfig, state: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """The weights of a released field under our names and signs."""
    last = config.num_layers + 1
    sign = (-1.0) ** ((config.order + 1) * len(config.axes))
    arrays = {f"head.{part}": sign * state[f"net.net.{last}.0.{part}"] for part in ("weight", "bias")}
    for index, part in itertools.product(range(last), ("weight", "bias")):
        arrays[f"network.layers.{index}.{part}"] = state[f"net.net.{index}.0.{part}"]
    arrays["polynomial.coefficients"] = np.zeros((*[1] * config.dim, config.channels))
    return {name: torch.as_tensor(value.astype(np.float32)) for name, value in arrays.items()}


def state_shapes(facts: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The names and shapes of the weights that `facts` describe: `layers` + 2 linear layers."""
    inputs = facts["input"]
    # Sine networks take their coordinates as they are, whatever `pe` says.
    if facts["activation"] == "swish" and facts["pe"]:
        inputs *= 2 * facts["encodings"] + facts["include_input"]
    widths = [inputs, *[facts["channels"]] * (facts["layers"] + 1), facts["output"]]
    shapes: dict[str, tuple[int, ...]] = {}
    for index, (before, after) in enumerate(itertools.pairwise(widths)):
        shapes[f"net.net.{index}.0.weight"] = (after, before)
        shapes[f"net.net.{index}.0.bias"] = (after,)
    return shapes


def read_state(found: Any, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """The weights under 'ckpt', float64; raises ArchiveError where they do not have the `shapes`."""
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise ArchiveError("has no weights under 'ckpt'")
    # Trained on several GPUs, every name has this prefix.
    found = {name.removeprefix("module."): value for name, value in found.items()}
    if odd := sorted(set(found) ^ set(shapes)):
        verb = "lacks" if odd[0] in shapes else "has"
        raise ArchiveError(f"{verb} {odd[0][:80]!r}, which does not fit the layers it describes")
    for name, shape in shapes.items():
        held = getattr(found[name], "shape", None)
        if held != shape:
            raise ArchiveError(f"holds {name} {held}, but its description requires {shape}")
    return {name: numbers(found[name], name) for name in shapes}
