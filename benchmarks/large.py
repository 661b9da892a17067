"""Signals in tiles: what they cost and how good they are, from pictures of some megapixels to an hour of sound."""

import math
import re
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.ndimage import correlate1d

import nfconv
from benchmarks.collage import collage
from benchmarks.common import ROOT, Settings, cost_of, duration, table
from benchmarks.made import distances, eight_bits, sound, video
from files.results import Scratch
from modalities.image import ImageMetadata
from models.tiled import TiledField
from signals import Signal
from signals.exact import kernel_convolution
from signals.measures import psnr, snr

# Half size of the training kernel in pixels, and sigmas of wide Gaussians.
PIXELS = 13
WIDE = (50, 150, 300, 600)


def pictures(settings: Settings) -> str:
    """A table of pictures of several sizes."""
    canvas, half = collage(settings.choose(8192, 160), settings.seed), settings.choose(PIXELS, 3)
    with tempfile.TemporaryDirectory() as folder:
        rows = [picture_row(canvas[-size:, -size:], half, Path(folder) / str(size), settings)
                for size in settings.choose((2048, 4096, 8192), (96, 160))]  # fmt: skip
    head = ["picture", "tiles", "fitting, CPU s a megapixel", "bytes a sample", "training kernel, dB", "4 times it, dB",
            "169-Dirac Gaussian, CPU s a megapixel", "memory, GiB"]  # fmt: skip
    return "\n".join([
        "## Large pictures", "",
        f"Parts of a collage of photographs (`benchmarks/collage.py`), training kernel {PIXELS} pixels, default "
        "options; results go to a file block by block. Memory includes the whole collage, 0.19 GiB.",
        "", table(head, rows),
    ])  # fmt: skip


def wide_kernels(settings: Settings) -> str:
    """A table of Gaussians of many pixels."""
    size, half = settings.choose((4096, PIXELS), (160, 3))
    with tempfile.TemporaryDirectory() as folder:
        rows = wide_rows(collage(size, settings.seed), half, Path(folder), settings)
    return "\n".join([
        "## Wide kernels on large pictures", "",
        f"Gaussians cut at 3 sigma on one channel of a collage of {size} x {size} pixels, from coarse levels, against "
        "SciPy's `correlate1d` in float64 on samples that are read linearly.", "",
        table(["sigma, pixels", "level", "Diracs", "dB", "CPU s"], rows),
    ])  # fmt: skip


