"""The page without a server: what the browser computes is what eval.py computes."""

import json
import re

import numpy as np
import pytest
from browser import FLAGS, Watched, chromium
from checkout import ROOT
from click.testing import CliRunner
from viewer_cases import KERNELS, make_model

import nfconv
import view
from signals.measures import psnr

MODEL = ROOT / "trained_models" / "images" / "model.pth"
# Every so many-th pixel is compared.
STEP = 37
PIXELS = "document.getElementById('picture').toDataURL()"
RADII = {"gaussian": 0.15, "disk": 0.1, "dog": 0.2, "heart": 0.2}


def export(model, path) -> str:
    result = CliRunner().invoke(view.main, ["--model_path", str(model), "--export", str(path)])
    return result.output if result.exit_code else ""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The exported page of the shipped photograph, with WebGL and without."""
    path = tmp_path_factory.mktemp("static") / "page.html"
    assert export(MODEL, path) == ""
    assert path.stat().st_size < 3e6
    executable = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=executable, args=FLAGS)
        yield {way: Watched(browser.new_page(), f"{path.as_uri()}#{way}") for way in ("webgl", "javascript")}
        browser.close()


def kernel_of(name: str, radius: float) -> nfconv.Kernel:
    return {
        "gaussian": nfconv.gaussian(sigma=radius / 3),
        "disk": nfconv.disk(radius=radius),
        "dog": nfconv.dog(sigma=radius / 4.8),
        "heart": nfconv.image(kernel_image=str(KERNELS / "heart.png"), radius=radius),
    }[name]


@pytest.mark.parametrize("name", RADII)
def test_results_of_the_browser_are_those_of_eval_to_80_decibels(pages, name):
    field = nfconv.load(MODEL)
    wanted = field.filter(kernel_of(name, RADII[name]).sparse(1, 2)).reshape(-1, 3)[::STEP]
    # Without a graphics card many products take seconds.
    for way, watched in pages.items() if name in ("gaussian", "dog") else [("webgl", pages["webgl"])]:
        ways = {"webgl": "WebGL", "javascript": "JavaScript"}
        assert ways[way] in watched.page.locator("#time").inner_text()
        every = f"filter((_, i) => (i >> 2) % {STEP} === 0)"
        script = f"Array.from(filtered({name!r}, {RADII[name]}, true).{every})"
        found = np.array(watched.page.evaluate(script), np.float32).reshape(-1, 4)[:, :3]
        assert psnr(found, wanted) > 80, (way, psnr(found, wanted))


def test_it_asks_nobody_and_the_slider_draws(pages):
    for watched in pages.values():
        page = watched.page
        page.bring_to_front()
        page.select_option("#kernel", "dog")
        page.locator("#size").focus()
        page.locator("body[data-shown='dog 0.1']").wait_for()
        before = page.evaluate(PIXELS)
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        page.locator("body[data-shown='dog 0.106']").wait_for()
        assert page.evaluate(PIXELS) != before
        assert not watched.errors and watched.asked == [watched.address.partition("#")[0]]


def test_other_fields_and_places_are_refused(tmp_path):
    model, _ = make_model("series", tmp_path)
    assert "separable field of a picture" in export(model, tmp_path / "page.html")
    assert "ends in .html" in export(MODEL, tmp_path / "page.txt")
    (tmp_path / "here.html").write_text("x")
    assert "never overwritten" in export(MODEL, tmp_path / "here.html")


def test_the_shipped_page_is_that_of_the_shipped_model():
    text = (ROOT / "docs" / "demo.html").read_text()
    assert len(text) < 3e6 and "http://" not in text and "https://" not in text
    data = json.loads(re.search(r"const D = (\{.*?\});\n", text)[1])
    assert data["shape"] == [512, 512] and {"gaussian", "disk", "dog", "heart"} <= set(data["kernels"])
