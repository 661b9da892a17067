"""Filtering 512 x 512: the direct sum against shared grids with the same fields, and what one would use instead."""

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import cv2
import numpy as np
import torch
from scipy.signal import fftconvolve
from torch import Tensor

from benchmarks import montecarlo
from benchmarks.measure import Bar, Settings, decibels, interleaved, peak_memory
from benchmarks.runs import ASTRONAUT, HALF_SIZE, ROOT, picture_truth, train
from kernels import SparseKernel, minimal_kernel, outer
from models import build_field
from models.convolution import convolve_grid, convolve_points, count_queries, grid_stencils
from models.exact import ExactField
from models.field import Field, FieldConfig
from signals import Signal, coordinates, spacing
from signals.exact import kernel_convolution, kernel_taps

SIZE = 0.2
SIZES = (0.05, 0.1, 0.2, 0.4)
COUNTS = (3, 5, 7, 9, 13, 17, 21)
# Seconds of training: enough for fields that answer sensibly; their quality is another part's business.
BUDGETS = {"separable": 15.0, "siren": 25.0, "mlp": 25.0}
BLOCK = 1 << 16


def run(settings: Settings) -> dict[str, Any]:
    """All of it; see the functions below."""
    signal = picture_truth(ASTRONAUT)[0]
    runs = {
        kind: train(ASTRONAUT, field=kind, time_budget=settings.choose(seconds, 1.0), seed=settings.seed)
        for kind, seconds in BUDGETS.items()
    }
    # As eval.py filters: one-dimensional factors in float64, networks of all coordinates in float32.
    fields = {kind: run.field.double() if run.field.factored else run.field for kind, run in runs.items()}
    kernels = {"gaussian": gaussian(SIZE), "tent": minimal_kernel(1, SIZE, 2)}
    compared = {name: compare(fields, kernel, signal, settings) for name, kernel in kernels.items()}
    sizes, counts = against_size(fields, signal, settings), against_count(fields, signal, settings)
    queries = {f"{dim}D": queries_per_output(dim) for dim in (2, 3)}
    result = {
        "trained": {kind: run.to_dict() for kind, run in runs.items()},
        "compared": compared,
        "sizes": sizes,
        "counts": counts,
        "queries_per_output": queries,
        "instead": instead(signal, kernels["gaussian"], settings),
        "monte_carlo": montecarlo.filtering(runs, signal, kernels["tent"], settings),
    }
    return result | {"bars": [bar.to_dict() for bar in bars(result)]}


def gaussian(size: float) -> SparseKernel:
    """The shipped 13-Dirac Gaussian as a 2-D product, 169 Diracs, of half size `size` = 3 sigma."""
    kernel = SparseKernel.load(ROOT / "trained_models" / "kernels" / "gaussian.npz")
    return outer(kernel, kernel).scaled(size / float(kernel.radius.max()))


def polyline_gaussian(count: int, size: float) -> SparseKernel:
    """The Gaussian of sigma = size / 3 as a broken line of `count` even knots per axis, count^2 Diracs."""
    knots = size * np.linspace(-1, 1, count)
    values = np.exp(-0.5 * (3 * knots / size) ** 2) * (np.abs(knots) < size)
    slopes = np.diff(values / values.sum() / (knots[1] - knots[0])) / np.diff(knots)
    line = SparseKernel(knots[:, None], np.diff(slopes, prepend=0, append=0), 1, (0,))
    return outer(line, line)


def grid_of(signal: Signal) -> list[Tensor]:
    """The signal's own grid, float64."""
    return [torch.as_tensor(coordinates(n)) for n in signal.shape]


