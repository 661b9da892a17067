#!/bin/sh
# Training curves, pictures and kernels in the browser.
#   sh scripts/tensorboard.sh [options of tensorboard]     e.g. --port 6007
. "$(dirname -- "$0")/common.sh"

exec "$PYTHON" -m tensorboard.main --logdir "$ROOT/logs" "$@"
