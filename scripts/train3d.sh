#!/bin/sh
# Shapes, from the shipped file to filtered results: ground truth, training (seconds to a minute), filters and figures.
#   sh scripts/train3d.sh [options of train.py]     e.g. --core_size 100000 --experiment_name mine
. "$(dirname -- "$0")/common.sh"
drive train geometry "$@"
