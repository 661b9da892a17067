#!/bin/sh
# Images, from the shipped file to filtered results: ground truth, training (seconds to a minute), filters and figures.
#   sh scripts/train2d.sh [options of train.py]     e.g. --field siren --time_budget 60 --experiment_name mine
. "$(dirname -- "$0")/common.sh"
drive train image "$@"
