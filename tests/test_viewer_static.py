"""The page without a server: what the browser computes is what eval.py computes."""

import json
import re

import cv2
import numpy as np
import pytest
from browser import Watched, browser_of
from checkout import ROOT
from click.testing import CliRunner
from viewer_cases import KERNELS, make_masked, make_model

import nfconv
import view
from evaluation.maps import fovea
from signals.exact import kernel_convolution
from signals.measures import psnr
from viewer.static import script

MODEL = ROOT / "trained_models" / "images" / "model.pth"
DEMO = ROOT / "docs" / "demo.html"
PHOTOGRAPH = ROOT / "data" / "raw" / "images" / "astronaut.png"
PIXELS = "document.getElementById('picture').toDataURL()"
RADII = {"gaussian": 0.15, "disk": 0.1, "dog": 0.2, "heart": 0.2}
# As a browser that has no WebGL answers.
NO_WEBGL = """OffscreenCanvas.prototype.getContext = new Proxy(OffscreenCanvas.prototype.getContext, {
    apply: (ask, canvas, words) => words[0] === '2d' ? Reflect.apply(ask, canvas, words) : null})"""
WAYS = {"WebGL": "", "JavaScript": NO_WEBGL}
# Results are asked for on a grid of their own, which is the same work for fewer pixels.
SHAPE = (60, 80)


def export(path, model, *signal) -> str:
    words = ["--model_path", str(model), *(f"--signal={path}" for path in signal), "--export", str(path)]
    result = CliRunner().invoke(view.main, words)
    return result.output if result.exit_code else ""


@pytest.fixture(scope="module")
def browser():
    with browser_of() as found:
        yield found


def opened(browser, path, way: str) -> Watched:
    """A page with WebGL or without, at rest."""
    page = browser.new_context().new_page()
    page.add_init_script(WAYS[way])
    watched = Watched(page, path.as_uri())
    watched.rested("error")
    return watched


@pytest.fixture(scope="module")
def pages(browser):
    """The shipped page, both ways."""
    return {way: opened(browser, DEMO, way) for way in WAYS}


@pytest.fixture(scope="module")
def field():
    """The shipped field, of which the page holds the factors."""
    return nfconv.load(MODEL)


@pytest.fixture(scope="module")
def grey(tmp_path_factory):
    """A spline field of a small grey picture, that, and its page."""
    folder = tmp_path_factory.mktemp("grey")
    small = cv2.resize(cv2.imread(str(PHOTOGRAPH), cv2.IMREAD_GRAYSCALE), (64, 48), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(folder / "grey.png"), small)
    found = nfconv.fit(folder / "grey.png", 0.1, margin=0.3, factor="spline", device="cpu")
    assert export(folder / "page.html", found.save(folder / "model.pth"), folder / "grey.png") == ""
    return found, folder / "grey.png", folder / "page.html"


def kernel_of(name: str, radius: float) -> nfconv.Kernel:
    return {
        "gaussian": nfconv.gaussian(sigma=radius / 3),
        "disk": nfconv.disk(radius=radius),
        "dog": nfconv.dog(sigma=radius / 4.8),
        "heart": nfconv.image(kernel_image=str(KERNELS / "heart.png"), radius=radius),
    }[name]


def values_of(watched: Watched, call: str, channels: int = 3) -> np.ndarray:
    """What a function of the page gives on a grid of SHAPE."""
    found = watched.page.evaluate(f"Promise.resolve({call}).then((values) => Array.from(values))")
    return np.array(found, np.float32).reshape(*SHAPE, channels)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", RADII)
def test_results_of_the_browser_are_those_of_eval_to_80_decibels(pages, field, name, way):
    wanted = field.filter(kernel_of(name, RADII[name]), SHAPE)
    assert way in pages[way].page.locator("#time").inner_text()
    found = values_of(pages[way], f"filtered({name!r}, {RADII[name]}, 0, {list(SHAPE)})")
    assert psnr(found, wanted) > 80, psnr(found, wanted)


