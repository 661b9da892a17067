"""Training: quality against time, on pictures and on a shape, what was tried, and the speed of a step."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from matplotlib.figure import Figure

import nfconv
from benchmarks.common import HALF_SIZE, PICTURES, ROOT, Settings, counted_queries, interleaved, table, train_quietly
from benchmarks.gallery import write_figure
from kernels import minimal_kernel
from modalities import find
from models import Field
from signals import GroundTruth, Signal, spacing
from signals.exact import kernel_convolution
from signals.measures import psnr
from training import resolve
from training.setup import make_trainer
from training.trainer import Trainer

SIZES = (0.05, 0.1, 0.2, 0.4)
BUDGETS = (5.0, 15.0, 60.0)
METHODS: dict[str, dict[str, Any]] = {
    "separable, splines": {"factor": "spline"},
    "separable, swish": {"field": "separable"},
    "mlp": {"field": "mlp"},
    "siren": {"field": "siren"},
}
SHAPE_METHODS: dict[str, dict[str, Any]] = {
    "separable": {"num_steps": 500, "core_size": 200_000, "accuracy": 0.0},
    "mlp": {"field": "mlp", "num_layers": 3, "time_budget": 180.0},
    "siren": {"field": "siren", "num_layers": 3, "time_budget": 180.0},
}
# A default, and what differs from it one at a time; half_size is that of the training kernel, 0 one sample.
SECONDS = {"separable": 8.0, "mlp": 30.0, "siren": 30.0}
VARIANTS: dict[str, dict[str, Any]] = {
    "separable: default": {},
    "width 64": {"num_channels": 64},
    "width 192": {"num_channels": 192},
    "1 hidden layer": {"num_layers": 1},
    "3 hidden layers": {"num_layers": 3},
    "sine factors": {"factor": "sine"},
    "6 bands": {"pe": 6},
    "core of 12,500 entries": {"core_size": 12_500},
    "directions for 60 dB": {"accuracy": 60.0},
    "1 level": {"levels": 1},
    "learning rate 3e-3": {"learn_rate": 3e-3},
    "learning rate 2e-2": {"learn_rate": 2e-2},
    "constant learning rate": {"schedule": "step", "schedule_step": 1 << 40},
    "Adam": {"optimizer": "adam"},
    "float32 networks": {"precision": 32},
    "trained on f (tent of one pixel)": {"half_size": 0.0},
    "splines": {"factor": "spline"},
    "splines, 2 knots a step": {"factor": "spline", "knots": 2.0},
    "splines, 8 knots a step": {"factor": "spline", "knots": 8.0},
    "splines, directions for 60 dB": {"factor": "spline", "accuracy": 60.0},
    "splines fitted to f (tent of one pixel)": {"factor": "spline", "half_size": 0.0},
    "mlp: default": {"field": "mlp"},
    "mlp, batch 1,024": {"field": "mlp", "batch": 1024},
    "mlp, batch 16,384": {"field": "mlp", "batch": 16_384},
    "mlp, 1 level": {"field": "mlp", "levels": 1},
    "mlp, L1": {"field": "mlp", "loss": "l1"},
    "mlp, no polynomial part": {"field": "mlp", "poly_degree": 0},
    "mlp, Adam": {"field": "mlp", "optimizer": "adam"},
    "mlp, points": {"field": "mlp", "supervision": "points", "levels": 1},
    "mlp, autodiff": {"field": "mlp", "supervision": "autodiff", "levels": 1, "batch": 512},
    "siren: default": {"field": "siren"},
    "siren, Adam": {"field": "siren", "optimizer": "adam"},
}
WIDTH, LAYERS, BATCH, CUBE = 256, 4, 16_384, 1024


def decibels(field: Field, signal: Signal, sizes: Sequence[float]) -> list[float]:
    """PSNR of the field's answers to the minimal kernels of these half sizes, against the exact convolution."""
    kernels = [minimal_kernel(field.config.order, size, signal.dim, signal.axes) for size in sizes]
    return [psnr(field.filter(kernel, accuracy=120), kernel_convolution(signal, kernel)) for kernel in kernels]


def about(field: Field) -> list[str]:
    """Its number of weights, and the size of its file."""
    with TemporaryDirectory() as folder:
        stored = field.save(Path(folder) / "model.pth").stat().st_size
    return [f"{sum(p.numel() for p in field.parameters()):,}", f"{stored / 1e6:.2f} MB"]


