"""Fitting a repeated integral field to ground truth: options, batches, losses, optimisers, runs."""

from training.options import PRESETS, Options, resolve
from training.plan import plan_tiles
from training.run import RanksError, train
from training.tiles import fit_tiles

__all__ = ["PRESETS", "Options", "RanksError", "fit_tiles", "plan_tiles", "resolve", "train"]
