"""Filtering a photograph with a field against the sum as it is written and against what does without a field, and exact
ground truth against Monte Carlo."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from scipy.signal import fftconvolve
from torch import Tensor

import nfconv
from benchmarks.common import HALF_SIZE, Cost, Settings, counted_queries, duration, interleaved, table, train_quietly
from kernels import SparseKernel
from kernels.separate import Term, tensor_terms
from models import Field, FieldConfig, Origin, SeparableField, build_field
from models.bundles import couple
from models.exact import ExactField
from models.filtering import grid_points
from signals import GroundTruth, Signal, spacing
from signals.exact import kernel_convolution, kernel_taps
from signals.measures import psnr
from signals.monte_carlo import SAMPLERS

SIZE = 0.2
SIZES = (0.05, 0.1, 0.2, 0.4)
COUNTS = (3, 5, 9, 13, 17, 21)
# Enough for fields that answer sensibly; how good they get is another section.
FIELDS: dict[str, dict[str, Any]] = {
    "splines": {"factor": "spline"},
    "separable": {"time_budget": 15.0},
    "siren": {"field": "siren", "time_budget": 25.0},
    "mlp": {"field": "mlp", "time_budget": 25.0},
}
BLOCK = 1 << 16
DECIBELS = (50, 60, 80, 100)


def filtering(settings: Settings) -> str:
    """Grids against direct sums, growth with size and Diracs, and rivals without a field."""
    signal = settings.picture()
    truth = nfconv.make_ground_truth(signal)
    fields = {name: train_quietly(truth, settings, **options)[0] for name, options in FIELDS.items()}
    pixels = " x ".join(map(str, signal.shape))
    gaussian, tent = nfconv.gaussian(sigma=SIZE / 3).sparse(1, 2), nfconv.minimal_kernel(1, SIZE, 2)
    rows = compare(fields, {"Gaussian": gaussian, "tent": tent}, signal, settings)
    sizes = {f"{size:g}": nfconv.gaussian(sigma=size / 3).sparse(1, 2) for size in SIZES}
    shown = COUNTS[: settings.choose(None, 2)]
    counts = {str(count): nfconv.gaussian(sigma=SIZE / 3, count=count).sparse(1, 2) for count in shown}
    head = ["kernel, field", "Dirac by Dirac", "axis by axis", "at points", "on the grid", "faster"]
    head += ["queries per output", "agreement", "against exact"]
    return "\n\n".join([
        "## Filtering",
        f"{pixels} pixels with {len(gaussian)} Diracs (Gaussian) and {len(tent)} (tent), half size {SIZE:g}. Dirac by "
        "Dirac is the sum as it is written, axis by axis the same for separable fields with a query for every Dirac "
        "and axis, both timed on a part of the pixels. At points is `field.filter(kernel, at=pixels)`, which first "
        "makes tables of networks, on the grid `field.filter(kernel)`. Agreement is PSNR against the direct sum.",
        table(head, rows),
        "On the grid, by half size of the Gaussian:",
        table(["field", *sizes], growth(fields, sizes, settings)),
        f"By Diracs per axis, half size {SIZE:g}:",
        table(["field", *counts], growth(fields, counts, settings)),
        "The same Gaussian without a trained field:",
        table(["way", "time", "against exact"], rivals(signal, gaussian, settings)),
    ])  # fmt: skip


def answers(field: Field, kernel: SparseKernel) -> np.ndarray:
    """The filtered signal on its grid [M_1, ..., M_d, c], factors in float64 and networks in float32."""
    return field.filter(kernel, precision="64" if field.factored else "32", block=BLOCK)


@torch.no_grad()
def dirac_by_dirac(field: Field, kernel: SparseKernel, points: Tensor) -> Tensor:
    """The sum as it is written, one query of the field for every point and Dirac: [N, d] -> [N, c]."""
    t, w = torch.tensor(kernel.positions), torch.tensor(kernel.weights)
    rows = max(1, BLOCK // len(kernel))
    return torch.cat([field.sum_diracs(x[:, None] - t, w) for x in points.split(rows)])


def factors(kernel: SparseKernel) -> Term:
    """Positions and weights of a product kernel along each axis."""
    terms = tensor_terms(kernel)
    assert terms is not None
    return terms[0]


@torch.no_grad()
def axis_by_axis(field: SeparableField, kernel: SparseKernel, points: Tensor) -> Tensor:
    """The same sum for a product kernel, one query of a factor for every point, axis and Dirac of that axis."""
    seen: list[Tensor] = []
    powers: list[Tensor] = []
    for axis, (t, w) in enumerate(factors(kernel)):
        nodes = points[:, axis, None] - torch.tensor(t)
        for ask, found in ((field.axis_factors[axis], seen), (partial(field.polynomial.basis, axis=axis), powers)):
            found.append(torch.tensor(w) @ ask(nodes.reshape(-1)).unflatten(0, nodes.shape))
    ones = [factor[:, None] for factor in seen], [factor[:, None] for factor in powers]
    return couple(ones[0], field.core, None) + couple(ones[1], field.polynomial.coefficients, None)


def compare(
    fields: Mapping[str, Field], kernels: Mapping[str, SparseKernel], signal: Signal, settings: Settings
) -> list[list[str]]:
    """A row per kernel and field: costs of every way for the whole grid, queries, agreement, accuracy and memory."""
    everywhere = grid_points(signal.shape)
    generator = torch.Generator().manual_seed(settings.seed)
    some = torch.randperm(len(everywhere), generator=generator)[: settings.choose(4096, 256)]
    points, share, rows = everywhere[some], len(everywhere) / len(some), []
    fields = {name: field.double() if field.factored else field for name, field in fields.items()}
    for label, kernel in kernels.items():
        exact = kernel_convolution(signal, kernel)
        tasks: dict[str, Callable[[], Any]] = {}
        for name, field in fields.items():
            tasks[f"{name} direct"] = partial(dirac_by_dirac, field, kernel, points)
            tasks[f"{name} grid"] = partial(answers, field, kernel)
            if isinstance(field, SeparableField):
                tasks[f"{name} axes"] = partial(axis_by_axis, field, kernel, points)
                tasks[f"{name} at"] = partial(field.filter, kernel, at=everywhere)
        costs = interleaved(tasks, settings.choose(3, 1))
        for name, field in fields.items():
            direct, grid = costs[f"{name} direct"] * share, costs[f"{name} grid"]
            axes = str(costs[f"{name} axes"] * share) if field.factored else "-"
            with counted_queries(field) as queries:
                whole = tasks[f"{name} grid"]()
            chosen = whole.reshape(len(everywhere), -1)[some.numpy()]
            rows.append([
                f"{label}, {name}", str(direct), axes, str(costs.get(f"{name} at", "-")),
                str(grid), f"{direct.wall / grid.wall:,.0f} x", f"{sum(queries) / len(everywhere):.3g}",
                f"{psnr(chosen, tasks[f'{name} direct']().numpy()):.0f} dB", f"{psnr(whole, exact):.1f} dB",
            ])  # fmt: skip
    return rows


def growth(fields: Mapping[str, Field], kernels: Mapping[str, SparseKernel], settings: Settings) -> list[list[str]]:
    """A row per field: the cost of the grid for every kernel."""
    rows = []
    for name, field in fields.items():
        tasks = {label: partial(answers, field, kernel) for label, kernel in kernels.items()}
        rows.append([name, *map(str, interleaved(tasks, settings.choose(15 if field.factored else 3, 1)).values())])
    return rows


def rivals(signal: Signal, kernel: SparseKernel, settings: Settings) -> list[list[str]]:
    """A row per way to filter the samples themselves with a product kernel: cost and accuracy."""
    exact, term = kernel_convolution(signal, kernel), factors(kernel)
    taps = [kernel_taps(t, w, kernel.order, spacing(n)) for (t, w), n in zip(term, signal.shape, strict=True)]
    padded = signal.padded([len(line) // 2 for line in taps], "clamp").astype(np.float64)
    single = signal.core.astype(np.float32)
    field = ExactField(signal, kernel.order, float(kernel.radius.max()))
    tasks = {
        "OpenCV sepFilter2D, float32": lambda: cv2.sepFilter2D(
            single, -1, taps[1][::-1], taps[0][::-1], borderType=cv2.BORDER_REPLICATE
        ),
        "SciPy, separable FIR, float64": lambda: kernel_convolution(signal, kernel),
        "SciPy, FFT in 2-D, float64": lambda: fftconvolve(padded, np.multiply.outer(*taps)[..., None], "valid", (0, 1)),
        "exact integral field, float64": lambda: field.filter(kernel),
    }
    costs = interleaved(tasks, settings.choose(5, 1))
    return [[name, str(costs[name]), f"{psnr(task(), exact):.0f} dB"] for name, task in tasks.items()]


def ground_truth(settings: Settings) -> str:
    """Exact ground truth against Monte Carlo: errors by samples, and what an accuracy costs."""
    signal, counts = settings.picture(), settings.choose((1, 2, 4, 8, 16, 32, 64), (4, 8))
    rows, power_laws = errors(signal, counts, settings)
    best = min(SAMPLERS, key=lambda sampler: power_laws[sampler](60))
    points = torch.rand(settings.choose(1 << 16, 1 << 10), 2)
    network = build_field(FieldConfig("mlp", 2, signal.channels, (0, 1), 1), Origin((1.0,) * 2, 0.0, "clamp", (1, 1)))
    with torch.no_grad():
        tasks = {
            "exact": lambda: made(signal, settings),
            "samples": lambda: made(signal, settings, counts[-1], best),
            "network": lambda: network.network_points(points),
        }
        costs = interleaved(tasks, settings.choose(3, 1))
    reached = []
    for accuracy in DECIBELS:
        samples = power_laws[best](accuracy)
        pixels: Cost = costs["samples"] * (samples / counts[-1])
        evaluations = costs["network"] * (samples * math.prod(signal.shape) / len(points))
        faster = f"{pixels.wall / costs['exact'].wall:,.0f} x"
        reached.append([f"{accuracy} dB", f"{samples:,.0f}", str(pixels), faster, duration(evaluations.wall)])
    shape = " x ".join(map(str, signal.shape))
    head = ["accuracy", "samples per pixel", "time", "over exact", "if each sample is a query of a network"]
    return "\n\n".join([
        "## Ground truth",
        f"{shape} pixels, tent of half size {HALF_SIZE:g}, no margin: exact in {costs['exact']}. Root mean square "
        "error of Monte Carlo by samples per pixel, and the power of the samples that it falls with:",
        table(["sampler", *map(str, counts), "power"], rows),
        f"What an accuracy costs with the {best} sampler, carried on from {counts[-1]} samples:",
        table(head, reached),
    ])  # fmt: skip


def made(signal: Signal, settings: Settings, samples: int = 0, sampler: str = "lattice") -> GroundTruth:
    """Ground truth from so many samples, or exact from none."""
    method = "monte_carlo" if samples else "exact"
    return nfconv.make_ground_truth(signal, 1, HALF_SIZE, 0.0, "clamp", method, samples, settings.seed, sampler)


def errors(
    signal: Signal, counts: Sequence[int], settings: Settings
) -> tuple[list[list[str]], dict[str, Callable[[float], float]]]:
    """A row per sampler, and for each the samples that a PSNR in dB requires, by the power law through its errors."""
    exact, rows = made(signal, settings), []
    power_laws: dict[str, Callable[[float], float]] = {}
    for sampler in SAMPLERS:
        found = [made(signal, settings, count, sampler).values - exact.values for count in counts]
        rms = [float(np.sqrt(np.mean(np.square(error, dtype=np.float64)))) for error in found]
        power, start = np.polyfit(np.log(counts), np.log(rms), 1)
        rows.append([sampler, *[f"{error:.2e}" for error in rms], f"{power:.2f}"])
        power_laws[sampler] = partial(samples_for, float(power), float(start))
    return rows, power_laws


def samples_for(power: float, start: float, decibels: float) -> float:
    """Samples at which the error exp(start) samples^power is that of a PSNR in dB, peak 1."""
    return math.exp((-decibels / 20 * math.log(10) - start) / power)
