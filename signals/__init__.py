"""Signals sampled on grids, their exact convolutions and the ground truth made of them (knows no fields)."""

from signals.ground_truth import GroundTruth, make_ground_truth
from signals.signal import Signal, coordinates, spacing

__all__ = ["GroundTruth", "Signal", "coordinates", "make_ground_truth", "spacing"]
