"""The page in a headless browser, its Content-Security-Policy in force: every kind of field is driven without error."""

import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
from browser import Watched, browser_of, served
from viewer_cases import KERNELS, OTHERS, session_of

from modalities import MODALITIES
from viewer.given import Given
from viewer.server import App


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The page with a small field of every kind, not loaded yet."""
    given = Given(KERNELS)
    sessions = [session_of(name, tmp_path_factory.mktemp(name), given) for name in (*MODALITIES, *OTHERS)]
    with served(App(sessions)) as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    with browser_of() as found:
        yield found


def opened(browser, address: str, name: str = "image", **context) -> Watched:
    """The page with the field `name` at rest."""
    number = [*MODALITIES, *OTHERS].index(name)
    # Chromium draws without a graphics card here: few pixels are much quicker.
    small = {"viewport": {"width": 860, "height": 600}} | context
    watched = Watched(browser.new_context(**small).new_page(), address, f"#{number}")
    watched.page.locator(f"body[data-kind='{KINDS.get(name, 'picture')}']").wait_for()
    watched.rested("error")
    return watched


KINDS = {"image": "picture", "geometry": "surface", "video": "clip", "audio": "sound", "motion": "skeleton",
         "series": "curves"}  # fmt: skip


@pytest.mark.parametrize("name", [*MODALITIES, *OTHERS])
def test_kernel_and_size_change_what_is_seen(browser, address, name):
    watched = opened(browser, address, name)
    page, first = watched.page, watched.seen()
    watched.rested("signal")
    page.select_option("#kernel", "tent")
    for panel in ("result", "kernel-panel", "error"):
        watched.rested(panel, "tent")
    second = watched.seen()
    slider = page.locator("#p_half_size")
    slider.focus()
    before = float(slider.input_value())
    for _ in range(20):
        slider.press("ArrowRight")
    size = slider.input_value()
    assert float(size) > before
    watched.rested("result", f'"half_size":"{size}"')
    watched.rested("error", f'"half_size":"{size}"')
    third = watched.seen()
    assert page.evaluate(NAMELESS) == []
    # Every number has its unit beside it, in words.
    assert page.locator("#sliders .unit").first.inner_text().split()[1:]
    assert first != second and second != third
    assert "dB" in page.locator("#error-facts").inner_text()
    watched.check()
    page.context.close()


def test_another_model_is_chosen_and_kept_by_the_address(browser, address):
    watched = opened(browser, address)
    page, first = watched.page, watched.seen()
    page.select_option("#model", "5")
    watched.rested("error")
    assert page.evaluate("document.body.dataset.kind") == "curves" and watched.seen() != first
    page.reload()
    watched.rested("error")
    assert page.evaluate("document.body.dataset.kind") == "curves"
    watched.check()
    page.context.close()


def test_downloads_and_commands(browser, address, tmp_path):
    watched = opened(browser, address)
    page = watched.page
    with page.expect_download() as found:
        page.click("#download")
    found.value.save_as(tmp_path / "found.png")
    assert found.value.suggested_filename == "output.png"
    assert cv2.imread(str(tmp_path / "found.png")).shape == (9, 14, 3)
    page.click("#show-command")
    page.locator("#command:not([hidden])").wait_for()
    words = shlex.split(page.locator("#command").inner_text())
    assert words[:3] == ["python", "eval.py", "--model_path"] and Path(words[3]).is_file()
    assert words[-2:] == ["--save_path", "output.png"]
    watched.check()
    page.context.close()


def test_looking_and_painting_and_a_dropped_picture(browser, address, tmp_path):
    watched = opened(browser, address)
    page = watched.page
    page.check("input[value=fovea]")
    page.locator("#result .stage").click(position={"x": 60, "y": 50})
    watched.rested("result", "fovea")
    assert "row" in page.locator("#result").get_attribute("data-rest")
    page.check("input[value=brush]")
    box = page.locator("#result .stage").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 120, steps=6)
    page.mouse.up()
    watched.rested("result", "brush")
    page.check("input[value=fixed]")
    page.select_option("#kernel", "image")
    watched.rested("result", "heart")
    drawn = np.zeros((9, 9), np.uint8)
    drawn[2:7] = 255
    cv2.imwrite(str(tmp_path / "drawn.png"), drawn)
    page.set_input_files("#kernel-file", tmp_path / "drawn.png")
    watched.rested("result", "drop-")
    watched.check()
    page.context.close()


def test_refusals_appear_as_sentences_and_leave_with_the_next_result(browser, address):
    watched = opened(browser, address)
    page = watched.page
    page.fill("#n_sigma", "7")
    page.locator("#problem:has-text('trained with a margin')").wait_for()
    page.locator("#result .stage.old").wait_for()
    page.fill("#n_sigma", "0.2")
    page.locator("#problem:empty").wait_for(state="attached")
    page.locator("#result .stage:not(.old)").wait_for()
    watched.rested("error", '"sigma":"0.2"')
    watched.check(refusals=4)
    page.context.close()


def test_the_keyboard_reaches_everything_in_order_and_focus_is_visible(browser, address):
    watched = opened(browser, address)
    page, order = watched.page, []
    for _ in range(12):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id || document.activeElement.value"))
    assert order == ["model", "kernel", "p_sigma", "n_sigma", "fixed", "size", "suffix", "download", "show-command",
                     *order[9:]]  # fmt: skip
    page.locator("#kernel").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.context.close()


# Contrast of a colour with the ground that it is on (WCAG 2.2), for text and for the borders of what is operated.
CONTRASTS = """() => {
  const linear = (v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = (colour) => [.2126, .7152, .0722].reduce((sum, share, i) => sum + share * linear(colour[i] / 255), 0);
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const ground = (one) => {
    const colour = numbers(getComputedStyle(one).backgroundColor);
    return colour.length < 4 || colour[3] ? colour : ground(one.parentElement);
  };
  const apart = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + .05) / (y + .05); };
  const of = (query, part, on) => [...document.querySelectorAll(query)].filter((one) => one.checkVisibility())
    .map((one) => [one.outerHTML.slice(0, 60), apart(numbers(getComputedStyle(one)[part]), ground(on(one)))]);
  return { text: of('label, p, span, b, h1, button, select, input[type=number], legend', 'color', (one) => one),
           edge: of('button, select, input[type=number]', 'borderTopColor', (one) => one.parentElement) };
}"""
# Controls without a name that is read aloud.
NAMELESS = """() => [...document.querySelectorAll('input, select, button, canvas, img, video, audio')]
  .filter((one) => one.checkVisibility() && !(one.labels?.length || one.ariaLabel || one.alt || one.textContent.trim()))
  .map((one) => one.outerHTML)"""


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_narrow_and_wide_in_light_and_dark(browser, address, width, scheme):
    watched = opened(browser, address, viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = watched.page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    text, ground = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
    found = page.evaluate(CONTRASTS)
    assert len(found["text"]) > 20 and min(ratio for _, ratio in found["text"]) >= 4.5, found["text"]
    assert len(found["edge"]) > 5 and min(ratio for _, ratio in found["edge"]) >= 3, found["edge"]
    bright, dim = (sum(map(int, colour[4:-1].split(","))) for colour in (text, ground))
    assert (bright > dim) == (scheme == "dark") and abs(bright - dim) > 450
    watched.check()
    page.context.close()
