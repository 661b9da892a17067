"""Agreement between values and truth on one grid, in every package the same; always finite, so JSON-able."""

import numpy as np

# Stands for 'equal': no decibel figure is larger, none is infinite.
MOST_DECIBELS = 300.0
BLOCK = 1 << 22
# What varies by no more than a few float32 roundings of its size is a constant.
CONSTANT = 4 * float(np.finfo(np.float32).eps)


def mse(values: np.ndarray, truth: np.ndarray) -> float:
    """Mean squared error, summed in float64; raises ValueError for different shapes."""
    if values.shape != truth.shape:
        raise ValueError(f"values {values.shape} and truth {truth.shape} are not on one grid")
    # In blocks: a video's float64 difference would be many times the video.
    blocks = range(0, len(truth), max(1, BLOCK * len(truth) // truth.size))
    step = blocks.step
    total = sum(
        float(np.square(np.subtract(values[i : i + step], truth[i : i + step], dtype=np.float64)).sum()) for i in blocks
    )
    return total / truth.size


def peak(truth: np.ndarray) -> float:
    """The largest value of ordinary pictures, 1, or the range of the truth where it leaves [0, 1] (HDR, signed)."""
    low, high = float(truth.min()), float(truth.max())
    if low >= -1e-3 and high <= 1 + 1e-3:
        return 1.0
    return high - low or 1.0


def decibels(signal_power: float, noise_power: float) -> float:
    """10 log10(signal / noise), held within +-MOST_DECIBELS so that equal arrays have a figure too."""
    least = 10.0 ** (-MOST_DECIBELS / 10)
    if noise_power <= signal_power * least:
        return MOST_DECIBELS
    return 10.0 * float(np.log10(max(signal_power / noise_power, least)))


def psnr(values: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB, with the peak of `peak`."""
    return decibels(peak(truth) ** 2, mse(values, truth))


def snr(values: np.ndarray, truth: np.ndarray) -> float:
    """Signal-to-noise ratio in dB; the signal's power is its variance about each channel's mean.

    Silence and constants have no such power: errors are then related to the peak, as `psnr` does.
    """
    over = tuple(range(truth.ndim - 1))
    power = float(np.mean(np.var(truth, axis=over, dtype=np.float64)))
    rounding = CONSTANT * max(abs(float(truth.min())), abs(float(truth.max())))
    return decibels(power if power > rounding**2 else peak(truth) ** 2, mse(values, truth))


def ssim(values: np.ndarray, truth: np.ndarray) -> float | None:
    """Structural similarity (7 x 7 windows) of images [H, W, C]; None where they are smaller than a window."""
    from skimage.metrics import structural_similarity

    if min(truth.shape[:2]) < 7:
        return None
    similarity = structural_similarity(
        truth.astype(np.float64), values.astype(np.float64), data_range=peak(truth), channel_axis=-1
    )
    return float(similarity)
