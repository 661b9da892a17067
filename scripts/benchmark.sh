#!/bin/sh
# Measures speed and quality: prints tables and writes docs/benchmarks.md.
#   sh scripts/benchmark.sh [--sections filtering,quality,...] [--quick]
. "$(dirname -- "$0")/common.sh"

cd "$ROOT"
exec "$PYTHON" -m benchmarks.run "$@"
