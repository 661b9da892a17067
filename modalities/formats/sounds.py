"""Sound files in, by libsndfile and, where it fails, by FFmpeg; 32-bit float WAV out."""

import io
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from files import atomic_write
from files.inputs import LARGEST_MAPPED, LARGEST_STORED, bounded, existing_file, warn
from files.results import Scratch
from files.stored import LARGE, Array, Slices, Stored, all_finite
from modalities.formats.whole import STREAMED_WIDE, check_whole

ADVICE = "give a WAV, FLAC, OGG, Opus, MP3, M4A, AIFF, W64, CAF or AU file"
# A header that states a little more than there is miscounts (its own bytes, the delay of a codec): up to two blocks of
# MP3, fewer than one of FLAC, in bytes or samples, and this share of all.
SLACK, SLACK_SHARE = 2304, 0.1
# Most samples by which codecs fill up their last block.
FILLED = 2048
# Samples that are read and written at once.
BLOCK = 1 << 20
# Formats whose samples are numbers of a fixed place, so that a seek is exact; FLAC's blocks stand for themselves.
SEEKABLE = ("WAV", "WAVEX", "AIFF", "W64", "RF64", "CAF", "AU", "FLAC")
# Speakers by the bits of a WAV file's channel mask, as FFmpeg abbreviates them.
SPEAKERS = (
    "FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR", "TC", "TFL", "TFC", "TFR", "TBL", "TBC", "TBR",
)  # fmt: skip
PLAIN_FLOATS, EXTENSIBLE = 3, 0xFFFE
# The rest of the GUID whose first two bytes are PLAIN_FLOATS.
GUID_END = bytes.fromhex("000000001000800000aa00389b71")


class Sound(NamedTuple):
    """Samples [S, c] (float32; many stay in their file), how many a second, the WAV channel mask (0: not known), and S
    as the header has it."""

    samples: Array
    rate: int
    channel_mask: int
    announced: int


def read_sound(path: Path) -> Sound:
    """A sound file; prints a warning where its header is a little wrong.

    Raises FileNotFoundError, or ValueError also for files that are much shorter than their header says.
    """
    path = existing_file(path, "a recording", ADVICE, LARGEST_MAPPED)
    check_whole(path, ADVICE, min(SLACK, int(SLACK_SHARE * path.stat().st_size)))
    sound = _by_libsndfile(path) or _by_ffmpeg(path)
    count = len(sound.samples)
    short = sound.announced - count
    if count == 0 or short > min(SLACK, SLACK_SHARE * sound.announced):
        raise ValueError(f"{path} announces {sound.announced} samples and has {count}; copy it again, or {ADVICE}")
    if short > 0:
        warn(f"{path.name} announces {sound.announced} samples and has {count}, which are read")
    if not all_finite(sound.samples):
        raise ValueError(f"{path} has samples that are NaN, infinite or beyond 32-bit floats; fix the file first")
    return sound


def _by_libsndfile(path: Path) -> Sound | None:
    """What libsndfile reads; None where it calls a file damaged or empty, or does not know its length."""
    import soundfile

    try:
        source = _with_length(path)
        info = soundfile.info(source)
        if 0 < info.frames < np.iinfo(np.int64).max:
            large = isinstance(source, str) and info.frames * info.channels >= LARGE
            bounded(path, info.frames * info.channels, "cut out a shorter piece", LARGEST_STORED if large else None)
            # It leaves the channels of Ogg files in Vorbis's own order, and no channel mask is to be had from it.
            if info.channels > 2 and info.format == "OGG":
                return None
            if isinstance(source, io.BytesIO):
                source.seek(0)
            samples = long_recording(path) if large else soundfile.read(source, dtype="float32", always_2d=True)[0]
            if info.format == "FLAC" and (more := _flac_samples(path) - info.frames) > 0:
                warn(f"{path.name} continues for {more} samples behind the length it states: they are not read")
            return Sound(samples, int(info.samplerate), _mask(path) if info.channels > 2 else 0, info.frames)
    except soundfile.LibsndfileError:
        return None
    warn(f"{path.name} states no length: read up to its end")
    return None


def long_recording(path: Path) -> Stored:
    """The samples [S, c] of a file that libsndfile reads, S as many as there are, looked at once from first to last.

    Those of lossy formats, which decode differently after a seek, are kept in a temporary file.
    """
    import soundfile

    sound = soundfile.SoundFile(str(path))
    exact = sound.format in SEEKABLE and sound.subtype.startswith(("PCM", "FLOAT", "DOUBLE"))
    count, finite = 0, True
    kept = None if exact else Scratch((sound.frames, sound.channels))
    for block in sound.blocks(BLOCK, dtype="float32", always_2d=True):
        finite = finite and bool(np.isfinite(block).all())
        if kept is not None:
            kept[count : count + len(block)] = block
        count += len(block)
    if kept is not None:
        return Stored((count, sound.channels), np.float32, kept.read, finite)
    lock = threading.Lock()

    def read(part: Slices) -> np.ndarray:
        with lock:
            sound.seek(part[0].start)
            return sound.read(part[0].stop - part[0].start, dtype="float32", always_2d=True)[:, part[1]]

    return Stored((count, sound.channels), np.float32, read, finite)


