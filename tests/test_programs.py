"""The programs as processes of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("program", ["mc_utils.py", "train.py", "eval.py"])
def test_programs_start_from_anywhere_and_fail_in_one_sentence(tmp_path, program):
    words = {"mc_utils.py": "--path x.png --save_path y", "train.py": "--monte_carlo x.npz", "eval.py":
             "--model_path x.pth --save_path y"}[program]  # fmt: skip
    command = [sys.executable, str(ROOT / program), *words.split()]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert result.returncode == 1
    assert result.stderr.startswith("Error: x.") and result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
