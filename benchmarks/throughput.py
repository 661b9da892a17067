"""The training step of a 256 x 4 network: samples a second, queries per sample, share of the machine's own rate."""

import contextlib
import time
from typing import Any

import torch

from benchmarks.measure import Bar, Settings, interleaved
from benchmarks.runs import ASTRONAUT, trainer_on
from models.field import Field
from training.loop import Trainer

WIDTH, LAYERS = 256, 4
BATCH = 16_384
CUBE = 1024
COMPILED = ", compiled"


def run(settings: Settings) -> dict[str, Any]:
    """Steps of every variant and matrix products, run in turn."""
    variants = {
        f"{kind}, {supervision}, {optimizer}": {"field": kind, "supervision": supervision, "optimizer": optimizer}
        for kind in ("mlp", "siren")
        for supervision, optimizer in (("lattice", "muon"), ("lattice", "adam"), ("points", "adam"))
    }
    # The smoke test compiles nothing: that alone takes a minute.
    compiled = {f"{kind}, lattice, adam{COMPILED}": variants[f"{kind}, lattice, adam"] for kind in ("mlp", "siren")}
    variants |= settings.choose(compiled, {})
    shape = {"num_channels": WIDTH, "num_layers": LAYERS, "num_steps": 1000, "seed": settings.seed}
    with contextlib.ExitStack() as stack:
        trainers = {
            name: stack.enter_context(trainer_on(ASTRONAUT, batch=batch_of(options, settings), **options, **shape))
            for name, options in variants.items()
        }
        losses, first = {}, {}
        for name, trainer in trainers.items():
            if name.endswith(COMPILED):
                trainer.field.network.compile()
            start = time.perf_counter()
            losses[name] = trainer.advance()
            first[name] = time.perf_counter() - start
        tasks: dict[str, Any] = {name: trainer.advance for name, trainer in trainers.items()} | products()
        seconds = interleaved(tasks, settings.choose(5, 1))
    rates = {name: 2 * volume / seconds[name] / 1e9 for name, volume in VOLUMES.items()}
    found = {}
    for name, loss in losses.items():
        rate = 6 * weights(trainers[name]) * loss.queries / seconds[name] / 1e9
        found[name] = {
            "seconds": seconds[name],
            "first_step": first[name],
            "points": loss.points,
            "samples_per_second": loss.points / seconds[name],
            "samples_per_second_and_core": loss.points / seconds[name] / torch.get_num_threads(),
            "queries_per_sample": loss.queries / loss.points,
            "gflops": rate,
            "share": rate / rates["cube"],
        }
    result = {"width": WIDTH, "layers": LAYERS, "products_gflops": rates, "steps": found}
    return result | {"bars": [bar.to_dict() for bar in bars(found)]}


def batch_of(options: dict[str, str], settings: Settings) -> int:
    """Points a step; fewer where each has its own nine queries, so that queries are about as many."""
    batch = settings.choose(BATCH, 4096)
    return batch // 8 if options["supervision"] == "points" else batch


VOLUMES = {"cube": CUBE**3, "layer": BATCH * WIDTH**2, "gradient of weights": BATCH * WIDTH**2}


def products() -> dict[str, Any]:
    """float32 matrix products: a cube of 1024, a hidden layer's own shape, and its gradient's."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"cube": (CUBE, CUBE, CUBE), "layer": (BATCH, WIDTH, WIDTH), "gradient of weights": (WIDTH, BATCH, WIDTH)}
    tasks = {}
    for name, (m, k, n) in shapes.items():
        a, b, out = torch.randn(m, k, generator=generator), torch.randn(k, n, generator=generator), torch.empty(m, n)
        tasks[name] = lambda a=a, b=b, out=out: torch.mm(a, b, out=out)
    return tasks


def weights(trainer: Trainer) -> int:
    """Entries of the network's matrices: each costs six operations per query, two forward and four backward."""
    field: Field = trainer.field
    return sum(p.numel() for name, p in field.named_parameters() if p.ndim == 2 and name.startswith("network."))


def bars(steps: dict[str, dict[str, float]]) -> list[Bar]:
    """Lattices against points, queries, and the share of the machine's rate."""
    found = []
    for kind in ("mlp", "siren"):
        lattice, points = steps[f"{kind}, lattice, adam"], steps[f"{kind}, points, adam"]
        gain = lattice["samples_per_second"] / points["samples_per_second"]
        found += [
            Bar(f"{kind}: samples a second, lattices over points", 6, gain),
            Bar(f"{kind}: queries per supervised sample", 1.3, lattice["queries_per_sample"], at_least=False),
            Bar(f"{kind}: share of the machine's matrix-product rate (Adam)", 0.5, lattice["share"]),
        ]
    return found
