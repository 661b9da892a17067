"""EXR: which part and channels are the picture, luminance and chroma, windows carried over."""

import struct

import numpy as np
import OpenEXR
import pytest

from files.pictures import read_picture
from files.pictures.writing import channel_names, scaled_windows
from modalities import find
from modalities.image import ImageMetadata

RNG = np.random.default_rng(0)
R, G, B, A, Z = (RNG.random((10, 14)).astype(np.float32) for _ in range(5))
RGB = np.stack([R, G, B], axis=-1)
HEADER = {"type": OpenEXR.scanlineimage, "compression": OpenEXR.ZIP_COMPRESSION}
IMAGE = find("image")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.exr"


def write(path, channels: dict, **header) -> None:
    OpenEXR.File(HEADER | header, channels).write(str(path))


def by_hand(path, planes: dict[str, np.ndarray], sampling: dict[str, tuple[int, int]]) -> None:
    """An uncompressed EXR whose planes have a sample every so many rows and columns, which OpenEXR does not write."""

    def attribute(name: bytes, kind: bytes, data: bytes) -> bytes:
        return name + b"\0" + kind + b"\0" + struct.pack("<i", len(data)) + data

    names, (height, width) = sorted(planes), planes["Y"].shape
    channels = [name.encode() + b"\0" + struct.pack("<iB3xii", 2, 0, *sampling[name][::-1]) for name in names]
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    head = b"\x76\x2f\x31\x01\x02\0\0\0" + attribute(b"channels", b"chlist", b"".join(channels) + b"\0")
    head += attribute(b"compression", b"compression", b"\0") + attribute(b"lineOrder", b"lineOrder", b"\0")
    head += attribute(b"dataWindow", b"box2i", window) + attribute(b"displayWindow", b"box2i", window)
    head += attribute(b"pixelAspectRatio", b"float", struct.pack("<f", 1))
    head += attribute(b"screenWindowCenter", b"v2f", bytes(8))
    head += attribute(b"screenWindowWidth", b"float", struct.pack("<f", 1)) + b"\0"
    lines = []
    for row in range(height):
        stored = [name for name in names if row % sampling[name][0] == 0]
        data = b"".join(planes[name][row // sampling[name][0]].astype("<f4").tobytes() for name in stored)
        lines.append(struct.pack("<ii", row, len(data)) + data)
    ends = len(head) + 8 * height + np.cumsum([0, *map(len, lines)])
    path.write_bytes(head + ends[:-1].astype("<u8").tobytes() + b"".join(lines))


def test_halves_and_floats_may_be_mixed(path):
    write(path, {"R": R.astype(np.float16), "G": G, "B": B, "A": A.astype(np.float16)})
    signal = IMAGE.load(path)
    np.testing.assert_array_equal(signal.values, np.stack([R.astype(np.float16), G, B, A.astype(np.float16)], axis=-1))
    assert signal.metadata == ImageMetadata(alpha=True, float=True, linear=True)


@pytest.mark.parametrize(
    "channels, wanted, left",
    [
        ({"R": R, "G": G, "B": B, "Z": Z}, RGB, "Z"),
        ({"diffuse.R": R, "diffuse.G": G, "diffuse.B": B, "Z": Z}, RGB, "Z"),
        ({"a.R": Z, "a.G": Z, "a.B": Z, "R": R, "G": G, "B": B}, RGB, "a.B, a.G, a.R"),
        ({"r": R, "g": G, "b": B}, RGB, ""),
        ({"Y": R}, R[..., None], ""),
        ({"Y": R, "A": A}, np.stack([R, R, R, A], axis=-1), ""),
        ({"Z": R}, R[..., None], ""),
    ],
)
def test_the_channels_that_are_the_picture(path, capsys, channels, wanted, left):
    write(path, channels)
    np.testing.assert_array_equal(IMAGE.load(path).values, wanted)
    said = f"warning: a.exr: its channels {left} are left out\n" if left else ""
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("channels", [{"U": R, "V": G}, {"Y": R, "RY": G}, {"R": R.astype(np.uint32)}])
def test_channels_that_are_no_picture_are_named(path, channels):
    write(path, channels)
    listed = ", ".join(sorted(channels))
    with pytest.raises(ValueError, match=f"has the channels {listed}; save it with float RGB, RGBA or Y first"):
        read_picture(path)


@pytest.mark.parametrize(
    "parts, read",
    [
        ([("depth", {"Z": Z}), ("beauty", {"RGB": RGB})], "beauty"),
        ([("light", {"Y": Z}), ("beauty", {"RGB": RGB})], "beauty"),
        ([("beauty", {"RGB": RGB}), ("other", {"RGB": 1 - RGB})], "beauty"),
        ([("depth", {"Z": Z}), ("motion", {"U": Z, "V": Z}), ("b", {"x.R": R, "x.G": G, "x.B": B})], "b"),
    ],
)
def test_the_part_with_colour_is_read_and_said(path, parts, read):
    OpenEXR.File([OpenEXR.Part({**HEADER, "name": name}, channels) for name, channels in parts]).write(str(path))
    picture = read_picture(path)
    np.testing.assert_array_equal(picture.pixels, RGB)
    assert picture.notes == (f"it has the parts {', '.join(name for name, _ in parts)}: {read} is read",)


@pytest.mark.parametrize("primaries, step", [("Rec. 709", 1), ("Rec. 709", 2), ("Rec. 2020", 1)])
def test_luminance_and_chroma_are_colours(path, primaries, step):
    """Against the weights of luminance that the standards print; linear chroma may be interpolated."""
    weights = {"Rec. 709": (0.2126, 0.7152, 0.0722), "Rec. 2020": (0.2627, 0.6780, 0.0593)}[primaries]
    luminance = 0.2 + RNG.random((10, 14))
    across, down = np.arange(14) / 40, np.arange(10)[:, None] / 30
    red, blue = across + 0 * down, down - across
    colours = np.stack([(red + 1) * luminance, 0 * luminance, (blue + 1) * luminance], axis=-1)
    colours[..., 1] = (luminance - weights[0] * colours[..., 0] - weights[2] * colours[..., 2]) / weights[1]
    planes = {"Y": luminance, "RY": red[::step, ::step], "BY": blue[::step, ::step]}
    if primaries == "Rec. 709":
        by_hand(path, planes, {"Y": (1, 1), "RY": (step, step), "BY": (step, step)})
    else:
        header = {"chromaticities": (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290)}
        write(path, {name: np.float32(plane) for name, plane in planes.items()}, **header)
    picture = read_picture(path)
    inner = (slice(None), slice(None)) if step == 1 else (slice(9), slice(13))  # nothing to interpolate beyond the last
    np.testing.assert_allclose(picture.pixels[inner], colours[inner], atol=2e-4)
    assert picture.notes[0] == "its luminance and chroma are converted to RGB"
    assert picture.notes[1:] == (() if step == 1 else ("its chroma has fewer samples, interpolated linearly",))


@pytest.mark.parametrize("alpha", [False, True])
def test_windows_are_carried_over(path, tmp_path, alpha):
    windows = (-5, 7, 8, 16, 0, 2, 99, 79)
    corners = np.reshape(windows, (4, 2)).astype(np.int32)
    channels = {"RGBA": np.dstack([RGB, A])} if alpha else {"RGB": RGB}
    write(path, channels, dataWindow=tuple(corners[:2]), displayWindow=tuple(corners[2:]))
    signal = IMAGE.load(path)
    assert signal.metadata == ImageMetadata(alpha, True, True, windows)
    IMAGE.save(signal.values, tmp_path, signal.metadata)
    again = IMAGE.load(tmp_path / "output.exr")
    assert again.metadata == signal.metadata
    np.testing.assert_array_equal(again.values, signal.values)
    with OpenEXR.File(str(tmp_path / "output.exr")) as file:
        header = dict(file.header())
    assert np.ravel([header["dataWindow"], header["displayWindow"]]).tolist() == list(windows)


def test_windows_grow_with_the_picture():
    (low, high), (first, last) = scaled_windows((10, 20, 19, 39, 0, 0, 99, 49), (40, 30))  # 3 and 2 times
    assert [low.tolist(), high.tolist()] == [[30, 40], [59, 79]]
    assert [first.tolist(), last.tolist()] == [[0, 0], [299, 99]]


@pytest.mark.parametrize(
    "windows", [(0, 0, 1, 1), (5, 0, 4, 9, 0, 0, 9, 9), (0, 5, 9, 4, 0, 0, 9, 9), (0.5, 0, 1, 1, 0, 0, 1, 1), "window"]
)
def test_windows_of_damaged_files_are_refused(windows):
    with pytest.raises(ValueError, match="windows"):
        ImageMetadata(windows=windows)


def test_bands_have_names_of_their_own():
    assert channel_names(1, False) == ["Y"]
    assert channel_names(2, False) == ["Y", "band2"]
    assert channel_names(3, False) == ["R", "G", "B"]
    assert channel_names(4, True) == ["R", "G", "B", "A"]
    assert channel_names(6, True) == ["R", "G", "B", "band4", "band5", "A"]


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_cut_files_are_one_sentence(path, share):
    write(path, {"RGB": RNG.random((80, 50, 3)).astype(np.float32)})
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"a\.exr is not a whole EXR image, or it is damaged; write it again"):
        read_picture(path)
