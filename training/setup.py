"""From ground truth and options to a trainer that is ready for its first step."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from models import FieldConfig, Origin, build_field
from models.device import pick_device
from models.field import Field
from signals.ground_truth import GroundTruth
from signals.signal import Signal
from training.autodiff import AutodiffObjective
from training.directions import ACCURACY, FREE_SIZE, Decomposition, choose_ranks, decompose
from training.lattice import LatticeTargets
from training.objective import LatticeObjective, PointObjective
from training.options import Options
from training.processes import OneProcess
from training.projection import ProjectionObjective
from training.trainer import Trainer

LARGEST_FREQUENCY = 1000.0
# Fewer features than this save nothing.
LEAST_WIDTH = 16
# Entries of the largest core that a warning asks for.
LARGEST_CORE = 1 << 26
# Knots of splines per distance of the training kernel's Diracs, those of signals too rough for them, and how many dB
# these must add.
KNOTS, FINER_KNOTS, WORTHWHILE = 4.0, 6.0, 0.5
# dB that ranks hold beyond what is asked for by default, so that what knots miss has room.
HEADROOM = 1.5
# Splines are solved for with dense matrices of their knots.
LARGEST_SPLINE = 6000


def make_trainer(
    truth: GroundTruth,
    options: Options,
    device: str | torch.device = "cpu",
    signal: Signal | None = None,
    processes: OneProcess | None = None,
) -> Trainer:
    """A trainer ready for its first step on `device` ('auto': a GPU if there is one), by itself or as one of several
    `processes`; autodiff requires `signal`."""
    start = time.monotonic()
    device = pick_device(device) if isinstance(device, str) else device
    if options.field == "separable":
        return make_trainers([truth], options, device)[0]
    targets = LatticeTargets(truth, device)
    field = make_field(make_config(truth, targets, options), Origin.of(truth, targets.margin), options, device)
    trainer = Trainer(field, network_objective(targets, options, truth, signal), options, processes)
    trainer.prepared = time.monotonic() - start
    return trainer


def make_trainers(truths: Sequence[GroundTruth], options: Options, device: torch.device) -> list[Trainer]:
    """Trainers of ground truths of one shape, ready for their first steps."""
    if options.field != "separable":
        return [make_trainer(truth, options, device) for truth in truths]
    start = time.monotonic()
    targets = [LatticeTargets(truth, device) for truth in truths]
    parts = decompose(targets, options.poly_degree)
    trainers = [separable_trainer(*own, options) for own in zip(truths, targets, parts, strict=True)]
    for trainer in trainers:
        trainer.prepared = (time.monotonic() - start) / len(trainers)
    return trainers


def separable_trainer(
    truth: GroundTruth, targets: LatticeTargets, decomposition: Decomposition, options: Options
) -> Trainer:
    """A separable field and its projection; of splines, with finer knots where those that are usual hold too little."""
    origin = Origin.of(truth, targets.margin)

    def made(knots: float) -> tuple[Trainer, float]:
        config = make_config(truth, targets, replace(options, knots=knots), decomposition.sizes)
        objective = ProjectionObjective(targets, decomposition, options.levels)
        trainer = Trainer(make_field(config, origin, options, targets.values.device), objective, options)
        return trainer, objective.held

    trainer, held = made(options.knots)
    able = max(trainer.field.config.knots, default=LARGEST_SPLINE) * FINER_KNOTS / KNOTS <= LARGEST_SPLINE
    if able and not options.knots and held < wanted_accuracy(options):
        finer, better = made(FINER_KNOTS)
        return finer if better > held + WORTHWHILE else trainer
    return trainer


def wanted_accuracy(options: Options) -> float:
    """dB of PSNR at the training kernel that a separable field is to hold."""
    return options.accuracy if options.accuracy > 0 else ACCURACY


def make_config(
    truth: GroundTruth, targets: LatticeTargets, options: Options, spectra: Sequence[Tensor] = ()
) -> FieldConfig:
    """The field's shape: what is not asked for follows from the training kernel and, for the ranks of a separable
    field, from the singular values `spectra` of every axis."""
    h = min(truth.h.values())
    # Bands, or two sine layers, reach the first zero 2 pi / h of the training kernel's spectrum: more hardly shows.
    bands = max(1, math.ceil(math.log2(2 * math.pi / h)) + 1)
    shape: dict[str, Any] = {
        "num_channels": options.num_channels, "num_layers": options.num_layers, "norm_exp": options.norm_exp,
        "pe": bands if options.pe < 0 else options.pe, "omega_0": options.omega_0 or min(1.0 / h, LARGEST_FREQUENCY),
        "split": max(0, min(options.split, options.num_layers - 1)), "factor": options.factor,
        "poly_degree": options.poly_degree,
    }  # fmt: skip
    if options.field == "separable":
        shape["tables"] = tuple(0 if axis in truth.axes else size for axis, size in enumerate(truth.shape))
        if options.factor == "spline":
            shape |= knots_for(targets, options.knots or KNOTS)
        else:
            shape["widths"] = widths_for(targets, options.num_channels)
        limits = shape.get("knots") or shape["widths"]
        accuracy, least = (options.accuracy, 0) if options.accuracy >= 0 else (ACCURACY + HEADROOM, FREE_SIZE)
        shape["ranks"] = choose_ranks(targets, spectra, limits, options.core_size, accuracy, least)
    return FieldConfig(options.field, truth.dim, truth.channels, truth.axes, truth.order, **shape)


def rank_shortfall(trainer: Trainer) -> tuple[str, str] | None:
    """How well the ranks of a separable field hold its truth, and what helps, where that is less than was asked for."""
    objective, config = trainer.objective, trainer.field.config
    if not isinstance(objective, ProjectionObjective):
        return None
    wanted = wanted_accuracy(trainer.options)
    if objective.held >= wanted:
        return None
    limits = config.knots if config.factor == "spline" else config.widths
    ranks = choose_ranks(objective.targets, objective.spectra, limits, LARGEST_CORE, wanted + HEADROOM)
    needed = math.prod(ranks) * config.channels
    helps = ["a larger half size"]
    # Where a larger core changes nothing, the features span no more; knots are never finer than the samples.
    if needed > trainer.options.core_size:
        helps.insert(0, f"--core_size {needed}")
    elif config.factor != "spline":
        helps.insert(0, "a larger --num_channels, --factor spline")
    elif max(axis.phases for axis in objective.targets.axes) > (trainer.options.knots or FINER_KNOTS):
        helps.insert(0, "a larger --knots")
    ranks_now = " x ".join(map(str, config.ranks))
    what = (f"{ranks_now} functions of one coordinate hold the signal to about {objective.held:.1f} dB at the training "
            f"kernel, not to {wanted:g}")  # fmt: skip
    return what, " or ".join(helps)


def widths_for(targets: LatticeTargets, width: int) -> tuple[int, ...]:
    """`width`, but no more features than an axis has rows to solve their heads from: others swing between the rows."""
    return tuple(min(width, max(LEAST_WIDTH, axis.count)) for axis in targets.axes)


def knots_for(targets: LatticeTargets, per_step: float) -> dict[str, Any]:
    """Knots of spline factors per filtered axis and how far they reach: `per_step` of them for each distance h of the
    training kernel's Diracs, but no more than the signal has samples.

    More than four would represent frequencies that the training kernel does not see; queries lie n h / 2 further out.
    """
    knots, reach = [], []
    for axis in targets.axes:
        beyond = max(0.0, -1.0 - axis.origin + axis.h * axis.n / 2)
        knots.append(max(8, round(min(per_step, axis.phases) * 2 * (1 + beyond) / axis.h)) if axis.n else 0)
        reach.append(beyond if axis.n else 0.0)
    if max(knots) > LARGEST_SPLINE:
        raise ValueError(
            f"{max(knots)} knots along one axis are more than the {LARGEST_SPLINE} that are solved for at once: "
            "use a smaller --tile or --knots, or --factor swish"
        )
    return {"knots": tuple(knots), "reach": tuple(reach)}


def network_objective(
    targets: LatticeTargets, options: Options, truth: GroundTruth, signal: Signal | None
) -> LatticeObjective:
    """The supervision of a network; raises ValueError for autodiff without the `signal` it compares with."""
    if options.supervision == "points":
        return PointObjective(targets, options.batch, options.loss)
    if options.supervision == "lattice":
        return LatticeObjective(targets, options.batch, options.loss, options.levels)
    if signal is None or (signal.shape, signal.channels) != (truth.shape, truth.channels):
        raise ValueError("--supervision autodiff requires --signal, the raw signal the ground truth was made of")
    signal = replace(signal, axes=truth.axes)
    return AutodiffObjective(targets, signal, truth.bounds, truth.boundary, options.batch, options.loss)


def make_field(config: FieldConfig, origin: Origin, options: Options, device: torch.device) -> Field:
    """A new field from the run's seed; heads are solved for in float64, where 1-D features cost little."""
    torch.manual_seed(options.seed)
    bits = options.precision or (64 if options.supervision == "projection" else 32)
    # Splines are sums that lose digits, and nothing of them is a matter of speed.
    precise = bits == 64 or options.layers == "spline"
    return build_field(config, origin).to(device=device, dtype=torch.float64 if precise else torch.float32)
