"""Sound files: WAV, FLAC and OGG in, 32-bit float WAV out."""

import io
from pathlib import Path

import numpy as np

from files import atomic_write
from modalities.formats.inputs import bounded, existing_file
from modalities.formats.whole import check_whole

ADVICE = "give a WAV, FLAC or OGG file"


def read_sound(path: Path) -> tuple[np.ndarray, int]:
    """Samples [S, c] (float32) and sample rate of a sound file; raises FileNotFoundError or ValueError."""
    import soundfile

    path = existing_file(path, "a recording", ADVICE)
    check_whole(path, ADVICE)
    try:
        info = soundfile.info(str(path))
        bounded(path, info.frames * info.channels, "cut out a shorter piece")
        samples, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError:
        raise ValueError(f"{path} is not a readable recording, or it is damaged; {ADVICE}") from None
    if not 0 < len(samples) >= info.frames:
        raise ValueError(f"{path} announces {info.frames} samples and has {len(samples)}; copy it again, or {ADVICE}")
    if not np.isfinite(samples).all():
        raise ValueError(f"{path} has samples that are NaN, infinite or beyond 32-bit floats; fix the file first")
    return samples, int(rate)


def write_wav(path: Path, samples: np.ndarray, rate: int) -> Path:
    """Write samples [S, c] as 32-bit float WAV, so that nothing is clipped or rounded, atomically."""
    from scipy.io import wavfile

    data = io.BytesIO()
    wavfile.write(data, rate, samples.astype(np.float32))
    with atomic_write(path) as stream:
        stream.write(data.getvalue())
    return path
