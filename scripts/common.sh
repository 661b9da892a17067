# Sourced by every driver: sets up Python once. The working directory stays, so that paths of the user are relative to it.
set -eu
ROOT=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
sh "$ROOT/scripts/setup.sh"
PYTHON=${NFC_PYTHON:-$ROOT/.venv/bin/python}
case $PYTHON in
    /*) ;;
    */*) PYTHON=$PWD/$PYTHON ;;
esac

# drive ACTION [MODALITY] [OPTIONS]: runs scripts/drivers.py, where the drivers of all modalities are.
drive() {
    PYTHONPATH=$ROOT${PYTHONPATH:+:$PYTHONPATH} exec "$PYTHON" "$ROOT/scripts/drivers.py" "$@"
}
