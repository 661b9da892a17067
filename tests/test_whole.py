"""Files that end before their container says they do: decoders would play the rest without a word."""

import struct

import imageio.v3 as iio
import numpy as np
import pytest
import soundfile

from modalities import for_path
from modalities.formats.whole import check_whole

PYAV = {"plugin": "pyav", "fps": 10}
VIDEOS = {
    "a.gif": {"duration": 100, "loop": 0},
    "a.mkv": PYAV | {"codec": "libx264"},
    "a.mp4": PYAV | {"codec": "libx264"},
    "a.webm": PYAV | {"codec": "libvpx-vp9"},
    "a.avi": PYAV | {"codec": "mpeg4"},
}
SOUNDS = {"a.wav": "WAV", "long.wav": "RF64", "a.flac": "FLAC", "a.ogg": "OGG"}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Noise, which codecs cannot make small, in a file of every container."""
    folder, rng = tmp_path_factory.mktemp("whole"), np.random.default_rng(0)
    frames = rng.integers(0, 256, (8, 32, 32, 3)).astype(np.uint8)
    for name, options in VIDEOS.items():
        iio.imwrite(folder / name, frames, **options)
    for name, kind in SOUNDS.items():
        soundfile.write(folder / name, rng.uniform(-0.5, 0.5, 30_000), 8000, format=kind)
    return folder


@pytest.mark.parametrize("share", [0.2, 0.9])
@pytest.mark.parametrize("name", [*VIDEOS, *SOUNDS])
def test_cut_files_are_one_sentence(tmp_path, written, name, share):
    data = (written / name).read_bytes()
    kind = for_path(name)
    assert kind.load(written / name).values.size >= 30_000 / 2
    (tmp_path / name).write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match=r"is cut off|damaged") as caught:
        kind.load(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_the_trailer_of_a_gif_is_missed(tmp_path, written):
    (tmp_path / "a.gif").write_bytes((written / "a.gif").read_bytes()[:-1])
    with pytest.raises(ValueError, match="is cut off"):
        for_path("a.gif").load(tmp_path / "a.gif")


@pytest.mark.parametrize("size", [0, 0x7FFF_F000, 0xFFFF_FFFF])
def test_a_stream_that_never_knew_its_length_is_not_cut(tmp_path, written, size):
    data = (written / "a.wav").read_bytes()
    place = data.index(b"data") + 4
    (tmp_path / "a.wav").write_bytes(data[:place] + struct.pack("<I", size) + data[place + 4 :])
    check_whole(tmp_path / "a.wav", "")
    data = (written / "a.mkv").read_bytes()
    place = data.index(b"\x18\x53\x80\x67") + 4
    (tmp_path / "a.mkv").write_bytes(data[:place] + b"\x01" + b"\xff" * 7 + data[place + 8 :])
    assert for_path("a.mkv").load(tmp_path / "a.mkv").shape == (32, 32, 8)


def test_what_follows_the_sound_is_no_matter(tmp_path, written):
    data = (written / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(data + b"LIST\xff\xff\x00\x00INFO")
    assert for_path("a.wav").load(tmp_path / "a.wav").metadata.samples == 30_000


@pytest.mark.parametrize("name", [*VIDEOS, *SOUNDS])
def test_chance_never_makes_more_of_it_than_a_sentence(tmp_path, written, name):
    rng, data = np.random.default_rng(1), (written / name).read_bytes()
    for _ in range(60):
        found = bytearray(data[:600])
        for place in rng.integers(0, 80, 3):
            found[place] = rng.integers(256)
        (tmp_path / name).write_bytes(bytes(found[: int(rng.integers(1, 600))]))
        try:
            check_whole(tmp_path / name, "copy it again")
        except ValueError as error:
            assert "is cut off" in str(error)
