"""Videos: frames, rates and sizes as independent readers see them."""

import struct

import av
import cv2
import imageio.v3 as iio
import numpy as np
import pytest

from modalities import find
from modalities.figures import Comparison
from modalities.formats.clips import scaled_to, write_clip
from modalities.video import VideoMetadata

VIDEO = find("video")


def moving(frames: int, rows: int, columns: int) -> np.ndarray:
    """uint8 frames [T, H, W, 3]: smooth, every frame and side different, so that compression hardly changes them."""
    t, y, x = np.meshgrid(*(np.linspace(0, 1, count) for count in (frames, rows, columns)), indexing="ij")
    return (255 * np.stack([0.2 + 0.6 * x, 0.2 + 0.6 * y, 0.1 + 0.8 * t], axis=-1)).astype(np.uint8)


def facts(path) -> tuple[int, int, int, float]:
    """Frames that decode, rows, columns and rate of a video file, from PyAV."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate)
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    return len(frames), *frames[0].shape[:2], rate


def folder_of(frames: np.ndarray, path):
    """Frames named without leading zeros, so that only counting puts them in order."""
    path.mkdir()
    for number, frame in enumerate(frames):
        cv2.imwrite(str(path / f"frame{number}.png"), frame[..., ::-1])
    return path


@pytest.mark.parametrize(("frames", "rows", "columns"), [(7, 32, 48), (1, 64, 80), (5, 33, 47), (3, 1, 1)])
def test_written_clip_has_every_frame_at_its_rate(tmp_path, frames, rows, columns):
    expected = moving(frames, rows, columns)
    write_clip(tmp_path / "clip.mp4", expected, 30000 / 1001)
    count, height, width, rate = facts(tmp_path / "clip.mp4")
    assert (count, height, width) == (frames, rows + rows % 2, columns + columns % 2)
    assert rate == pytest.approx(30000 / 1001)
    signal = VIDEO.load(tmp_path / "clip.mp4")
    assert signal.axes == (2,)
    assert signal.metadata.fps == pytest.approx(30000 / 1001)
    shown = 255 * np.moveaxis(signal.values, 2, 0)[:, :rows, :columns]
    assert np.abs(shown - expected).mean() < 3


@pytest.mark.parametrize("extension", [".mkv", ".webm", ".gif", ".mp4"])
def test_other_containers_are_read(tmp_path, extension):
    path = tmp_path / f"clip{extension}"
    frames = moving(6, 32, 32)
    options = {"duration": 100, "loop": 0} if extension == ".gif" else {"fps": 10, "plugin": "pyav"}
    if extension != ".gif":
        options["codec"] = "libvpx-vp9" if extension == ".webm" else "libx264"
    iio.imwrite(path, frames, **options)
    signal = VIDEO.load(path)
    assert signal.values.shape == (32, 32, 6, 3)
    assert signal.metadata.fps == pytest.approx(10, rel=0.01)
    assert np.abs(255 * np.moveaxis(signal.values, 2, 0) - frames).mean() < 12


def test_folder_of_frames_is_read_in_counting_order(tmp_path):
    frames = moving(12, 9, 7)
    path = folder_of(frames, tmp_path / "frames")
    (path / "notes.txt").write_text("not a frame")
    signal = VIDEO.load(path, fps=24)
    np.testing.assert_allclose(255 * np.moveaxis(signal.values, 2, 0), frames, atol=1e-4)
    assert signal.metadata == VideoMetadata(24.0, 12)


def test_grey_frames_stay_grey_and_alpha_is_laid_over_black(tmp_path):
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((4, 6), 51, np.uint8))
    assert VIDEO.load(tmp_path).values.shape == (4, 6, 2, 1)
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((4, 6, 4), (255, 255, 255, 51), np.uint8))
    signal = VIDEO.load(tmp_path)
    assert signal.values.shape == (4, 6, 2, 3)
    np.testing.assert_allclose(signal.values, 0.2, rtol=1e-6)


def test_start_count_and_height_cut_the_clip(tmp_path):
    frames = moving(9, 20, 30)
    path = folder_of(frames, tmp_path / "frames")
    signal = VIDEO.load(path, start=2, max_frames=4, height=10)
    assert signal.values.shape == (10, 15, 4, 3)
    np.testing.assert_allclose(signal.values[5, 7, :, 2] * 255, frames[2:6, 10, 15, 2], atol=1)
    assert VIDEO.load(path, start=8, max_frames=4).values.shape[2] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 9}, "no frame from number 9"),
        ({"start": -1}, "start must be a whole number from 0"),
        ({"max_frames": 0}, "max_frames must be a whole number from 1"),
        ({"height": 0}, "height must be a whole number from 1"),
        ({"height": "tall"}, "not 'tall'"),
        ({"fps": 0}, "fps must be a number from 1e-06"),
    ],
)
def test_wrong_options_are_one_sentence(tmp_path, options, message):
    path = folder_of(moving(9, 4, 4), tmp_path / "frames")
    with pytest.raises(ValueError, match=message):
        VIDEO.load(path, **options)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_phone_videos_are_turned_upright(tmp_path, quarters):
    """The matrix of the track's header, as ISO 14496-12 has it, takes (x, y) to (a x + c y, b x + d y), y downwards."""
    frames = moving(3, 32, 48)
    write_clip(tmp_path / "clip.mp4", frames, 10)
    data = bytearray((tmp_path / "clip.mp4").read_bytes())
    cosine, sine = [(1, 0), (0, 1), (-1, 0), (0, -1)][quarters]
    matrix = (cosine, sine, 0, -sine, cosine)
    place = data.index(b"tkhd") + 44
    data[place : place + 20] = struct.pack(">5i", *(number << 16 for number in matrix))
    (tmp_path / "clip.mp4").write_bytes(bytes(data))
    shown = np.moveaxis(VIDEO.load(tmp_path / "clip.mp4").values, 2, 0)
    wanted = np.rot90(frames, -quarters, axes=(1, 2))  # clockwise
    assert shown.shape == wanted.shape
    assert np.abs(255 * shown - wanted).mean() < 3
    assert VIDEO.load(tmp_path / "clip.mp4", height=24).values.shape[:2] == ((24, 16) if quarters % 2 else (24, 36))


