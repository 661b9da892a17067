#!/bin/sh
# Measures speed and quality; writes benchmarks/results, docs/benchmark_*.png and the README's performance section.
#   sh scripts/benchmark.sh [--parts filtering,ground_truth,throughput,variants,quality,kernels] [--quick] [--long] [--report]
. "$(dirname -- "$0")/common.sh"

cd "$ROOT"
exec "$PYTHON" -m benchmarks.run "$@"
