"""Videos as people have them: every file is made here, what is read is compared with what was put in."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from modalities import find
from modalities.figures import Comparison
from modalities.formats.decoding import rate_of
from modalities.video import VideoMetadata

VIDEO = find("video")
MILLISECONDS = Fraction(1, 1000)


def flat(levels, rows: int = 32, columns: int = 48) -> np.ndarray:
    """Grey uint8 frames [T, H, W, 3] of these levels, which codecs keep."""
    return np.broadcast_to(np.asarray(levels, np.uint8)[:, None, None, None], (len(levels), rows, columns, 3))


def film(path, frames, codec="libx264", pixels="yuv420p", form="rgb24", rate=25, stamps=None, unit=None, **stated):
    """Write `frames` [T, ...] at `stamps` (in `unit`s of a second); `stated` are attributes of the encoder."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        rows = len(frames[0]) * 2 // 3 if form == "yuv420p" else len(frames[0])
        stream.height, stream.width, stream.pix_fmt = rows, frames[0].shape[1], pixels
        stream.options = {"crf": "1"} if "264" in codec else {"auto-alt-ref": "0"} if codec == "libvpx" else {}
        for name, value in stated.items():
            setattr(stream.codec_context, name, value)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=form)
            frame.pts = number if stamps is None else stamps[number]
            frame.time_base = unit or Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def turn(path, a: float, b: float, c: float, d: float) -> None:
    """Write this display matrix into the only track of an MP4."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 44
    data[place : place + 20] = struct.pack(">5i", *(round(number * 65536) for number in (a, b, 0, c, d)))
    path.write_bytes(bytes(data))


def shown(path) -> np.ndarray:
    """Frames [T, H, W, 3] in [0, 1] as PyAV decodes the first stream that is H.264."""
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams.video if stream.codec_context.name == "h264")
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]) / 255


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_cover_picture_is_no_video(tmp_path, name):
    film(tmp_path / "plain.mp4", flat([10, 80, 150, 220]))
    with av.open(str(tmp_path / name), "w") as container:
        streams = [container.add_stream("mjpeg", rate=1), container.add_stream("libx264", rate=25)]
        streams[0].disposition = av.stream.Disposition.attached_pic
        for stream, pixels in zip(streams, ("yuvj420p", "yuv420p"), strict=True):
            stream.width, stream.height, stream.pix_fmt = 48, 32, pixels
        container.mux(streams[0].encode(av.VideoFrame.from_ndarray(flat([255])[0].copy())))
        for level in flat([10, 80, 150, 220]):
            container.mux(streams[1].encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(level))))
        for stream in streams:
            container.mux(stream.encode())
    signal = VIDEO.load(tmp_path / name)
    assert signal.metadata.fps == pytest.approx(25)
    np.testing.assert_allclose(signal.values[5, 5, :, 0] * 255, [10, 80, 150, 220], atol=3)


def test_a_recording_with_a_cover_is_refused(tmp_path, capsys):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuvj420p"
        stream.disposition = av.stream.Disposition.attached_pic
        container.mux(stream.encode(av.VideoFrame.from_ndarray(flat([255])[0].copy())))
        container.mux(stream.encode())
    with pytest.raises(ValueError, match="has no video stream but a cover picture"):
        VIDEO.load(tmp_path / "a.mp4")


def test_of_two_videos_one_is_read_and_this_is_said(tmp_path, capsys):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        streams = [container.add_stream("libx264", rate=25) for _ in range(2)]
        for stream, level in zip(streams, (50, 200), strict=True):
            stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(flat([level])[0].copy())))
        for stream in streams:
            container.mux(stream.encode())
    VIDEO.load(tmp_path / "a.mkv")
    assert "a.mkv has 2 video streams: stream " in capsys.readouterr().err


def test_the_rate_is_that_of_the_times(tmp_path, capsys):
    """Millisecond stamps of 30000/1001 frames a second: even, though the container rounds them."""
    stamps = [38 + round(i * 1001 / 30) for i in range(24)]
    film(tmp_path / "a.webm", flat(range(20, 140, 5)), "libvpx", rate=1000, stamps=stamps, unit=MILLISECONDS)
    signal = VIDEO.load(tmp_path / "a.webm")
    assert signal.metadata.fps == pytest.approx(23 / ((stamps[-1] - stamps[0]) / 1000))
    assert (signal.shape[2], capsys.readouterr().err) == (24, "")


def test_a_rate_that_no_file_states_is_that_of_the_times_alone():
    times = np.arange(24) / 24
    assert rate_of(times, None, 1 / 24) == pytest.approx(24)
    assert rate_of(times, 25.0, 1 / 24) == 25.0  # such a unit cannot tell them apart
    assert rate_of(times, 25.0, 1e-3) == pytest.approx(24)


STAMPS = [0, 40, 80, 120, 160, 360, 560, 760, 800, 840]
LEVELS = [20, 200, 60, 180, 90, 220, 40, 130, 70, 240]


@pytest.mark.parametrize("late", [0, 500])
def test_uneven_times_are_resampled_linearly_and_this_is_said(tmp_path, capsys, late):
    stamps = [late + stamp for stamp in STAMPS]
    path = film(tmp_path / "a.mkv", flat(LEVELS), rate=1000, stamps=stamps, unit=MILLISECONDS)
    signal = VIDEO.load(path)
    assert "10 frames are resampled linearly to 22, 40 ms apart; the largest gap is 200 ms" in capsys.readouterr().err
    levels = shown(path)[:, 5, 5, 0]
    even = np.arange(signal.shape[2]) * 1000 / signal.metadata.fps
    assert (signal.metadata.fps, even[-1]) == (pytest.approx(25), pytest.approx(840))
    np.testing.assert_allclose(signal.values[5, 5, :, 0], np.interp(even, STAMPS, levels), atol=1e-6)
    again = VIDEO.load_again(path, signal.metadata)
    np.testing.assert_array_equal(again.values, signal.values)
    assert again.metadata == signal.metadata


def test_frames_at_uneven_times_are_kept_on_request(tmp_path, capsys):
    path = film(tmp_path / "a.mkv", flat(LEVELS), rate=1000, stamps=STAMPS, unit=MILLISECONDS)
    signal = VIDEO.load(path, times="keep")
    np.testing.assert_allclose(signal.values[5, 5, :, 0], shown(path)[:, 5, 5, 0], atol=1e-6)
    assert (signal.metadata.fps, signal.metadata.times) == (pytest.approx(9 / 0.84), "keep")
    assert capsys.readouterr().err == ""
    assert VIDEO.load(path, fps=12.0).metadata == VideoMetadata(12.0, 22)
    assert VIDEO.load(path, start=1, max_frames=4).metadata == VideoMetadata(25.0, 4, 1, 4)
    with pytest.raises(ValueError, match="times must be resample or keep, not 'drop'"):
        VIDEO.load(path, times="drop")


def test_delays_of_a_gif_are_times(tmp_path):
    from PIL import Image

    images = [Image.fromarray(np.full((16, 24), level, np.uint8)) for level in (0, 100, 200, 50)]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=[50, 50, 200, 50])
    signal = VIDEO.load(tmp_path / "a.gif")
    assert signal.metadata.fps == pytest.approx(20)
    np.testing.assert_allclose(255 * signal.values[3, 3, :, 0], [0, 100, 200, 162.5, 125, 87.5, 50], atol=0.01)


def test_avi_knows_no_times(tmp_path, capsys):
    path = film(tmp_path / "a.avi", flat(LEVELS), rate=12, max_b_frames=2)
    signal = VIDEO.load(path)
    assert (signal.metadata.fps, capsys.readouterr().err) == (12, "")
    np.testing.assert_allclose(255 * signal.values[5, 5, :, 0], LEVELS, atol=3)


def test_interlaced_frames_are_said(tmp_path, capsys):
    film(tmp_path / "a.mkv", flat(LEVELS), "mpeg2video", flags=av.codec.context.Flags.interlaced_dct)
    VIDEO.load(tmp_path / "a.mkv", max_frames=4)
    assert "a.mkv has 4 interlaced frames of 4" in capsys.readouterr().err


def test_more_numbers_than_memory_holds_are_refused_before_they_are_made(tmp_path, monkeypatch):
    path = film(tmp_path / "a.mkv", flat(LEVELS[:4]), rate=1000, stamps=[0, 1, 2, 5000], unit=MILLISECONDS)
    monkeypatch.setattr("files.inputs.LARGEST_SAMPLES", 32 * 48 * 3 * 5000)
    with pytest.raises(ValueError, match=r"at even frame times has 23044608 numbers.*use --times keep"):
        VIDEO.load(path)
    assert VIDEO.load(path, times="keep").shape[2] == 4


@pytest.mark.parametrize(
    "matrix", [(1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1), (0, 1, 1, 0), (0, 1, -1, 0), (0, -1, 1, 0),
               (0, -1, -1, 0)],
)  # fmt: skip
def test_every_turn_and_reflection_of_the_display_matrix(tmp_path, matrix):
    """ISO 14496-12: (x, y) goes to (a x + c y, b x + d y), y downwards."""
    rng = np.random.default_rng(0)
    frames = np.kron(rng.integers(0, 256, (2, 4, 6, 1)), np.ones((1, 8, 8, 3))).astype(np.uint8)
    film(tmp_path / "a.mp4", frames, sample_aspect_ratio=Fraction(3, 2))
    plain = VIDEO.load(tmp_path / "a.mp4").values
    a, b, c, d = matrix
    turn(tmp_path / "a.mp4", *matrix)
    signal = VIDEO.load(tmp_path / "a.mp4")
    y, x = np.mgrid[: plain.shape[0], : plain.shape[1]]
    across, down = a * x + c * y, b * x + d * y
    wanted = np.empty(((48, 32) if a == 0 else (32, 48)) + plain.shape[2:], np.float32)
    wanted[down - down.min(), across - across.min()] = plain
    np.testing.assert_array_equal(signal.values, wanted)
    assert signal.metadata.pixel_aspect == ((2, 3) if a == 0 else (3, 2))


def test_other_angles_are_said(tmp_path, capsys):
    film(tmp_path / "a.mp4", flat([10, 200]))
    turn(tmp_path / "a.mp4", 0.8, 0.6, -0.6, 0.8)
    assert VIDEO.load(tmp_path / "a.mp4").shape == (32, 48, 2)
    assert "to be shown at an angle" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [("a.webm", "libvpx-vp9", "yuva420p"), ("b.webm", "libvpx", "yuva420p"), ("a.mov", "qtrle", "argb"),
     ("a.mkv", "ffv1", "yuva444p10le")],
)  # fmt: skip
def test_what_is_transparent_is_black(tmp_path, name, codec, pixels):
    frames = np.zeros((3, 32, 48, 4), np.uint8)
    frames[..., 0] = 200
    frames[:, :, 24:, 3] = 255
    frames[:, 16:, 24:, 3] = 51
    options = {"bit_rate": 4_000_000} if "vpx" in codec else {}
    values = VIDEO.load(film(tmp_path / name, frames, codec, pixels, "rgba", **options)).values
    assert values.shape == (32, 48, 3, 3)
    np.testing.assert_allclose(255 * values[8, [8, 40], 1, 0], [0, 200], atol=4)
    np.testing.assert_allclose(255 * values[24, 40, 1], [40, 0, 0], atol=4)


def test_ten_bits_are_kept(tmp_path):
    levels = np.arange(256, 768, dtype=np.uint16)
    frame = np.broadcast_to(levels[:, None], (512, 3)).astype(np.uint16)
    frames = np.broadcast_to(frame << 6, (2, 32, 512, 3))
    film(tmp_path / "a.mkv", frames, "ffv1", "gbrp10le", "rgb48le")
    values = VIDEO.load(tmp_path / "a.mkv").values[3, :, 1, 1]
    assert len(np.unique(values)) == 512
    np.testing.assert_allclose(values, levels / 1023, atol=1e-4)


@pytest.mark.parametrize(
    ("primaries", "curve", "matrix", "full"), [(1, 1, 1, False), (9, 16, 9, False), (5, 6, 5, True), (12, 13, 7, False)]
)
def test_written_clips_state_colours_and_pixels(tmp_path, primaries, curve, matrix, full):
    frames = np.full((3, 48, 64), 110, np.uint8)
    frames[:, :32] = 100
    path = film(
        tmp_path / "a.mp4", frames, form="yuv420p", sample_aspect_ratio=Fraction(64, 45), color_primaries=primaries,
        color_trc=curve, colorspace=matrix, color_range=2 if full else 1,
    )  # fmt: skip
    signal = VIDEO.load(path)
    assert signal.metadata.colour == (primaries, curve, matrix)
    VIDEO.save(signal.values, tmp_path, signal.metadata)
    VIDEO.save_figure(Comparison(signal.values, signal.values), tmp_path / "both.png", signal.metadata)
    for name in ("output.mp4", "both.mp4"):
        with av.open(str(tmp_path / name)) as container:
            stream = container.streams.best("video")
            frame, context = next(container.decode(stream)), stream.codec_context
            assert stream.sample_aspect_ratio == Fraction(64, 45)
            assert (context.color_primaries, context.color_trc) == (primaries, curve)
            assert (frame.colorspace, frame.color_range) == (matrix, 1)
            found = frame.to_ndarray(format="rgb24")[10, 10] / 255
        np.testing.assert_allclose(found, signal.values[10, 10, 1], atol=3 / 255)


def test_a_large_video_of_unknown_matrix_is_warned_of(tmp_path, capsys):
    film(tmp_path / "a.mp4", flat([50, 90], 720, 1280))
    VIDEO.load(tmp_path / "a.mp4", height=36)
    assert "does not say its colour matrix: read as BT.601" in capsys.readouterr().err
