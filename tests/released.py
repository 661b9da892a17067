"""Files as the authors' release has them, built from their description."""

import base64
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from files import ArchiveError
from files.authors import state_shapes

# numpy.save of {'res': jax.numpy.arange(6.).reshape(2, 3), 'size': 0.05, 'samples': 50}, as written by
# JAX 0.4.30 with NumPy 1.26.4 and by JAX 0.12.0 with NumPy 2.5.5.
JAX_FILES = {
    "numpy 1": base64.b64decode(
        "k05VTVBZAQB2AHsnZGVzY3InOiAnfE8nLCAnZm9ydHJhbl9vcmRlcic6IEZhbHNlLCAnc2hhcGUnOiAoKSwgfSAgICAgICAgICAg"
        "ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAqAA2NudW1weS5jb3JlLm11bHRpYXJy"
        "YXkKX3JlY29uc3RydWN0CnEAY251bXB5Cm5kYXJyYXkKcQFLAIVxAkMBYnEDh3EEUnEFKEsBKWNudW1weQpkdHlwZQpxBlgCAAAA"
        "TzhxB4mIh3EIUnEJKEsDWAEAAAB8cQpOTk5K/////0r/////Sz90cQtiiV1xDH1xDShYAwAAAHJlc3EOY2pheC5fc3JjLmFycmF5"
        "Cl9yZWNvbnN0cnVjdF9hcnJheQpxDyhoAGgBSwCFcRBoA4dxEShLAUsCSwOGcRJoBlgCAAAAZjRxE4mIh3EUUnEVKEsDWAEAAAA8"
        "cRZOTk5K/////0r/////SwB0cRdiiUMYAAAAAAAAgD8AAABAAABAQAAAgEAAAKBAcRh0cRl9cRooWAkAAAB3ZWFrX3R5cGVxG4lY"
        "CwAAAG5hbWVkX3NoYXBlcRx9cR11dHEeUnEfWAQAAABzaXplcSBHP6mZmZmZmZpYBwAAAHNhbXBsZXNxIUsydWF0cSJiLg=="
    ),
    "numpy 2": base64.b64decode(
        "k05VTVBZAQB2AHsnZGVzY3InOiAnfE8nLCAnZm9ydHJhbl9vcmRlcic6IEZhbHNlLCAnc2hhcGUnOiAoKSwgfSAgICAgICAgICAg"
        "ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAqABJVCAQAAAAAAAIwWbnVtcHkuX2Nv"
        "cmUubXVsdGlhcnJheZSMDF9yZWNvbnN0cnVjdJSTlIwFbnVtcHmUjAduZGFycmF5lJOUSwCFlEMBYpSHlFKUKEsBKWgDjAVkdHlw"
        "ZZSTlIwCTziUiYiHlFKUKEsDjAF8lE5OTkr/////Sv////9LP3SUYoldlH2UKIwDcmVzlIwOamF4Ll9zcmMuYXJyYXmUjBJfcmVj"
        "b25zdHJ1Y3RfYXJyYXmUk5QoaAJoBUsAhZRoB4eUKEsBSwJLA4aUaAuMAmY0lImIh5RSlChLA4wBPJROTk5K/////0r/////SwB0"
        "lGKJQxgAAAAAAACAPwAAAEAAAEBAAACAQAAAoECUdJR9lIwJd2Vha190eXBllIlzdJRSlIwEc2l6ZZRHP6mZmZmZmZqMB3NhbXBs"
        "ZXOUSzJ1YXSUYi4="
    ),
}
FACTS = {
    "input": 2,
    "output": 3,
    "channels": 8,
    "layers": 1,
    "pe": True,
    "encodings": 4,
    "normalize_pe": True,
    "include_input": True,
    "activation": "swish",
}


class Runs:
    """Touches `path` when unpickled by a reader that trusts its file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch '{self.path}'",)


def network(facts: dict) -> torch.nn.Module:
    """Linear layers named as in the release, in a module of their own."""
    shapes = state_shapes(facts)
    widths = [shapes[f"net.net.{i}.0.weight"] for i in range(facts["layers"] + 2)]
    layers = [torch.nn.Sequential(torch.nn.Linear(before, after)) for after, before in widths]
    inner, outer = torch.nn.Module(), torch.nn.Module()
    inner.net = torch.nn.Sequential(*layers)
    outer.net = inner
    return outer


def checkpoint(**changes) -> dict:
    """A checkpoint after a step of Adam, with `changes` to its facts."""
    facts = {**FACTS, **changes}
    model = network(facts)
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    sum(parameter.sum() for parameter in model.parameters()).backward()
    optimiser.step()
    return {**facts, "ckpt": model.state_dict(), "epoch": 1000, "optim": optimiser.state_dict()}


def kernel(count: int = 13) -> dict:
    positions = np.linspace(-1, 1, count)
    return {"ckpt": np.cos(positions), "radius": 1.0, "n_ctrl_pts": count, "ctrl_pts": positions}


def torch_bytes(value, legacy: bool = False) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


def npy_bytes(value) -> bytes:
    stream = io.BytesIO()
    np.save(stream, value, allow_pickle=True)
    return stream.getvalue()


def written(path: Path, data: bytes) -> Path:
    """`path`, holding `data`; a new file each time, for writing over one makes some file systems wait for the disk."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    return path


def sentence(read: Callable[[Path], Any], path: Path) -> str:
    """The one line that `read` refuses the file with."""
    with pytest.raises(ArchiveError) as caught:
        read(path)
    text = str(caught.value)
    assert str(path) in text and "\n" not in text and len(text) < 400
    return text


def rewritten(data: bytes, change) -> bytes:
    """The zip file with its entries passed through `change(name, bytes) -> bytes`."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w") as new:
        for entry in old.infolist():
            new.writestr(entry.filename, change(entry.filename, old.read(entry)))
    return stream.getvalue()
