"""How real values become 8-bit pictures: clipped, encoded for a screen, or centred where they are signed."""

import numpy as np

from files.inputs import note
from files.stored import Array, parts

# Ends and middle of the diverging colours: blue below zero, white at zero, red above.
DIVERGING = np.array([[0.02, 0.19, 0.38], [0.97, 0.97, 0.97], [0.40, 0.0, 0.12]])
# Share of a signal's absolute mass below zero from which it counts as signed; ringing stays far below it.
SIGNED_SHARE = 0.1
# Of longer axes every k-th value is looked at to find the scale of a picture, and shown in figures and previews.
SHOWN = 2048


def is_signed(values: Array) -> bool:
    """Whether values look like differences about zero (DoG, derivative)."""
    below = mass = 0.0
    for part in parts(values):
        mass += float(np.abs(part).sum(dtype=np.float64))
        below -= float(np.minimum(part, 0).sum(dtype=np.float64))
    return below > SIGNED_SHARE * mass


def signed_size(values: np.ndarray, signed: bool | None = True) -> float:
    """The largest absolute value that a picture of `signed` values (None: as they look) shows, the rarest peaks left
    out; 0 for values that are not signed."""
    if not (is_signed(values) if signed is None else signed):
        return 0.0
    return float(np.quantile(np.abs(values), 0.998)) or 1.0


def say_scale(size: float, channels: int, alpha: bool = False) -> None:
    """Print what the picture of signed values with as many `channels` of colour shows (see `picture`); nothing for size
    0."""
    if size:
        low, middle, high = ("dark blue", "white", "dark red") if channels == 1 else ("black", "mid-grey", "white")
        range_said = f"{-size:.4g} is {low}, 0 {middle} and {size:.4g} {high}"
        left_out = ", and alpha is left out" if alpha else ""
        note(f"the picture shows differences: {range_said}, values beyond are clipped{left_out}")


def picture(values: np.ndarray, alpha: bool = False, linear: bool = False, size: float = 0.0) -> np.ndarray:
    """Values [..., C] as uint8 [..., 1 | 3 | 4] for a screen.

    `alpha`: the last channel is alpha and colours are multiplied by it; `linear`: light, to be encoded as sRGB.
    size > 0: signed values, saturated at +-size, in diverging colours for one channel and about one half for colours;
    alpha is then left out.
    """
    blocks = parts(np.asarray(values))
    return np.concatenate([_picture(np.asarray(part, np.float32), alpha, linear, size) for part in blocks])


def _picture(values: np.ndarray, alpha: bool, linear: bool, size: float) -> np.ndarray:
    """See `picture`."""
    opacity = values[..., -1:] if alpha else None
    colour = values[..., :-1] if alpha else values
    if size:
        return _signed_picture(colour / size)
    if opacity is not None:
        colour = np.where(opacity > 1 / 512, colour / np.maximum(opacity, 1 / 512), 0)
    colour = np.clip(colour, 0, 1)
    if linear:
        colour = np.where(colour <= 0.0031308, 12.92 * colour, 1.055 * colour ** (1 / 2.4) - 0.055)
    shown = colour if opacity is None else np.concatenate([colour, np.clip(opacity, 0, 1)], -1)
    return np.round(255 * shown).astype(np.uint8)


def _signed_picture(colour: np.ndarray) -> np.ndarray:
    """Values about zero, saturated at 1, as uint8 [..., 3]."""
    shown = np.clip(colour, -1, 1)
    if colour.shape[-1] == 1:
        ends = np.where(shown < 0, DIVERGING[0], DIVERGING[2])
        shown = DIVERGING[1] + np.abs(shown) * (ends - DIVERGING[1])
    else:
        shown = 0.5 + 0.5 * shown
    return np.round(255 * shown).astype(np.uint8)
