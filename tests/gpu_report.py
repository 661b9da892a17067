"""Every case and fault on the pretended GPU, in a process of its own: python gpu_report.py REPORT.json [NAME ...]

Writes what each waited for, and its error; NFC_GPU_GUARD names the library of the device guard.
"""

import gpu_pretended as gpu  # first: before torch

# isort: split
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from gpu_cases import CASES
from gpu_faults import FAULTS


def report(case: Callable[[], dict[str, int]]) -> dict[str, Any]:
    try:
        return {"events": case(), "error": ""}
    except BaseException:
        return {"events": {}, "error": traceback.format_exc()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    asked = sys.argv[2:] or [*CASES, *FAULTS]
    with gpu.pretended():
        reports = {name: report((CASES | FAULTS)[name]) for name in asked}
    Path(sys.argv[1]).write_text(json.dumps(reports))
    # The autograd engine's thread for the pretended device would abort an ordinary exit.
    os._exit(0)
