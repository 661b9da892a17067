"""Fitting a repeated integral field to ground truth: options, batches, losses, optimisers, runs."""

from training.options import PRESETS, Options, resolve
from training.run import train

__all__ = ["PRESETS", "Options", "resolve", "train"]