def other_signals(settings: Settings) -> str:
    """A table of other signals."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [other_row(name, make(settings), Path(folder) / name, settings) for name, make in OTHERS.items()]
        clips = clip_rows(Path(folder), settings)
    head = ["signal", "tiles", "fitting, CPU", "bytes a sample", "training kernel, dB", "memory, GiB"]
    return "\n".join([
        "## Other large signals", "", "Made by programs (`benchmarks/made.py`).", "", table(head, rows), "",
        "The shipped video, 180 x 320 x 132, in tiles of its pictures at about equal size and in larger ones, training "
        "kernel 0.1:", "",
        table(["cut into", "MB", "0.1, dB", "0.2, dB", "0.4, dB"], clips),
    ])  # fmt: skip


def memory(since: bool = False) -> str:
    """The largest memory that this process has had, in GiB; `since`: from now on it counts anew (Linux)."""
    if since:
        Path("/proc/self/clear_refs").write_text("5")
    kibibytes = re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]
    return f"{int(kibibytes) / 2**20:.2f}"


def fitted(signal: Signal, half: float, folder: Path, settings: Settings, **options: Any) -> tuple[TiledField, Any]:
    """A field in tiles whose training kernel has `half` samples, and what it took."""
    sizes = [2 * half / (signal.shape[axis] - 1) for axis in signal.axes]
    tile = settings.choose({}, {"tile": 40})
    return cost_of(lambda: nfconv.fit(signal, sizes, folder=folder, device="cpu", **(tile | options)))


def stored_bytes(tiles: Path) -> int:
    """Of all tiles in a folder."""
    return sum(file.stat().st_size for file in tiles.glob("level_*/*.pth"))


def tiles_of(field: TiledField) -> str:
    """How many there are on every level."""
    return " + ".join(str(int(np.prod(level.tiling.counts))) for level in field.levels)


def picture_row(pixels: np.ndarray, half: float, folder: Path, settings: Settings) -> list[Any]:
    """Fit a picture, filter it into a file, and say what that took."""
    signal = Signal(eight_bits(pixels), (0, 1), "image", "collage", ImageMetadata())
    memory(since=True)
    field, fitting = fitted(signal, half, folder, settings)
    out = Scratch(pixels.shape, folder=folder)
    kernel = nfconv.gaussian(sigma=2 * half / (len(pixels) - 1))
    _, filtering = cost_of(lambda: field.filter(kernel, out=out))
    megapixels = pixels[..., 0].size / 1e6
    return [f"{len(pixels)} x {len(pixels)}", tiles_of(field), f"{fitting.cpu / megapixels:.2f}",
            f"{stored_bytes(field.folder) / pixels.size:.2f}", f"{field.origin.psnr[1.0]:.1f}",
            f"{field.origin.psnr[4.0]:.1f}", f"{filtering.cpu / megapixels:.3f}", memory()]  # fmt: skip


def wide_rows(pixels: np.ndarray, half: float, folder: Path, settings: Settings) -> list[list[Any]]:
    """Gaussians of one channel that are up to half the picture wide, against SciPy in float64."""
    values = pixels[..., :1].astype(np.float32) / np.float32(255)
    signal = Signal(values, (0, 1), "image", "collage", ImageMetadata())
    field, _ = fitted(signal, half, folder, settings, margin=0.95)
    rows = []
    for sigma in settings.choose(WIDE, (6, 12)):
        sparse = field.sparse(nfconv.gaussian(sigma=2 * sigma / (len(pixels) - 1)))
        found, cost = cost_of(partial(field.filter, sparse))
        taps, wanted = gaussian_taps(sigma), values.astype(np.float64)
        for axis in (0, 1):
            wanted = correlate1d(wanted, taps, axis=axis, mode="nearest")
        quality = f"{psnr(found, wanted):.1f}"
        level = int(field.level_of(torch.tensor(sparse.radius[None])))
        rows.append([sigma, level, f"{len(sparse):,}", quality, f"{cost.cpu:.1f}"])
    return rows


def gaussian_taps(sigma: float) -> np.ndarray:
    """A Gaussian cut at 3 sigma (samples) on samples that are read linearly."""
    places = np.linspace(-3 * sigma, 3 * sigma, 400 * math.ceil(sigma) + 1)
    reach, left = math.ceil(3 * sigma) + 1, np.floor(places).astype(int)
    weights = np.exp(-((places / sigma) ** 2) / 2)
    taps = np.bincount(left + reach, weights * (left + 1 - places), 2 * reach + 1)
    taps += np.bincount(left + 1 + reach, weights * (places - left), 2 * reach + 1)
    return taps / taps.sum()


def other_row(name: str, made: tuple[Signal, float, dict[str, Any]], folder: Path, settings: Settings) -> list[Any]:
    """Fit a signal of another kind and say what that took."""
    signal, half, options = made
    memory(since=True)
    field, cost = fitted(signal, half, folder, settings, **options)
    samples = float(np.prod(signal.shape)) * signal.channels
    quality = f"{field.origin.psnr[1.0]:.1f}"
    if signal.modality == "audio":
        quality += f" (SNR {sound_snr(field, signal):.1f})"
    size = f"{stored_bytes(field.folder) / samples:.3f}"
    return [
        f"{name}, {' x '.join(map(str, signal.shape))}",
        tiles_of(field),
        duration(cost.cpu),
        size,
        quality,
        memory(),
    ]


def clip_rows(folder: Path, settings: Settings) -> list[list[Any]]:
    """Rows of the shipped video as one field, in tiles whose cores together are as large, and in larger ones."""
    clip = ROOT / "data" / "raw" / "videos" / "bigbuckbunny_320x180.mp4"
    signal = nfconv.read(clip, max_frames=settings.choose(None, 9))
    small, rows = settings.choose(900_000, 20_000), []
    for cuts, core in ((1, small), (2, small), (4, small), (8, small), (8, 10 * small // 9)):
        options: dict[str, Any] = {"core_size": core // cuts**2, "device": "cpu"}
        if cuts == 1:
            field = nfconv.fit(signal, 0.1, factor="spline", **options)
            size = field.save(folder / "clip.pth").stat().st_size
        else:
            tile = (math.ceil(180 / cuts), math.ceil(320 / cuts), 0)
            tiles = folder / f"clip{cuts}_{core}"
            field = nfconv.fit(signal, 0.1, tile=tile, folder=tiles, **options)
            size = stored_bytes(tiles)
        found = [f"{field.origin.psnr.get(factor, math.nan):.1f}" for factor in (1.0, 2.0, 4.0)]
        rows.append([f"{cuts} x {cuts}", f"{size / 1e6:.2f}", *found])
    return rows


def sound_snr(field: TiledField, signal: Signal) -> float:
    """SNR in dB at the training kernel of some windows in the middle of a recording."""
    tile = field.levels[0].tiling
    first = tile.start((tile.counts[0] // 2, 0))[0]
    part = Signal(np.asarray(signal.values[first : first + tile.tile[0]]), signal.axes, halo=signal.halo)
    wanted = kernel_convolution(part, field.kernel)
    out: dict[str, np.ndarray] = {}

    class Middle:
        """Keeps what is asked for of a result."""

        def __setitem__(self, block: Any, values: np.ndarray) -> None:
            if block[0].start == first:
                out[str(block)] = values

    field.filter(field.kernel, out=Middle())
    return snr(np.concatenate(list(out.values()), axis=1), wanted)


OTHERS: dict[str, Callable[[Settings], tuple[Signal, float, dict[str, Any]]]] = {
    "video": video, "shape": distances, "sound": sound,
}  # fmt: skip
