"""Large signals made by programs from the shipped ones, and read where they are used: video, a shape, sound."""

from typing import Any

import cv2
import numpy as np

import nfconv
from benchmarks.collage import collage
from benchmarks.common import ROOT, Settings
from files.stored import Stored
from modalities.audio import AudioMetadata
from modalities.video import VideoMetadata
from modalities.windows import Windows
from signals import Signal

# Half size of the training kernel in voxels, frames and samples.
VOXELS, FRAMES, SAMPLES = 5, 5, 5
RATE, WINDOW = 44_100, 512


def eight_bits(values: Any) -> Stored:
    """Samples of 8 bits as numbers in [0, 1], made where they are read."""
    return Stored(values.shape, np.float32, lambda part: values[part].astype(np.float32) / np.float32(255), True)


def video(settings: Settings) -> tuple[Signal, float, dict[str, Any]]:
    """A thousand frames: the shipped clip to and fro, mirrored and enlarged, and a camera that moves over a collage."""
    frames, height, width = settings.choose((1000, 180, 320), (90, 18, 32))
    draw = np.random.default_rng(settings.seed)
    shipped = np.asarray(nfconv.read(ROOT / "data" / "raw" / "videos" / "bigbuckbunny_320x180.mp4").values)
    shots = [np.ascontiguousarray(shipped[:, :, t]) for t in range(shipped.shape[2])]
    clip = np.stack([cv2.resize(frame, (width, height)) for frame in shots], axis=2)
    canvas, result, first = collage(settings.choose(2048, 160), settings.seed), [], 0
    while first < frames:
        count = min(int(draw.integers(60, 140)), frames - first)
        shot = played if draw.random() < 0.5 else panned
        result.append(shot(clip if shot is played else canvas, count, height, width, draw))
        first += count
    values = np.concatenate(result, axis=2)
    options = {"margin": 40 / (frames - 1), "core_size": settings.choose(52_000, 20_000)}
    signal = Signal(eight_bits(values), (2,), "video", "made", VideoMetadata(25.0, frames))
    return signal, FRAMES, options | settings.choose({"tile": (45, 80, 100)}, {"tile": (0, 0, 40)})


def played(clip: np.ndarray, count: int, height: int, width: int, draw: np.random.Generator) -> np.ndarray:
    """The clip from any frame on, forth and back, enlarged and toned, [H, W, count, 3], uint8."""
    length, zoom, tone = clip.shape[2], draw.uniform(1, 1.6), draw.uniform(0.6, 1, 3)
    turn = np.array([[zoom, 0, -width / 2 * (zoom - 1)], [0, zoom, -height / 2 * (zoom - 1)]])
    place = (draw.integers(length) + np.arange(count)) % (2 * length - 2)
    frames = []
    for number in np.where(place >= length, 2 * length - 2 - place, place):
        frame = np.ascontiguousarray(clip[:, :, number]) * tone
        frames.append(cv2.warpAffine(frame, turn, (width, height), None, cv2.INTER_CUBIC, cv2.BORDER_REFLECT))
    return (255 * np.stack(frames, axis=2)).clip(0, 255).astype(np.uint8)


def panned(canvas: np.ndarray, count: int, height: int, width: int, draw: np.random.Generator) -> np.ndarray:
    """A camera moving over a picture, [H, W, count, 3], uint8."""
    start, speed = draw.uniform(0, len(canvas) * 0.8, 2), draw.uniform(-1.5, 1.5, 2)
    zoom = draw.uniform(1.2, 2.5)
    frames = []
    for number in range(count):
        x, y = (start + speed * number) / zoom
        turn = np.array([[1 / zoom, 0, -x], [0, 1 / zoom, -y]])
        frames.append(cv2.warpAffine(canvas, turn, (width, height), None, cv2.INTER_LINEAR, cv2.BORDER_REFLECT))
    return np.stack(frames, axis=2)


def distances(settings: Settings) -> tuple[Signal, float, dict[str, Any]]:
    """Distances of balls with waves on them, computed where they are read."""
    size = settings.choose(512, 40)
    x = np.linspace(-1, 1, size, dtype=np.float32)
    draw = np.random.default_rng(settings.seed)
    balls = [(draw.uniform(-0.6, 0.6, 3).astype(np.float32), np.float32(draw.uniform(0.1, 0.35))) for _ in range(24)]

    def read(part: tuple[slice, ...]) -> np.ndarray:
        p, q, r = np.meshgrid(*[x[rows] for rows in part[:3]], indexing="ij", sparse=True)
        distance = np.min([np.sqrt((p - c[0]) ** 2 + (q - c[1]) ** 2 + (r - c[2]) ** 2) - size for c, size in balls], 0)
        w = np.float32(12 * np.pi)
        waves = np.sin(w * p) * np.cos(w * q) + np.sin(w * q) * np.cos(w * r) + np.sin(w * r) * np.cos(w * p)
        return (distance + np.float32(0.02) * waves)[..., None]

    values = Stored((size, size, size, 1), np.float32, read, True)
    options = {"margin": 0.1} | settings.choose({}, {"tile": 24})
    return Signal(values, (0, 1, 2), "", "distances"), settings.choose(VOXELS, 2), options


def sound(settings: Settings) -> tuple[Signal, float, dict[str, Any]]:
    """An hour of sound: in every ten seconds speech at other speeds over another chord, with a little noise."""
    samples, stretch = settings.choose(3600 * RATE, 6000), settings.choose(10 * RATE, 3000)
    speech = nfconv.read(ROOT / "data" / "raw" / "audio" / "speech_librivox_austen_16k.wav", window=0).values[0, :, 0]

    def part(number: int) -> np.ndarray:
        draw, time = np.random.default_rng((settings.seed, number)), np.arange(stretch) / RATE
        result = 1e-4 * draw.standard_normal(stretch)
        for _ in range(3):
            places = np.arange(0, len(speech) - 1, 16_000 / RATE * draw.uniform(0.7, 1.4))
            voice = np.interp(places, np.arange(len(speech)), speech)
            first = int(draw.integers(stretch // 2))
            result[first : first + len(voice)] += draw.uniform(0.2, 0.9) * voice[: stretch - first]
        for _ in range(12):
            tone, onset = 110 * 2 ** (draw.integers(40) / 12), draw.uniform(0, 9)
            decay = np.exp(-(time - onset).clip(0) * draw.uniform(0.5, 4)) * (time > onset)
            result += 0.06 * decay * sum(np.sin(2 * np.pi * tone * k * time) / k for k in range(1, 6))
        return result.clip(-1, 1).astype(np.float32)

    recording = np.concatenate([part(number) for number in range(-(-samples // stretch))])[:samples, None]
    windows, halo = Windows(samples, settings.choose(WINDOW, 64)), settings.choose(256, 32)
    values = windows.cut(Stored.of(recording), halo)
    metadata = AudioMetadata(RATE, samples, windows.window)
    signal = Signal(values, (1,), "audio", "made", metadata, (0, halo))
    return signal, settings.choose(SAMPLES, 3), {}
