# Sourced by every driver: sets up Python once, and holds what the drivers share. Nothing here changes the working
# directory, so a path that a user types means what it says wherever the driver was started from.
set -eu
ROOT=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
sh "$ROOT/scripts/setup.sh"
PYTHON=${NFC_PYTHON:-$ROOT/.venv/bin/python}
case $PYTHON in
    /*) ;;
    */*) PYTHON=$PWD/$PYTHON ;;
esac

# run PROGRAM ARGUMENTS...: one of the programs in the repository root.
run() {
    program=$1
    shift
    echo "+ $program $*"
    "$PYTHON" "$ROOT/$program" "$@"
}

# Bodies in parentheses are subshells: their variables are their own.
# option NAME DEFAULT ARGUMENTS...: prints what the last `NAME value` or `NAME=value` gives, else DEFAULT.
option() (
    name=$1
    found=$2
    shift 2
    previous=
    for argument; do
        if [ "$previous" = "$name" ]; then found=$argument; fi
        case $argument in "$name="*) found=${argument#*=} ;; esac
        previous=$argument
    done
    printf '%s\n' "$found"
)

# has NAME ARGUMENTS...: whether the option NAME is among the arguments.
has() (
    name=$1
    shift
    for argument; do
        case $argument in "$name" | "$name="*) exit 0 ;; esac
    done
    exit 1
)

# unused PATH [SUFFIX]: prints PATH, or the first of PATH_2, PATH_3, ... where nothing (with that SUFFIX) is yet: no
# result is written over.
unused() (
    path=$1
    count=1
    while [ -e "$path${2:-}" ]; do
        count=$((count + 1))
        path=$1_$count
    done
    printf '%s\n' "$path${2:-}"
)

# latest PATH: prints the last of PATH, PATH_2, PATH_3, ... that is there.
latest() (
    path=$1
    count=2
    while [ -e "$1_$count" ]; do
        path=$1_$count
        count=$((count + 1))
    done
    printf '%s\n' "$path"
)

# settings MODALITY: what is shipped for a modality, how its ground truth is made, how its separable field is trained
# (so many STEPS, unless a budget is asked for, and the model comes out the same wherever it is made) and which filters
# are shown, as KERNEL:HALF_SIZE. Half sizes of sound are of windows of 512 samples (32 ms).
settings() {
    ORDER=1
    case $1 in
        1 | image)
            MODALITY=image FOLDER=images RAW=astronaut.png HALF_SIZE=0.05 MARGIN=0.4
            TRAINING='' STEPS=1000
            FILTERS="tent:0.05 tent:0.1 tent:0.2 tent:0.4 gaussian:0.05 gaussian:0.1 gaussian:0.2 gaussian:0.4"
            ;;
        2 | geometry)
            MODALITY=geometry FOLDER=geometry RAW=armadillo.off HALF_SIZE=0.05 MARGIN=0.25
            TRAINING="--core_size 200000" STEPS=500
            FILTERS="tent:0.05 tent:0.1 tent:0.2 gaussian:0.2"
            ;;
        3 | video)
            MODALITY=video FOLDER=videos RAW=bigbuckbunny_320x180.mp4 HALF_SIZE=0.1 MARGIN=0.4
            TRAINING="--core_size 900000" STEPS=500
            FILTERS="tent:0.1 tent:0.3 gaussian:0.3"
            ;;
        4 | audio)
            MODALITY=audio FOLDER=audio RAW=speech_librivox_austen_16k.wav HALF_SIZE=0.02 MARGIN=0.4
            TRAINING="--factor spline --core_size 200000" STEPS=1
            FILTERS="tent:0.02 tent:0.04 tent:0.08 gaussian:0.1 gaussian:0.4 dog:0.1 dog:0.4"
            ;;
        5 | motion)
            MODALITY=motion FOLDER=motion RAW=01_01.bvh HALF_SIZE=0.01 MARGIN=0.1
            TRAINING="--factor spline" STEPS=1
            FILTERS="tent:0.01 tent:0.02 tent:0.04 gaussian:0.1"
            ;;
        *)
            echo "unknown modality '$1': one of image, geometry, video, audio, motion" >&2
            exit 2
            ;;
    esac
    RAW=$ROOT/data/raw/$FOLDER/$RAW
    stem=${RAW##*/}
    GROUND_TRUTH=$ROOT/data/GTs/$FOLDER/${stem%.*}_order_${ORDER}_${HALF_SIZE}_exact.npz
}

# ground_truth OPTIONS...: the modality's ground truth by mc_utils.py, later options before earlier ones.
ground_truth() {
    run mc_utils.py --path "$RAW" --save_path "$ROOT/data/GTs/$FOLDER" --modality "$MODALITY" \
        --method exact --half_size "$HALF_SIZE" --order "$ORDER" --margin "$MARGIN" "$@"
}

# filters MODEL FOLDER OPTIONS...: every shown filter with eval.py, each in a folder of its own under FOLDER.
filters() {
    model=$1
    folder=$2
    shift 2
    for filter in $FILTERS; do
        kernel=${filter%:*}
        size=${filter#*:}
        # Kernels have half size 1, and eval.py divides by --kernel_scale; without a path it takes the tent.
        scale=$(LC_ALL=C awk "BEGIN { print 1 / $size }")
        path=
        if [ "$kernel" != tent ]; then path=$ROOT/trained_models/kernels/$kernel.npz; fi
        run eval.py --model_path "$model" ${path:+--kernel_path "$path"} --kernel_scale "$scale" \
            --modality "$MODALITY" --save_path "$folder/${kernel}_$size" "$@"
    done
}

# train_and_filter OPTIONS...: ground truth where there is none, training with OPTIONS in a new run, and filters.
train_and_filter() {
    signal=
    if ! has --monte_carlo "$@"; then
        signal=$RAW
        if [ -e "$GROUND_TRUTH" ]; then
            echo "using the ground truth $GROUND_TRUTH (remove it to have it made again)"
        else
            ground_truth
        fi
        set -- --monte_carlo "$GROUND_TRUTH" "$@"
    fi
    summary=$(option --summary "$ROOT/logs" "$@")
    next=unused
    if has --resume "$@"; then next=latest; fi
    name=$(option --experiment_name "$(basename "$($next "$summary/$FOLDER")")" "$@")
    # Another field has its own recipe, and a resumed run its own options.
    if has --field "$@" || has --preset "$@" || has --resume "$@"; then
        TRAINING=
    elif ! has --num_steps "$@" && ! has --time_budget "$@"; then
        TRAINING="$TRAINING --num_steps $STEPS"
    fi
    # shellcheck disable=SC2086  # options without spaces, meant to be split
    run train.py --summary "$summary" --experiment_name "$name" $TRAINING "$@"

    output=$(unused "$ROOT/output/$FOLDER/$name")
    filters "$summary/$name/model_final.pth" "$output" ${signal:+--signal "$signal"}
    echo
    echo "model:      $summary/$name/model_final.pth"
    echo "results:    $output (a folder per filter; metrics.json and a comparison figure in each)"
    echo "training:   sh $ROOT/scripts/tensorboard.sh --logdir $summary"
}
