"""Fitting a repeated integral field to ground truth: options, batches, losses, optimisers, runs."""

from training.options import PRESETS, Options, resolve
from training.run import train
from training.source import Source
from training.tiles import fit_in_tiles

__all__ = ["PRESETS", "Options", "Source", "fit_in_tiles", "resolve", "train"]
