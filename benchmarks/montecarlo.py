"""Monte Carlo: filtering a plain signal or field by averaging, and ground truth made that way, at equal error."""

import math
from typing import Any

import numpy as np
import torch

from benchmarks.measure import Bar, Settings, decibels, interleaved, slope
from benchmarks.runs import ASTRONAUT, HALF_SIZE, MARGIN, ORDER, Run, load_picture
from kernels import SparseKernel
from mc_utils import SAMPLERS, grid_sampler, monte_carlo, monte_carlo_convolution
from models.convolution import convolve_grid
from signals import Signal, coordinates
from signals.exact import kernel_convolution, minimal_convolution

WANTED = 50.0


def filtering(runs: dict[str, Run], signal: Signal, kernel: SparseKernel, settings: Settings) -> dict[str, Any]:
    """Samples and seconds that averaging a plain signal or a plain network needs for every field's own accuracy.

    `kernel` is a minimal one. Errors are measured at a few sample counts on random pixels and carried on by
    the fitted power law; a plain network of f costs per query what the MLP of F does.
    """
    truth, grid = kernel_convolution(signal, kernel), [torch.as_tensor(coordinates(n)) for n in signal.shape]
    rng = np.random.default_rng(settings.seed)
    chosen = [rng.integers(n, size=settings.choose(4096, 512)) for n in signal.shape]
    points = np.stack([x.numpy()[i] for x, i in zip(grid, chosen, strict=True)], axis=-1)
    size = float(kernel.radius.max())
    sample = grid_sampler(signal, "clamp", size, np)
    counts = settings.choose((16, 64, 256, 1024), (4, 16))

    def estimate(samples: int) -> np.ndarray:
        generator = np.random.default_rng(settings.seed)
        return monte_carlo(sample, points, (0, 1), ORDER, size, samples, generator, "lattice", np)

    errors = [float(np.sqrt(np.mean((estimate(n) - truth[tuple(chosen)]) ** 2))) for n in counts]
    law = slope(np.array(counts), np.array(errors))
    network, queries = runs["mlp"].field, torch.as_tensor(points, dtype=torch.float32)
    with torch.no_grad():
        tasks = {"signal": lambda: estimate(16), "network": lambda: network.network_points(queries)}
        seconds = interleaved(tasks, settings.choose(5, 1))
    scale = math.prod(signal.shape) / len(points)
    found: dict[str, Any] = {"samples": list(counts), "rms": errors, "slope": law, "fields": {}}
    for kind, run in runs.items():
        accuracy = decibels(convolve_grid(run.field, kernel, grid, HALF_SIZE).numpy(), truth)
        needed = counts[-1] * (errors[-1] / 10 ** (-accuracy / 20)) ** (-1 / law)
        found["fields"][kind] = {
            "accuracy": accuracy,
            "samples": needed,
            "seconds_signal": seconds["signal"] / 16 * needed * scale,
            "seconds_network": seconds["network"] * needed * scale,
        }
    return found


def ground_truth(settings: Settings) -> dict[str, Any]:
    """Exact and Monte Carlo ground truth of a 512 x 512 photograph: error against samples, time at 50 dB."""
    signal = load_picture(ASTRONAUT)
    pads = (0, 0)
    exact = minimal_convolution(signal, ORDER, [HALF_SIZE] * 2, "clamp", pads)
    counts = settings.choose((1, 2, 4, 8, 16, 32, 64), (1, 2, 4))

    def estimate(samples: int, sampler: str) -> np.ndarray:
        return monte_carlo_convolution(signal, ORDER, HALF_SIZE, "clamp", pads, samples, settings.seed, sampler)

    found: dict[str, Any] = {"samples": list(counts), "margin": MARGIN}
    for sampler in SAMPLERS:
        rms = [float(np.sqrt(np.mean((estimate(n, sampler) - exact) ** 2))) for n in counts]
        law = slope(np.array(counts), np.array(rms))
        needed = math.ceil(counts[-1] * (rms[-1] / 10 ** (-WANTED / 20)) ** (-1 / law))
        found[sampler] = {"rms": rms, "slope": law, "samples_at_50_dB": needed}
    best = min(SAMPLERS, key=lambda sampler: found[sampler]["samples_at_50_dB"])
    # Time is proportional to samples, so that a few of them tell the time of many.
    timed = min(found[best]["samples_at_50_dB"], settings.choose(64, 4))
    tasks = {
        "exact": lambda: minimal_convolution(signal, ORDER, [HALF_SIZE] * 2, "clamp", pads),
        "monte carlo": lambda: estimate(timed, best),
    }
    seconds = interleaved(tasks, settings.choose(3, 1))
    slow = seconds["monte carlo"] * found[best]["samples_at_50_dB"] / timed
    found |= {"sampler": best, "seconds_exact": seconds["exact"], "seconds_monte_carlo": slow}
    bars = [Bar("exact ground truth: times faster than Monte Carlo at 50 dB", 100, slow / seconds["exact"])]
    for sampler in SAMPLERS:
        text = f"Monte Carlo, {sampler}: error falls as samples to the power"
        # The law is -1/2; a fit of few points scatters about it.
        bars.append(Bar(text, -0.48, found[sampler]["slope"], at_least=False))
    return found | {"bars": [bar.to_dict() for bar in bars]}
