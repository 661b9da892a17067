"""Checkpoints: a field's shape, origin and weights, and what training requires to resume as if never stopped.

One dict of tensors and plain values, read by `files.load_torch`: nothing in a file is executed.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from files import ArchiveError, load_torch, save_torch
from files.inputs import first_line
from models import build_field
from models.config import FieldConfig, Origin
from models.field import Field
from signals.ground_truth import check_half_size
from signals.metadata import metadata_entries, parse_metadata

FORMAT = "neural-field-convolutions 1"
# Numbers of a dense core that a diagonal one of an old checkpoint is turned into.
LARGEST_CORE = 1 << 26


def save_checkpoint(path: str | Path, field: Field, training: Mapping[str, Any] | None = None) -> Path:
    """Write a field and, in a run, the training state (plain values and tensors) to one file, whole or not at all."""
    state = {name: value.detach().cpu() for name, value in field.state_dict().items()}
    content = {"format": FORMAT, "config": field.config.to_dict(), "origin": origin_entries(field.origin),
               "state": state}  # fmt: skip
    return save_torch(path, content | {"training": dict(training or {})})


def load_checkpoint(path: str | Path) -> tuple[Field, dict[str, Any]]:
    """The field in a checkpoint, on the CPU and ready to answer, and the training state.

    Raises FileNotFoundError, or ArchiveError for anything but a whole checkpoint of this program.
    """
    content = load_torch(path)
    if content.get("format") != FORMAT:
        raise ArchiveError(f"{path} is not a checkpoint of this program; train a field or convert the file")
    try:
        config, state = upgraded(dict(content["config"]), dict(content["state"]))
        shape_of = FieldConfig.from_dict(config)
        field = restored(shape_of, parse_origin(content["origin"], shape_of), state)
        return field, dict(content["training"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, RuntimeError) as error:
        raise ArchiveError(f"{path} is damaged: {first_line(error)}; use another checkpoint") from None


def restored(config: FieldConfig, origin: Origin, state: Mapping[str, Tensor]) -> Field:
    """A field with the weights `state`, in the precision they are stored in; raises ValueError if they do not fit."""
    # Shapes are compared before any weight is allocated: a configuration can ask for any amount of memory.
    with torch.device("meta"):
        expected = {name: value.shape for name, value in build_field(config, origin).state_dict().items()}
    if expected != {name: value.shape for name, value in state.items()}:
        raise ValueError("its weights do not fit its configuration")
    types = {value.dtype for value in state.values()}
    if not types <= {torch.float32, torch.float64} or len(types) != 1:
        raise ValueError("its weights are not all float32 or all float64")
    if not all(torch.isfinite(value).all() for value in state.values()):
        raise ValueError("its weights are not finite")
    field = build_field(config, origin).to(types.pop())
    field.load_state_dict(state)
    return field.requires_grad_(False).eval()


def origin_entries(origin: Origin) -> dict[str, Any]:
    """Plain entries from which `parse_origin` makes the same origin again."""
    entries = asdict(origin)
    # Plain entries of the metadata and the name "meta" are what checkpoints have always had.
    entries |= {"meta": json.dumps(metadata_entries(origin.metadata)), "psnr": dict(origin.psnr)}
    del entries["metadata"]
    return entries


def parse_origin(entries: Mapping[str, Any], config: FieldConfig) -> Origin:
    """The origin in a checkpoint; raises ValueError. One half size stands for all filtered axes."""
    entries = dict(entries)
    meta = json.loads(entries.pop("meta"))
    size, shape = entries["half_size"], tuple(entries["shape"])
    sizes = tuple(size) if isinstance(size, list | tuple) else (size,) * len(config.axes)
    check_half_size(sizes, config.axes)
    if len(shape) != config.dim:
        raise ValueError(f"a field of {config.dim} coordinates has no signal of shape {shape}")
    return Origin(**entries | {
        "half_size": sizes,
        "shape": shape,
        "metadata": parse_metadata(entries["modality"], meta, shape, config.channels),
        "released": bool(entries.get("released", meta.get("released"))),
        "psnr": {float(size): float(value) for size, value in entries.get("psnr", {}).items()},
    })  # fmt: skip


def upgraded(config: dict[str, Any], state: dict[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and weights of a version-0.2 checkpoint as today's: factors without scales, every core dense."""
    core = config.pop("core", None)
    for name in [name for name in state if name.startswith("factors.") and name.endswith(".scale")]:
        scale, prefix = state.pop(name), name.removesuffix("scale")
        for part in ("head.weight", "coefficients", "rows"):
            if prefix + part in state:
                weights = state[prefix + part]
                state[prefix + part] = weights * (scale[:, None] if part == "head.weight" else scale)
    if core == "cp" and config["kind"] == "separable":
        diagonal, dim = state["core"], config["dim"]
        rank = len(diagonal)
        if rank**dim * diagonal.shape[1] > LARGEST_CORE:
            raise ValueError(f"its core of {rank} ranks in {dim} axes is too large to be made dense")
        dense = torch.zeros(*[rank] * dim, diagonal.shape[1], dtype=diagonal.dtype)
        dense[(torch.arange(rank),) * dim] = diagonal
        state["core"], config["ranks"] = dense, (rank,) * dim
    return config, state
