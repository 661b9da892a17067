"""Pixels in and out of image files: which library reads which format, at full depth.

OpenCV reads 8, 16 bit and float samples as they are (others silently drop 16-bit colour to 8 bit), OpenEXR reads EXR.
"""

import struct
import tempfile
import warnings
from pathlib import Path

import numpy as np

from files import atomic_write
from modalities.formats.inputs import existing_file
from modalities.formats.whole import check_whole

ADVICE = "give a PNG, JPEG, TIFF, BMP, WebP, HDR or EXR image"
LARGEST_PIXELS = 1 << 27
TOO_LARGE = f"{{}} claims more than the {LARGEST_PIXELS} pixels supported; crop or shrink it first"
# Values of a TIFF's tag 338: colours multiplied by alpha, or not.
EXTRA_SAMPLES, ASSOCIATED, UNASSOCIATED = 338, 1, 2
# EXR channel names by count, in the order of the last axis.
EXR_NAMES = {1: ("Y",), 3: ("R", "G", "B"), 4: ("R", "G", "B", "A")}
# OpenCV stores colours backwards.
BGR = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}


def read_pixels(path: Path) -> np.ndarray:
    """The pixels [H, W, C] of an image file as stored: RGB(A) order, any depth, alpha as it is in the file.

    Raises FileNotFoundError or ValueError.
    """
    import cv2

    path = existing_file(path, "an image", ADVICE)
    if path.suffix.lower() == ".exr":
        return _read_exr(path)
    _refuse_bomb(path)
    check_whole(path, ADVICE)  # OpenCV allocates whatever length a chunk of a PNG claims
    # The flags of OpenCV exclude each other: only without alpha does it turn photographs upright.
    upright = path.suffix.lower() in (".jpg", ".jpeg")
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH if upright else cv2.IMREAD_UNCHANGED
    pixels = _decode(np.fromfile(path, np.uint8), flags)
    if pixels is None or pixels.size == 0:
        raise ValueError(f"{path} is not a readable image, or it is damaged; {ADVICE}")
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if pixels.shape[-1] not in (1, 3, 4):
        raise ValueError(f"{path} has {pixels.shape[-1]} channels; save it as grey, RGB or RGBA first")
    return np.ascontiguousarray(pixels[..., BGR[pixels.shape[-1]]])


def is_premultiplied(path: Path, pixels: np.ndarray) -> bool:
    """Whether the colours of decoded RGBA `pixels` are multiplied by alpha: in EXR always, in TIFF by its tag 338.

    OpenCV multiplies the colours of 8-bit TIFFs with unassociated alpha itself.
    """
    if path.suffix.lower() == ".exr":
        return True
    kind = _extra_samples(path)
    return kind == ASSOCIATED or (kind == UNASSOCIATED and pixels.dtype == np.uint8)


def _extra_samples(path: Path) -> int | None:
    """Tag 338 (ExtraSamples, the kind of the fourth channel) of a TIFF's first directory; None for other files."""
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
        except struct.error:  # the decoder reports a damaged file
            pass
    return None


def _decode(data: np.ndarray, flags: int) -> np.ndarray | None:
    """The pixels OpenCV decodes from the bytes `data`, or None; its own log would only repeat our error."""
    import cv2

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
            warnings.simplefilter("ignore")  # our own error says it
            with Image.open(path) as header:
                pixels = header.size[0] * header.size[1]
    except Image.DecompressionBombError:
        pixels = LARGEST_PIXELS + 1
    except (OSError, ValueError, SyntaxError):
        return  # not known to Pillow (a float TIFF, say): OpenCV has a bound of its own
    if pixels > LARGEST_PIXELS:
        raise ValueError(TOO_LARGE.format(path))


def _read_exr(path: Path) -> np.ndarray:
    """RGB(A) or the only channel of the first part of an EXR file, [H, W, C] float16 or float32."""
    import OpenEXR

    try:
        with OpenEXR.File(str(path), header_only=True) as file:
            low, high = (np.asarray(corner, np.int64) for corner in file.header()["dataWindow"])
        width, height = high - low + 1
        if fits := bool(width * height <= LARGEST_PIXELS):
            with OpenEXR.File(str(path)) as file:
                channels = {name: np.array(channel.pixels) for name, channel in file.channels().items()}
    except (RuntimeError, KeyError, TypeError, ValueError):
        raise ValueError(f"{path} is not a whole EXR image, or it is damaged; write it again") from None
    if not fits:
        raise ValueError(TOO_LARGE.format(path))
    name = next((name for name in ("RGBA", "RGB", "Y") if name in channels), None)
    if name is None and len(channels) == 1:
        name = next(iter(channels))
    if name is None or not np.issubdtype(channels[name].dtype, np.floating):
        raise ValueError(f"{path} has the channels {', '.join(channels)}; save it with float RGB, RGBA or Y first")
    return channels[name].reshape(height, width, -1)


def write_png(path: Path, pixels: np.ndarray) -> Path:
    """Write uint8 pixels [H, W, 1 | 3 | 4] in RGB(A) order as PNG, atomically."""
    import cv2

    _, data = cv2.imencode(".png", np.ascontiguousarray(pixels[..., BGR[pixels.shape[-1]]]))
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
