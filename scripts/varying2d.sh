#!/bin/sh
# Kernels that vary over the shipped photograph, from the shipped model: foveation, depth of field, flow-aligned blur.
#   sh scripts/varying2d.sh [fovea|depth|flow|all] [options of eval.py]
. "$(dirname -- "$0")/common.sh"

case ${1:-all} in
    fovea | depth | flow) kinds=$1 && shift ;;
    all) kinds="fovea depth flow" && if [ $# -gt 0 ]; then shift; fi ;;
    *) kinds="fovea depth flow" ;;
esac

settings image
output=$(unused "$ROOT/output/$FOLDER/varying")
for kind in $kinds; do
    map=$output/$kind.npy
    case $kind in
        # The eye rests on the face; the plane is in focus at the height of the badge.
        fovea) place="--row -0.5 --column -0.1" what=--scale_map kernel="gaussian --sigma 0.1 --scale_range 0.17,1" ;;
        depth) place="--row 0.4" what=--scale_map kernel="gaussian --sigma 0.1 --scale_range 0.17,1" ;;
        flow) place="" what=--angle_map kernel="anisotropic --sigma 0.06 --sigma_across 0.02" ;;
    esac
    # shellcheck disable=SC2086  # options without spaces, meant to be split
    run make_map.py --kind "$kind" --path "$RAW" --save_path "$map" $place
    # shellcheck disable=SC2086
    run eval.py --model_path "$ROOT/trained_models/$FOLDER/model.pth" --signal "$RAW" \
        --save_path "$output/$kind" "$what" "$map" --kernel $kernel "$@"
done
echo "results: $output"