def quality(settings: Settings) -> str:
    """PSNR at four half sizes by method, picture and budget; every budget is a run of its own."""
    rows: list[list[str]] = []
    lines: dict[tuple[str, str], list[tuple[float, list[float]]]] = {}
    for picture in PICTURES[: settings.choose(None, 1)]:
        signal = settings.picture(picture)
        truth = nfconv.make_ground_truth(signal)
        for method, options in METHODS.items():
            for budget in (None,) if "factor" in options else settings.choose(BUDGETS, (0.1,)):
                field, steps, cost = train_quietly(truth, settings, **options, time_budget=budget)
                found = decibels(field, signal, SIZES)
                numbers = ["solved" if budget is None else f"{budget:g} s", str(cost), *map("{:.1f}".format, found)]
                rows.append([f"{method}; {picture}", *numbers, f"{steps:,}", *about(field)])
                lines.setdefault((method, picture), []).append((cost.wall, found))
    draw_quality(lines, settings.docs / "benchmark_quality.png")
    head = ["method; picture", "budget", "training", *[f"{size:g}" for size in SIZES], "steps", "weights", "stored"]
    return "\n\n".join([
        "## Quality against training time",
        "PSNR in dB for tents of four half sizes; fields are trained with the smallest. The budget is of descent "
        "alone, training the whole call with preparation and validation. Splines are solved for without a step.",
        "![Quality against training time](benchmark_quality.png)",
        table(head, rows),
    ])  # fmt: skip


def draw_quality(lines: Mapping[tuple[str, str], Sequence[tuple[float, Sequence[float]]]], path: Path) -> None:
    """PSNR against seconds of training at every half size, a colour per method and a line per picture."""
    figure = Figure(figsize=(12, 3), layout="constrained")
    methods = list(dict.fromkeys(method for method, _ in lines))
    for index, plot in enumerate(figure.subplots(1, len(SIZES))):
        for (method, picture), points in lines.items():
            seconds, values = [s for s, _ in points], [found[index] for _, found in points]
            label = method if picture == PICTURES[0] else None
            plot.plot(seconds, values, "o-", ms=4, lw=1, color=f"C{methods.index(method)}", label=label)
        plot.set(xscale="log", xlabel="training, s", title=f"half size {SIZES[index]:g}", ylabel="" if index else "dB")
        plot.grid(alpha=0.3)
    plot.legend(fontsize=7, frameon=False)
    write_figure(figure, path, 90)


def armadillo(settings: Settings) -> tuple[Signal, GroundTruth]:
    """The shipped shape's distances, and their ground truth of order 0."""
    path = ROOT / "data" / "raw" / "geometry" / "armadillo.off"
    signal = nfconv.read(path, **settings.choose({}, {"resolution": 24}))
    return signal, nfconv.make_ground_truth(signal, 0, settings.choose(HALF_SIZE, 0.1), 0.25)


def filtered_with_boxes(field: Field, signal: Signal, sizes: Sequence[float]) -> Iterator[str]:
    """IoU and mean squared error of a shape by half size of the box."""
    for size in sizes:
        kernel = minimal_kernel(0, size, 3)
        exact = kernel_convolution(signal, kernel)
        found = find("geometry").metrics(field.filter(kernel), exact, signal.metadata)
        yield f"{found['iou']:.4f}, {found['mse']:.1e}"


def shapes(settings: Settings) -> str:
    """A distance field filtered with boxes, order 0, by field."""
    (signal, truth), sizes, rows = armadillo(settings), settings.choose(SIZES[:3], (0.2,)), []
    for name, options in SHAPE_METHODS.items():
        field, steps, cost = train_quietly(truth, settings, **options)
        cells = filtered_with_boxes(field, signal, sizes)
        rows.append([name, f"{steps:,}", str(cost), *cells, *about(field)])
    head = ["field", "steps", "training", *[f"{size:g}" for size in sizes], "weights", "stored"]
    return "\n\n".join([
        "## Fields of shapes",
        f"Signed distances of the armadillo on {' x '.join(map(str, signal.shape))} samples, boxes as training kernels "
        f"(order 0, half size {truth.half_size[0]:g}): IoU of the solids and mean squared error of the distances by "
        "half size of the box.",
        table(head, rows),
    ])  # fmt: skip


