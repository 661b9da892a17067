"""Rounding noise of float32 in training, known before the first step."""

import copy

import torch

from models.field import Field
from training.lattice import LatticeTargets
from training.optimise import build_optimisers, descend, gradients
from training.trainer import Trainer

# Rounding noise above this share of the signal is not worth training on; above a tenth of it, worth a warning.
LARGEST_NOISE = 0.1
# A sine network starts with high frequencies, whose differences are large, and loses them in its first steps.
TRIAL_STEPS = 4


def rounding_noise(field: Field, targets: LatticeTargets) -> float:
    """rms float32 error of D^n F on one lattice batch, relative to the rms of the ground truth about its mean."""
    generator = torch.Generator(field.device).manual_seed(0)
    stencils = targets.draw(generator, [(1, min(axis.length, 8)) for axis in targets.axes]).stencils
    with torch.no_grad():
        error = field.grid(stencils).double() - copy.deepcopy(field).double().grid(stencils)
    size = targets.values.double().flatten(0, -2).std(dim=0).norm()
    return float(error.flatten(0, -2).square().mean(dim=0).sum().sqrt() / size.clamp_min(1e-30))


def check_precision(field: Field, targets: LatticeTargets) -> str | None:
    """A warning where float32 costs accuracy; raises ValueError where there would be little but noise."""
    noise = rounding_noise(field, targets)
    advice = "use --field separable, a lower order, a larger half size or --precision 64"
    if noise > LARGEST_NOISE:
        n, h = field.config.order + 1, min(field.h.values())
        raise ValueError(
            f"float32 cannot represent {n} differences per axis at spacing {h:.3g}: "
            f"rounding noise is {noise:.0%} of the signal; {advice}"
        )
    if noise > LARGEST_NOISE / 10:
        return f"rounding noise of float32 is {noise:.1%} of the signal at the training kernel; for more, {advice}"
    return None


def check_precision_early(trainer: Trainer) -> str | None:
    """`check_precision` of a field that rounding may harm, as it is and as a copy of it is after a few steps."""
    field, objective, options = trainer.field, trainer.objective, trainer.options
    if field.dtype == torch.float64 or field.factored:
        return None
    warning = check_precision(field, objective.targets)
    trial, generator = copy.deepcopy(field), torch.Generator(field.device).manual_seed(options.seed)
    optimisers = build_optimisers(trial, options)
    for _ in range(TRIAL_STEPS):
        gradients(optimisers, objective.loss(trial, generator).total)
        descend(optimisers, options.learn_rate)
    return check_precision(trial, objective.targets) or warning
