"""Long videos and recordings: stretches that are decoded where they are used are those of the whole, to the frame."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import soundfile

from files.stored import Stored
from modalities import find
from modalities.formats.longclips import LongClip
from modalities.formats.sounds import long_recording, read_sound, write_wav

VIDEO, AUDIO = find("video"), find("audio")
ROWS, COLUMNS, COUNT = 48, 64, 60
KINDS = {
    "a.mp4": ("libx264", "yuv420p", {"g": "12", "bf": "3"}),
    "open.mkv": ("libx264", "yuv420p", {"x264-params": "keyint=15:open-gop=1:bframes=5:b-pyramid=normal"}),
    "refresh.mp4": ("libx264", "yuv420p", {"x264-params": "intra-refresh=1:keyint=20:bframes=0"}),
    "a.webm": ("libvpx-vp9", "yuv420p", {"g": "20", "deadline": "realtime", "cpu-used": "8"}),
    "a.avi": ("mpeg4", "yuv420p", {"g": "10", "bf": "2"}),
    "a.gif": ("gif", "rgb8", {}),
}


def film(path: Path, codec: str, form: str, options: dict[str, str], stamps=range(COUNT)) -> Path:
    """A pattern that moves by a pixel a frame, at `stamps` of 1 / 25 s."""
    pattern = np.random.default_rng(0).integers(0, 256, (ROWS, COLUMNS + COUNT, 3), np.uint8)
    pattern = cv2.GaussianBlur(pattern, (0, 0), 2)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt, stream.options = ROWS, COLUMNS, form, options
        for number, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pattern[:, number : number + COLUMNS]), "rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def both(monkeypatch, path: Path, **options):
    """The video in memory, and in its file."""
    short = VIDEO.load(path, **options)
    with monkeypatch.context() as patched:
        patched.setattr("modalities.formats.clips.LARGE", 4 * ROWS * COLUMNS * 3)
        long = VIDEO.load(path, **options)
    assert isinstance(short.values, np.ndarray) and isinstance(long.values, Stored)
    assert (short.shape, short.metadata) == (long.shape, long.metadata)
    return short.values, long.values


@pytest.mark.parametrize("name", KINDS)
def test_any_stretch_is_that_of_the_whole(tmp_path, monkeypatch, name):
    short, long = both(monkeypatch, film(tmp_path / name, *KINDS[name]))
    stretches = np.random.default_rng(1).integers(0, COUNT, (12, 2))
    for first, last in [(0, 1), (COUNT - 1, COUNT - 1), *np.sort(stretches, axis=1).tolist()]:
        part = np.s_[9:30, 5:60, first : last + 1, 1:]
        np.testing.assert_array_equal(long[part], short[part])
    np.testing.assert_array_equal(np.asarray(long), short)


def test_a_stretch_decodes_little_more_than_itself(tmp_path, monkeypatch):
    path = film(tmp_path / "a.mp4", *KINDS["a.mp4"])
    _, long = both(monkeypatch, path)
    decoded: list[int] = []
    monkeypatch.setattr(LongClip, "_from", counted(LongClip._from, decoded))
    assert long[:, :, 40:44].shape[2] == 4
    assert len(decoded) <= 12 + 4  # from the key frame before it, which is at most 12 frames earlier
    for first in range(44, 60, 4):
        assert long[:, :, first : first + 4].shape[2] == 4
    assert len(decoded) <= 12 + 20  # what follows is decoded once


def counted(decode, numbers: list[int]):
    def wrapped(clip, key):
        for number, frame in decode(clip, key):
            numbers.append(number)
            yield number, frame

    return wrapped


def test_a_seek_that_leads_elsewhere_is_found_out(tmp_path, monkeypatch):
    short, long = both(monkeypatch, film(tmp_path / "a.mp4", *KINDS["a.mp4"]))
    decode = LongClip._from
    monkeypatch.setattr(LongClip, "_from", lambda clip, key: decode(clip, key if key is None else clip._keys[-1]))
    np.testing.assert_array_equal(long[:, :, 20:24], short[:, :, 20:24])


def test_start_height_and_uneven_times(tmp_path, monkeypatch):
    stamps = [number + (number > 30) * 7 for number in range(COUNT)]
    path = film(tmp_path / "a.mkv", *KINDS["a.mp4"], stamps=stamps)
    for options in ({}, {"times": "keep"}, {"start": 7, "max_frames": 40, "height": 40}):
        short, long = both(monkeypatch, path, **options)
        np.testing.assert_array_equal(long[:, :, 21:41:3], short[:, :, 21:41:3])
        np.testing.assert_array_equal(long[4:6, :, 25], short[4:6, :, 25])


def test_folders_of_frames_are_read_frame_by_frame(tmp_path, monkeypatch):
    for number in range(9):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((ROWS, COLUMNS, 3), 20 * number, np.uint8))
    short, long = both(monkeypatch, tmp_path, start=1)
    np.testing.assert_array_equal(long[3:5, ::9, 2:7], short[3:5, ::9, 2:7])
    cv2.imwrite(str(tmp_path / "5.png"), np.zeros((ROWS, COLUMNS - 1, 3), np.uint8))
    with pytest.raises(
        ValueError, match=f"frame 5 is {COLUMNS - 1} x {ROWS} with 3 channels of uint8, the first is {COLUMNS} x"
    ):
        long[:, :, 3:7]


def test_a_changed_file_is_said(tmp_path, monkeypatch):
    path = film(tmp_path / "a.mp4", *KINDS["a.mp4"])
    _, long = both(monkeypatch, path)
    film(path, *KINDS["a.mp4"], stamps=range(10))
    with pytest.raises(ValueError, match="it has changed meanwhile"):
        long[:, :, 30:40]


RECORDINGS = {"a.wav": "PCM_16", "b.wav": "FLOAT", "a.flac": "PCM_24", "a.aiff": "PCM_16", "a.ogg": "VORBIS",
              "a.mp3": "MPEG_LAYER_III"}  # fmt: skip


@pytest.mark.parametrize("name", RECORDINGS)
def test_long_recordings_are_read_in_stretches(tmp_path, monkeypatch, name):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (30_000, 2))
    soundfile.write(tmp_path / name, samples, 16_000, subtype=RECORDINGS[name])
    short = AUDIO.load(tmp_path / name, window=512, halo=100)
    monkeypatch.setattr("modalities.formats.sounds.LARGE", 10_000)
    monkeypatch.setattr("modalities.formats.sounds.BLOCK", 7000)
    long = AUDIO.load(tmp_path / name, window=512, halo=100)
    assert isinstance(long.values, Stored) and (long.metadata, long.halo) == (short.metadata, short.halo)
    rounding = 1e-6 if name == "a.mp3" else 0.0  # its decoder rounds by what is asked for at once
    np.testing.assert_allclose(long.values[20:33, 50:, 1], short.values[20:33, 50:, 1], rtol=0, atol=rounding)
    np.testing.assert_allclose(long.values[0], short.values[0], rtol=0, atol=rounding)
    np.testing.assert_allclose(np.asarray(long.values), short.values, rtol=0, atol=rounding)


def test_windows_in_a_file_join_into_the_recording(tmp_path):
    for count, window, finer in ((700, 64, 64), (700, 64, 127), (50, 64, 30), (65, 64, 64)):
        metadata = AUDIO.from_array(np.zeros(count), sample_rate=8000, window=window).metadata
        values = np.random.default_rng(0).random((metadata.windows.count, finer, 2)).astype(np.float32)
        whole, found = metadata.windows.join(values), metadata.windows.join(Stored.of(values))
        assert found.shape == whole.shape
        np.testing.assert_array_equal(found[...], whole)
        np.testing.assert_array_equal(found[13:47, 1], whole[13:47, 1])
        written = read_sound(write_wav(tmp_path / "a.wav", found, 8000))
        np.testing.assert_array_equal(written.samples, whole)


def test_long_recordings_without_numbers_are_refused(tmp_path, monkeypatch):
    samples = np.zeros(20_000, np.float32)
    samples[15_000] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, 8000, subtype="FLOAT")
    monkeypatch.setattr("modalities.formats.sounds.LARGE", 10_000)
    with pytest.raises(ValueError, match="NaN, infinite"):
        AUDIO.load(tmp_path / "a.wav")
    assert not long_recording(tmp_path / "a.wav").whole
