#!/bin/sh
# Filters the shipped signals with the shipped models.
#   sh scripts/eval.sh [all|image|geometry|video|audio|motion] [options of eval.py]     e.g. image --width 1024
. "$(dirname -- "$0")/common.sh"

case ${1:-} in
    "" | -* | all)
        modalities="image geometry video audio motion"
        if [ "${1:-}" = all ]; then shift; fi
        ;;
    *)
        modalities=$1
        shift
        ;;
esac

for modality in $modalities; do
    settings "$modality"
    output=$(unused "$ROOT/output/$FOLDER/shipped")
    filters "$ROOT/trained_models/$FOLDER/model.pth" "$output" --signal "$RAW" "$@"
    echo "results: $output"
done
