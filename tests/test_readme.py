"""README.md: its lines of Python run as printed, what it names exists, and it stays a page."""

import re

import numpy as np
import pytest
from checkout import ROOT
from scipy.ndimage import gaussian_filter

import nfconv
from modalities import MODALITIES
from signals.measures import psnr

README = (ROOT / "README.md").read_text(encoding="utf-8")
FOLDERS = [path.name for path in ROOT.iterdir() if path.is_dir()]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_lines_of_python_run_as_printed_and_filter(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(code, names)
    pixels = nfconv.read("data/raw/images/astronaut.png").values
    sigma = 0.05 * (len(pixels) - 1) / 2
    expected = gaussian_filter(pixels, sigma, axes=(0, 1), mode="nearest", truncate=3.0)
    assert psnr(names["blurred"], expected) > 55
    assert names["edges"].shape == (1024, 1024, 3) and abs(names["edges"].mean()) < 0.01
    size, centre = names["sizes"][[0, -1], 0], (names["points"] + 1) * (len(pixels) - 1) / 2
    for scale, values, place in zip(size, names["values"][[0, -1]], centre[[0, -1]], strict=True):
        wanted = gaussian_filter(pixels, scale * sigma, axes=(0, 1), mode="nearest", truncate=3.0)
        np.testing.assert_allclose(values, wanted[tuple(place.round().astype(int))], atol=0.02)
    assert (tmp_path / "astronaut.pth").stat().st_size < 500_000


def test_it_stays_a_page_and_lists_every_modality():
    assert len(README.encode()) <= 10_240
    table = re.findall(r"^\| (\d) `(\w+)` .*`(scripts/train\w+\.sh)` \|$", README, re.MULTILINE)
    assert [(int(number), name) for number, name, _ in table] == [(m.number, m.name) for m in MODALITIES.values()]
    assert all((ROOT / script).is_file() for *_, script in table)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_pages_name_exist(page):
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    missing = [link for link in links if not (page.parent / link).exists()]
    sources = [path for path in re.findall(r"`(\w+/[\w/]+\.(?:py|sh|ipynb))`", text) if path.split("/")[0] in FOLDERS]
    missing += [path for path in sources if not (ROOT / path).exists()]
    assert not missing