def _with_length(path: Path) -> str | io.BytesIO:
    """`path`; for an RF64 whose lengths were never filled in, the WAV it is, which libsndfile reads up to its end."""
    with path.open("rb") as stream:
        head = stream.read(36)
        if head[:4] != b"RF64" or head[12:16] != b"ds64" or 0 < int.from_bytes(head[28:], "little") < STREAMED_WIDE:
            return str(path)
        bounded(path, path.stat().st_size // 2, "cut out a shorter piece")
        return io.BytesIO(b"RIFF\xff\xff\xff\xffWAVEJUNK" + head[16:] + stream.read())


def _flac_samples(path: Path) -> int:
    """The samples of all blocks of a FLAC file, whatever its head states; 0 where FFmpeg does not know."""
    import av

    try:
        with av.open(str(path)) as container:
            return sum(packet.duration or 0 for packet in container.demux(container.streams.audio[0]))
    except (av.error.FFmpegError, OSError):
        return 0


def _by_ffmpeg(path: Path) -> Sound:
    """What FFmpeg decodes; raises ValueError."""
    import av

    try:
        with av.open(str(path)) as container:
            stream: Any = container.streams.best("audio")
            if stream is None:
                raise ValueError(f"{path} has no sound; {ADVICE}")
            context = stream.codec_context
            samples = np.concatenate([np.zeros((0, context.channels), np.float32), *_blocks(path, container, stream)])
            announced = 0
            if stream.duration is not None and stream.time_base is not None:
                # Ogg counts the samples before the first, too.
                announced = round(stream.duration * stream.time_base * context.sample_rate) - context.delay
            if 0 < announced < len(samples) <= announced + FILLED:
                samples = samples[:announced]
            return Sound(samples, context.sample_rate, _mask_of(stream), announced)
    except (av.error.FFmpegError, OSError):
        raise ValueError(f"{path} is not a readable recording, or it is damaged; {ADVICE}") from None


def _blocks(path: Path, container: Any, stream: Any) -> Iterator[np.ndarray]:
    """Decoded samples [n, c] as float32; raises ValueError for too many of them."""
    import av

    total = 0
    resampler = av.AudioResampler(format="flt")
    for frame in container.decode(stream):
        for part in resampler.resample(frame):
            block = part.to_ndarray().reshape(part.samples, -1)
            total += block.size
            bounded(path, total, "cut out a shorter piece")
            yield block


def _mask(path: Path) -> int:
    """The channel mask of a file that libsndfile reads, from FFmpeg; 0 where it does not know."""
    import av

    try:
        with av.open(str(path)) as container:
            return _mask_of(container.streams.best("audio"))
    except (av.error.FFmpegError, OSError):
        return 0


def _mask_of(stream: Any) -> int:
    """The channel mask of a stream; 0 where its channels are not known, or not in the order of the mask's bits."""
    names = [channel.name for channel in stream.layout.channels] if stream is not None else []
    bits = [SPEAKERS.index(name) for name in names if name in SPEAKERS]
    ordered = len(bits) == len(names) > 2 and bits == sorted(set(bits))
    return sum(1 << bit for bit in bits) if ordered else 0


def write_wav(path: Path, samples: Array, rate: int, channel_mask: int = 0) -> Path:
    """Write samples [S, c] as 32-bit float WAV, so that nothing is clipped or rounded, atomically.

    More than two channels are written as WAVE_FORMAT_EXTENSIBLE with their mask (Microsoft, mmreg.h).
    """
    count, channels = samples.shape
    extended = channels > 2
    form = struct.pack(
        "<HHIIHH", EXTENSIBLE if extended else PLAIN_FLOATS, channels, rate, 4 * rate * channels, 4 * channels, 32
    )
    form += struct.pack("<HHIH", 22, 32, channel_mask, PLAIN_FLOATS) + GUID_END if extended else struct.pack("<H", 0)
    size = 4 * count * channels
    body = struct.pack("<4sI", b"fmt ", len(form)) + form + struct.pack("<4sII4sI", b"fact", 4, count, b"data", size)
    with atomic_write(path) as stream:
        stream.write(struct.pack("<4sI4s", b"RIFF", 4 + len(body) + size, b"WAVE") + body)
        for start in range(0, count, BLOCK):
            stream.write(samples[start : start + BLOCK].astype("<f4").tobytes())
    return path
