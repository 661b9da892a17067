"""Images: values [H, W, C] over (y, x), rows first, both axes filtered.

Integer samples are scaled to [0, 1] and filtered as stored (no gamma is undone); float samples are kept.
Alpha is the fourth channel and colours are multiplied by it (EXR stores them so already): a filter then weighs
every pixel by its opacity, and the colours of transparent pixels do not bleed. Pictures divide by it again.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modalities.display import is_signed, picture
from modalities.facts import check_channels, check_flag, taken
from modalities.figure import new_figure, show_error, show_picture, write_figure
from modalities.measures import mse, peak, psnr, snr, ssim
from modalities.modality import CAPTIONS, Modality
from modalities.pixels import is_premultiplied, read_pixels, write_exr, write_png, write_values
from signals import Signal

EXTENSIONS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".pgm", ".ppm", ".hdr", ".exr")


@dataclass(frozen=True)
class Pixels:
    """What an image's values do not show: whether the last channel is `alpha` and colours are premultiplied by it,
    the file holds floats (`float`), and they are light rather than sRGB (`linear`)."""

    alpha: bool = False
    float: bool = False
    linear: bool = False

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            check_flag(name, value)

    def fit(self, shape: tuple[int, ...], channels: int) -> None:
        """Refuse, with a ValueError, alpha that is not there and numbers of channels that no picture has."""
        check_channels(channels, (4,) if self.alpha else (1, 3, 4))


def load(path: str | Path) -> Signal:
    """The image at `path` as float32 [H, W, 1 | 3 | 4] (float64 where the file is), meta as `Pixels` has it.

    Raises as every loader does.
    """
    path = Path(path)
    pixels = read_pixels(path)
    from_float = bool(np.issubdtype(pixels.dtype, np.floating))
    exr = path.suffix.lower() == ".exr"
    values = scaled(pixels)
    if not np.isfinite(values).all():
        raise ValueError(f"{path} has pixels that are NaN or infinite; mend the file first")
    alpha = values.shape[-1] == 4
    if alpha and not is_premultiplied(path, pixels):
        values[..., :3] *= values[..., 3:]
    facts = Pixels(alpha, from_float, linear=exr or path.suffix.lower() == ".hdr")
    return Signal(values, axes=(0, 1), modality="image", name=path.name, meta=asdict(facts))


def scaled(pixels: np.ndarray) -> np.ndarray:
    """Integers scaled so that their largest value is 1; floats as they are; float64 only where that was the input."""
    if np.issubdtype(pixels.dtype, np.integer):
        return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    return pixels.astype(np.float64 if pixels.dtype == np.float64 else np.float32)


def save(values: np.ndarray, folder: Path, meta: Mapping[str, Any]) -> list[Path]:
    """Write output.png (8 bit; see `display.picture`), output.npy (float32 [H, W, C], the values themselves) and,
    where the image came from a float file, output.exr."""
    folder = Path(folder)
    written = [write_png(folder / "output.png", picture(values, meta)), write_values(folder / "output.npy", values)]
    if taken(Pixels, meta, "image").float:
        written.append(write_exr(folder / "output.exr", values))
    return written


def metrics(values: np.ndarray, truth: np.ndarray, meta: Mapping[str, Any] | None = None) -> dict[str, float]:
    """PSNR and SNR in dB, MSE, the peak that PSNR and SSIM refer to, and SSIM where the image is large enough.

    `meta` is taken as by every modality's metrics; an image's measures need nothing from it.
    """
    measured = {"psnr": psnr(values, truth), "snr": snr(values, truth), "mse": mse(values, truth), "peak": peak(truth)}
    similarity = ssim(values, truth)
    return measured if similarity is None else measured | {"ssim": similarity}


def compare(
    before: np.ndarray,
    after: np.ndarray,
    truth: np.ndarray | None,
    path: Path,
    meta: Mapping[str, Any],
    captions: tuple[str, str] = CAPTIONS,
) -> None:
    """Draw the image, the filtered one and, if given, the truth and the error to the PNG file `path`."""
    count = 2 if truth is None else 4
    aspect = min(max(after.shape[0] / after.shape[1], 0.3), 3.0)
    figure = new_figure(3.4 * count, 3.4 * aspect + 0.4)
    axes = figure.subplots(1, count)
    own = {key: value for key, value in meta.items() if key != "signed"}
    show_picture(axes[0], picture(before, own), captions[0])
    # One decision for all panels: a truth and a result shown differently could not be compared.
    filtered_meta = {**meta, "signed": is_signed(after if truth is None else truth, meta)}
    show_picture(axes[1], picture(after, filtered_meta), captions[1])
    if truth is not None:
        show_picture(axes[2], picture(truth, filtered_meta), "truth")
        show_error(figure, axes[3], after, truth, f"|error|, PSNR {psnr(after, truth):.1f} dB")
    write_figure(figure, path)


IMAGE = Modality(
    name="image",
    number=1,
    axis_names="yx",
    filtered="yx",
    extensions=EXTENSIONS,
    load=load,
    save=save,
    metrics=metrics,
    compare=compare,
    facts=Pixels,
)
