"""How real values become 8-bit pictures: clipped, encoded for a screen, or centred where they are signed."""

from collections.abc import Mapping
from typing import Any

import numpy as np

# Ends and middle of the diverging colours: blue below zero, white at zero, red above.
DIVERGING = np.array([[0.02, 0.19, 0.38], [0.97, 0.97, 0.97], [0.40, 0.0, 0.12]])
# Share of a signal's absolute mass below zero from which it counts as signed; ringing stays far below it.
SIGNED_SHARE = 0.1


def is_signed(values: np.ndarray, meta: Mapping[str, Any]) -> bool:
    """Whether values are differences about zero (DoG, derivative): as `meta['signed']` says, else by their sign."""
    if "signed" in meta:
        return bool(meta["signed"])
    mass = float(np.abs(values).sum(dtype=np.float64))
    return float(-values[values < 0].sum(dtype=np.float64)) > SIGNED_SHARE * mass


def picture(values: np.ndarray, meta: Mapping[str, Any]) -> np.ndarray:
    """Values [H, W, C] as uint8 [H, W, 1 | 3 | 4] for a screen.

    `meta` as the loaders make it: 'alpha' (last channel is alpha, colours premultiplied by it), 'linear'
    (light, to be encoded as sRGB), 'signed'. Signed values are scaled to fill the range, or by `meta['size']`:
    diverging colours for one channel, an offset of one half for colours (alpha is then left out).
    """
    values = np.asarray(values, np.float32)
    alpha = values[..., -1:] if meta.get("alpha") else None
    colour = values if alpha is None else values[..., :-1]
    if is_signed(values, meta):
        return _signed_picture(colour, meta.get("size") or signed_size(colour))
    if alpha is not None:
        colour = np.where(alpha > 1 / 512, colour / np.maximum(alpha, 1 / 512), 0)
    colour = np.clip(colour, 0, 1)
    if meta.get("linear"):
        colour = np.where(colour <= 0.0031308, 12.92 * colour, 1.055 * colour ** (1 / 2.4) - 0.055)
    shown = colour if alpha is None else np.concatenate([colour, np.clip(alpha, 0, 1)], -1)
    return np.round(255 * shown).astype(np.uint8)


def signed_size(values: np.ndarray) -> float:
    """The largest absolute value that signed pictures show, the rarest peaks left out."""
    return float(np.quantile(np.abs(values), 0.998)) or 1.0


def _signed_picture(colour: np.ndarray, size: float) -> np.ndarray:
    """Values about zero as uint8 [H, W, 3], saturated at `size`."""
    shown = np.clip(colour / size, -1, 1)
    if colour.shape[-1] == 1:
        ends = np.where(shown < 0, DIVERGING[0], DIVERGING[2])
        shown = DIVERGING[1] + np.abs(shown) * (ends - DIVERGING[1])
    else:
        shown = 0.5 + 0.5 * shown
    return np.round(255 * shown).astype(np.uint8)
