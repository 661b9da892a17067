"""Measurements of speed and quality, printed as Markdown: `python -m benchmarks.run` makes docs/benchmarks.md."""

import os

# Read by OpenMP when torch is loaded: threads that spin while they wait starve everything else on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
