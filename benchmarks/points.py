"""Scattered points, a covariance per point, maps of sizes and of angles, and kernels that are no product."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

import nfconv
from benchmarks.common import PICTURES, ROOT, Settings, Task, cost_of, duration, interleaved, table, train_quietly
from benchmarks.filtering import dirac_by_dirac, factors
from benchmarks.gallery import HEART, MODELS, PHOTOGRAPH
from kernels import SparseKernel
from make_map import flow
from modalities import find
from models import Field, SeparableField
from models.filtering import grid_points
from models.interpolation import gather, interpolation
from models.products import at_points
from models.varying import Chosen, CovarianceFilter, Filter, turned_covariances
from signals import Signal, coordinates
from signals.gaussians import gaussian_convolution
from signals.measures import psnr

DEVIATIONS = (0.03, 0.2)
# For kernels of standard deviation 0.2 that reach 4.5 of them.
MARGIN, HALF_SIZE = 0.9, 0.05
RATIOS = (4, 8)
ACCURACIES = (60, 75, 90)
# Nodes of the tables of version 0.2.0 for each distance between the training kernel's Diracs, and values read at once.
NODES, BLOCK = 12, 1 << 16


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch with one thread: seconds of the processor are then those of the work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@torch.no_grad()
def yardstick(field: SeparableField, kernel: SparseKernel, points: Tensor, scale: Tensor) -> Tensor:
    """A product kernel at scattered points [N, d], stretched by `scale` [N, d], as version 0.2.0 did it: factors in
    float64 from tables, by Lagrange interpolation between 8 nodes, an axis after the other -> [N, c]."""
    term, knots = factors(kernel), list(field.h.values())
    least = float(np.prod([(2 * float(scale.min()) / h) ** kernel.n for h in knots]))
    fineness = float(np.abs(kernel.weights).sum() / least) ** (1 / 8)
    tables = []
    for axis, h in enumerate(knots):
        reach = 1 + kernel.radius[axis] * float(scale.max())
        count = 16 + int(2 * reach / (h / (fineness * NODES)))
        x = torch.linspace(-reach, reach, count, dtype=torch.float64)
        tables.append((field.axis_factors[axis](x).double(), -reach, 2 * reach / (count - 1)))
    results = []
    rows = BLOCK // sum(len(positions) for positions, _ in term)
    for x, s in zip(points.split(rows), scale.split(rows), strict=True):
        seen, powers = [], []
        for axis, ((positions, weights), (values, start, step)) in enumerate(zip(term, tables, strict=True)):
            nodes = x[:, axis, None] - s[:, axis, None] * torch.tensor(positions)
            shares = torch.tensor(weights) / s[:, axis, None] ** kernel.n
            first, local = interpolation((nodes - start) / step, len(values))
            seen.append(gather(values, first, local * shares[..., None]))
            basis = field.polynomial.basis(nodes.reshape(-1), axis).unflatten(0, nodes.shape)
            powers.append((basis * shares[..., None]).sum(dim=1))
        results.append(at_points(field.core.double(), seen) + at_points(field.polynomial.coefficients.double(), powers))
    return torch.cat(results)


def random_covariances(count: int, dim: int, ratio: float, rng: np.random.Generator) -> np.ndarray:
    """Covariances [N, d, d] of any direction: standard deviations within DEVIATIONS, the largest up to `ratio` times
    the smallest."""
    least, most = DEVIATIONS
    ratios = rng.uniform(1, ratio, count)
    largest = rng.uniform(np.minimum(least * ratios, most), most)
    sizes = np.stack([largest, *rng.uniform(1 / ratios, 1, (dim - 2, count)) * largest, largest / ratios], axis=1)
    if dim == 2:
        angle = rng.uniform(0, np.pi, count)
        turns = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=1).reshape(-1, 2, 2)
    else:
        turns = Rotation.random(count, random_state=rng).as_matrix()
    return np.einsum("nij,nj,nkj->nik", turns, sizes**2, turns)


def points(settings: Settings) -> str:
    """Times as shares of the yardstick, with the accuracy of each; one thread."""
    with one_thread():
        signals = [settings.picture(name) for name in PICTURES[: settings.choose(None, 1)]]
        truths = [nfconv.make_ground_truth(signal, 1, HALF_SIZE, MARGIN) for signal in signals]
        fields = [train_quietly(truth, settings, factor="spline")[0] for truth in truths]
        rows = scattered(fields, signals, RATIOS, settings)
        volume, shape = solid(settings)
        rows += [[f"3-D, {row[0]}", *row[1:]] for row in scattered([volume], [shape], RATIOS[:1], settings)]
        photograph = nfconv.load(MODELS / "images" / "model.pth")
        grids = grid_rows(photograph, settings) + many_points(photograph, settings)
        turned = by_angle(photograph, nfconv.read(PHOTOGRAPH), settings)
    count = settings.choose(20_000, 200)
    return "\n\n".join([
        "## Points, covariances and maps",
        f"{count:,} random points, one thread, seconds of the processor. The yardstick is how version 0.2.0 filtered "
        "with an axis-aligned Gaussian (169 Diracs, 2,197 in 3-D) of a size per axis and point. Covariances have "
        f"standard deviations from {DEVIATIONS[0]:g} to {DEVIATIONS[1]:g} and any angle; their decibels are against "
        f"dense quadrature of untruncated Gaussians of {', '.join(PICTURES)}, the field's own error included (splines "
        f"trained at {HALF_SIZE:g}; in 3-D the shipped shape), those of sizes against the sum over Diracs.",
        table(["what", "per point", "of the yardstick", "dB"], rows),
        "The shipped field of the photograph, one thread; agreement is with the sum over all Diracs at some of the "
        "outputs, that of maps of sizes with every point filtered by itself.",
        table(["what", "CPU", "per output", "agreement"], grids),
        "A Gaussian along the edges of the photograph (`make_map.py --kind flow`), 0.06 along and 0.02 across, against "
        "dense quadrature of untruncated Gaussians; those of `--angles` are cut at 3 sigma.",
        table(["way", "CPU", "dB"], turned),
    ])  # fmt: skip


def solid(settings: Settings) -> tuple[Field, Signal]:
    """The shipped shape and its field, or in a trial a small ball."""
    if settings.quick:
        x = np.stack(np.meshgrid(*[coordinates(12)] * 3, indexing="ij"))
        signal = nfconv.read(np.linalg.norm(x, axis=0) - 0.6, "geometry")
        truth = nfconv.make_ground_truth(signal, 1, 0.2, MARGIN)
        return train_quietly(truth, settings, factor="spline")[0], signal
    field = nfconv.load(MODELS / "geometry" / "model.pth")
    path = ROOT / "data" / "raw" / "geometry" / "armadillo.off"
    return field, find("geometry").load_again(path, field.origin.metadata, [1.0])


def fitting(sigmas: np.ndarray, field: Field) -> np.ndarray:
    """The covariances, those shrunk that reach beyond the margin of the field."""
    allowed = (field.origin.margin + min(field.origin.half_size) - 1e-3) / 4.5
    largest = np.sqrt(np.diagonal(sigmas, axis1=1, axis2=2).max(axis=1))
    return sigmas * np.minimum(1, allowed / largest)[:, None, None] ** 2


def scattered(
    fields: Sequence[Field], signals: Sequence[Signal], ratios: Sequence[int], settings: Settings
) -> list[list[Any]]:
    """A row per way: its cost at random points of the first field, as a share of the yardstick's, and its accuracy on
    all."""
    rng, field, dim = np.random.default_rng(settings.seed), fields[0].in_dtype(torch.float64), fields[0].config.dim
    assert isinstance(field, SeparableField)
    count, checked = settings.choose(20_000, 200), settings.choose(300 if dim == 2 else 60, 4)
    at, scale = rng.uniform(-1, 1, (count, dim)), rng.uniform(0.5, 1.5, (count, dim))
    request = nfconv.gaussian(sigma=0.06 if dim == 2 else 0.04)
    kernel = request.sparse(1, dim)
    tasks: dict[str, Task] = {
        "yardstick": partial(yardstick, field, kernel, torch.as_tensor(at), torch.as_tensor(scale)),
        "axis-aligned": partial(field.filter, request, at=at, scale=scale),
    }
    decibels = {"yardstick": "-", "axis-aligned": f"{psnr(tasks['axis-aligned'](), tasks['yardstick']().numpy()):.1f}"}
    accuracies = settings.choose(ACCURACIES, ACCURACIES[:1])
    for ratio in ratios:
        sigmas = fitting(random_covariances(count, dim, ratio, rng), field)
        some = [
            (f, at[:checked], sigmas[:checked], gaussian_convolution(s, at[:checked], sigmas[:checked]))
            for f, s in zip(fields, signals, strict=True)
        ]
        for accuracy in accuracies:
            name = f"ratio up to {ratio}, `accuracy={accuracy}`"
            tasks[name] = partial(field.filter, nfconv.gaussian(), at=at, covariance=sigmas, accuracy=accuracy)
            found = [f.filter(nfconv.gaussian(), at=x, covariance=s, accuracy=accuracy) for f, x, s, _ in some]
            decibels[name] = f"{psnr(np.concatenate(found), np.concatenate([truth for *_, truth in some])):.1f}"
    costs = interleaved(tasks, settings.choose(3, 1))
    base = costs["yardstick"].cpu
    return [
        [name, f"{cost.cpu / count * 1e6:.1f} us", f"{cost.cpu / base:.2f}", decibels[name]]
        for name, cost in costs.items()
    ]


def grid_rows(field: Field, settings: Settings) -> list[list[Any]]:
    """A row per filter on the grid of the photograph: cost, and agreement with the sum as it is written."""
    shape = settings.choose((512, 512), (32, 32))
    kernels = {
        "second Gaussian": nfconv.gaussian(sigma=0.06).sparse(1, 2),
        "disk, 2,348 Diracs": nfconv.disk(radius=0.15).sparse(1, 2),
        "heart from a picture": nfconv.image(kernel_image=HEART, radius=0.2).sparse(1, 2),
        "ring": nfconv.ring(radius=0.2, thickness=0.05).sparse(1, 2),
        "motion": nfconv.motion(length=0.3, thickness=0.05, angle=35.0).sparse(1, 2),
    }
    field.filter(nfconv.gaussian(sigma=0.05), shape)
    tasks: dict[str, Task] = {name: partial(field.filter, kernel, shape) for name, kernel in kernels.items()}
    y, x = np.meshgrid(*[coordinates(n) for n in shape], indexing="ij")
    sizes, gaussian = 0.17 + 0.83 * np.hypot(y, x) / math.sqrt(2), nfconv.gaussian(sigma=0.1)
    for accuracy in (60, 80):
        tasks[f"map of sizes, `accuracy={accuracy}`"] = partial(
            field.filter, gaussian, shape, scale=sizes, accuracy=accuracy
        )
    costs, count = interleaved(tasks, settings.choose(3, 1)), math.prod(shape)
    rng = np.random.default_rng(settings.seed)
    some, double = np.sort(rng.permutation(count)[: settings.choose(500, 8)]), field.in_dtype(torch.float64)
    rows = []
    for name, cost in costs.items():
        found = tasks[name]().reshape(count, -1)[some]
        if name in kernels:
            wanted = dirac_by_dirac(double, kernels[name], grid_points(shape)[some]).numpy()
        else:
            wanted = field.filter(gaussian, at=grid_points(shape)[some], scale=torch.as_tensor(sizes.ravel()[some]),
                                  precision="64").numpy()  # fmt: skip
        rows.append([name, duration(cost.cpu), f"{cost.cpu / count * 1e6:.2f} us", f"{psnr(found, wanted):.0f} dB"])
    return rows


def many_points(field: Field, settings: Settings) -> list[list[Any]]:
    """Rows of a million points, and of a kernel of many Diracs at scattered points."""
    rng, rows = np.random.default_rng(settings.seed), []
    cases: Mapping[str, tuple[SparseKernel, int]] = {
        "Gaussian of 169 Diracs at points": (nfconv.gaussian(sigma=0.06).sparse(1, 2), settings.choose(1_000_000, 500)),
        "disk of 2,348 Diracs at points": (nfconv.disk(radius=0.15).sparse(1, 2), settings.choose(2000, 20)),
    }
    for name, (kernel, count) in cases.items():
        at = rng.uniform(-1, 1, (count, 2))
        field.filter(kernel, at=at[:100])
        found, cost = cost_of(partial(field.filter, kernel, at=at))
        checked = settings.choose(300, 4)
        wanted = dirac_by_dirac(field.in_dtype(torch.float64), kernel, torch.as_tensor(at[:checked])).numpy()
        each = f"{cost.cpu / count * 1e6:.2f} us"
        rows.append([f"{name}, {count:,}", duration(cost.cpu), each, f"{psnr(found[:checked], wanted):.0f} dB"])
    return rows


def by_angle(field: Field, signal: Signal, settings: Settings) -> list[list[Any]]:
    """A row per way to turn a Gaussian along the edges of the photograph: cost and accuracy."""
    angles = flow(signal.core)[..., None]
    shape = settings.choose(signal.shape, (32, 32))
    turning = CovarianceFilter(turned_covariances(angles[..., 0], 0.06, 0.02, (1.0, 1.0)), 1)
    ways: dict[str, Chosen] = {"a covariance per pixel": turning}
    for count in settings.choose((12, 24), (2,)):
        kernels = [nfconv.anisotropic(sigma=0.06, sigma_across=0.02, angle=180.0 * k / count) for k in range(count)]
        ways[f"{count} kernels interpolated"] = Filter(tuple(k.sparse(1, 2) for k in kernels), angles=angles)
    rows = []
    truth, at = turning.exact(signal, "clamp")
    for name, way in ways.items():
        way.apply(field, shape)
        _, cost = cost_of(partial(way.apply, field, shape))
        found = way.apply(field, signal.shape).reshape(len(grid_points(signal.shape)), -1)[at]
        rows.append([name, duration(cost.cpu), f"{psnr(found, truth):.1f}"])
    return rows
