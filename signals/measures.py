"""Agreement between values and truth on one grid, in every package the same; always finite, so JSON-able."""

import numpy as np

from files.stored import Array, ends, parts, row_blocks

# Stands for 'equal': no decibel figure is larger, none is infinite.
MOST_DECIBELS = 300.0
# What varies by no more than a few float32 roundings of its size is a constant.
CONSTANT = 4 * float(np.finfo(np.float32).eps)


def mse(values: Array, truth: Array) -> float:
    """Mean squared error, summed in float64; raises ValueError for different shapes."""
    if values.shape != truth.shape:
        raise ValueError(f"values {values.shape} and truth {truth.shape} are not on one grid")
    # In blocks: float64 copies of a whole signal would be many times it.
    blocks = row_blocks(truth.shape)
    return sum(float(np.square(np.subtract(values[b], truth[b], dtype=np.float64)).sum()) for b in blocks) / truth.size


def peak(truth: Array) -> float:
    """The largest value of ordinary pictures, 1, or the range of the truth where it leaves [0, 1] (HDR, signed)."""
    low, high = ends(truth)
    if low >= -1e-3 and high <= 1 + 1e-3:
        return 1.0
    return high - low or 1.0


def decibels(signal_power: float, noise_power: float) -> float:
    """10 log10(signal / noise), held within +-MOST_DECIBELS so that equal arrays have a figure too."""
    least = 10.0 ** (-MOST_DECIBELS / 10)
    if noise_power <= signal_power * least:
        return MOST_DECIBELS
    return 10.0 * float(np.log10(max(signal_power / noise_power, least)))


def psnr(values: Array, truth: Array) -> float:
    """Peak signal-to-noise ratio in dB, with the peak of `peak`."""
    return decibels(peak(truth) ** 2, mse(values, truth))


def snr(values: Array, truth: Array) -> float:
    """Signal-to-noise ratio in dB; the signal's power is its variance about each channel's mean.

    Silence and constants have no such power: errors are then related to the peak, as `psnr` does.
    """
    over, rows = tuple(range(truth.ndim - 1)), truth.size / truth.shape[-1]
    mean = sum(part.sum(axis=over, dtype=np.float64) for part in parts(truth)) / rows
    power = float(np.mean(sum(np.square(part - mean).sum(axis=over) for part in parts(truth)) / rows))
    rounding = CONSTANT * max(map(abs, ends(truth)))
    return decibels(power if power > rounding**2 else peak(truth) ** 2, mse(values, truth))


def ssim(values: Array, truth: Array) -> float | None:
    """Structural similarity (7 x 7 windows) of images [H, W, C]; None where they are smaller than a window."""
    from skimage.metrics import structural_similarity

    if min(truth.shape[:2]) < 7:
        return None
    total, reach, largest = 0.0, 3, peak(truth)
    height, width, channels = truth.shape
    # In bands, each with the rows that its windows reach; windows that lie across the border do not count.
    for part in row_blocks((height - 2 * reach, width, channels)):
        rows = slice(part.start, part.stop + 2 * reach)
        pair = truth[rows].astype(np.float64), values[rows].astype(np.float64)
        similar = structural_similarity(*pair, data_range=largest, channel_axis=-1, full=True)[1]
        total += float(similar[reach:-reach, reach:-reach].sum())
    return total / ((height - 2 * reach) * (width - 2 * reach) * channels)
