"""Sound files as people have them: every file is made here, what is read is compared with what was put in."""

import struct

import av
import numpy as np
import pytest
import soundfile

from modalities import find, for_path
from modalities.audio import AudioMetadata, joined
from modalities.figures import Comparison
from modalities.formats.sounds import read_sound

AUDIO = find("audio")
NOISE = np.random.default_rng(3).integers(-20000, 20000, (3000, 1)).astype(np.int16)


def wave(path, size: int | None = None, extra: bytes = b"", samples: np.ndarray = NOISE):
    """A plain 16-bit WAV file whose header states `size` bytes of samples."""
    data = samples.tobytes()
    form = struct.pack("<HHIIHH", 1, samples.shape[1], 8000, 16000 * samples.shape[1], 2 * samples.shape[1], 16)
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data"
    body += struct.pack("<I", len(data) if size is None else size) + data + extra
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def encoded(path, samples: np.ndarray, codec: str, layout: str = "mono", form: str = "s16", rate: int = 48000):
    """Write samples [S, c] by FFmpeg."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.reshape(1, -1)), form, layout)
        frame.sample_rate, frame.pts = rate, 0
        for part in av.AudioResampler(stream.format.name, layout, rate, frame_size=stream.frame_size or None).resample(
            frame
        ):
            container.mux(stream.encode(part))
        container.mux(stream.encode())
    return path


def loaded(path) -> np.ndarray:
    """The samples [S, c] at `path`, and out of their windows again."""
    signal = AUDIO.load(path)
    return joined(signal.core, signal.metadata)[0]


@pytest.mark.parametrize(
    ("more", "warning"),
    [(44, "states 44 bytes more than it has"), (8, "states 8 bytes more"), (500, "states 500 bytes more"), (0, "")],
)
def test_a_header_that_counts_itself_is_warned_of(tmp_path, capsys, more, warning):
    path = wave(tmp_path / "a.wav", 6000 + more)
    np.testing.assert_array_equal(loaded(path), NOISE / np.float32(32768))
    found = capsys.readouterr().err
    assert warning in found
    assert found.count("\n") == (1 if more else 0)


@pytest.mark.parametrize("size", [12000, 7000, 6700])
def test_what_lacks_much_of_its_samples_is_cut_off(tmp_path, size):
    with pytest.raises(ValueError, match=r"a\.wav is cut off"):
        AUDIO.load(wave(tmp_path / "a.wav", size))


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000])
def test_a_recorder_that_never_knew_its_length(tmp_path, capsys, size):
    path = wave(tmp_path / "a.wav", size)
    np.testing.assert_array_equal(loaded(path), NOISE / np.float32(32768))
    assert capsys.readouterr().err == "warning: a.wav states no length: read up to its end\n"


@pytest.mark.parametrize("lengths", [bytes(24), b"\xff" * 24])
def test_a_large_recording_that_never_knew_its_length(tmp_path, capsys, lengths):
    """RF64 keeps its lengths in a chunk apart, which a recorder that stops early has not filled in."""
    soundfile.write(tmp_path / "a.wav", NOISE, 8000, format="RF64", subtype="PCM_16")
    data = bytearray((tmp_path / "a.wav").read_bytes())
    assert data[12:16] == b"ds64"
    data[20:44] = lengths
    place = data.index(b"data") + 4
    data[place : place + 4] = b"\xff" * 4
    (tmp_path / "a.wav").write_bytes(bytes(data))
    np.testing.assert_array_equal(loaded(tmp_path / "a.wav"), NOISE / np.float32(32768))
    assert capsys.readouterr().err == "warning: a.wav states no length: read up to its end\n"


def test_samples_behind_the_stated_length_are_said(tmp_path, capsys):
    assert len(loaded(wave(tmp_path / "a.wav", 2000))) == 1000
    assert "a.wav continues for 4000 bytes behind the length it states" in capsys.readouterr().err
    chunk = b"LIST" + struct.pack("<I", 4) + b"INFO"
    assert len(loaded(wave(tmp_path / "a.wav", extra=chunk))) == 3000
    assert len(loaded(wave(tmp_path / "b.wav", 5999, samples=NOISE))) == 2999
    assert "continues" not in capsys.readouterr().err


def test_a_flac_stream_without_a_length(tmp_path, capsys):
    soundfile.write(tmp_path / "a.flac", NOISE, 8000)
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[21] &= 0xF0  # the number of samples: 36 bits of STREAMINFO, behind "fLaC", a block's head and 13.5 bytes
    data[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(bytes(data))
    np.testing.assert_array_equal(loaded(tmp_path / "a.flac"), NOISE / np.float32(32768))
    assert "states no length" in capsys.readouterr().err


def test_a_flac_that_goes_on_behind_its_length_is_said(tmp_path, capsys):
    soundfile.write(tmp_path / "a.flac", NOISE, 8000)
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[22:26] = (2000).to_bytes(4, "big")
    (tmp_path / "a.flac").write_bytes(bytes(data))
    np.testing.assert_array_equal(loaded(tmp_path / "a.flac"), NOISE[:2000] / np.float32(32768))
    assert "a.flac continues for 1000 samples behind the length it states" in capsys.readouterr().err


def test_a_flac_cut_in_half_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.flac", np.tile(NOISE, (20, 1)), 8000)
    data = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"announces 60000 samples and has|damaged"):
        AUDIO.load(tmp_path / "a.flac")


@pytest.mark.parametrize("name", ["a.aiff", "a.aif", "a.w64", "a.caf", "a.au"])
def test_other_uncompressed_files(tmp_path, name):
    kind = {"aif": "AIFF"}.get(name[2:], name[2:].upper())
    soundfile.write(tmp_path / name, NOISE, 8000, format=kind, subtype="PCM_16")
    assert for_path(name) is AUDIO
    np.testing.assert_array_equal(loaded(tmp_path / name), NOISE / np.float32(32768))


@pytest.mark.parametrize("name", ["a.aiff", "a.w64", "a.caf", "a.au"])
def test_other_uncompressed_files_that_are_cut(tmp_path, capsys, name):
    soundfile.write(tmp_path / name, NOISE, 8000, format=name[2:].upper(), subtype="PCM_16")
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[:-100])
    assert len(loaded(tmp_path / name)) >= 2940
    assert f"{name} states " in capsys.readouterr().err
    for share in (0.5, 0.8):
        (tmp_path / name).write_bytes(data[: int(share * len(data))])
        with pytest.raises(ValueError, match=rf"{name} is cut off"):
            AUDIO.load(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "chunk", "offset", "size"),
    [
        ("a.au", b".snd", 8, b"\xff" * 4),
        ("a.caf", b"data", 4, b"\xff" * 8),
        ("a.aiff", b"SSND", 4, b"\xff" * 4),
        ("a.w64", b"data", 16, b"\xff" * 7 + b"\x7f"),  # as FFmpeg does
        ("a.w64", b"data", 16, b"\xff" * 8),
    ],
)
def test_other_streams_that_never_knew_their_length(tmp_path, capsys, name, chunk, offset, size):
    soundfile.write(tmp_path / name, NOISE, 8000, format=name[2:].upper(), subtype="PCM_16")
    data = bytearray((tmp_path / name).read_bytes())
    place = data.index(chunk) + offset
    data[place : place + len(size)] = size
    (tmp_path / name).write_bytes(bytes(data))
    np.testing.assert_array_equal(loaded(tmp_path / name)[:2990], (NOISE / np.float32(32768))[:2990])
    assert f"{name} states no length" in capsys.readouterr().err


def test_a_damaged_block_is_refused(tmp_path):
    samples = np.random.default_rng(0).integers(-9999, 9999, (60000, 1)).astype(np.int16)
    soundfile.write(tmp_path / "a.flac", samples, 8000)
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 200] = bytes(200)
    (tmp_path / "a.flac").write_bytes(bytes(data))
    with pytest.raises(ValueError, match="announces 60000 samples and has 55904"):
        AUDIO.load(tmp_path / "a.flac")


def test_an_mp3_that_lacks_its_last_bytes_is_warned_of(tmp_path, capsys):
    soundfile.write(tmp_path / "a.mp3", np.tile(NOISE, (10, 1)), 48000)
    (tmp_path / "a.mp3").write_bytes((tmp_path / "a.mp3").read_bytes()[:-10])
    assert 30000 - 1152 <= len(loaded(tmp_path / "a.mp3")) < 30000
    assert "a.mp3 announces 30000 samples and has 2" in capsys.readouterr().err


def test_alac_in_m4a_is_exact(tmp_path, capsys):
    path = encoded(tmp_path / "a.m4a", NOISE, "alac")
    np.testing.assert_array_equal(read_sound(path).samples, NOISE / np.float32(32768))
    assert for_path(path) is AUDIO
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("name", "codec"), [("a.m4a", "aac"), ("a.mp3", "mp3"), ("a.opus", "libopus")])
def test_lossy_files_have_the_tone_and_the_length(tmp_path, capsys, name, codec):
    tone = np.sin(2 * np.pi * 440 * np.arange(48000) / 48000)
    path = encoded(tmp_path / name, (16000 * tone).astype(np.int16)[:, None], codec)
    samples = loaded(path)[:, 0]
    assert len(samples) == 48000
    assert for_path(path) is AUDIO
    spectrum = np.abs(np.fft.rfft(samples))
    assert spectrum.argmax() == 440
    assert spectrum[440] / 24000 == pytest.approx(16000 / 32768, rel=0.06)  # LAME lowers it by 5 %
    assert capsys.readouterr().err == ""


def test_what_nobody_decodes_is_one_sentence(tmp_path):
    (tmp_path / "a.mp3").write_bytes(b"not a sound" * 100)
    with pytest.raises(ValueError, match=r"a\.mp3 is not a readable recording, or it is damaged; give a WAV"):
        AUDIO.load(tmp_path / "a.mp3")
    with av.open(str(tmp_path / "b.m4a"), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(stream.encode())
    with pytest.raises(ValueError, match=r"b\.m4a has no sound"):
        AUDIO.load(tmp_path / "b.m4a")


@pytest.mark.parametrize(
    ("layout", "mask"), [("2.1", 0x0B), ("quad", 0x33), ("5.1", 0x3F), ("5.1(side)", 0x60F), ("7.1", 0x63F)]
)
@pytest.mark.parametrize(("name", "codec"), [("a.wav", "pcm_s16le"), ("a.flac", "flac")])
def test_speakers_are_kept(tmp_path, layout, mask, name, codec):
    channels = mask.bit_count()
    if name == "a.flac" and channels == 3:
        pytest.skip("FLAC has no 2.1")
    samples = np.random.default_rng(1).integers(-9999, 9999, (600, channels)).astype(np.int16)
    signal = AUDIO.load(encoded(tmp_path / name, samples, codec, layout))
    assert signal.metadata == AudioMetadata(48000, 600, 512, mask)
    (tmp_path / "out").mkdir()
    AUDIO.save(signal.core, tmp_path / "out", signal.metadata)
    with av.open(str(tmp_path / "out" / "output.wav")) as container:
        assert container.streams.audio[0].layout.name == layout
    again, rate = soundfile.read(tmp_path / "out" / "output.wav", dtype="float32")
    assert (rate, soundfile.info(tmp_path / "out" / "output.wav").format) == (48000, "WAVEX")
    np.testing.assert_array_equal(again, samples / np.float32(32768))


def test_opus_channels_are_in_the_order_of_the_mask(tmp_path):
    """Ogg stores the centre second; WAV, left and right first."""
    levels = np.array([1, 2, 3, 0, 4, 5]) * 3000  # the fourth speaker plays deep tones alone
    time = np.arange(48000)[:, None] / 48000
    samples = (levels * np.sin(2 * np.pi * 440 * time)).astype(np.int16)
    sound = read_sound(encoded(tmp_path / "a.opus", samples, "libopus", "5.1"))
    assert sound.channel_mask == 0x3F
    np.testing.assert_allclose(sound.samples[9000:].std(axis=0) * 32768 * 2**0.5, levels, atol=400)


def test_unknown_speakers_stay_unknown(tmp_path):
    samples = np.random.default_rng(1).integers(-9999, 9999, (300, 4)).astype(np.int16)
    signal = AUDIO.load(wave(tmp_path / "a.wav", samples=samples))
    assert signal.metadata.channel_mask == 0
    AUDIO.save(signal.core, tmp_path, signal.metadata)
    assert (tmp_path / "output.wav").read_bytes()[40:44] == bytes(4)
    with pytest.raises(ValueError, match="channel_mask must be one speaker for each of 4 channels, not 3"):
        AUDIO.from_array(samples, sample_rate=8000, channel_mask=3)


@pytest.mark.parametrize("level", [0.0, 0.25])
def test_silence_and_constants_are_measured_without_alarm(level):
    signal = AUDIO.from_array(np.full(3000, level), sample_rate=8000)
    same = AUDIO.metrics(signal.core, signal.core, signal.metadata)
    assert (same["snr"], same["psnr"]) == (300, 300)
    near = AUDIO.metrics(signal.core + np.float32(2**-10), signal.core, signal.metadata)
    assert near["snr"] == near["psnr"] == pytest.approx(20 * np.log10(1024))
    AUDIO.draw(Comparison(signal.core, signal.core, signal.core), signal.metadata)
