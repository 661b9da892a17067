"""Ground truths of several kinds, and what is trained on them, that the tests of training share."""

from typing import Any

import torch
from builders import exact_truth, field_config, noise_signal, random_field, smooth_signal

from models.field import Field
from signals import GroundTruth
from training import resolve
from training.display import Display
from training.lattice import LatticeTargets
from training.setup import make_trainer
from training.trainer import Trainer

CPU = torch.device("cpu")
SILENT = Display(shown=False)
TRUTHS = {
    "2-D": lambda: exact_truth(smooth_signal((40, 31), 3), 1, (0.2, 0.25), 0.3),
    "grey, order 2": lambda: exact_truth(smooth_signal((33, 40), 1), 2, 0.3, 0.25),
    "1-D, order 0": lambda: exact_truth(smooth_signal((90,), 2), 0, 0.1, 0.3),
    "3-D, order 0": lambda: exact_truth(smooth_signal((14, 12, 13), 1), 0, 0.3, 0.2),
    "time alone": lambda: exact_truth(smooth_signal((30, 5, 4), 3, axes=(0,)), 1, 0.2, 0.3),
}
ROUGH = {
    "2-D": lambda: exact_truth(noise_signal((30, 25), 3), 1, 0.2, 0.3),
    "1-D, order 2": lambda: exact_truth(noise_signal((60,), 2), 2, 0.2, 0.3),
    "3-D, order 0": lambda: exact_truth(noise_signal((14, 12, 13)), 0, 0.3, 0.2),
    "time alone": lambda: exact_truth(noise_signal((30, 5, 4), 3, axes=(0,)), 1, 0.2, 0.3),
}


def generator(seed: int = 0) -> torch.Generator:
    """A generator of its own seed."""
    return torch.Generator().manual_seed(seed)


def targets_of(truth: GroundTruth) -> LatticeTargets:
    """Lattices of a ground truth in float64."""
    return LatticeTargets(truth, CPU, torch.float64)


def network_for(truth: GroundTruth, kind: str = "mlp", seed: int = 0) -> Field:
    """A field with random weights for the axes, order and training kernel of a ground truth."""
    config = field_config(kind, truth.dim, truth.channels, axes=truth.axes, order=truth.order)
    return random_field(config, seed, half_size=truth.half_size)


def trainer_of(truth: GroundTruth, **asked: Any) -> Trainer:
    """A trainer of few features, ready for its first step."""
    return make_trainer(truth, resolve({"num_channels": 6, "num_layers": 1, "num_steps": 1} | asked), CPU)


def parts(truth, levels: int = 3, **asked) -> tuple:
    """A separable field of few features, its targets and its prepared objective."""
    trainer = trainer_of(truth, levels=levels, **{"num_channels": 5} | asked)
    return trainer.field, trainer.objective.targets, trainer.objective
