#!/bin/sh
# Creates .venv in the repository root with the pinned requirements, once; every driver calls this first.
#
#   sh scripts/setup.sh                        CPU build of PyTorch
#   NFC_TORCH=cu130 sh scripts/setup.sh        the build for CUDA 13.0 (driver 580 or newer, Turing or newer cards)
#   NFC_TORCH=cu126 sh scripts/setup.sh        the build for CUDA 12.6 (driver 525 or newer, Maxwell to Hopper)
#   NFC_TORCH=cuda sh scripts/setup.sh         the newer of the two that the driver and the cards work with
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

# The newest build that the driver and every card work with: CUDA 13 requires driver 580 and compute capability 7.5,
# CUDA 12 driver 525; the build for 12.6 ends with Hopper, 9.0.
build_for_driver() {
    found=$(nvidia-smi --query-gpu=driver_version,compute_cap --format=csv,noheader,nounits 2>/dev/null) ||
        fail "nvidia-smi does not answer, so that no driver is known: name the build, NFC_TORCH=cu130 or NFC_TORCH=cu126"
    echo "$found" | awk -F '[., ]+' '
        { driver = $1 + 0; capability = 10 * $(NF - 1) + $NF
          if (NR == 1 || capability < least) least = capability
          if (capability > most) most = capability }
        END { if (driver >= 580 && least >= 75) print "cu130"
              else if (driver >= 525 && least >= 50 && most <= 90) print "cu126"
              else print "none" }'
}

install() {
    "$base" -m venv --clear "$venv"
    echo "setup: PyTorch ($build build)"
    pinned=$(grep '^torch==' "$root/requirements.txt")
    if [ "$build" = cpu ]; then
        # --no-deps: nothing but PyTorch itself may come from the second index.
        run_pip --no-deps --retries 1 --extra-index-url https://download.pytorch.org/whl/cpu "$pinned"
    else
        # Its CUDA libraries come with it; "+cu130" is found on no other index.
        run_pip --extra-index-url "https://download.pytorch.org/whl/$build" "$pinned+$build"
    fi
    echo "setup: the other requirements"
    run_pip -r "$root/requirements-dev.txt"
    [ "$build" = cpu ] || "$venv/bin/python" -c 'import sys, torch; sys.exit(torch.version.cuda is None)' ||
        fail "the PyTorch that was installed has no CUDA (torch.version.cuda is None): see docs/gpu.md"
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
    cpu | cuda | cu126 | cu130) ;;
    *) fail "NFC_TORCH must be cpu, cuda, cu126 or cu130, not $torch" ;;
esac
wanted=$(cat "$root/requirements.txt" "$root/requirements-dev.txt" | cksum)
if is_ready; then
    exit 0
fi
# An interrupted set-up leaves a word in the lock file; any other unmarked environment, and one that is linked from
# elsewhere, belongs to the user.
if [ -L "$venv" ] || { [ -e "$venv" ] && [ ! -e "$ready" ] && [ ! -s "$lock" ]; }; then
    fail "$venv is an environment that this script did not make: remove it, or use it with NFC_PYTHON=.venv/bin/python"
fi
build=$torch
if [ "$torch" = cuda ]; then
    build=$(build_for_driver)
    [ "$build" != none ] || fail "no build of PyTorch works with this driver and card: see docs/gpu.md"
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
