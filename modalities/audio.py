"""Sound: values [W, T, c] over (window, time), c = 1 or 2, ..., filtered in time.

A recording is cut into W windows of T samples (see `windows`), every window with its neighbours' samples as halo, so
that a kernel reaching over a window's end meets the real recording. A window is 2 domain units long: half sizes
are in those units, `AudioMetadata.rulers` knows seconds. Samples are in [-1, 1] as in the file.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from files.inputs import LARGEST_SAMPLES, LARGEST_STORED, bounded, in_file
from files.results import write_array
from files.stored import Array, Stored, as_array, with_channel
from modalities.figures import Comparison, Figure, new_figure
from modalities.formats.sounds import SPEAKERS, read_sound, write_wav
from modalities.modality import LoadOption, Modality, Sample
from modalities.windows import Windows
from signals import Signal, spacing
from signals.masks import masked
from signals.measures import mse, psnr, snr
from signals.metadata import Metadata, check, check_whole_number, metadata_of
from signals.units import Ruler

WINDOW = 512
# Spectrograms show this range below their loudest point.
SHOWN_DECIBELS = 80.0
# Samples of a recording that figures show.
LONGEST_SHOWN = 1 << 22
# A WAV file of 32-bit floats states the bytes per second, of all its channels, in 32 bits.
LARGEST_RATE = ((1 << 32) - 1) // 4
# Most channels that libsndfile reads.
LARGEST_CHANNELS = 1024
LARGEST_MASK = (1 << len(SPEAKERS)) - 1


@dataclass(frozen=True)
class AudioMetadata(Metadata, modality="audio", axis_names="wt"):
    """Samples a second (`sample_rate`), how many there are (S, `samples`) and T of a `window`; the speakers of more
    than two channels as the `channel_mask` of a WAV file (0: not known)."""

    sample_rate: int
    samples: int
    window: int
    channel_mask: int = 0
    obsolete = ("halo",)

    def __post_init__(self) -> None:
        check_whole_number("sample_rate", self.sample_rate, 1, LARGEST_RATE)
        check_whole_number("samples", self.samples, 1, LARGEST_STORED)
        check_whole_number("window", self.window, min(self.samples, 2), LARGEST_STORED)
        check_whole_number("channel_mask", self.channel_mask, 0, LARGEST_MASK)

    @property
    def windows(self) -> Windows:
        """How the samples lie in their windows."""
        return Windows(self.samples, self.window)

    def check_signal(self, shape: Sequence[int], channels: int) -> None:
        """Raise ValueError for other windows, and for more channels than a file holds."""
        super().check_signal(shape, channels)
        own = (self.windows.count, self.window)
        check("the shape", tuple(shape), tuple(shape) == own, f"{own[0]} windows of {own[1]} samples")
        check_whole_number("the number of channels", channels, 1, LARGEST_CHANNELS)
        check_rate(self.sample_rate, channels)
        speakers = self.channel_mask.bit_count()
        check(
            "channel_mask", self.channel_mask, speakers in (0, channels), f"one speaker for each of {channels} channels"
        )

    def rulers(self, shape: Sequence[int]) -> tuple[Ruler, ...]:
        """Windows have no length; samples and seconds of time."""
        steps = max(self.window - 1, 1)
        return Ruler({}), Ruler({"sample": 2.0 / steps, "s": 2.0 * self.sample_rate / steps})


def check_rate(rate: int, channels: int) -> None:
    """Raise ValueError for more samples a second than a WAV file of so many channels can state."""
    most = LARGEST_RATE // channels
    check("the sample rate", rate, rate <= most, f"at most the {most} Hz that a WAV file holds")


def joined(values: Array, metadata: AudioMetadata) -> tuple[Any, int]:
    """Windows [W, T', c] as one recording [S', c] and its sample rate (another T' is another rate)."""
    windows = metadata.windows
    # A single sample has no duration that would change the rate.
    stretch = windows.stretch(values.shape[1]) if windows.samples > 1 else 1.0
    return windows.join(values), max(1, round(metadata.sample_rate * stretch))


class Audio(Modality):
    """Sound files, cut into windows."""

    number = 4
    metadata_type = AudioMetadata
    filtered = "t"
    counted = "w"
    results = (".wav", ".npy", ".zarr")
    extensions = (
        ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aiff", ".aif", ".w64", ".caf", ".au",
    )  # fmt: skip
    options = (
        LoadOption("window", int, WINDOW, "samples per window (0: one window for the whole recording)"),
        LoadOption("halo", int, None, "samples known beyond either end of a window (if not given, as many as needed)"),
    )
    # Half sizes are of windows of 512 samples (32 ms).
    sample = Sample(
        "audio", "speech_librivox_austen_16k.wav", half_size=0.02, margin=0.4, steps=1,
        training={"factor": "spline", "core_size": 200_000, "accuracy": 0.0},
        filters=(("tent", 0.02), ("tent", 0.04), ("tent", 0.08), ("gaussian", 0.1), ("gaussian", 0.4), ("dog", 0.1),
                 ("dog", 0.4)),
    )  # fmt: skip

    def load(
        self, path: str | Path, reach: Sequence[float] = (), window: int = WINDOW, halo: int | None = None
    ) -> Signal:
        """The recording at `path` as windows [W, T + 2 halo, c], float32; options and errors of `from_array`."""
        path = Path(path)
        samples, rate, mask, _ = read_sound(path)
        with in_file(path):
            return self.from_array(
                samples, reach, sample_rate=rate, window=window, halo=halo, channel_mask=mask, name=path.name
            )

    def from_array(
        self,
        values: Array,
        reach: Sequence[float] = (),
        *,
        sample_rate: int,
        window: int = WINDOW,
        halo: int | None = None,
        channel_mask: int = 0,
        name: str = "array",
    ) -> Signal:
        """Samples [S] or [S, c], signed integers scaled to [-1, 1], as windows [W, T + 2 halo, c].

        `window` is T in samples (0, or more than there are: one window for all), `halo` the samples known beyond either
        end of a window (None: half a window, or as many as `reach` requires). Raises ValueError for a halo that is too
        small. `channel_mask`: the speakers of more than two channels, as in a WAV file.
        """
        recording = with_channel(as_array(values), 1)
        if not isinstance(recording, Stored):
            largest = -int(np.iinfo(recording.dtype).min) if np.issubdtype(recording.dtype, np.signedinteger) else 1
            recording = recording.astype(np.float32) / np.float32(largest)
        samples, channels = recording.shape
        check_whole_number("window", window, 0)
        window = samples if window == 0 or window > samples else window
        metadata = AudioMetadata(sample_rate, samples, window, channel_mask)
        windows = metadata.windows
        beyond = halo_for(windows, reach, halo)
        if not isinstance(recording, Stored):
            size = windows.count * (windows.window + 2 * beyond) * channels
            bounded("the recording in windows", size, "choose a smaller halo or a shorter piece")
        return self.signal(windows.cut(recording, beyond), metadata, name, (0, beyond))

    def masked(self, signal: Signal, mask: np.ndarray) -> Signal:
        """The windows with weights for the recording's samples, [S] or [S, 1]; raises ValueError."""
        own, shape = metadata_of(AudioMetadata, signal.metadata), np.shape(mask)
        if shape not in ((own.samples,), (own.samples, 1)):
            raise ValueError(f"the mask has {' x '.join(map(str, shape))} samples, not {own.samples}")
        return masked(signal, np.asarray(own.windows.cut(np.reshape(mask, (-1, 1)), signal.halo[1])))

    def save(self, values: np.ndarray, folder: Path, metadata: Metadata, signed: bool | None = None) -> list[Path]:
        """Write output.wav (32-bit float) and output.npy [S, c].

        Raises ValueError, with nothing written, for one sample a window where the recording had more.
        """
        own = metadata_of(AudioMetadata, metadata)
        if values.shape[1] == 1 < own.window:
            raise ValueError("a window of one sample has no duration; use --depth 2 or more")
        recording, rate = joined(values, own)
        check_rate(rate, recording.shape[1])
        written = write_wav(folder / "output.wav", recording, rate, own.channel_mask)
        return [written, write_array(folder / "output.npy", recording)]

    def as_array(self, values: Array, metadata: Metadata) -> Array:
        """The recording [S, c]."""
        return joined(values, metadata_of(AudioMetadata, metadata))[0]

    def metrics(self, values: np.ndarray, truth: np.ndarray, metadata: Metadata) -> dict[str, float]:
        """SNR about the mean and PSNR (over the truth's range) in dB, and MSE, each sample of the recording once."""
        own = metadata_of(AudioMetadata, metadata)
        values, truth = joined(values, own)[0], joined(truth, own)[0]
        return {"snr": snr(values, truth), "psnr": psnr(values, truth), "mse": mse(values, truth)}

    def draw(self, shown: Comparison, metadata: Metadata) -> Figure:
        """Waveform and spectrogram, each in its own range, of the recording, the filtered one and, where given, the
        truth and the error."""
        own = metadata_of(AudioMetadata, metadata)
        # Of long recordings the beginning.
        panels = [
            (title, (found := joined(values, own))[0][:LONGEST_SHOWN], found[1]) for title, values in shown.panels
        ]
        if shown.truth is not None:
            (_, result, rate), (_, exact, _) = panels[1:]
            panels.append((f"error, SNR {snr(result, exact):.1f} dB", result - exact, rate))
        figure = new_figure(10, 2.1 * len(panels))
        axes = figure.subplots(len(panels), 2, squeeze=False, width_ratios=(1, 1.15))
        for (wave, spectral), (title, recording, rate) in zip(axes, panels, strict=True):
            wave.plot(np.arange(len(recording)) / rate, recording, linewidth=0.4)
            height = 1.05 * float(np.abs(recording).max()) or 1.0
            wave.set(title=title, ylim=(-height, height))
            times, frequencies, power = spectrogram(recording.mean(axis=-1), rate)
            loudest = float(power.max())
            limits = {"vmin": loudest - SHOWN_DECIBELS, "vmax": loudest}
            image = spectral.pcolormesh(times, frequencies / 1000, power, cmap="magma", rasterized=True, **limits)
            spectral.set(title=title, ylabel="kHz")
            figure.colorbar(image, ax=spectral, label=f"dB, peak {loudest:.0f}")
        for column in axes[-1]:
            column.set_xlabel("seconds")
        return figure


def halo_for(windows: Windows, reach: Sequence[float], asked: int | None) -> int:
    """Samples beyond either end of a window for kernels that reach so far; raises ValueError where `asked` is fewer.

    The lengths `reach` (domain units) add up, each in whole samples, and interpolation takes one sample more.
    """
    if asked is not None:
        check_whole_number("halo", asked, 0, LARGEST_SAMPLES)
    if windows.count == 1:
        return asked or 0  # nothing is known beyond the only window
    step = spacing(windows.window)
    needed = 1 + sum(math.ceil(length / step - 1e-9) for length in reach) if reach else 0
    if asked is None:
        return max(needed, windows.window // 2)
    if asked < needed:
        raise ValueError(f"--halo {asked} is too small: kernels reach {needed} samples; give {needed} or leave it out")
    return asked


def spectrogram(recording: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times [n] in seconds, frequencies [m] in Hz and power [m, n] in dB of samples [S]."""
    from scipy import signal

    length = min(len(recording), max(8, round(0.032 * rate)))
    frequencies, times, power = signal.spectrogram(
        recording, rate, nperseg=length, noverlap=length * 3 // 4, scaling="spectrum"
    )
    return times, frequencies, 10 * np.log10(np.maximum(power, 1e-20))