@pytest.mark.parametrize("angle", [30.0, 60.0, 112.5, 165.0])
def test_kernels_turn_as_those_of_eval_do(pages, field, angle):
    sigma = 0.25 / 3
    wanted = field.filter(nfconv.anisotropic(sigma=sigma, sigma_across=0.35 * sigma, angle=angle), SHAPE)
    found = values_of(pages["WebGL"], f"filtered('anisotropic', 0.25, {angle}, {list(SHAPE)})")
    # Fits of mirrored kernels are mirrored ones as far as both are near to the kernel.
    assert psnr(found, wanted) > 60, psnr(found, wanted)


@pytest.mark.parametrize("way", WAYS)
def test_foveation_is_that_of_eval(pages, field, way):
    kernel, place = kernel_of("gaussian", 0.2).sparse(1, 2), (0.3, -0.4)
    sizes = 0.17 + 0.83 * fovea(SHAPE, *place)
    wanted = field.filter(kernel, SHAPE, scale=sizes[..., None])
    found = values_of(pages[way], f"foveated('gaussian', 0.2, {list(place)}, {list(SHAPE)})")
    assert psnr(found, wanted) > 50, psnr(found, wanted)


@pytest.mark.parametrize("way", WAYS)
def test_the_error_is_that_against_the_exact_convolution(browser, grey, way):
    field, path, page = grey
    watched = opened(browser, page, way)
    radius = float(watched.page.locator("#p_radius").input_value())
    kernel = kernel_of("gaussian", radius).sparse(1, 2)
    wanted = psnr(field.filter(kernel), kernel_convolution(nfconv.read(path), kernel, "clamp"))
    told = watched.page.locator("#told").inner_text()
    assert float(told.split()[0]) == pytest.approx(wanted, abs=0.2) and "at 48 × 64 pixels" in told
    for radius in (0.15, 0.3):
        found = values_of(watched, f"filtered('gaussian', {radius}, 0, {list(SHAPE)})", 1)
        assert psnr(found, field.filter(kernel_of("gaussian", radius), SHAPE)) > 80
    watched.page.context.close()


@pytest.mark.parametrize("way", WAYS)
def test_it_asks_nobody_and_sliders_and_looks_draw(browser, grey, way):
    watched = opened(browser, grey[2], way)
    page = watched.page
    page.select_option("#kernel", "anisotropic")
    watched.rested("error", "anisotropic 0.2 0 ")
    before = page.evaluate(PIXELS)
    page.locator("#p_radius").press("ArrowRight")
    watched.rested("error", "anisotropic 0.202 0 ")
    assert page.evaluate(PIXELS) != before
    page.fill("#n_angle", "31")
    watched.rested("error", "anisotropic 0.202 30 ")
    page.check("#fovea")
    page.locator("#picture").press("ArrowDown")
    watched.rested("result", " -0.40,-0.10")
    page.locator("#told:has-text('same everywhere')").wait_for()
    page.locator("#picture").click(position={"x": 5, "y": 5})
    watched.rested("result", " -0.9")
    with page.expect_download() as found:
        page.click("#save")
    assert found.value.suggested_filename == "output.png"
    assert not watched.errors and watched.asked[0] == watched.address
    assert all(url.startswith(("data:", "blob:")) for url in watched.asked[1:])
    page.context.close()


def test_other_fields_and_places_are_refused(tmp_path):
    model, _ = make_model("series", tmp_path)
    assert "separable field of a picture" in export(tmp_path / "page.html", model)
    assert "whole pictures" in export(tmp_path / "page.html", make_masked(tmp_path)[0])
    assert "ends in .html" in export(tmp_path / "page.txt", MODEL)
    (tmp_path / "here.html").write_text("x")
    assert "never overwritten" in export(tmp_path / "here.html", MODEL)
    pixels = np.random.default_rng(0).integers(0, 1 << 16, (512, 512, 3), np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), pixels)
    assert "pictures of 8 bits" in export(tmp_path / "page.html", MODEL, tmp_path / "deep.png")


def test_the_shipped_page_is_small_of_the_shipped_model_and_of_todays_modules(field):
    text = DEMO.read_text()
    assert len(text) < 3e6 and "http://" not in text and "https://" not in text
    assert script() in text, "make it again: view.py --model_path trained_models/images --signal ... --export"
    data = json.loads(re.search(r"^start\((\{.*\})\);$", text, re.MULTILINE)[1])
    assert data["shape"] == [512, 512] and {"gaussian", "disk", "dog", "heart"} <= set(data["kernels"])
    assert data["source"] == field.origin.source and data["picture"]
