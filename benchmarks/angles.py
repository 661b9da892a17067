"""Kernels of an angle per pixel: how near a blend of a few of them is to the one that is asked for."""

import math
from collections.abc import Callable

import numpy as np

import nfconv
from benchmarks.common import Settings, table
from kernels.library import Kernel
from models.varying import blend_weights
from signals import coordinates
from signals.measures import decibels

COUNTS = (8, 12, 16, 24)
# Where between two neighbouring angles a kernel is asked for, and how many times.
BETWEEN, ASKED = 0.37, 6
REACH, SAMPLES = 0.45, 181
KERNELS: dict[str, Callable[[float], Kernel]] = {
    "Gabor, 0.5 periods in a sigma": lambda angle: nfconv.gabor(sigma=0.08, frequency=6, angle=angle),
    "Gabor, 0.8 periods in a sigma": lambda angle: nfconv.gabor(sigma=0.1, frequency=8, angle=angle),
    "motion, 6 times as long as thick": lambda angle: nfconv.motion(length=0.3, thickness=0.05, angle=angle),
    "motion, 3 times": lambda angle: nfconv.motion(length=0.3, thickness=0.1, angle=angle),
    "Gaussian, 4 to 1, cut at 3 sigma": lambda angle: nfconv.anisotropic(sigma=0.08, sigma_across=0.02, angle=angle),
}


def angles(settings: Settings) -> str:
    """Linear blends, as they were, and those of `blend_weights`, as signal-to-noise ratios of the kernel itself."""
    x = coordinates(settings.choose(SAMPLES, 31)) * REACH
    points = np.stack(np.meshgrid(x, x, indexing="ij"), axis=-1).reshape(-1, 2)
    rows = []
    for name, kernel in KERNELS.items():
        for way, weights in (("linear", linear), ("trigonometric", blend_weights)):
            found = [ratio(kernel, weights, points, count) for count in settings.choose(COUNTS, COUNTS[:1])]
            rows.append([name, way, *[f"{value:.1f}" for value in found]])
    heads = [str(count) for count in settings.choose(COUNTS, COUNTS[:1])]
    return "\n\n".join([
        "## Angles",
        "Kernels of `--angle_map` by the number that are filtered with (`--angles`): signal-to-noise ratio in dB of "
        "the blend of their densities as the kernel at an angle between two of them. Version 0.2.0 blended linearly; "
        "trigonometric interpolation weights all of them and costs the same.",
        table(["kernel", "blend", *heads], rows),
    ])  # fmt: skip


def linear(turn: np.ndarray, count: int) -> np.ndarray:
    """Weights [count] of the two kernels next to an angle / 180 degrees."""
    distance = np.abs(turn * count - np.arange(count))
    return np.clip(1 - np.minimum(distance, count - distance), 0, None)


def ratio(
    kernel: Callable[[float], Kernel], weights: Callable[[np.ndarray, int], np.ndarray], points: np.ndarray,
    count: int,
) -> float:  # fmt: skip
    """Decibels of the blends of `count` kernels."""
    shown = np.stack([kernel(180 * k / count).target(2).density(points) for k in range(count)], axis=-1)
    power = error = 0.0
    for number in range(ASKED):
        turn = (number + BETWEEN) / count % 1.0
        wanted = kernel(180 * math.fmod(turn, 1.0)).target(2).density(points)
        power += float(np.square(wanted).sum())
        error += float(np.square(shown @ weights(np.array(turn), count) - wanted).sum())
    return decibels(power, error)
