#!/bin/sh
# Makes the shipped models again, from the shipped signals: ground truth, training, filters and a record of each.
#   sh scripts/train_all.sh [image|geometry|video|audio|motion|series ...]
. "$(dirname -- "$0")/common.sh"
drive ship "$@"
