"""Checkpoints of the authors' release as fields of ours: the same networks under other conventions.

They sum w_i F(x + t_i); ours sums w_i F(x - t_i). Their field of n integrations has therefore learned
(-1)^n F per filtered axis, which is undone here, in the last layer, once. The last bias cancels anyway.
Which order and axes a field has is not stored; it follows from what the authors trained:
images (2 coordinates) order 1, shapes (3, one channel) order 0, videos (3 coordinates) order 1 in time.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from files import ArchiveError
from files.authors import OtherKindError, read_checkpoint
from models.checkpoint import Checkpoint, Origin
from models.field import FieldConfig

OMEGA_0 = 20.0
NORM_EXP = 2.0
# What the authors' scripts train with; the files do not say.
HALF_SIZE = 0.05
SHAPES = {"image": (128, 128), "geometry": (128, 128, 128), "video": (128, 128, 100)}


def trained_as(facts: dict[str, Any]) -> tuple[str, tuple[int, ...], int]:
    """Modality, filtered axes and order of a released field, by its coordinates and channels."""
    match facts["input"], facts["output"]:
        case 2, _:
            return "image", (0, 1), 1
        case 3, 1:
            return "geometry", (0, 1, 2), 0
        case 3, _:
            return "video", (2,), 1
        case coordinates, _:
            raise ArchiveError(f"the authors released no fields of {coordinates} coordinates")


def load_released(path: str | Path) -> Checkpoint:
    """The released checkpoint at `path`; its margin is 0: near the border only the training kernel is right.

    Raises FileNotFoundError or ArchiveError.
    """
    facts, state = read_checkpoint(path)
    modality, axes, order = trained_as(facts)
    swish = facts["activation"] == "swish"
    if swish and facts["pe"] and not facts["include_input"]:
        raise ArchiveError(f"{path} encodes positions without the positions themselves, which is not supported")
    try:
        config = FieldConfig(
            "mlp" if swish else "siren", facts["input"], facts["output"], axes, order,
            num_channels=facts["channels"], num_layers=facts["layers"], pe=facts["encodings"] if facts["pe"] else 0,
            norm_exp=NORM_EXP if facts["normalize_pe"] else 0.0, omega_0=OMEGA_0, poly_degree=0,
        )  # fmt: skip
    except ValueError as error:
        raise ArchiveError(f"{path} describes a field that is not supported: {error}") from None
    sign = (-1.0) ** ((order + 1) * len(axes))
    last = facts["layers"] + 1
    renamed: dict[str, np.ndarray] = {"head.weight": sign * state[f"net.net.{last}.0.weight"]}
    for index in range(last):
        for name in ("weight", "bias"):
            renamed[f"network.layers.{index}.{name}"] = state[f"net.net.{index}.0.{name}"]
    tensors = {name: torch.as_tensor(value.astype(np.float32)) for name, value in renamed.items()}
    tensors["polynomial.coefficients"] = torch.zeros(*[1] * config.dim, config.channels)
    origin = Origin(HALF_SIZE, 0.0, "clamp", SHAPES[modality], modality, Path(path).stem, "", {"released": True})
    return Checkpoint(config, origin, tensors)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """A checkpoint of ours or of the authors' release; raises FileNotFoundError or ArchiveError.

    The error is the one of the kind that the file is of.
    """
    try:
        return Checkpoint.load(path)
    except ArchiveError as error:
        try:
            return load_released(path)
        except OtherKindError:
            raise error from None
