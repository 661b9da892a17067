# Sourced by every driver: sets up Python once. Nothing here changes the working directory, so a path that a user
# types means what it says wherever the driver was started from.
set -eu
ROOT=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
sh "$ROOT/scripts/setup.sh"
PYTHON=${NFC_PYTHON:-$ROOT/.venv/bin/python}
case $PYTHON in
    /*) ;;
    */*) PYTHON=$PWD/$PYTHON ;;
esac

# drive ACTION [MODALITY] [OPTIONS]: scripts/drivers.py, which knows what is shipped and how it is made.
drive() {
    PYTHONPATH=$ROOT${PYTHONPATH:+:$PYTHONPATH} exec "$PYTHON" "$ROOT/scripts/drivers.py" "$@"
}
