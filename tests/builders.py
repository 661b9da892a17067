"""Small signals, ground truths, kernels and fields that the tests are built from."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from kernel_cases import broken_line, bumps, lopsided  # noqa: F401

from models import Field, FieldConfig, Origin, build_field
from signals import GroundTruth, Signal, make_ground_truth


def noise_signal(
    shape: Sequence[int], channels: int = 1, axes: Sequence[int] | None = None, halo: Sequence[int] = (), seed: int = 0
) -> Signal:
    """Independent samples in [0, 1): the roughest signal a grid can hold; `shape` without the halo."""
    full = [n + 2 * h for n, h in zip(shape, halo or (0,) * len(shape), strict=True)]
    values = np.random.default_rng(seed).random((*full, channels))
    return Signal(values, tuple(axes if axes is not None else range(len(shape))), "image", halo=tuple(halo))


def smooth_signal(shape: Sequence[int], channels: int = 1, axes: Sequence[int] | None = None) -> Signal:
    """A few slow waves about 0.5, different in every channel."""
    grids = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    waves = [np.prod([np.sin(2.1 * x + c + j) for j, x in enumerate(grids)], axis=0) for c in range(channels)]
    values = 0.5 + 0.4 * np.stack(waves, axis=-1)
    return Signal(values, tuple(axes if axes is not None else range(len(shape))), "image")


def exact_truth(
    signal: Signal,
    order: int = 1,
    half_size: float = 0.2,
    margin: float = 0.3,
    boundary: str = "clamp",
    dtype: str = "float64",
) -> GroundTruth:
    """What mc_utils.py --method exact makes of a signal."""
    return make_ground_truth(signal, order, half_size, margin, boundary, dtype=dtype)


def undrawn_truth() -> GroundTruth:
    """Ground truth without a modality: a run draws no pictures of it, which would take most of the time."""
    return replace(exact_truth(noise_signal((14, 12)), margin=0.2), modality="")


def field_config(kind: str = "separable", dim: int = 2, channels: int = 1, **other: Any) -> FieldConfig:
    """A tiny field's configuration, all axes filtered by default."""
    small = {"axes": tuple(range(dim)), "order": 1, "num_channels": 12, "num_layers": 1, "pe": 2, "omega_0": 4.0}
    if kind == "separable":
        small["ranks"] = (6,) * dim
    return FieldConfig(kind=kind, dim=dim, channels=channels, **(small | other))


def origin_of(config: FieldConfig, **other: Any) -> Origin:
    """A plausible origin: half size 0.2 and margin 0.3 by default."""
    facts = {"half_size": (0.2,) * len(config.axes), "margin": 0.3, "boundary": "clamp", "shape": (9,) * config.dim}
    facts |= {"modality": "image", "source": "test.png", "digest": "0" * 64}
    return Origin(**(facts | other))


def random_field(config: FieldConfig, seed: int = 0, **origin: Any) -> Field:
    """A float64 field with random weights, in its polynomial part too."""
    torch.manual_seed(seed)
    field = build_field(config, origin_of(config, **origin)).double().requires_grad_(False)
    field.polynomial.coefficients.copy_(torch.randn_like(field.polynomial.coefficients))
    return field
