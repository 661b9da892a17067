"""The examples run from top to bottom, and what they print is right."""

import re
import subprocess
import sys

import nbformat
import numpy as np
import pytest
from checkout import ROOT
from nbclient import NotebookClient
from PIL import Image

EXAMPLES = ROOT / "examples"


@pytest.fixture(autouse=True)
def single_thread(monkeypatch):
    # Threads of several processes that wait for each other are slower than one.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_demo_is_one_short_file_and_as_accurate_as_it_says(tmp_path):
    photograph, picture = tmp_path / "small.png", tmp_path / "demo.png"
    Image.open(ROOT / "data/raw/images/astronaut.png").resize((128, 96)).save(photograph)
    assert len((EXAMPLES / "demo.py").read_text().splitlines()) <= 150
    done = subprocess.run(
        [sys.executable, EXAMPLES / "demo.py", photograph, picture], capture_output=True, text=True, check=True
    )
    qualities = [float(value) for value in re.findall(r"PSNR ([\d.]+) dB", done.stdout)]
    assert len(qualities) == 3 and min(qualities) > 60
    assert np.asarray(Image.open(picture)).shape == (48, 64, 3)


def test_tour_runs_from_top_to_bottom():
    source = EXAMPLES / "tour.ipynb"
    notebook = nbformat.read(source, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(EXAMPLES)}}).execute()
    printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    (quality,) = re.findall(r"PSNR ([\d.]+) dB against SciPy", printed)
    assert float(quality) > 55 and "the same result: True" in printed
    figures = [o for cell in notebook.cells for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
    assert len(figures) == 4 and source.stat().st_size < 50_000
