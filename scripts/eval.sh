#!/bin/sh
# Filters the shipped signals with the shipped models.
#   sh scripts/eval.sh [all|image|geometry|video|audio|motion|series] [options of eval.py]     e.g. image --width 1024
. "$(dirname -- "$0")/common.sh"
drive eval "$@"
