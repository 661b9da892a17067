"""Measurements of speed and quality: `python -m benchmarks.run` writes JSON, Markdown and the README's figures."""

import os

# Read by OpenMP when torch is loaded: threads that spin while they wait starve everything else on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
