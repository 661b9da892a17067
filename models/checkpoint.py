"""Checkpoints: a field's shape, weights and origin, and what training needs to go on as if never stopped.

One dict of tensors and plain values with a digest over all of it, written atomically. It is read without any
unpickler (`files.torchfiles`), which is stricter still than torch's weights_only.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from files import ArchiveError, atomic_write
from files.torchfiles import read_torch
from models import build_field
from models.field import Field, FieldConfig
from signals.ground_truth import SMALLEST_HALF_SIZE, GroundTruth
from signals.signal import BOUNDARIES

FORMAT = "neural-field-convolutions 1"
# Far above what any checkpoint holds, far below what a few bytes that refer to each other can unfold to.
MOST_VALUES = 1 << 18
LARGEST_SIDE = 1 << 24
# Domain units; a signal of one sample has 2 of them for each sample of its margin.
LARGEST_MARGIN = 1e6


@dataclass(frozen=True)
class Origin:
    """What a field was trained on: the minimal kernel's half size, the margin beyond [-1, 1] (domain units),
    the boundary rule, the signal's own shape, modality, name and `meta`, and the ground truth's digest.

    Raises ValueError for facts that no ground truth has.
    """

    half_size: float
    margin: float
    boundary: str
    shape: tuple[int, ...]
    modality: str
    source: str
    digest: str
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sizes = _is_size(self.half_size, 2) and _is_size(self.margin, LARGEST_MARGIN)
        if not sizes or self.half_size < SMALLEST_HALF_SIZE:
            raise ValueError(f"half size {self.half_size!r} or margin {self.margin!r} is out of range")
        if not self.shape or not all(type(n) is int and 1 <= n <= LARGEST_SIDE for n in self.shape):
            raise ValueError(f"no signal has the shape {self.shape!r}")
        if self.boundary not in BOUNDARIES or not all(
            isinstance(text, str) for text in (self.modality, self.source, self.digest)
        ):
            raise ValueError("its boundary rule, modality, source or digest is not known")
        if not isinstance(self.meta, Mapping):
            raise ValueError("its meta is not a dictionary")

    @property
    def released(self) -> bool:
        """Whether the field is from the authors' release, which trained no margin."""
        return bool(self.meta.get("released"))

    @classmethod
    def of(cls, truth: GroundTruth, covered: float | None = None) -> "Origin":
        """The facts of a ground truth; `covered` is how much of its margin was trained on (default: all of it)."""
        margin = truth.margin if covered is None else max(0.0, min(covered, truth.margin))
        facts = (truth.half_size, margin, truth.boundary, truth.shape, truth.modality, truth.source)
        return cls(*facts, truth.digest, dict(truth.meta))


@dataclass(frozen=True)
class Checkpoint:
    """A field (config, state), its origin and, in a run, the training state (plain values and tensors)."""

    config: FieldConfig
    origin: Origin
    state: Mapping[str, Tensor]
    training: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> Field:
        """The field with its weights, ready to answer; raises ArchiveError if config and weights do not fit."""
        types = {value.dtype for value in self.state.values()}
        if self._expected() != {name: value.shape for name, value in self.state.items()} or len(types) != 1:
            raise ArchiveError("the checkpoint's weights do not fit its configuration: it is damaged")
        if not all(torch.isfinite(value).all() for value in self.state.values()):
            raise ArchiveError("the checkpoint has weights that are not finite: use an earlier one")
        built = build_field(self.config)
        # A field keeps the precision it was stored in.
        built.to(types.pop())
        built.load_state_dict(self.state)
        return built.requires_grad_(False).eval()

    def _expected(self) -> dict[str, torch.Size]:
        """Shapes of the weights that the configuration asks for, found without allocating any."""
        try:
            with torch.device("meta"):
                return {name: value.shape for name, value in build_field(self.config).state_dict().items()}
        except (RuntimeError, TypeError, OverflowError) as error:
            raise ArchiveError(f"the checkpoint's configuration is of no field ({error}): it is damaged") from None

    def save(self, path: str | Path) -> Path:
        """Write the checkpoint, whole or not at all."""
        content = {
            "format": FORMAT,
            "config": self.config.to_dict(),
            "origin": asdict(self.origin) | {"meta": json.dumps(dict(self.origin.meta))},
            "state": {name: value.detach().cpu() for name, value in self.state.items()},
            "training": dict(self.training),
        }
        content["digest"] = digest_of(content)
        # In memory first: torch's zip writer turns a full disk into an internal error that names nothing.
        buffer = io.BytesIO()
        torch.save(content, buffer)
        with atomic_write(path) as stream:
            stream.write(buffer.getbuffer())
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> "Checkpoint":
        """Read a checkpoint on the CPU, running none of its content; raises FileNotFoundError or ArchiveError."""
        content = read_plain(path)
        if content.get("format") != FORMAT:
            raise ArchiveError(f"{path} is not a checkpoint of this program; train a field or convert the file")
        try:
            if content.pop("digest", None) != digest_of(content):
                raise ValueError("its digest does not fit its contents")
            origin = content["origin"]
            origin = Origin(**origin | {"shape": tuple(origin["shape"]), "meta": json.loads(origin["meta"])})
            config, state = FieldConfig.from_dict(content["config"]), content["state"]
            if len(origin.shape) != config.dim:
                raise ValueError(f"a field of {config.dim} coordinates has no signal of shape {origin.shape}")
            if not all(isinstance(value, Tensor) and value.is_floating_point() for value in state.values()):
                raise ValueError("its weights are not tensors")
            return cls(config, origin, state, dict(content["training"]))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise ArchiveError(f"{path} is damaged: {error}; use another checkpoint") from None


def _is_size(value: Any, most: float) -> bool:
    return type(value) in (int, float) and 0 <= value <= most


def read_plain(path: str | Path) -> dict[str, Any]:
    """A torch file's dict of tensors and plain values; anything else is refused and never run (ArchiveError)."""
    content = read_torch(path)
    if not isinstance(content, dict):
        raise ArchiveError(f"{path} holds no checkpoint; use another file")
    try:
        return _Tensors(Path(path).stat().st_size).of(content)
    except (ValueError, TypeError, RecursionError) as error:
        raise ArchiveError(f"{path} is no checkpoint ({error}); use another file") from None


class _Tensors:
    """Turns NumPy arrays in nested containers into tensors, `budget` bytes of them at most."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.values = MOST_VALUES

    def of(self, value: Any) -> Any:
        """`value` with tensors for arrays; raises ValueError for more than a file of this size can honestly hold."""
        self.values -= 1
        if isinstance(value, np.ndarray):
            self.budget -= value.nbytes
        if self.budget < 0 or self.values < 0:
            raise ValueError("it claims more than it holds: refused as a bomb")
        if isinstance(value, np.ndarray):
            return torch.from_numpy(value.copy())
        if isinstance(value, dict):
            return {key: self.of(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.of(item) for item in value)
        return value


def digest_of(content: Any) -> str:
    """SHA-256 over nested dicts and lists of tensors and plain values, in a fixed order."""
    total = hashlib.sha256()

    def feed(value: Any) -> None:
        if isinstance(value, Tensor):
            array = np.ascontiguousarray(value.detach().cpu().numpy())
            total.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
        elif isinstance(value, Mapping):
            for key in sorted(value, key=repr):
                total.update(repr(key).encode())
                feed(value[key])
        elif isinstance(value, list | tuple):
            total.update(f"[{len(value)}".encode())
            for item in value:
                feed(item)
        else:
            total.update(repr(value).encode())

    feed(content)
    return total.hexdigest()
