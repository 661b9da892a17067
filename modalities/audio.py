"""Sound: values [W, T, c] over (window, time), c = 1 or 2, ..., filtered in time.

A recording is cut into W windows of T samples (see `windows`), every window with its neighbours' samples as halo, so
that a kernel reaching over a window's end meets the real recording. A window is 2 domain units long: half sizes
are in those units, `domain_units` and `seconds` convert. Samples are in [-1, 1] as in the file.
"""

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from files import atomic_write
from modalities.facts import check, check_whole_number, taken, told_by
from modalities.figure import new_figure, write_figure
from modalities.inputs import LARGEST_SAMPLES, bounded, existing_file, whole_number
from modalities.measures import mse, psnr, snr
from modalities.modality import CAPTIONS, LoadOption, Modality
from modalities.pixels import write_values
from modalities.whole import check_whole
from modalities.windows import Windows
from signals import Signal

ADVICE = "give a WAV, FLAC or OGG file"
WINDOW = 512
# Spectrograms show this range below their loudest point.
SHOWN_DECIBELS = 80.0
# A WAV file of 32-bit floats says how many bytes a second has, and of all its channels, in 32 bits.
LARGEST_RATE = ((1 << 32) - 1) // 4
# More channels no library reads.
LARGEST_CHANNELS = 1024


@dataclass(frozen=True)
class Recording:
    """What windows do not show: samples a second (`sample_rate`), how many there are (S) and T of a `window`."""

    sample_rate: int
    samples: int
    window: int

    def __post_init__(self) -> None:
        check_whole_number("sample_rate", self.sample_rate, 1, LARGEST_RATE)
        check_whole_number("samples", self.samples, 1, LARGEST_SAMPLES)
        check_whole_number("window", self.window, 1, LARGEST_SAMPLES)
        Windows(self.samples, self.window)

    @property
    def windows(self) -> Windows:
        """How it lies in its windows."""
        return Windows(self.samples, self.window)

    def fit(self, shape: tuple[int, ...], channels: int) -> None:
        """Refuse, with a ValueError, other windows than it has, and more channels than a file holds."""
        own = (self.windows.count, self.window)
        check("the shape", list(shape), shape == own, f"{own[0]} windows of {own[1]} samples")
        check_whole_number("the number of channels", channels, 1, LARGEST_CHANNELS)
        check_rate(self.sample_rate, channels)


def check_rate(rate: int, channels: int) -> None:
    """Refuse, with a ValueError, more samples a second than a WAV file of so many channels can say."""
    most = LARGEST_RATE // channels
    check("the sample rate", rate, rate <= most, f"at most the {most} Hz that a WAV file holds")


def load(path: str | Path, window: int = WINDOW, halo: int | None = None) -> Signal:
    """The recording at `path` as windows [W, T + 2 halo, c], float32.

    `window` is T in samples (0, or more than there are: one window for all), `halo` the samples known beyond either
    end of a window (None: half a window, a margin of 1 domain unit). meta as `Recording` has it.
    Raises FileNotFoundError or ValueError.
    """
    path = Path(path)
    recording, rate = read_recording(path)
    samples = len(recording)
    asked = whole_number("window", window, least=0)
    length = samples if asked == 0 or asked > samples else asked
    beyond = length // 2 if halo is None else whole_number("halo", halo, least=0)
    windows = Windows(samples, length)
    bounded(path, windows.count * (length + 2 * beyond) * recording.shape[1], "take a smaller halo or a shorter piece")
    with told_by(path):
        facts = Recording(rate, samples, length)
        check_rate(rate, recording.shape[1])
    values = windows.cut(recording, beyond)
    return Signal(values, axes=(1,), modality="audio", name=path.name, meta=asdict(facts), halo=(0, beyond))


def read_recording(path: Path) -> tuple[np.ndarray, int]:
    """Samples [S, c] (float32) and sample rate of a sound file; raises FileNotFoundError or ValueError."""
    import soundfile

    path = existing_file(path, "a recording", ADVICE)
    check_whole(path, ADVICE)
    try:
        info = soundfile.info(str(path))
        bounded(path, info.frames * info.channels, "cut out a shorter piece")
        recording, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError:
        raise ValueError(f"{path} is not a recording that can be read, or it is damaged; {ADVICE}") from None
    if not len(recording):
        raise ValueError(f"{path} holds no samples; {ADVICE}")
    if len(recording) < info.frames:
        raise ValueError(f"{path} announces {info.frames} samples and has {len(recording)}; copy it again, or {ADVICE}")
    if not np.isfinite(recording).all():
        loud = np.isfinite(soundfile.read(str(path), dtype="float64")[0]).all()
        what = "too large for 32-bit floats; scale them to [-1, 1]" if loud else "NaN or infinite; mend the file"
        raise ValueError(f"{path} has samples that are {what} first")
    return recording, int(rate)


def recording_of(meta: Mapping[str, Any]) -> Recording:
    """The recording that `meta` came with; raises ValueError where it is not a recording's."""
    return taken(Recording, meta, "audio")


