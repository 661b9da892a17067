#!/bin/sh
# Makes the shipped models again, from the shipped signals: ground truth, training, filters and a record of each.
#   sh scripts/train_all.sh [image|geometry|video|audio|motion ...]
. "$(dirname -- "$0")/common.sh"

for modality in ${*:-image geometry video audio motion}; do
    settings "$modality"
    run_name=$(basename "$(unused "$ROOT/logs/shipped_$FOLDER")")
    train_and_filter --experiment_name "$run_name"
    run scripts/ship_model.py --run "$ROOT/logs/$run_name" --results "$output" \
        --save_path "$ROOT/trained_models/$FOLDER" --command "sh scripts/train_all.sh $MODALITY" \
        --signal "data/raw/$FOLDER/${RAW##*/}" --order "$ORDER" --half_size "$HALF_SIZE" --margin "$MARGIN"
done
cd "$ROOT"
"$PYTHON" -m benchmarks.shipped
