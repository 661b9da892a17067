#!/bin/sh
# Creates .venv in the repository root with the pinned requirements, once; every driver calls this first.
#
#   sh scripts/setup.sh                        CPU build of PyTorch
#   NFC_TORCH=cuda sh scripts/setup.sh         the CUDA build (Linux with an NVIDIA GPU)
#   NFC_PYTHON=/path/to/python sh scripts/...  your own environment instead of .venv
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
venv=$root/.venv
lock=$root/.venv.lock
ready=$venv/requirements.installed

fail() {
    echo "setup: $*" >&2
    exit 1
}

# Without NFC_TORCH any build of PyTorch is accepted: an earlier choice stays.
is_ready() {
    [ -f "$ready" ] || return 1
    case $(cat "$ready") in
        "$wanted $torch") ;;
        "$wanted "*) [ -z "${NFC_TORCH:-}" ] || return 1 ;;
        *) return 1 ;;
    esac
    "$venv/bin/python" -c '' 2>/dev/null
}

find_python() {
    for candidate in python3 python3.13 python3.12 python3.11 python3.10 python; do
        if "$candidate" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python 3.10 or newer with its venv module was found (Debian, Ubuntu: apt install python3-venv);" \
        "install one, or name an environment of your own in NFC_PYTHON"
}

install() {
    "$base" -m venv --clear "$venv"
    if [ "$torch" = cpu ]; then
        echo "setup: PyTorch (CPU build)"
        # --no-deps: nothing but PyTorch itself may come from the second index.
        run_pip --no-deps --retries 1 --extra-index-url https://download.pytorch.org/whl/cpu \
            "$(grep '^torch==' "$root/requirements.txt")"
    fi
    echo "setup: the other requirements"
    run_pip -r "$root/requirements-dev.txt"
}

run_pip() {
    "$venv/bin/python" -m pip install --quiet --quiet --disable-pip-version-check --no-input "$@" ||
        fail "pip could not install the requirements (see above); fix the cause and run this again"
}

if [ -n "${NFC_PYTHON:-}" ]; then
    "$NFC_PYTHON" -c 'import sys; from importlib.util import find_spec as f
sys.exit(sys.version_info < (3, 10) or not all(map(f, ("torch", "numpy", "scipy", "click"))))' 2>/dev/null ||
        fail "NFC_PYTHON=$NFC_PYTHON is not a Python 3.10 or newer with the packages of requirements.txt"
    exit 0
fi

torch=${NFC_TORCH:-cpu}
case $torch in
    cpu | cuda) ;;
    *) fail "NFC_TORCH must be cpu or cuda, not $torch" ;;
esac
wanted=$(cat "$root/requirements.txt" "$root/requirements-dev.txt" | cksum)
if is_ready; then
    exit 0
fi
# An interrupted set-up leaves a word in the lock file; any other unmarked environment belongs to the user.
if [ -e "$venv" ] && [ ! -e "$ready" ] && [ ! -s "$lock" ]; then
    fail "$venv is an environment that this script did not make: remove it, or use it with NFC_PYTHON=.venv/bin/python"
fi
base=$(find_python)
# The lock belongs to descriptor 9, so it is released however this script ends.
exec 9>>"$lock"
hold='import fcntl, sys; fcntl.flock(9, fcntl.LOCK_EX | (fcntl.LOCK_NB if "try" in sys.argv else 0))'
if ! "$base" -c "$hold" try 2>/dev/null; then
    echo "setup: waiting for another set-up of $venv to finish"
    "$base" -c "$hold"
fi
if ! is_ready; then
    echo "setup: creating $venv with $("$base" --version), once: 1 to 3 minutes, 2 GB"
    echo unfinished >&9
    install
    echo "$wanted $torch" >"$ready"
    : >"$lock"
    echo "setup: done"
fi