@pytest.mark.parametrize("name", ["frame\u00b2.png", "\u2460.png", "frame\u0665.png"])
def test_names_of_frames_may_hold_any_digits_and_hidden_files_are_none(tmp_path, name):
    path = folder_of(moving(2, 4, 4), tmp_path / "frames")
    (path / "frame1.png").rename(path / name)
    (path / "._frame1.png").write_bytes(b"another program's notes")
    assert VIDEO.load(path).values.shape[2] == 2


def test_frames_of_different_sizes_are_refused(tmp_path):
    path = folder_of(moving(2, 8, 6), tmp_path / "frames")
    cv2.imwrite(str(path / "frame2.png"), np.zeros((8, 7, 3), np.uint8))
    with pytest.raises(ValueError, match=r"frame 2 is 7 x 8 .* the first is 6 x 8"):
        VIDEO.load(path)


def test_folder_without_frames_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has no frames"):
        VIDEO.load(tmp_path)


def test_too_long_a_clip_stops_early(tmp_path, monkeypatch):
    path = folder_of(moving(9, 8, 8), tmp_path / "frames")
    monkeypatch.setattr("modalities.formats.clips.LARGE", 1000)
    monkeypatch.setattr("modalities.formats.clips.LARGEST_STORED", 1000)
    with pytest.raises(ValueError, match="set max_frames or height"):
        VIDEO.load(path)
    assert VIDEO.load(path, max_frames=5).values.shape[2] == 5


def test_saved_frames_and_clip_agree(tmp_path):
    values = np.moveaxis(moving(5, 15, 21), 0, 2).astype(np.float32) / 255
    VIDEO.save(values, tmp_path, VideoMetadata(10.0, 10))
    assert facts(tmp_path / "output.mp4") == (5, 16, 22, 5.0)  # half the frames, the same time
    names = sorted(path.name for path in (tmp_path / "frames").iterdir())
    assert names == [f"{number:04d}.png" for number in range(5)]
    frame = cv2.imread(str(tmp_path / "frames" / "0003.png"))[..., ::-1]
    np.testing.assert_array_equal(frame, moving(5, 15, 21)[3])


def test_signed_video_does_not_flicker(tmp_path):
    values = np.zeros((8, 8, 4, 1), np.float32)
    values[:4], values[4:] = 0.1, -0.1
    values[:, :, 2] *= 5
    VIDEO.save(values, tmp_path, VideoMetadata(10.0, 4))
    quiet, loud = (cv2.imread(str(tmp_path / "frames" / f"000{number}.png")).astype(int) for number in (1, 2))
    assert np.ptp(quiet, axis=-1).max() < np.ptp(loud, axis=-1).max()


def test_comparison_has_a_clip_beside_it(tmp_path):
    values = np.moveaxis(moving(4, 10, 12), 0, 2).astype(np.float32) / 255
    VIDEO.save_figure(Comparison(values, values[:, :, :3]), tmp_path / "comparison.png", VideoMetadata(8.0, 4))
    assert facts(tmp_path / "comparison.mp4") == (3, 10, 24, 6.0)


def test_frames_are_not_scaled_beyond_what_is_decoded():
    with pytest.raises(ValueError, match="lower the height"):
        scaled_to(np.zeros((4, 4, 3), np.uint8), 1 << 50)


@pytest.mark.parametrize("rate", [1e-300, 1e-5, 1e10, 1e300])
def test_rates_no_encoder_accepts_are_brought_near(tmp_path, rate):
    assert write_clip(tmp_path / "a.mp4", [np.zeros((4, 4, 3), np.uint8)] * 3, rate).stat().st_size


def test_arrays_are_videos():
    frames = np.moveaxis(moving(5, 6, 7), 0, 2)
    signal = VIDEO.from_array(frames, fps=12.5)
    np.testing.assert_allclose(signal.values, frames / 255, atol=1e-7)
    assert (signal.metadata, signal.axes) == (VideoMetadata(12.5, 5), (2,))
    assert VIDEO.from_array(frames[..., 0]).values.shape == (6, 7, 5, 1)


def test_which_values_frames_of_differences_show_is_said(tmp_path, capsys):
    VIDEO.save(np.random.default_rng(0).random((8, 8, 4, 3)) - 0.5, tmp_path, VideoMetadata(10.0, 4))
    assert "is black, 0 mid-grey and 0.49" in capsys.readouterr().err
