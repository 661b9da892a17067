#!/bin/sh
# Kernels that vary over the shipped photograph, from the shipped model: foveation, depth of field, flow-aligned blur.
#   sh scripts/varying2d.sh [fovea|depth|flow|all] [options of eval.py]
. "$(dirname -- "$0")/common.sh"
drive varying "$@"
