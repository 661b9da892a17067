#!/bin/sh
# The ground truth of the shipped video, in data/GTs, with a preview beside it.
#   sh scripts/generate_gt_video.sh [options of mc_utils.py]     e.g. --half_size 0.1 --path MINE --save_path FOLDER
. "$(dirname -- "$0")/common.sh"
drive generate video "$@"
