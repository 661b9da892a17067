"""From ground truth and options to a trainer that is ready for its first step."""

import copy
import math
from dataclasses import replace
from typing import Any

import torch

from models import build_field
from models.checkpoint import Origin
from models.field import Field, FieldConfig
from models.separable import SeparableField
from signals.ground_truth import GroundTruth
from signals.signal import Signal
from training.autodiff import AutodiffObjective
from training.directions import choose_ranks
from training.folder import RunFolder
from training.lattice import LatticeTargets
from training.loop import Trainer
from training.objective import LatticeObjective, Objective, PointObjective
from training.optimise import build_optimisers, set_rate
from training.options import Options
from training.projection import ProjectionObjective

# Rounding noise above this share of the signal is not worth training on; above a tenth of it, worth a warning.
LARGEST_NOISE = 0.1
LARGEST_FREQUENCY = 1000.0
# A sine network starts with high frequencies, whose differences are large, and loses them in its first steps.
TRIAL_STEPS = 4
# Fewer features than this save nothing.
LEAST_WIDTH = 16
# Splines are solved for with dense matrices of their knots.
LARGEST_SPLINE = 6000


class PrecisionError(ValueError):
    """The field's arithmetic cannot hold what it is asked to learn; the message says what to do."""


def make_trainer(
    truth: GroundTruth, options: Options, folder: RunFolder, device: torch.device, signal: Signal | None = None
) -> Trainer:
    """A trainer on `device`, ready for its first step; `signal` is the raw one, for autodiff (ValueError without)."""
    targets = LatticeTargets(truth, device)
    field = make_field(make_config(truth, targets, options), options, device)
    objective = make_objective(targets, options, truth, signal)
    trainer = Trainer(field, objective, options, Origin.of(truth, targets.margin), folder)
    objective.prepare(field, trainer.generator)
    return trainer


def make_config(truth: GroundTruth, targets: LatticeTargets, options: Options) -> FieldConfig:
    """The field's shape: what is not asked for follows from the training kernel and the signal."""
    shape = {
        "kind": options.field, "dim": truth.dim, "channels": truth.channels, "axes": truth.axes, "order": truth.order,
        "num_channels": options.num_channels, "num_layers": options.num_layers, "norm_exp": options.norm_exp,
        "omega_0": options.omega_0 or frequency_for(targets.h), "factor": options.factor,
        "poly_degree": options.poly_degree, "pe": bands_for(targets.h) if options.pe < 0 else options.pe,
    }  # fmt: skip
    if options.field == "separable":
        if options.supervision == "projection":
            tables = tuple(0 if axis in truth.axes else size for axis, size in enumerate(truth.shape))
            shape |= {"core": "tucker", "tables": tables}
            if options.factor == "spline":
                shape |= knots_for(targets, options.knots)
            else:
                shape["widths"] = widths_for(targets, options.num_channels)
            limits = shape.get("knots") or shape["widths"]
            shape["ranks"] = choose_ranks(targets, limits, options.core_size, options.accuracy, options.poly_degree)
        else:
            shape |= {"core": "cp", "ranks": (options.num_channels,) * truth.dim}
    return FieldConfig(**shape)


def widths_for(targets: LatticeTargets, width: int) -> tuple[int, ...]:
    """`width`, but no more features than an axis has rows to solve their heads from: others swing between the rows."""
    rows = [axis.phases * axis.length for axis in targets.axes]
    return tuple(min(width, max(LEAST_WIDTH, count)) for count in rows)


def knots_for(targets: LatticeTargets, per_step: float) -> dict[str, Any]:
    """Knots of spline factors per filtered axis and how far they reach: `per_step` of them for each distance h of the
    training kernel's Diracs, but no more than the signal has samples.

    More than some four would show what the training kernel is blind to; training queries lie n h / 2 beyond the margin.
    """
    knots, reach = [], []
    for axis in targets.axes:
        beyond = -1.0 - axis.origin + targets.h * targets.n / 2 if axis.n else 0.0
        steps = 2 * (1 + beyond) / targets.h
        knots.append(max(8, round(min(per_step, axis.phases) * steps)) if axis.n else 0)
        reach.append(max(0.0, beyond))
    if max(knots) > LARGEST_SPLINE:
        raise ValueError(
            f"{max(knots)} knots along one axis are more than the {LARGEST_SPLINE} that are solved for at once: "
            "use a smaller --knots or --factor swish"
        )
    return {"knots": tuple(knots), "reach": tuple(reach)}


