#!/bin/sh
# Shows a field on a page of this machine: kernels by sliders, the filtered signal, the error. Ctrl-C ends it.
#   sh scripts/view.sh [image|geometry|video|audio|motion|series ...] [--model_path FILE [--signal FILE]] [--port N]
. "$(dirname -- "$0")/common.sh"
drive view "$@"
