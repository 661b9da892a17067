#!/bin/sh
# The tests, as many files at once as there are cores (up to 8).
#   sh scripts/test.sh [options of pytest]     e.g. -k kernels -x
. "$(dirname -- "$0")/common.sh"

cd "$ROOT"
# Threads of programs that the tests start, too: small problems only wait for each other.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec "$PYTHON" -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile "$@"
