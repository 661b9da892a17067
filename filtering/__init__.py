"""Filtering a signal with a trained field: which kernel, in which arithmetic, on which grid, and how good it is."""
