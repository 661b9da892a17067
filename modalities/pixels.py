"""Pixels in and out of image files: which library reads which format, at full depth.

OpenCV reads 8, 16 bit and float samples as they are (others silently drop 16-bit colour to 8 bit), OpenEXR reads EXR.
"""

import struct
import tempfile
import warnings
from pathlib import Path

import cv2
import numpy as np

from files import atomic_write
from modalities.inputs import existing_file
from modalities.whole import check_whole

ADVICE = "give a PNG, JPEG, TIFF, BMP, WebP, HDR or EXR image"
LARGEST_PIXELS = 1 << 27
# What a TIFF's tag 338 may say: colours multiplied by alpha, or not.
EXTRA_SAMPLES, ASSOCIATED, UNASSOCIATED = 338, 1, 2
# EXR channel names by count, in the order of the last axis.
EXR_NAMES = {1: ("Y",), 3: ("R", "G", "B"), 4: ("R", "G", "B", "A")}


def read_pixels(path: Path) -> np.ndarray:
    """The pixels [H, W, C] of an image file as stored: RGB(A) order, any depth, alpha as it is in the file.

    Raises FileNotFoundError or ValueError.
    """
    path = existing_file(path, "an image", ADVICE)
    if path.suffix.lower() == ".exr":
        return _read_exr(path)
    _refuse_bomb(path)
    check_whole(path, ADVICE)  # OpenCV makes room for whatever length a part of a PNG claims
    # The flags of OpenCV exclude each other: only without alpha does it turn photographs upright.
    upright = path.suffix.lower() in (".jpg", ".jpeg")
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH if upright else cv2.IMREAD_UNCHANGED
    pixels = _decode(np.fromfile(path, np.uint8), flags)
    if pixels is None or pixels.size == 0:
        raise ValueError(f"{path} is not an image that can be read, or it is damaged; {ADVICE}")
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if pixels.shape[-1] not in (1, 3, 4):
        raise ValueError(f"{path} has {pixels.shape[-1]} channels; save it as grey, RGB or RGBA first")
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[pixels.shape[-1]]
    return np.ascontiguousarray(pixels[..., order])


def is_premultiplied(path: Path, pixels: np.ndarray) -> bool:
    """Whether the colours of decoded RGBA `pixels` are multiplied by alpha already: in EXR always, in TIFF as it says.

    Of 8-bit TIFFs OpenCV multiplies those itself that say that they are not.
    """
    if path.suffix.lower() == ".exr":
        return True
    kind = _extra_samples(path)
    return kind == ASSOCIATED or (kind == UNASSOCIATED and pixels.dtype == np.uint8)


def _extra_samples(path: Path) -> int | None:
    """What a TIFF's first directory says of its fourth channel (tag 338, ExtraSamples); None for other files."""
    with path.open("rb") as stream:
        head = stream.read(8)
        if head[:4] not in (b"II*\0", b"MM\0*"):
            return None
        order = "<" if head[:2] == b"II" else ">"
        try:
            stream.seek(struct.unpack(f"{order}I", head[4:])[0])
            (count,) = struct.unpack(f"{order}H", stream.read(2))
            for _ in range(count):
                tag, _, _, value = struct.unpack(f"{order}HHIH2x", stream.read(12))
                if tag == EXTRA_SAMPLES:
                    return value
        except struct.error:  # a damaged file is the decoder's matter
            pass
    return None


def _decode(data: np.ndarray, flags: int) -> np.ndarray | None:
    """The pixels OpenCV finds in the bytes `data`, or None; its own log would only repeat our error."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return cv2.imdecode(data, flags)
    except cv2.error:
        return None
    finally:
        cv2.utils.logging.setLogLevel(level)


def _refuse_bomb(path: Path) -> None:
    """Raise ValueError where the header claims more pixels than are ever decoded."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own sentence says what there is to say
            with Image.open(path) as header:
                pixels = header.size[0] * header.size[1]
    except Image.DecompressionBombError:
        pixels = LARGEST_PIXELS + 1
    except (OSError, ValueError, SyntaxError):
        return  # not known to Pillow (a float TIFF, say): OpenCV has a bound of its own
    if pixels > LARGEST_PIXELS:
        raise ValueError(f"{path} claims more than the {LARGEST_PIXELS} pixels supported; crop or shrink it first")


def _read_exr(path: Path) -> np.ndarray:
    """RGB(A) or the only channel of the first part of an EXR file, [H, W, C] float16 or float32."""
    import OpenEXR

    try:
        with OpenEXR.File(str(path), header_only=True) as file:
            low, high = (np.asarray(corner, np.int64) for corner in file.header()["dataWindow"])
            width, height = high - low + 1
        if width * height > LARGEST_PIXELS:
            raise ValueError(f"{path} claims more than the {LARGEST_PIXELS} pixels supported; crop or shrink it first")
        with OpenEXR.File(str(path)) as file:
            channels = {name: np.array(channel.pixels) for name, channel in file.channels().items()}
    except (RuntimeError, KeyError, TypeError):
        raise ValueError(f"{path} is not an EXR image or is damaged; write it again") from None
    except ValueError as error:
        if "claims" in str(error):
            raise
        raise ValueError(f"{path} is not a whole EXR image; write it again") from None
    name = next((name for name in ("RGBA", "RGB", "Y") if name in channels), None)
    if name is None and len(channels) == 1:
        name = next(iter(channels))
    if name is None or not np.issubdtype(channels[name].dtype, np.floating):
        raise ValueError(f"{path} has the channels {', '.join(channels)}; save it with float RGB, RGBA or Y first")
    return channels[name].reshape(height, width, -1)


def write_png(path: Path, pixels: np.ndarray) -> Path:
    """Write uint8 pixels [H, W, 1 | 3 | 4] in RGB(A) order as PNG, atomically."""
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[pixels.shape[-1]]
    _, data = cv2.imencode(".png", np.ascontiguousarray(pixels[..., order]))
    with atomic_write(path) as stream:
        stream.write(data.tobytes())
    return path


def write_exr(path: Path, values: np.ndarray) -> Path:
    """Write values [H, W, 1 | 3 | 4] as 32-bit float EXR, atomically."""
    import OpenEXR

    names = EXR_NAMES[values.shape[-1]]
    planes = {name: np.ascontiguousarray(values[..., i], np.float32) for i, name in enumerate(names)}
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "draft.exr"
        OpenEXR.File(header, planes).write(str(draft))
        data = draft.read_bytes()
    with atomic_write(path) as stream:
        stream.write(data)
    return path


def write_values(path: Path, values: np.ndarray) -> Path:
    """Write the values as they are to a float32 .npy file, atomically."""
    with atomic_write(path) as stream:
        np.save(stream, np.asarray(values, np.float32), allow_pickle=False)
    return path
