#!/bin/sh
# The tests.
#   sh scripts/test.sh [options of pytest]     e.g. -k kernels -x
. "$(dirname -- "$0")/common.sh"

cd "$ROOT"
exec "$PYTHON" -m pytest "$@"
