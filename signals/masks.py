"""Missing samples by normalised convolution (Knutsson & Westin 1993): (f m) * g / (m * g), m the weight of each sample.

A masked signal holds (f - o) m and, as one more channel, m; o [c] is the mean of what is known. A constant is then 0 in
every sample, and stays itself whatever a field makes of the mask.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from files.inputs import warn
from signals.signal import Signal

# Share of known weight below which nothing is known: the mean of the signal stands there.
LEAST_SHARE = 1e-3


def masked(signal: Signal, mask: np.ndarray) -> Signal:
    """The signal with weights in [0, 1] for its samples, `mask` [N_1, ..., N_d] or [..., 1]; raises ValueError."""
    values, known = np.asarray(signal.values), signal.metadata.known
    mask = np.asarray(mask, np.float64)
    mask = mask[..., 0] if mask.ndim == values.ndim and mask.shape[-1] == 1 else mask
    if mask.shape != values.shape[:-1]:
        raise ValueError(f"the mask has {' x '.join(map(str, mask.shape))} samples, not the signal's "
                         f"{' x '.join(map(str, values.shape[:-1]))}")  # fmt: skip
    if not (np.isfinite(mask).all() and mask.min() >= 0 and mask.max() <= 1):
        raise ValueError("a mask must hold finite weights from 0 (missing) to 1 (known)")
    if known is not None:
        values = np.where(values[..., -1:] > 0, divided(values, known)[0], np.nan)
    packed, known = pack(values, mask, signal.name)
    return replace(signal, values=packed, metadata=replace(signal.metadata, known=known))


def pack(values: np.ndarray, mask: np.ndarray | None, name: str) -> tuple[np.ndarray, tuple[float, ...]]:
    """Samples [..., c] of weights `mask` [...] as (f - o) m and m, [..., c + 1], and o; says how many are missing.

    Those that are NaN count as missing, all channels of a sample as one. Raises ValueError where nothing is known.
    """
    weights = (~np.isnan(values).any(axis=-1)).astype(np.float64)
    weights = weights if mask is None else weights * mask
    if not weights.any():
        raise ValueError(f"{name} has no known sample: all are NaN, no-data or masked; use another file or mask")
    filled = np.where(weights[..., None] > 0, values, 0.0)
    seen = filled[weights > 0]
    # The mean of equal numbers differs from them by rounding.
    offset = np.clip(np.average(seen, axis=0, weights=weights[weights > 0]), seen.min(axis=0), seen.max(axis=0))
    offset = offset.astype(values.dtype)
    share = weights[..., None].astype(values.dtype)
    warn(f"{name}: {1 - weights.mean():.1%} of the samples are missing; results are weighted means of the others")
    packed = np.concatenate([(filled.astype(values.dtype) - offset) * share, share], axis=-1)
    return packed, tuple(float(value) for value in offset)


def divided(values: Any, known: tuple[float, ...]) -> tuple[Any, Any]:
    """Filtered channels [..., c + 1] of a masked signal, an array or a tensor, as its own [..., c] and the share of
    known weight [..., 1]."""
    share = values[..., -1:]
    unknown = share < LEAST_SHARE
    offset = values.new_tensor(known) if hasattr(values, "new_tensor") else np.asarray(known, values.dtype)
    return values[..., :-1] / (share + unknown) * ~unknown + offset, share.clip(0.0, None)


def quotient(values: Any, known: tuple[float, ...] | None) -> Any:
    """Filtered channels as the signal's own: divided by the share of known weight where samples are missing."""
    return values if known is None else divided(values, known)[0]


def own_channels(channels: int, known: tuple[float, ...] | None) -> int:
    """Of the stored `channels`, how many are the signal's own: all but the weight of a masked signal."""
    return channels - (known is not None)
