"""Signals sampled on grids, their exact convolutions and the ground-truth files made of them (knows no fields)."""

from signals.signal import Signal, coordinates, spacing

__all__ = ["Signal", "coordinates", "spacing"]
