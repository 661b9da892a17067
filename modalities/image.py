"""Images: values [H, W, C] over (y, x), rows first, both axes filtered.

Integer samples are scaled to [0, 1] and filtered as stored (no gamma is undone); float samples are kept.
Alpha is the last channel and the others are multiplied by it (EXR stores them so already): a filter then weighs
every pixel by its opacity, and the colours of transparent pixels do not bleed. Pictures divide by it again.
Other bands (near infrared) stand behind the colours: they are filtered, and written but not shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from files.folders import refuse_existing
from files.inputs import in_file, note, warn
from files.pictures import open_picture, write_encoded, write_exr, write_png
from files.results import write_array
from files.stored import Array, Stored, as_array, ends, mapped, thinned, with_channel
from modalities.display import SHOWN, is_signed, picture, say_scale, signed_size
from modalities.figures import Comparison, Figure, pictures_figure
from modalities.formats.arrays import ARRAY_EXTENSIONS, read_array
from modalities.modality import Modality, Sample
from signals import Signal, spacing
from signals.measures import psnr, ssim
from signals.metadata import Metadata, check, check_flag, check_numbers, metadata_of
from signals.units import Ruler

# Leading bits that a picture of long whole numbers leaves unused at most.
UNUSED_BITS = 8
LARGEST_CHANNELS = 256
# Most rows and columns of a preview.
PREVIEW = 1024
# What people expect of pictures beside what `save` writes: JPEG, which is lossy, and WebP.
ENCODED = (".jpg", ".jpeg", ".webp")
# Places of pixels are 32-bit numbers in EXR.
LARGEST_PLACE = 1 << 30


@dataclass(frozen=True)
class ImageMetadata(Metadata, modality="image", axis_names="yx"):
    """Whether the last channel is `alpha` and the others are multiplied by it, the file holds floats (`float`), and its
    colours are light rather than sRGB (`linear`); data and display `windows` of an EXR file, x and y of the first and
    last pixel each (empty: both are the picture)."""

    alpha: bool = False
    float: bool = False
    linear: bool = False
    windows: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("alpha", "float", "linear"):
            check_flag(name, getattr(self, name))
        if self.windows != ():
            check_numbers("windows", self.windows, 8, -LARGEST_PLACE, LARGEST_PLACE)
            x, y, right, bottom, *_ = self.windows
            whole = all(type(place) is int for place in self.windows) and x <= right and y <= bottom
            check("windows", self.windows, whole, "whole numbers, the first pixel before the last")

    def check_signal(self, shape: Sequence[int], channels: int) -> None:
        """Raise ValueError for alpha without three colours and for numbers of channels that no picture has."""
        super().check_signal(shape, channels)
        least = 4 if self.alpha else 1
        valid = least <= channels <= LARGEST_CHANNELS
        check("the number of channels", channels, valid, f"{least} or more, at most {LARGEST_CHANNELS}")

    def rulers(self, shape: Sequence[int]) -> tuple[Ruler, ...]:
        """Pixels."""
        return tuple(Ruler({"px": spacing(count), "sample": spacing(count)}) for count in shape)

    def shown(self, values: np.ndarray) -> np.ndarray:
        """The channels of values [H, W, C] that pictures show: grey or RGB, and alpha."""
        colours = values[..., : colours_of(self, values)]
        return np.concatenate([colours, values[..., -1:]], axis=-1) if self.alpha else colours


def check_white(values: Array, name: str) -> None:
    """Raise ValueError for whole numbers of 32 bits and more, and of 16 with a sign, that end far below the largest:
    what is white in them is not known."""
    if np.issubdtype(values.dtype, np.integer) and (values.dtype.itemsize >= 4 or values.dtype == np.int16):
        largest = max(map(abs, ends(values)))
        if largest <= np.iinfo(values.dtype).max >> (UNUSED_BITS if values.dtype.itemsize >= 4 else UNUSED_BITS - 1):
            raise ValueError(f"{name} is of {values.dtype}, which does not say what is white, and ends at {largest:g}: "
                             "convert it to uint8, uint16 or floats in [0, 1] first")  # fmt: skip


def scaled(pixels: np.ndarray) -> np.ndarray:
    """Integers scaled so that their largest value is 1; floats as they are; float64 only where that was the input."""
    if np.issubdtype(pixels.dtype, np.integer):
        return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    return pixels.astype(np.float64 if pixels.dtype == np.float64 else np.float32)


class Image(Modality):
    """Pictures, their alpha and high dynamic range."""

    number = 1
    metadata_type = ImageMetadata
    filtered = "yx"
    results = (".png", ".npy", ".exr", ".tif", ".tiff", ".zarr", *ENCODED)
    extensions = (
        ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".pbm", ".pgm", ".ppm", ".pnm",
        ".pam", ".pfm", ".hdr", ".exr", ".zarr",
    )  # fmt: skip
    named_extensions = (".npy",)
    sample = Sample(
        "images", "astronaut.png", half_size=0.05, margin=0.4,
        filters=tuple((kernel, size) for kernel in ("tent", "gaussian") for size in (0.05, 0.1, 0.2, 0.4)),
    )  # fmt: skip

    def load(self, path: str | Path, reach: Sequence[float] = ()) -> Signal:
        """The image at `path` as float32 [H, W, C] (float64 where the file is), alpha last; pixels without a value are
        missing samples, but in a file too large for memory, which raises ValueError.

        Prints a warning for what was left out or guessed; raises as every loader.
        """
        path = Path(path)
        if path.suffix.lower() in ARRAY_EXTENSIONS:
            stored = read_array(path, self.axis_names, "a picture [rows, columns] or [rows, columns, channels]")
            with in_file(path):
                return self.from_array(stored, name=path.name)
        picture = open_picture(path)
        for text in picture.notes:
            warn(f"{path.name}: {text}")
        if picture.missing is not None:
            count = int(picture.missing.sum())
            warn(f"{path.name}: {count} of {picture.missing.size} pixels are no-data, NaN, infinite or beyond 1e30")
        metadata = ImageMetadata(picture.alpha, picture.float, picture.linear, picture.windows)
        with in_file(path):
            return self.signal(picture.signal_values(), metadata, path.name)

    def from_array(
        self,
        values: Array,
        reach: Sequence[float] = (),
        *,
        alpha: bool = False,
        linear: bool = False,
        name: str = "array",
    ) -> Signal:
        """An array [H, W] or [H, W, C], integers scaled to [0, 1]; with `alpha` colours must be multiplied by it."""
        values = with_channel(as_array(values), 2)
        check_white(values, name)
        metadata = ImageMetadata(alpha, bool(np.issubdtype(values.dtype, np.floating)), linear)
        return self.signal(mapped(values, scaled), metadata, name)

    def save(self, values: Array, folder: Path, metadata: Metadata, signed: bool | None = None) -> list[Path]:
        """Write output.png (8 bit; see `display.picture`), output.npy (float32 [H, W, C], the values themselves) and,
        where the image came from a float file, output.exr; of a result too large for memory preview.png instead."""
        own = metadata_of(ImageMetadata, metadata)
        show = partial(_shown, own, size := shown_size(values, own, signed))
        say_scale(size, colours_of(own, values), own.alpha)
        written = [write_png(folder / "output.png", mapped(values, show)), write_array(folder / "output.npy", values)]
        if isinstance(values, Stored):
            return [*written, write_png(folder / "preview.png", show(thinned(values, PREVIEW)))]
        if own.float:
            written.append(write_exr(folder / "output.exr", values, own.alpha, own.windows))
        return written

    def save_as(self, values: np.ndarray, path: Path, metadata: Metadata, signed: bool | None = None) -> Path:
        """As every modality, and the picture as JPEG or WebP; prints what 8 bits, and JPEG, leave out."""
        suffix, own = path.suffix.lower(), metadata_of(ImageMetadata, metadata)
        if suffix == ".exr" and own.float and not isinstance(values, Stored):
            refuse_existing(path)
            return write_exr(path, np.asarray(values), own.alpha, own.windows)
        if suffix not in (".png", *ENCODED):
            return super().save_as(values, path, metadata, signed)
        refuse_existing(path)
        size = shown_size(values, own, signed)
        say_scale(size, colours_of(own, values), own.alpha)
        _say_depth(path, own, size)
        if suffix == ".png":
            return write_png(path, mapped(values, partial(_shown, own, size)))
        return write_encoded(path, _shown(own, size, np.asarray(values)))

    def metrics(self, values: np.ndarray, truth: np.ndarray, metadata: Metadata) -> dict[str, float]:
        """PSNR and SNR in dB, MSE, the peak of PSNR and SSIM, and SSIM where the image is large enough."""
        measured = super().metrics(values, truth, metadata)
        similarity = ssim(values, truth)
        return measured if similarity is None else measured | {"ssim": similarity}

    def draw(self, shown: Comparison, metadata: Metadata) -> Figure:
        """The image, the filtered one and, where given, the truth and the error."""
        own = metadata_of(ImageMetadata, metadata)
        said = "" if shown.truth is None else f"|error|, PSNR {psnr(shown.after, shown.truth):.1f} dB"
        shown = shown.thinned(SHOWN)
        # One scale for result and truth: shown differently they would not compare.
        size = shown_size(shown.best, own, shown.signed)
        sizes = [shown_size(shown.before, own), size, size]
        pictures = [_shown(own, limit, values) for limit, (_, values) in zip(sizes, shown.panels, strict=False)]
        error = None if shown.truth is None else np.abs(shown.after - shown.truth).mean(-1)
        return pictures_figure(shown, 3.4 * shown.aspect + 0.4, pictures, error, said)


def _say_depth(path: Path, metadata: ImageMetadata, size: float) -> None:
    """Print what the picture at `path`, of a signed `size` or 0, does not hold of a result, and which files do."""
    if path.suffix.lower() in (".jpg", ".jpeg"):
        alpha = ", and has no alpha" if metadata.alpha else ""
        warn(f"{path.name}: JPEG is lossy{alpha}; name a .png for all 8 bits, a .npy for the values")
        return
    clipped = "" if size else ", what is below 0 and above 1 clipped"
    others = ".npy, .tif or .exr" if metadata.float else ".npy or .tif"
    note(f"{path.name} has 8 bits per channel{clipped}; name a {others} for the values themselves")


def _shown(metadata: ImageMetadata, size: float, values: np.ndarray) -> np.ndarray:
    """Values [H, W, C] as the pixels of a picture."""
    return picture(metadata.shown(values), metadata.alpha, metadata.linear, size)


def colours_of(metadata: ImageMetadata, values: Array) -> int:
    """How many channels of colour pictures of values [H, W, C] show."""
    return 3 if values.shape[-1] - metadata.alpha >= 3 else 1


def shown_size(stored: Array, metadata: ImageMetadata, signed: bool | None = None) -> float:
    """The largest value of a signed picture (see `display.picture`), 0 for values that are not signed."""
    values = metadata.shown(thinned(stored, SHOWN))
    if signed is None:
        signed = is_signed(values)
    return signed_size(values[..., :-1] if metadata.alpha else values, signed)
