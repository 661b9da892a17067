"""Results in files: what is assigned is what is read, whole or not at all, and nothing of a user's is overwritten."""

import os
import signal as signals_of_processes
import subprocess
import sys

import cv2
import numpy as np
import pytest
import soundfile
import tifffile
import zarr

from files.pictures import read_picture, write_png
from files.results import Scratch, chunk_shape, new_folder, new_zarr, room_if_large, write_array, write_tiff, write_zarr
from files.stored import Stored
from modalities import find
from modalities.audio import AudioMetadata
from modalities.image import ImageMetadata
from modalities.video import VideoMetadata

RANDOM = np.random.default_rng(0)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr("files.stored.BLOCK", 1000)


def test_what_is_assigned_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("files.results.LARGE", 100)
    scratch, array = Scratch((20, 30, 2), folder=tmp_path), np.zeros((20, 30, 2), np.float32)
    assert isinstance(room_if_large((20, 30, 2)), Scratch) and room_if_large((3, 3)) is None
    for index in (np.s_[2:9, 3:4], np.s_[..., 1], np.s_[19], np.s_[::3, ::7]):
        values = RANDOM.random(array[index].shape)
        scratch[index] = array[index] = values
    np.testing.assert_array_equal(scratch[1:7, 2:], array[1:7, 2:])
    np.testing.assert_array_equal(np.asarray(scratch), array)
    assert not list(tmp_path.iterdir())  # the file has no name: a killed process leaves nothing


def test_no_room_on_the_disk_is_said_at_once(tmp_path):
    with pytest.raises(OSError):
        Scratch((1 << 20, 1 << 20, 64), folder=tmp_path)


@pytest.mark.parametrize("shape", [(70, 300, 3), (9,), (5, 1), (3, 40, 50, 1)])
def test_arrays_are_written_in_blocks(tmp_path, small_blocks, shape):
    values = RANDOM.random(shape)
    wanted = values.astype(np.float32)
    np.testing.assert_array_equal(np.load(write_array(tmp_path / "a.npy", Stored.of(values))), wanted)
    if values.ndim > 1:
        np.testing.assert_array_equal(zarr.open_array(write_zarr(tmp_path / "a.zarr", Stored.of(values)))[:], wanted)
        with pytest.raises(ValueError, match="never overwritten"):
            write_zarr(tmp_path / "a.zarr", values)
    assert {path.name for path in tmp_path.iterdir()} <= {"a.npy", "a.zarr"}


@pytest.mark.parametrize("channels, alpha", [(1, False), (2, False), (3, False), (4, True), (7, True)])
def test_tiffs_are_tiled_and_read_by_others(tmp_path, channels, alpha):
    values = RANDOM.random((300, 520, channels)).astype(np.float32)
    path = write_tiff(tmp_path / "a.tif", Stored.of(values), alpha)
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff and file.pages[0].is_tiled
        np.testing.assert_array_equal(file.asarray().reshape(values.shape), values)
    picture = read_picture(path)
    assert (picture.alpha, picture.multiplied) == (alpha, alpha)
    np.testing.assert_array_equal(picture.values(), values)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (61, 47)])
def test_pictures_are_those_that_opencv_reads(tmp_path, small_blocks, channels, size):
    pixels = RANDOM.integers(0, 256, (*size, channels), np.uint8)
    write_png(tmp_path / "a.png", Stored.of(pixels))
    found = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED).reshape(pixels.shape)
    np.testing.assert_array_equal(found[..., {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]], pixels)


def test_folders_appear_whole_or_not_at_all(tmp_path):
    with pytest.raises(KeyError), new_folder(tmp_path / "a.zarr") as inner:
        new_zarr(inner, (4, 4))
        raise KeyError
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="never overwritten"), new_folder(tmp_path / "a.zarr") as inner:
        inner.mkdir()
        (tmp_path / "a.zarr").mkdir()  # somebody else's, meanwhile
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


KILLED = """
import sys, time
from pathlib import Path
from files.results import new_folder
with new_folder(Path(sys.argv[1])) as inner:
    inner.mkdir()
    print("ready", flush=True)
    time.sleep(60)
"""


def test_what_killed_writers_left_is_removed_and_what_others_write_is_not(tmp_path):
    path = tmp_path / "a.zarr"
    writers = [subprocess.Popen([sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE) for _ in range(2)]
    for writer in writers:
        assert writer.stdout is not None and writer.stdout.readline() == b"ready\n"
    try:
        assert len(list(tmp_path.iterdir())) == 2
        writers[0].send_signal(signals_of_processes.SIGKILL)
        writers[0].wait()
        with new_folder(path) as inner:
            inner.mkdir()
            assert len(list(tmp_path.iterdir())) == 2  # the other's and this one
        assert len(list(tmp_path.iterdir())) == 2
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
            assert writer.stdout is not None
            writer.stdout.close()


def test_chunks_are_tiles_of_all_channels():
    assert chunk_shape((8192, 8192, 3)) == (512, 512, 3)
    assert chunk_shape((100, 8192, 1)) == (100, 512, 1)
    assert chunk_shape((512, 512, 512, 1)) == (64, 64, 64, 1)
    assert chunk_shape((10_000_000, 2)) == (512 * 512, 2)


CASES = {
    "image": (ImageMetadata(), (40, 30, 3)),
    "video": (VideoMetadata(25.0, 7), (20, 24, 7, 3)),
    "audio": (AudioMetadata(8000, 128, 64), (3, 64, 1)),
}


@pytest.mark.parametrize("name, suffix", [("image", ".png"), ("video", ".mp4"), ("audio", ".wav"),
                                          *[(name, s) for name in CASES for s in (".npy", ".zarr")],
                                          ("image", ".tif"), ("video", ".tif")])  # fmt: skip
def test_results_in_files_are_written_as_those_in_memory(tmp_path, small_blocks, name, suffix):
    metadata, shape = CASES[name]
    values = RANDOM.random(shape).astype(np.float32)
    stored = Scratch(shape, folder=tmp_path)
    stored[...] = values
    paths = [find(name).save_as(array, tmp_path / f"{number}{suffix}", metadata) for number, array in
             enumerate((values, stored))]  # fmt: skip
    if suffix == ".zarr":
        np.testing.assert_array_equal(*[zarr.open_array(path)[:] for path in paths])
    elif suffix == ".tif":
        first, second = (tifffile.imread(path) for path in paths)
        np.testing.assert_array_equal(first, second)
        assert first.shape == shape if name == "image" else first.shape == (7, 20, 24, 3)
    else:
        assert paths[0].read_bytes() == paths[1].read_bytes()
    if suffix == ".wav":
        np.testing.assert_array_equal(soundfile.read(paths[0])[0], np.load(
            find(name).save_as(values, tmp_path / "c.npy", metadata))[:, 0])  # fmt: skip


def test_large_pictures_have_a_preview(tmp_path, monkeypatch):
    monkeypatch.setattr("modalities.image.PREVIEW", 50)
    stored = Scratch((120, 260, 3), folder=tmp_path)
    stored[...] = 0.5
    written = find("image").save(stored, tmp_path, ImageMetadata())
    assert [path.name for path in written] == ["output.png", "output.npy", "preview.png"]
    assert cv2.imread(str(tmp_path / "preview.png")).shape == (40, 44, 3)


def test_sound_has_no_rows(tmp_path):
    with pytest.raises(ValueError, match="no rows and columns"):
        find("audio").save_as(np.zeros((3, 64, 1)), tmp_path / "a.tif", CASES["audio"][0])
    assert os.listdir(tmp_path) == []  # noqa: PTH208
