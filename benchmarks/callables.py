"""A network filtered by a field of it, by averaging it, and by filtering samples of it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

import nfconv
from benchmarks.common import HALF_SIZE, Settings, cost_of, duration, interleaved, table, train_quietly
from examples.fields import hash_grid, siren
from kernels import minimal_kernel
from modalities import CALLABLES
from models.exact import ExactField
from models.filtering import grid_points
from signals import Signal
from signals.callables import Continuous, SamplingRequest, SamplingSettings
from signals.exact import kernel_convolution
from signals.measures import psnr
from signals.monte_carlo import monte_carlo, within
from signals.quadrature import NODES, dense_convolution
from signals.sampling import EVALUATIONS, corrected, on_grid, sample

SIZES = (0.05, 0.1, 0.2, 0.4)
# The kernel of the comparison, and the training kernel that eval.py takes for it.
WIDE, HALF_OF_IT = 0.2, 0.1
# What eval.py takes for that kernel alone is less than what nfconv.fit does.
MARGIN, CLOSE_MARGIN = 0.4, 0.15
ACCURACIES = (60, 80, 95)
# Panels of the quadrature that is the truth are this long, at most.
PANEL = 0.01
FEWEST_PANELS = 8
SECONDS = 15.0
RULES = ("clamp", "clamp")


@dataclass(frozen=True)
class Averages:
    """A way to average the callable at every output: PSNR (dB) measured at some numbers of evaluations."""

    name: str
    counts: Sequence[int]
    decibels: Sequence[float]

    def evaluations(self, decibels: float) -> float:
        """Evaluations per output for an accuracy: between those measured, or by the power law through them."""
        logs = np.log(self.counts)
        if self.decibels[0] <= decibels <= self.decibels[-1]:
            return math.exp(np.interp(decibels, self.decibels, logs))
        slope, start = np.polyfit(logs, self.decibels, 1)
        return math.exp((decibels - start) / max(slope, 1.0))


def callables(settings: Settings) -> str:
    """Fields of a SIREN and of a hash grid by factor, and what a result costs otherwise, to the same accuracy."""
    steps, rng = settings.choose(400, 3), np.random.default_rng(settings.seed)
    signals = {
        "SIREN": CALLABLES.from_callable(siren(steps), dim=2),
        "hash grid": CALLABLES.from_callable(hash_grid(steps), dim=2),
    }
    shape = settings.choose((512, 512), (16, 16))
    rows = rng.permutation(math.prod(shape))[: settings.choose(32, 3)]
    points = grid_points(shape).numpy()[rows]
    fields, truths, good = [], {}, {}
    for name, signal in signals.items():
        truths[name], good[name] = truth_of(signal, points, settings)
        fields += field_rows(name, signal, points, truths[name], settings)
    even, rivals = compare(signals["SIREN"], points, rows, shape, truths["SIREN"][WIDE], settings)
    return "\n\n".join([
        "## Callables",
        f"Two networks of a photograph (examples/fields.py, {steps} steps of training) as signals. PSNR in dB against "
        f"dense quadrature of the network itself ({' and '.join(f'{dB:.0f} dB' for dB in good.values())} from a "
        f"coarser one) at {len(points)} random points, by half size of the tent; fields are trained with "
        f"{HALF_SIZE:g} and margin {MARGIN:g}, from as many samples as {ACCURACIES[-1]} dB require, up to "
        f"{EVALUATIONS:,}. Sampling is not part of the time of training.",
        table(["network, factor", "evaluations", "sampling", "training", *[f"{s:g}" for s in SIZES]], fields),
        *comparison(even, rivals, " x ".join(map(str, shape))),
    ])  # fmt: skip


def comparison(even: list[list[Any]], rivals: list[list[Any]], outputs: str) -> list[str]:
    """The tables of one kernel, and what they are about."""
    return [
        f"The SIREN and the tent of half size {WIDE:g}. A field of splines (half size {HALF_OF_IT:g}, sampled to an "
        "estimated `--accuracy`) against averaging the network at every output until it is as accurate: by a lattice "
        "of Monte Carlo, and by Gauss-Legendre quadrature in panels. Evaluations per output lie between measured ones, "
        "or on the power law through them, and seconds follow from those of an evaluation. It breaks even at so many "
        "outputs, by evaluations and by seconds of the processor (of the fit: filtering is of little account).",
        table(["accuracy", "dB", "evaluations", "sampling and fit", "averaged by", "per output", "CPU per output",
               f"{outputs} outputs", "even by evaluations", "even by seconds"], even),
        f"The simple rival samples the network once and filters the samples exactly on {outputs}: samples on the grid "
        "of the result, as they are or corrected, or as many as this kernel requires for an estimated `--accuracy`. It "
        "is the thing to do for one kernel; a field answers smaller ones, those that vary and points as well.",
        table(["way", "evaluations", "sampling and fit", "each result", "dB"], rivals),
    ]  # fmt: skip


def quadrature(f: Continuous, size: float, points: np.ndarray, panels: int) -> np.ndarray:
    """f * tent at points [P, 2] by Gauss-Legendre in `panels` per axis -> [P, c]."""
    return dense_convolution(f, minimal_kernel(1, size, 2), (0, 1), RULES, points, panels)


def truth_of(signal: Signal, points: np.ndarray, settings: Settings) -> tuple[dict[float, np.ndarray], float]:
    """The tents of all sizes over the callable at points, and how near (dB) the worst is to a coarser quadrature."""
    truths, worst = {}, math.inf
    for size in SIZES:
        panels = settings.choose(max(FEWEST_PANELS, math.ceil(2 * size / PANEL)), 3)
        truths[size] = quadrature(signal.function, size, points, panels)
        few = quadrature(signal.function, size, points[:8], math.ceil(panels * 2 / 3))
        worst = min(worst, psnr(few, truths[size][:8]))
    return truths, worst


def sampled_truth(
    signal: Signal, size: float, margin: float, accuracy: float, settings: Settings
) -> Callable[[], nfconv.GroundTruth]:
    """A task: samples of the callable and their convolution with the training kernel."""
    asked = replace(signal.function, settings=SamplingSettings((0,), accuracy, settings.choose(EVALUATIONS, 2000)))
    return partial(nfconv.make_ground_truth, replace(signal, function=asked), 1, size, margin)


def field_rows(
    name: str, signal: Signal, points: np.ndarray, truths: dict[float, np.ndarray], settings: Settings
) -> list[list[Any]]:
    """A row per factor: what sampling and training cost, and PSNR by size of the tent."""
    truth, sampling = cost_of(sampled_truth(signal, HALF_SIZE, MARGIN, ACCURACIES[-1], settings))
    rows = []
    for factor in ("spline", "swish"):
        budget = None if factor == "spline" else SECONDS
        field, _, cost = train_quietly(truth, settings, factor=factor, time_budget=budget)
        found = [psnr(field.filter(minimal_kernel(1, size, 2), at=points), truths[size]) for size in SIZES]
        used = f"{truth.metadata.used:,}"
        rows.append([f"{name}, {factor}", used, sampling, cost, *[f"{value:.1f}" for value in found]])
    return rows


def averages(f: Continuous, points: np.ndarray, truth: np.ndarray, settings: Settings) -> list[Averages]:
    """Two ways to average f, and how accurate they are by evaluations per output."""
    counts = settings.choose((64, 256, 1024, 4096), (4, 16))
    panels = settings.choose((2, 4, 6, 8, 12, 16, 24), (2, 4))
    found = []
    for count in counts:
        draw = np.random.default_rng(settings.seed)
        found.append(
            monte_carlo(lambda p: f(within(p, RULES)), points, (0, 1), 1, (WIDE, WIDE), count, draw, "lattice", np)
        )
    lattice = Averages("a lattice", counts, [psnr(values, truth) for values in found])
    found = [quadrature(f, WIDE, points, n) for n in panels]
    return [lattice, Averages("quadrature", [(NODES * n) ** 2 for n in panels], [psnr(v, truth) for v in found])]


def compare(
    signal: Signal, points: np.ndarray, rows: np.ndarray, shape: tuple[int, ...], truth: np.ndarray, settings: Settings
) -> tuple[list[list[Any]], list[list[Any]]]:
    """Rows of fields against averages to the same accuracy, and of all that samples once."""
    f, kernel = signal.function, minimal_kernel(1, WIDE, 2)
    ways = averages(f, points, truth, settings)
    batch = np.random.default_rng(settings.seed).uniform(-1, 1, (settings.choose(1 << 16, 256), 2))
    one = interleaved({"asked": partial(f, batch)}, 3)["asked"] * (1 / len(batch))
    even, rivals, outputs = [], [], math.prod(shape)
    for accuracy in settings.choose(ACCURACIES, (30,)):
        sampled, sampling = cost_of(sampled_truth(signal, HALF_OF_IT, CLOSE_MARGIN, accuracy, settings))
        field, _, training = train_quietly(sampled, settings, factor="spline")
        fit = sampling + training
        result, each = cost_of(partial(field.filter, kernel, shape))
        decibels, used = psnr(result.reshape(-1, f.channels)[rows], truth), sampled.metadata.used
        rivals.append([f"field, `--accuracy {accuracy}`", f"{used:,}", fit, each, f"{decibels:.1f}"])
        for way in ways:
            count = way.evaluations(decibels)
            cost = one * count
            even.append([accuracy, f"{decibels:.1f}", f"{used:,}", fit, way.name, f"{count:,.0f}",
                         duration(cost.cpu), cost * outputs, f"{used / count:,.3g}",
                         f"{fit.cpu / cost.cpu:,.3g}"])  # fmt: skip
    return even, rivals + filtered_samples(f, kernel, rows, shape, truth)


def filtered_samples(
    f: Continuous, kernel: nfconv.SparseKernel, rows: np.ndarray, shape: tuple[int, ...], truth: np.ndarray
) -> list[list[Any]]:
    """Rows of samples on the grid of the result, as they are and corrected, filtered exactly."""
    values, sampling = cost_of(partial(on_grid, f, shape))
    found: list[list[Any]] = []
    for name, samples in (("samples", values), ("samples, corrected", corrected(corrected(values, 0), 1))):
        result, each = cost_of(partial(kernel_convolution, Signal(samples, (0, 1)), kernel))
        decibels = psnr(result.reshape(-1, f.channels)[rows], truth)
        found.append([name, f"{math.prod(shape):,}", sampling, each, f"{decibels:.1f}"])
    for accuracy in ACCURACIES:
        request = SamplingRequest((0, 1), 1, (WIDE, WIDE), 0.0, RULES[0])
        few, sampling = cost_of(partial(sample, replace(f, settings=SamplingSettings(accuracy=accuracy)), request))
        exact, building = cost_of(partial(ExactField, few.signal, 1, WIDE, RULES[0]))
        result, each = cost_of(partial(exact.filter, kernel, shape, precision="64"))
        decibels, used = psnr(result.reshape(-1, f.channels)[rows], truth), f"{few.evaluations:,}"
        found.append([f"samples, `--accuracy {accuracy}`", used, sampling + building, each, f"{decibels:.1f}"])
    return found
