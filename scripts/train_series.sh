#!/bin/sh
# Tables over time, from the shipped file to filtered results: ground truth, training (seconds to a minute), filters and figures.
#   sh scripts/train_series.sh [options of train.py]     e.g. --experiment_name mine
. "$(dirname -- "$0")/common.sh"
drive train series "$@"