def dirac_by_dirac(field: Field, kernel: SparseKernel, points: Tensor) -> Tensor:
    """The sum as it is written: one query of the field for every point and Dirac, [N, c]."""
    t, w = torch.tensor(kernel.positions), torch.tensor(kernel.weights)
    rows = max(1, BLOCK // len(kernel))
    return torch.cat([field.sum_diracs(x[:, None] - t, w) for x in points.split(rows)])


def compare(
    fields: dict[str, Field], kernel: SparseKernel, signal: Signal, settings: Settings
) -> dict[str, dict[str, Any]]:
    """Per field: the direct sum (on random pixels, scaled to all of them), sums axis by axis, and the shared grid."""
    truth, grid = kernel_convolution(signal, kernel), grid_of(signal)
    pixels = math.prod(signal.shape)
    generator = torch.Generator().manual_seed(settings.seed)
    some = torch.randint(pixels, (settings.choose(4096, 512),), generator=generator)
    rows, columns = some // signal.shape[1], some % signal.shape[1]
    points = torch.stack([grid[0][rows], grid[1][columns]], dim=-1)
    everywhere = torch.cartesian_prod(*grid)
    tasks: dict[str, Callable[[], Tensor]] = {}
    for kind, field in fields.items():
        tasks[f"{kind} direct"] = lambda field=field: dirac_by_dirac(field, kernel, points)
        if field.factored:
            tasks[f"{kind} points"] = lambda field=field: convolve_points(field, kernel, points)
            tasks[f"{kind} tables"] = lambda field=field: convolve_points(
                field, kernel, everywhere, half_size=HALF_SIZE
            )
        tasks[f"{kind} grid"] = lambda field=field: convolve_grid(field, kernel, grid, HALF_SIZE, BLOCK)
    with torch.no_grad():
        seconds = interleaved(tasks, settings.choose(3, 1))
        found = {}
        for kind, field in fields.items():
            whole = tasks[f"{kind} grid"]().numpy()
            direct = tasks[f"{kind} direct"]().numpy()
            share = pixels / len(points)
            terms = grid_stencils(field, kernel, grid, HALF_SIZE)
            found[kind] = {
                "seconds_direct": seconds[f"{kind} direct"] * share,
                "seconds_points": seconds[f"{kind} points"] * share if field.factored else None,
                "seconds_tables": seconds.get(f"{kind} tables"),
                "seconds_grid": seconds[f"{kind} grid"],
                "speed_up": seconds[f"{kind} direct"] * share / seconds[f"{kind} grid"],
                "queries_per_output": count_queries(field, terms) / pixels,
                "agreement": decibels(whole[rows, columns], direct),
                "accuracy_direct": decibels(direct, truth[rows, columns]),
                "accuracy_grid": decibels(whole[rows, columns], truth[rows, columns]),
                "accuracy_grid_whole": decibels(whole, truth),
                "peak_memory_mb": peak_memory(tasks[f"{kind} grid"]),
            }
    return found


def against_size(fields: dict[str, Field], signal: Signal, settings: Settings) -> dict[str, dict[str, float]]:
    """Seconds of the shared grid by half size, per field."""
    kernels = {f"{size:g}": gaussian(size) for size in SIZES}
    return _over(fields, kernels, signal, settings)


def against_count(fields: dict[str, Field], signal: Signal, settings: Settings) -> dict[str, dict[str, float]]:
    """Seconds of the shared grid by Diracs per axis, per field."""
    return _over(fields, {str(count): polyline_gaussian(count, SIZE) for count in COUNTS}, signal, settings)


def _over(
    fields: dict[str, Field], kernels: dict[str, SparseKernel], signal: Signal, settings: Settings
) -> dict[str, dict[str, float]]:
    grid, found = grid_of(signal), {}
    for kind, field in fields.items():
        tasks = {
            name: lambda field=field, kernel=kernel: convolve_grid(field, kernel, grid, HALF_SIZE, BLOCK)
            for name, kernel in kernels.items()
        }
        found[kind] = interleaved(tasks, settings.choose(15 if field.factored else 3, 1))
    return found


def queries_per_output(dim: int) -> float:
    """Network evaluations per output of a 13-Dirac-per-axis product kernel and a field of all coordinates."""
    size = {2: 512, 3: 128}[dim]
    field = build_field(FieldConfig("mlp", dim, 1, tuple(range(dim)), 1, num_channels=8))
    line = SparseKernel.load(ROOT / "trained_models" / "kernels" / "gaussian.npz")
    kernel = reduce(outer, [line] * dim).scaled(SIZE / float(line.radius.max()))
    grid = [torch.as_tensor(coordinates(size))] * dim
    return count_queries(field, grid_stencils(field, kernel, grid, HALF_SIZE)) / size**dim


def instead(signal: Signal, kernel: SparseKernel, settings: Settings) -> dict[str, dict[str, float]]:
    """The raw grid filtered without any field: OpenCV, SciPy, FFT, and the exact integral field."""
    truth, grid, pads = kernel_convolution(signal, kernel), grid_of(signal), []
    line = SparseKernel(*_factor(kernel), kernel.order, (0,))
    taps = [kernel_taps(line.positions[:, 0], line.weights, kernel.order, spacing(n)) for n in signal.shape]
    pads = [len(t) // 2 for t in taps]
    padded, single = signal.padded(pads, "clamp").astype(np.float64), signal.core.astype(np.float32)
    exact = ExactField(signal, kernel.order, SIZE)
    tasks = {
        "OpenCV sepFilter2D, float32": lambda: cv2.sepFilter2D(
            single, -1, taps[1][::-1], taps[0][::-1], borderType=cv2.BORDER_REPLICATE
        ),
        "SciPy, separable FIR, float64": lambda: kernel_convolution(signal, kernel),
        "SciPy, FFT in 2-D, float64": lambda: fftconvolve(padded, np.multiply.outer(*taps)[..., None], "valid", (0, 1)),
        "exact integral field, float64": lambda: convolve_grid(exact, kernel, grid, HALF_SIZE).numpy(),
    }
    seconds = interleaved(tasks, settings.choose(5, 1))
    return {name: {"seconds": seconds[name], "accuracy": decibels(task(), truth)} for name, task in tasks.items()}


def _factor(kernel: SparseKernel) -> tuple[np.ndarray, np.ndarray]:
    """Positions [K, 1] and weights [K] of one axis of a square product kernel g(x) g(y)."""
    size = math.isqrt(len(kernel))
    weights = kernel.weights.reshape(size, size)
    peak = np.abs(np.diag(weights)).argmax()
    return kernel.positions[:size, 1:], weights[peak] / math.sqrt(weights[peak, peak])


def bars(result: dict[str, Any]) -> list[Bar]:
    """What issue-level promises the measurements keep."""
    found = []
    for kind, wanted in (("mlp", 60), ("siren", 60), ("separable", 1000)):
        entry = result["compared"]["gaussian"][kind]
        found += [
            Bar(f"169-Dirac Gaussian, {kind}: times faster than the direct sum", wanted, entry["speed_up"]),
            Bar(f"169-Dirac Gaussian, {kind}: agreement with the direct sum, dB", 60, entry["agreement"]),
        ]
    seconds = result["compared"]["gaussian"]["separable"]["seconds_grid"]
    found.append(Bar("169-Dirac Gaussian, separable: seconds for 512 x 512", 0.2, seconds, at_least=False))
    for dim, queries in result["queries_per_output"].items():
        found.append(Bar(f"queries per output, {dim}, networks of all coordinates", 1.5, queries, at_least=False))
    for kind in BUDGETS:
        sizes, counts = result["sizes"][kind], result["counts"][kind]
        growth = (sizes["0.4"] / sizes["0.05"], counts["21"] / counts["3"])
        found += [
            Bar(f"{kind}: time at half size 0.4 over time at 0.05", 1.1, growth[0], at_least=False),
            Bar(f"{kind}: time with 21 Diracs an axis over time with 3", 1.3, growth[1], at_least=False),
        ]
    return found
