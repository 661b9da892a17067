"""What was tried: one choice changed at a time, for equal time, on the shipped photograph."""

import functools
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.measure import Settings, decibels
from benchmarks.pool import in_turn
from benchmarks.runs import ASTRONAUT, HALF_SIZE, SIZES, load_picture, train
from kernels import minimal_kernel
from models.convolution import convolve_grid
from signals import coordinates, spacing
from signals.exact import kernel_convolution
from training.loop import Trainer

SECONDS = {"separable": 8.0, "mlp": 30.0}
# Half the training kernel: what lies between its zeros, and what a field of one pixel's tent can show.
HALF = HALF_SIZE / 2


@dataclass(frozen=True)
class Variant:
    """Options that differ from the recipe of `kind`, a change that no option makes, and another training kernel."""

    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    change: str = ""
    half_size: float = HALF_SIZE


class BfloatBackward(torch.autograd.Function):
    """A linear layer whose two backward products are bfloat16; the forward one, which is differenced, stays float32."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        low = gradient.bfloat16()
        return (low @ weight.bfloat16()).float(), (low.T @ x.bfloat16()).float(), gradient.sum(dim=0)


class BfloatLinear(nn.Linear):
    """nn.Linear by BfloatBackward."""

    def forward(self, x: Tensor) -> Tensor:
        return BfloatBackward.apply(x, self.weight, self.bias)


def bfloat16_backward(trainer: Trainer) -> None:
    """Every layer's backward products in bfloat16."""
    for layer in trainer.field.network.layers:
        layer.__class__ = BfloatLinear


def compiled(trainer: Trainer) -> None:
    """The network compiled, and one step taken, so that compiling counts as set-up."""
    trainer.field.network.compile()
    trainer.advance()


def rows(trainer: Trainer, factor: float) -> None:
    """So many times the rows a step of variable projection looks at."""
    trainer.objective.rows *= factor


CHANGES = {
    "bfloat16 backward": bfloat16_backward,
    "compiled": compiled,
    "half the rows": functools.partial(rows, factor=0.5),
    "all rows": functools.partial(rows, factor=1e6),
}

VARIANTS: dict[str, Variant] = {
    "separable: default": Variant("separable"),
    "width 64": Variant("separable", {"num_channels": 64}),
    "width 192": Variant("separable", {"num_channels": 192}),
    "1 hidden layer": Variant("separable", {"num_layers": 1}),
    "3 hidden layers": Variant("separable", {"num_layers": 3}),
    "sine factors": Variant("separable", {"factor": "sine"}),
    "6 bands": Variant("separable", {"pe": 6}),
    "10 bands": Variant("separable", {"pe": 10}),
    "core of 12,500 entries": Variant("separable", {"core_size": 12_500}),
    "core of 25,000 entries": Variant("separable", {"core_size": 25_000}),
    "directions for 60 dB": Variant("separable", {"accuracy": 60.0}),
    "1 level": Variant("separable", {"levels": 1}),
    "half the rows a step": Variant("separable", change="half the rows"),
    "all rows every step": Variant("separable", change="all rows"),
    "learning rate 3e-3": Variant("separable", {"learn_rate": 3e-3}),
    "learning rate 2e-2": Variant("separable", {"learn_rate": 2e-2}),
    "constant learning rate": Variant("separable", {"schedule": "step", "schedule_step": 1 << 40}),
    "Adam": Variant("separable", {"optimizer": "adam"}),
    "float32 networks": Variant("separable", {"precision": 32}),
    "trained on f (tent of one pixel)": Variant("separable", half_size=0.0),
    "splines": Variant("separable", {"factor": "spline"}),
    "splines, core of 25,000 entries": Variant("separable", {"factor": "spline", "core_size": 25_000}),
    "splines, 2 knots a step": Variant("separable", {"factor": "spline", "knots": 2.0}),
    "splines, 8 knots a step": Variant("separable", {"factor": "spline", "knots": 8.0}),
    "splines, directions for 60 dB": Variant("separable", {"factor": "spline", "accuracy": 60.0}),
    "splines fitted to f (tent of one pixel)": Variant("separable", {"factor": "spline"}, half_size=0.0),
    "mlp: default": Variant("mlp"),
    "mlp, batch 1,024": Variant("mlp", {"batch": 1024}),
    "mlp, batch 16,384": Variant("mlp", {"batch": 16_384}),
    "mlp, 1 level": Variant("mlp", {"levels": 1}),
    "mlp, L1": Variant("mlp", {"loss": "l1"}),
    "mlp, no polynomial part": Variant("mlp", {"poly_degree": 0}),
    "mlp, backward products in bfloat16": Variant("mlp", change="bfloat16 backward"),
    "mlp, compiled": Variant("mlp", change="compiled"),
}


def measure(task: tuple[str, float, int]) -> dict[str, Any]:
    """One variant: (name, seconds, seed) -> its quality at SIZES and, below them, at HALF the training kernel."""
    name, budget, seed = task
    variant = VARIANTS[name]
    signal = load_picture(ASTRONAUT)
    half_size = variant.half_size or spacing(max(signal.shape))
    change = CHANGES[variant.change] if variant.change else None
    options = {"field": variant.kind, "time_budget": budget, "seed": seed} | variant.options
    done = train(ASTRONAUT, change, half_size, **options)
    kernel = minimal_kernel(1, HALF, 2)
    grid = [torch.as_tensor(coordinates(n)) for n in signal.shape]
    below = convolve_grid(done.field.double(), kernel, grid, half_size).numpy()
    entry = {"variant": name, "budget": budget, "half": round(decibels(below, kernel_convolution(signal, kernel)), 2)}
    return entry | done.to_dict()


def run(settings: Settings) -> dict[str, Any]:
    """Every variant of a kind for the same time."""
    names = [name for name in VARIANTS if not settings.quick or name in ("separable: default", "splines")]
    chosen = [(name, settings.choose(SECONDS[VARIANTS[name].kind], 0.5), settings.seed) for name in names]
    return {"sizes": list(SIZES), "half_size": HALF, "runs": in_turn(measure, chosen, "variants"), "bars": []}
