"""Optimisers and learning-rate schedules."""

import math

import torch

from models.field import Field
from training.muon import Muon
from training.options import Options

WARM_UP_STEPS = 20
# The cosine ends at this share of the learning rate: averaging out the last noise without stopping.
FLOOR = 0.01


def build_optimisers(field: Field, options: Options) -> list[torch.optim.Optimizer]:
    """Muon for the matrices between hidden layers with Adam for the rest, or Adam for all."""
    trained = [(name, p) for name, p in field.named_parameters() if _descends(name, options)]
    hidden = [p for name, p in trained if _is_hidden(name, p)] if options.optimizer == "muon" else []
    chosen = {id(p) for p in hidden}
    rest = [p for _, p in trained if id(p) not in chosen]
    optimisers: list[torch.optim.Optimizer] = [Muon(hidden, options.learn_rate)] if hidden else []
    if rest:
        optimisers.append(torch.optim.Adam(rest, options.learn_rate, fused=True))
    return optimisers


def _descends(name: str, options: Options) -> bool:
    """Under projection only the networks descend: heads, tables, core and polynomial are solved for."""
    return options.supervision != "projection" or ".network." in name


def _is_hidden(name: str, p: torch.Tensor) -> bool:
    return p.ndim == 2 and "layers." in name and "layers.0." not in name


def rate(options: Options, step: int, spent: float) -> float:
    """The learning rate after `step` steps and a share `spent` of the budget, as a factor of the first one."""
    if options.schedule == "step":
        return options.schedule_gamma ** (step // options.schedule_step)
    warm_up = min(1.0, (step + 1) / WARM_UP_STEPS)
    return warm_up * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * min(spent, 1.0))))


def set_rate(optimisers: list[torch.optim.Optimizer], learn_rate: float) -> None:
    """Give every group of every optimiser the same learning rate."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = learn_rate
