#!/bin/sh
# The tests.
#   sh scripts/test.sh [options of pytest]     e.g. -k kernels -x
. "$(dirname -- "$0")/common.sh"

cd "$ROOT"
# Threads of programs that the tests start, too: small problems only wait for each other.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec "$PYTHON" -m pytest "$@"
