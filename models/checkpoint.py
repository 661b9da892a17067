"""Checkpoints: a field's shape, weights and origin, and what training needs to go on as if never stopped.

One dict of tensors and plain values, written atomically, read with torch's weights-only unpickler, with a
digest over all of it.
"""

import hashlib
import io
import json
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from files import ArchiveError, atomic_write
from models import build_field
from models.field import Field, FieldConfig
from signals.ground_truth import GroundTruth

FORMAT = "neural-field-convolutions 1"


@dataclass(frozen=True)
class Origin:
    """What a field was trained on: the minimal kernel's half size, the margin beyond [-1, 1] (domain units),
    the boundary rule, the signal's own shape, modality, name and `meta`, and the ground truth's digest."""

    half_size: float
    margin: float
    boundary: str
    shape: tuple[int, ...]
    modality: str
    source: str
    digest: str
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def released(self) -> bool:
        """Whether the field is from the authors' release, which trained no margin."""
        return bool(self.meta.get("released"))

    @classmethod
    def of(cls, truth: GroundTruth) -> "Origin":
        """The facts of a ground truth."""
        facts = (truth.half_size, truth.margin, truth.boundary, truth.shape, truth.modality, truth.source)
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
        with torch.device("meta"):
            expected = {name: value.shape for name, value in build_field(self.config).state_dict().items()}
        if expected != {name: value.shape for name, value in self.state.items()}:
            raise ArchiveError("the checkpoint's weights do not fit its configuration: it is damaged")
        built = build_field(self.config)
        # A field keeps the precision it was stored in.
        built.to(next(iter(self.state.values())).dtype)
        built.load_state_dict(self.state)
        return built.requires_grad_(False).eval()

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
        if content.pop("digest", None) != digest_of(content):
            raise ArchiveError(f"{path} is damaged: its digest does not fit its contents; use another checkpoint")
        try:
            origin = content["origin"]
            origin = Origin(**origin | {"shape": tuple(origin["shape"]), "meta": json.loads(origin["meta"])})
            return cls(FieldConfig.from_dict(content["config"]), origin, content["state"], content["training"])
        except (KeyError, TypeError, ValueError) as error:
            raise ArchiveError(f"{path} is not a whole checkpoint ({error}); use another one") from None


def read_plain(path: str | Path) -> dict[str, Any]:
    """A torch file's dict of tensors and plain values; anything that would run code is refused (ArchiveError)."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; check the path of the model")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0]
        raise ArchiveError(f"{path} is no checkpoint, or holds more than tensors and is refused ({reason})") from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        reason = (str(error).splitlines() or ["unreadable"])[0]
        raise ArchiveError(f"{path} is truncated or not a checkpoint ({reason}); use another file") from None
    except (zipfile.BadZipFile, OverflowError, MemoryError, AssertionError) as error:
        raise ArchiveError(f"{path} is damaged ({error}); use another file") from None
    if not isinstance(content, dict):
        raise ArchiveError(f"{path} holds no checkpoint; use another file")
    return content


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
