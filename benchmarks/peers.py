"""The protocols that two newer methods were measured by, on photographs of two sizes."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from skimage.transform import resize

import nfconv
from benchmarks.common import PICTURES, Settings, cost_of, duration, table, train_quietly
from models import Field
from models.varying import turned_covariances
from signals import Signal, spacing
from signals.exact import convolve_signal, convolve_signal_nd, kernel_convolution
from signals.gaussians import gaussian_taps
from signals.measures import psnr, ssim
from signals.signal import crop

# Neural Gaussian Scale-Space Fields (Mujkanovic et al. 2024): variances, and fixed covariances of standard deviations
# along and across an angle in degrees, in square domain units; what lies within 3 standard deviations of the border is
# cropped.
VARIANCES = (0.0, 1e-4, 1e-3, 1e-2, 1e-1)
COVARIANCES = ((0.1, 0.025, 30.0), (0.04, 0.01, 120.0), (0.15, 0.05, 75.0))
# Learning Neural Antiderivatives (Rubab et al. 2025): half sizes, and what is cropped.
HALF_SIZES, CROP = (0.1, 0.2, 0.3), 0.3
SIZES = (512, 2048)
# Half size of the training kernel in samples; the widest Gaussian reaches 3.6 of its standard deviations of 0.316.
SAMPLES, MARGIN = 2, 1.2


def peers(settings: Settings) -> str:
    """Both protocols with one field per picture."""
    rows, fits = [], []
    for size in settings.choose(SIZES, (64,)):
        for name in PICTURES[: settings.choose(None, 1)]:
            signal = scaled(settings.picture(name), size)
            truth = nfconv.make_ground_truth(signal, 1, SAMPLES * spacing(size), MARGIN)
            options = {"factor": "spline", "core_size": settings.choose(1_000_000, 10_000)}
            field, _, cost = train_quietly(truth, settings, **options)
            label = f"{name}, {size} x {size}"
            fits.append([label, duration(cost.wall), f"{sum(p.numel() for p in field.parameters()):,}"])
            rows += [[label, *row] for row in (*scale_space(field, signal), *antiderivatives(field, signal))]
    pictures = ", ".join(PICTURES)
    return "\n\n".join([
        "## The protocols of peers",
        f"One spline field per photograph ({pictures}, resized by cubics), trained with a tent of half size {SAMPLES} "
        f"samples and margin {MARGIN:g}; lengths in domain units, as the picture spans [-1, 1] there, too. Variances "
        "and fixed covariances are those of Neural Gaussian Scale-Space Fields (Mujkanovic et al. 2024), untruncated, "
        "without what lies within 3 standard deviations of the border; half sizes are those of Learning Neural "
        f"Antiderivatives (Rubab et al. 2025), tents, without {CROP:g} along the border. Truth is the exact "
        "convolution of the picture read bilinearly; variance 0 is compared with the picture itself, which a field "
        "answers only through its training kernel. LPIPS is left out: the wheel `lpips` has the weights of its last "
        "layers alone, and those of the networks below them are a download.",
        "What the protocols leave out is the border: with a crop no kernel reaches over it, and at a variance of 0.1 "
        "a twentieth of the picture's width is all that is measured. The whole picture is in the columns to the right.",
        table(["picture", "filter", "PSNR", "SSIM", "PSNR, whole", "SSIM, whole", "grid in"], rows),
        table(["picture", "fitted in", "weights"], fits),
    ])  # fmt: skip


def scaled(signal: Signal, size: int) -> Signal:
    """The picture with `size` samples along both axes."""
    values = resize(signal.core, (size, size), order=3, anti_aliasing=True)
    return nfconv.read(np.clip(values, 0, 1).astype(np.float32))


def scale_space(field: Field, signal: Signal) -> list[list[str]]:
    """A row per Gaussian of the first protocol."""
    rows, cells = [], np.array([spacing(n) for n in signal.shape])
    for variance in VARIANCES:
        if variance == 0:
            kernel = nfconv.minimal_kernel(1, SAMPLES * spacing(signal.shape[0]), 2)
            ask, truth = partial(field.filter, kernel), signal.core
        else:
            taps = [gaussian_taps(np.array([-1.0]), np.array([[variance]]), cells[:1])[1]] * 2
            truth = convolve_signal(signal, taps, (0, 1), "clamp", (0, 0))
            ask = partial(field.filter, nfconv.gaussian(), covariance=variance * np.eye(2), accuracy=75)
        rows.append(row(f"variance {variance:g}", ask, truth, 3 * math.sqrt(variance)))
    for along, across, angle in COVARIANCES:
        sigma = turned_covariances(np.array(angle / 180), along, across, (1.0, 1.0))
        truth = convolve_signal_nd(signal, gaussian_taps(-np.ones(2), sigma, cells)[1], (0, 1), "clamp")
        ask = partial(field.filter, nfconv.gaussian(), covariance=sigma, accuracy=75)
        rows.append(row(f"{along:g} x {across:g} at {angle:g}°", ask, truth, 3 * along))
    return rows


def antiderivatives(field: Field, signal: Signal) -> list[list[str]]:
    """A row per tent of the second protocol."""
    rows = []
    for half_size in HALF_SIZES:
        tent = nfconv.minimal_kernel(1, half_size, 2)
        ask, truth = partial(field.filter, tent), kernel_convolution(signal, tent)
        rows.append(row(f"tent of half size {half_size:g}", ask, truth, CROP))
    return rows


def row(name: str, ask: Callable[[], np.ndarray], truth: np.ndarray, border: float) -> list[str]:
    """PSNR and SSIM of what `ask` gives, without `border` (domain units) and whole, and what it costs."""
    found, cost = cost_of(ask)
    truth = truth.astype(np.float32)
    pads = [math.ceil(border / spacing(n)) for n in truth.shape[:2]]
    return [name, *measured(crop(found, pads), crop(truth, pads)), *measured(found, truth), duration(cost.wall)]


def measured(found: np.ndarray, truth: np.ndarray) -> Sequence[str]:
    """PSNR and, where there is room for its window, SSIM."""
    if truth.size == 0:
        return "-", "-"
    similar = ssim(found, truth)
    return f"{psnr(found, truth):.1f} dB", "-" if similar is None else f"{similar:.5f}"
