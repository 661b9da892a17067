"""Files as the authors' release has them, built from their description, and their networks and sums written out."""

import base64
import io
import itertools
import math
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from released import read_ground_truth, read_kernel

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
BANDS = 3
TRUTH = {"res": np.ones((5, 7, 3)), "size": 0.05, "samples": 100}
read_stored = partial(read_kernel, corrected=False)
read_tent = partial(read_ground_truth, order=1)


class Runs:
    """Touches `path` when unpickled by a reader that trusts its file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch '{self.path}'",)


def torch_bytes(value: Any, legacy: bool = False) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


class Network:
    """The authors' field of `dim` coordinates: random layers, their file, and F at points."""

    def __init__(self, dim: int, channels: int, activation: str = "swish", normalised: bool = True) -> None:
        torch.manual_seed(0)
        self.activation, self.normalised = activation, normalised
        first = dim if activation == "sine" else dim * (2 * BANDS + 1)
        # In the precision of the file.
        widths = [first, 16, 16, 16, channels]
        self.layers = [torch.nn.Linear(a, b).float().double() for a, b in itertools.pairwise(widths)]
        self.facts = {"input": dim, "output": channels, "channels": 16, "layers": 2, "pe": True, "encodings": BANDS}
        self.facts |= {"normalize_pe": normalised, "include_input": True, "activation": activation}

    def checkpoint(self, **changes: Any) -> dict[str, Any]:
        """What the authors save, in float32, with `changes` to it."""
        state = {}
        for index, layer in enumerate(self.layers):
            state[f"net.net.{index}.0.weight"] = layer.weight.detach().float()
            state[f"net.net.{index}.0.bias"] = layer.bias.detach().float()
        optimiser = torch.optim.Adam([layer.weight for layer in self.layers])
        return {**self.facts, "ckpt": state, "epoch": 3, "optim": optimiser.state_dict(), **changes}

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """F [N, c] at points x [N, d]."""
        if self.activation == "swish":
            parts = [x]
            for band in range(BANDS):
                size = 4.0**band if self.normalised else 1.0
                parts += [torch.sin(2.0**band * x) / size, torch.cos(2.0**band * x) / size]
            x = torch.cat(parts, dim=-1)
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index < len(self.layers) - 1:
                x = x * torch.sigmoid(x) if self.activation == "swish" else torch.sin(20.0 * x)
        return x

    @torch.no_grad()
    def filtered(self, points: np.ndarray, positions: np.ndarray, weights: np.ndarray, axes: tuple) -> np.ndarray:
        """Their sum w_i F(x + t_i) at points [N, d], over the outer product of 1-D Diracs in the filtered axes."""
        x = torch.as_tensor(points)
        total = torch.zeros(len(x), self.layers[-1].out_features, dtype=torch.float64)
        for place in np.ndindex(*[len(positions)] * len(axes)):
            shift = torch.zeros(x.shape[1], dtype=torch.float64)
            shift[list(axes)] = torch.as_tensor([positions[i] for i in place], dtype=torch.float64)
            total += math.prod(weights[i] for i in place) * self(x + shift)
        return total.numpy()


def kernel(count: int = 13) -> dict[str, Any]:
    """A kernel as the authors save it: a lopsided Gaussian of mass 1, its weights off by about 1e-3."""
    positions = np.linspace(-1, 1, count)
    values = np.exp(-4.5 * positions**2) * (1 + 0.3 * positions) * (np.abs(positions) < 1)
    slopes = np.diff(values / values.sum()) / np.diff(positions) ** 2
    weights = np.diff(slopes, prepend=0, append=0)
    weights += 1e-3 * np.abs(weights).max() * np.random.default_rng(0).standard_normal(count)
    return {"ckpt": weights, "radius": 1.0, "n_ctrl_pts": count, "ctrl_pts": positions}
