"""Recordings too long for memory: stretches of them are read where they are used."""

import threading
from pathlib import Path

import numpy as np

from files.results import Scratch
from files.stored import Slices, Stored

# Samples that are read at once.
BLOCK = 1 << 20
# Formats whose samples are numbers of a fixed place, so that a seek is exact; FLAC's blocks stand for themselves.
SEEKABLE = ("WAV", "WAVEX", "AIFF", "W64", "RF64", "CAF", "AU", "FLAC")


def long_recording(path: Path) -> Stored:
    """The samples [S, c] of a file that libsndfile reads, S as many as there are, looked at once from first to last.

    Those of lossy formats, which decode differently after a seek, are kept in a temporary file.
    """
    import soundfile

    sound = soundfile.SoundFile(str(path))
    exact = sound.format in SEEKABLE and sound.subtype.startswith(("PCM", "FLOAT", "DOUBLE"))
    shape, count, finite = (sound.frames, sound.channels), 0, True
    kept = None if exact else Scratch(shape)
    for block in sound.blocks(BLOCK, dtype="float32", always_2d=True):
        finite = finite and bool(np.isfinite(block).all())
        if kept is not None:
            kept[count : count + len(block)] = block
        count += len(block)
    whole = (slice(0, count), slice(0, shape[1]))
    if kept is not None:
        found = kept.cropped(whole)
        found.whole = finite
        return found
    lock = threading.Lock()

    def read(part: Slices) -> np.ndarray:
        with lock:
            sound.seek(part[0].start)
            return sound.read(part[0].stop - part[0].start, dtype="float32", always_2d=True)[:, part[1]]

    return Stored((count, shape[1]), np.float32, read, finite)
