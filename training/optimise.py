"""Optimisers and learning-rate schedules."""

import math
import re

import torch

from models.field import Field
from training.muon import Muon
from training.options import Options

# The cosine ends at this share of the learning rate: averaging out the last noise without stopping.
FLOOR = 0.01
# Layers that read coordinates, and all layers between them and the head.
FIRST = re.compile(r"(network|axes\.\d+)\.layers\.0\.")
LAYERS = re.compile(r"(layers|products)\.\d+\.")


def build_optimisers(field: Field, options: Options) -> list[torch.optim.Optimizer]:
    """Muon for the matrices between hidden layers with Adam for the rest, or Adam for all.

    Of a separable field only the networks descend: heads, tables, core and polynomial are solved for.
    """
    hidden: list[torch.nn.Parameter] = []
    rest: list[torch.nn.Parameter] = []
    for name, p in field.named_parameters():
        if options.supervision == "projection" and ".network." not in name:
            continue
        between = p.ndim == 2 and LAYERS.search(name) and not FIRST.search(name)
        (hidden if between and options.optimizer == "muon" else rest).append(p)
    optimisers: list[torch.optim.Optimizer] = [Muon(hidden, options.learn_rate)] if hidden else []
    return optimisers + ([torch.optim.Adam(rest, options.learn_rate, fused=True)] if rest else [])


def rate(options: Options, step: int, spent: float) -> float:
    """The learning rate after `step` steps and a share `spent` of the budget, as a factor of the first one."""
    if options.schedule == "step":
        return options.schedule_gamma ** (step // options.schedule_step)
    warm_up = min(1.0, (step + 1) / options.warm_up)
    return warm_up * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * min(spent, 1.0))))


def gradients(optimisers: list[torch.optim.Optimizer], loss: torch.Tensor) -> list[torch.Tensor]:
    """Gradients of `loss` in place of older ones, of all parameters that descend and that it depends on."""
    for optimiser in optimisers:
        optimiser.zero_grad(set_to_none=True)
    loss.backward()
    parameters = [p for optimiser in optimisers for group in optimiser.param_groups for p in group["params"]]
    return [p.grad for p in parameters if p.grad is not None]


def descend(optimisers: list[torch.optim.Optimizer], learn_rate: float) -> None:
    """One step of every optimiser along the gradients at `learn_rate`."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = learn_rate
        optimiser.step()