def domain_units(seconds: float, meta: Mapping[str, Any]) -> float:
    """A length of time in domain units of a window."""
    recording = recording_of(meta)
    return recording.windows.domain_units(seconds * recording.sample_rate)


def seconds(units: float, meta: Mapping[str, Any]) -> float:
    """A length in domain units of a window in seconds."""
    return units / domain_units(1.0, meta)


def joined(values: np.ndarray, meta: Mapping[str, Any]) -> tuple[np.ndarray, int]:
    """Windows [W, T', c] as one recording [S', c] and its sample rate (another T' is another rate)."""
    recording = recording_of(meta)
    windows = recording.windows
    # One sample lasts no time that another number of them could share.
    stretch = windows.stretch(values.shape[1]) if windows.samples > 1 else 1.0
    return windows.join(values), max(1, round(recording.sample_rate * stretch))


def save(values: np.ndarray, folder: Path, meta: Mapping[str, Any]) -> list[Path]:
    """Write output.wav (32-bit float, so that nothing is clipped or rounded) and output.npy [S, c].

    Raises ValueError, with nothing written, for one sample a window where the recording had more.
    """
    from scipy.io import wavfile

    folder = Path(folder)
    if values.shape[1] == 1 < recording_of(meta).window:
        raise ValueError("a window of one sample lasts no time; ask for --depth 2 or more")
    recording, rate = joined(values, meta)
    check_rate(rate, recording.shape[1])
    data = io.BytesIO()
    wavfile.write(data, rate, recording.astype(np.float32))
    with atomic_write(folder / "output.wav") as stream:
        stream.write(data.getvalue())
    return [folder / "output.wav", write_values(folder / "output.npy", recording)]


def metrics(values: np.ndarray, truth: np.ndarray, meta: Mapping[str, Any] | None = None) -> dict[str, float]:
    """SNR about the mean and PSNR (over the truth's range) in dB, and MSE.

    With `meta` of the recording itself, each of its samples counts once; without, of the windows as they are.
    """
    if meta:
        values, truth = joined(values, meta)[0], joined(truth, meta)[0]
    return {"snr": snr(values, truth), "psnr": psnr(values, truth), "mse": mse(values, truth)}


def compare(
    before: np.ndarray,
    after: np.ndarray,
    truth: np.ndarray | None,
    path: Path,
    meta: Mapping[str, Any],
    captions: tuple[str, str] = CAPTIONS,
) -> None:
    """Draw waveform and spectrogram of the recording, the filtered one and, if given, the truth and the error."""
    panels = [(captions[0], *joined(before, meta)), (captions[1], *joined(after, meta))]
    if truth is not None:
        exact, rate = joined(truth, meta)
        measured = f"error, SNR {snr(panels[1][1], exact):.1f} dB"
        panels += [("truth", exact, rate), (measured, panels[1][1] - exact, rate)]
    figure = new_figure(10, 2.1 * len(panels))
    axes = figure.subplots(len(panels), 2, squeeze=False, width_ratios=(1, 1.15))
    height = max(float(np.abs(recording).max()) for _, recording, _ in panels) or 1.0
    spectra = [spectrogram(recording.mean(axis=-1), rate) for _, recording, rate in panels]
    loudest = max(float(spectrum.max()) for _, _, spectrum in spectra)
    for (wave, spectral), (title, recording, rate), drawn in zip(axes, panels, spectra, strict=True):
        wave.plot(np.arange(len(recording)) / rate, recording, linewidth=0.4)
        wave.set(title=title, ylim=(-1.05 * height, 1.05 * height))
        times, frequencies, spectrum = drawn
        limits = {"vmin": loudest - SHOWN_DECIBELS, "vmax": loudest}
        image = spectral.pcolormesh(times, frequencies / 1000, spectrum, cmap="magma", rasterized=True, **limits)
        spectral.set(title=title, ylabel="kHz")
        figure.colorbar(image, ax=spectral, label="dB")
    for column in axes[-1]:
        column.set_xlabel("seconds")
    write_figure(figure, path)


def spectrogram(recording: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times [n] in seconds, frequencies [m] in Hz and power [m, n] in dB of samples [S]."""
    from scipy import signal

    length = min(len(recording), max(8, round(0.032 * rate)))
    frequencies, times, power = signal.spectrogram(
        recording, rate, nperseg=length, noverlap=length * 3 // 4, scaling="spectrum"
    )
    return times, frequencies, 10 * np.log10(np.maximum(power, 1e-20))


AUDIO = Modality(
    name="audio",
    number=4,
    axis_names="wt",
    filtered="t",
    counted="w",
    halo="halo",
    extensions=(".wav", ".flac", ".ogg"),
    load=load,
    save=save,
    metrics=metrics,
    compare=compare,
    facts=Recording,
    load_options=(
        LoadOption("window", int, WINDOW, "samples per window (0: one window for the whole recording)"),
        LoadOption("halo", int, None, "samples known beyond either end of a window (if not given, as many as needed)"),
    ),
)
