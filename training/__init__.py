"""Fitting a repeated integral field to ground truth: batches, losses, optimisers, the loop and its records."""