def bands_for(h: float) -> int:
    """Bands up to the first zero 2 pi / h of the training kernel's spectrum: what lies beyond it hardly shows."""
    return max(1, math.ceil(math.log2(2 * math.pi / h)) + 1)


def frequency_for(h: float) -> float:
    """omega_0 of sine layers, 1 / h: two of them reach the first zero 2 pi / h of the training kernel's spectrum."""
    return min(1.0 / h, LARGEST_FREQUENCY)


def make_objective(targets: LatticeTargets, options: Options, truth: GroundTruth, signal: Signal | None) -> Objective:
    """The supervision that was asked for; raises ValueError for autodiff without the `signal` it compares with."""
    match options.supervision:
        case "projection":
            return ProjectionObjective(targets, options.levels)
        case "points":
            return PointObjective(targets, options.batch, options.loss)
        case "autodiff":
            if signal is None or (signal.shape, signal.channels) != (truth.shape, truth.channels):
                raise ValueError("--supervision autodiff needs --signal, the raw signal the ground truth was made of")
            signal = replace(signal, axes=truth.axes)
            return AutodiffObjective(targets, signal, truth.margin, truth.boundary, options.batch, options.loss)
        case _:
            return LatticeObjective(targets, options.batch, options.loss, options.levels)


def make_field(config: FieldConfig, options: Options, device: torch.device) -> Field:
    """A new field from the run's seed; projections work in float64, where 1-D features cost little."""
    torch.manual_seed(options.seed)
    bits = options.precision or (64 if options.supervision == "projection" else 32)
    # Splines are sums that lose digits, and nothing of them is a matter of speed.
    precise = bits == 64 or options.layers == "spline"
    return build_field(config).to(device=device, dtype=torch.float64 if precise else torch.float32)


def rounding_noise(field: Field, targets: LatticeTargets) -> float:
    """rms float32 error of D^n F on one lattice batch, relative to the rms of the ground truth about its mean."""
    generator = torch.Generator(field.device).manual_seed(0)
    shape = [(1, min(axis.length, 8)) for axis in targets.axes]
    batch = targets.draw(generator, shape)
    precise = build_field(field.config).to(device=field.device, dtype=torch.float64)
    precise.load_state_dict(field.state_dict())
    with torch.no_grad():
        error = field.grid(batch.stencils).double() - precise.grid(batch.stencils).double()
    size = targets.values.double().flatten(0, -2).std(dim=0).norm()
    return float(error.flatten(0, -2).square().mean(dim=0).sum().sqrt() / size.clamp_min(1e-30))


def check_precision(field: Field, targets: LatticeTargets) -> str | None:
    """A warning where float32 costs accuracy; raises PrecisionError where there would be little but noise."""
    if field.dtype == torch.float64 or isinstance(field, SeparableField):
        return None
    noise = rounding_noise(field, targets)
    h, n = targets.h, targets.n
    advice = "use --field separable, a lower order, a larger half size or --precision 64"
    if noise > LARGEST_NOISE:
        raise PrecisionError(
            f"float32 cannot hold {n} differences per axis at spacing {h:.3g}: "
            f"rounding noise is {noise:.0%} of the signal; {advice}"
        )
    if noise > LARGEST_NOISE / 10:
        return f"rounding noise of float32 is {noise:.1%} of the signal at the training kernel; for more, {advice}"
    return None


def foresee_precision(trainer: Trainer) -> str | None:
    """`check_precision` of the field as it is and of a copy of it after a few steps of training."""
    field, objective, options = trainer.field, trainer.objective, trainer.options
    targets = objective.targets
    warning = check_precision(field, targets)
    if field.dtype == torch.float64 or isinstance(field, SeparableField):
        return warning
    tried, generator = copy.deepcopy(field), torch.Generator(field.device).manual_seed(options.seed)
    optimisers = build_optimisers(tried, options)
    set_rate(optimisers, options.learn_rate)
    for _ in range(TRIAL_STEPS):
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        objective.loss(tried, generator).total.backward()
        for optimiser in optimisers:
            optimiser.step()
    return check_precision(tried, targets) or warning