def variants(settings: Settings) -> str:
    """One choice changed at a time, for equal time, on the shipped photograph."""
    signal, sizes = settings.picture(), (HALF_SIZE / 2, *SIZES)
    rows: list[list[str]] = []
    default: list[float] = []
    for name in settings.choose(tuple(VARIANTS), ("separable: default", "1 level", "splines")):
        options = dict(VARIANTS[name])
        truth = nfconv.make_ground_truth(signal, 1, options.pop("half_size", HALF_SIZE) or spacing(max(signal.shape)))
        budget = None if options.get("factor") == "spline" else SECONDS[options.get("field", "separable")]
        field, steps, cost = train_quietly(truth, settings, signal, **options, time_budget=budget)
        found = decibels(field, signal, sizes)
        default = found if name.endswith(": default") else default
        change = sum(a - b for a, b in zip(found[1:], default[1:], strict=True)) / len(SIZES)
        numbers = [*map("{:.1f}".format, found), f"{change:+.1f}", str(cost)]
        rows.append([name, *numbers, f"{steps:,}", about(field)[0]])
    budgets = ", ".join(f"{kind} {seconds:g} s" for kind, seconds in SECONDS.items())
    head = ["variant", *[f"{size:g}" for size in sizes], "mean change", "training", "steps", "weights"]
    return "\n\n".join([
        "## What was tried",
        f"One choice changed at a time (PSNR in dB; budgets: {budgets}). The training kernel has half size "
        f"{HALF_SIZE:g}, so {sizes[0]:g} is asked of fields that were not made for it; the mean is over the other "
        "four, against the default above it. Splines are solved for without a step.",
        table(head, rows),
        "What no option changes, and what follows from it all: [negative_results.md](negative_results.md).",
    ])  # fmt: skip


def throughput(settings: Settings) -> str:
    """Training steps of a large network and matrix products, run in turn."""
    truth = nfconv.make_ground_truth(settings.picture())
    width, cube = settings.choose(WIDTH, 16), settings.choose(CUBE, 64)
    trainers = {
        ", ".join((field, *how)): large_trainer(truth, settings, field, *how)
        for field in ("mlp", "siren")
        for how in (("lattice", "muon"), ("lattice", "adam"), ("points", "adam"), ("lattice", "adam", "compiled"))
        if not (settings.quick and "compiled" in how)
    }
    counts = {}
    for name, trainer in trainers.items():
        network: Any = trainer.field.network
        with counted_queries(trainer.field) as queries:
            counts[name] = trainer.advance().points, queries
        if name.endswith("compiled"):
            network.compile()
    a, out = torch.randn(cube, cube), torch.empty(cube, cube)
    product = f"product of {cube} x {cube} matrices"
    tasks = {name: trainer.advance for name, trainer in trainers.items()} | {product: lambda: torch.mm(a, a, out=out)}
    costs = interleaved(tasks, settings.choose(5, 1))
    peak = 2 * cube**3 / costs[product].wall
    rows = []
    for name, (points, queries) in counts.items():
        # Two operations forward and four backward for every entry of the layers' matrices.
        network = trainers[name].field.network
        weights = sum(layer.weight.numel() for layer in network.layers)
        rate = 6 * weights * sum(queries) / costs[name].wall
        rows.append([name, str(costs[name]), f"{points:,}", f"{points / costs[name].wall:,.0f}",
                     f"{sum(queries) / points:.2f}", f"{rate / 1e9:.3g}", f"{rate / peak:.0%}"])  # fmt: skip
    head = ["field, supervision, optimiser", "step", "points", "points/s", "queries per point", "GFLOP/s", "share"]
    return "\n\n".join([
        "## Throughput of a training step",
        f"Networks of {LAYERS} x {width}, float32. The share is of what a {product} runs at, {peak / 1e9:.3g} GFLOP/s; "
        "activations, differences and optimisers are not counted.",
        table(head, rows),
    ])  # fmt: skip


def large_trainer(
    truth: GroundTruth, settings: Settings, field: str, supervision: str, optimizer: str, *_: str
) -> Trainer:
    """A trainer of a large network, with fewer points per step where each has nine queries of its own."""
    batch = settings.choose(BATCH, 1024) // (8 if supervision == "points" else 1)
    shape = {"num_channels": settings.choose(WIDTH, 16), "num_layers": LAYERS, "split": 0}
    how = {"field": field, "supervision": supervision, "optimizer": optimizer}
    asked = shape | how | {"batch": batch, "num_steps": 1000, "seed": settings.seed}
    return make_trainer(truth, resolve(asked), torch.device("cpu"))
