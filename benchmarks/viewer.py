"""The page in a headless browser: how long a move of a slider takes, and the pictures of docs/viewer.md.

python -m benchmarks.viewer --save_path docs      (needs a browser: apt-get install chromium)
"""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import click
import numpy as np

from modalities import MODALITIES
from scripts.drivers import Driver
from utils import FILE
from view import SHIPPED_PICTURES
from viewer.given import Given
from viewer.server import App, listen
from viewer.session import Session

FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
MOVES = 30
# What is moved: modality, kernel, and how the page varies it.
CASES = {
    "Gaussian": ("image", "gaussian", "#p_sigma"), "disk": ("image", "disk", "#p_radius"),
    "heart": ("image", "image", "#p_radius"), "motion (length)": ("image", "motion", "#p_length"),
    "motion (angle, fitted anew)": ("image", "motion", "#p_angle"), "foveation (click)": ("image", "gaussian", ""),
    "shape, Gaussian": ("geometry", "gaussian", "#p_sigma"),
    "video, Gaussian, a frame": ("video", "gaussian", "#p_sigma"),
    "sound, Gaussian": ("audio", "gaussian", "#p_sigma"),
}  # fmt: skip


def opened(page: Any, kind: str) -> None:
    """Choose a modality and wait until its error is known."""
    page.select_option("#model", str(list(MODALITIES).index(kind)))
    page.locator("#result[data-rest]").wait_for(timeout=120_000)
    page.locator("#error[data-rest]").wait_for(timeout=240_000)


def moves(page: Any, kernel: str, slider: str) -> Iterator[tuple[float, float]]:
    """Milliseconds from an input to its pixels, and those of the server in them, move by move."""
    page.select_option("#kernel", kernel)
    page.locator(f"#error[data-rest*='{kernel}']").wait_for(timeout=240_000)
    if not slider:
        page.check("input[value=fovea]")
        page.locator("#result[data-rest*='fovea']").wait_for(timeout=240_000)
    for number in range(MOVES):
        start = time.perf_counter()
        before = page.locator("#result").get_attribute("data-draft")
        if slider:
            page.locator(slider).press("ArrowRight" if number < MOVES // 2 else "ArrowLeft")
        else:
            page.locator("#result .stage").click(position={"x": 40 + 8 * number, "y": 60 + 5 * number})
        while page.locator("#result").get_attribute("data-draft") == before:
            if time.perf_counter() - start > 20:
                raise RuntimeError(f"nothing came of a move of {kernel}: {page.locator('#problem').inner_text()}")
        yield 1000 * (time.perf_counter() - start), float(page.locator("#result").get_attribute("data-ms"))
    if not slider:
        page.check("input[value=fixed]")


def latencies(page: Any) -> Iterator[str]:
    """Lines of the table."""
    shown = ""
    for title, (kind, kernel, slider) in CASES.items():
        if kind != shown:
            opened(page, kind)
        shown = kind
        # The first moves choose the grid that is fast enough.
        whole, server = np.array(list(moves(page, kernel, slider))[5:]).T
        page.wait_for_timeout(1500)
        yield (f"| {title} | {np.median(server):.0f} / {np.quantile(server, 0.95):.0f} "
               f"| {np.median(whole):.0f} / {np.quantile(whole, 0.95):.0f} |")  # fmt: skip


def shots(browser: Any, address: str, folder: Path) -> None:
    """Pictures in light, dark and narrow, and a slider that is dragged."""
    for name, kind, width, scheme in (
        ("viewer_light", "image", 1280, "light"), ("viewer_dark", "geometry", 1280, "dark"),
        ("viewer_narrow", "image", 400, "light"),
    ):  # fmt: skip
        page = browser.new_context(viewport={"width": width, "height": 860}, color_scheme=scheme).new_page()
        page.goto(address)
        opened(page, kind)
        if kind == "image":
            page.select_option("#kernel", "disk" if width > 800 else "gaussian")
            page.locator(f"#error[data-rest*='{'disk' if width > 800 else 'gaussian'}']").wait_for(timeout=120_000)
        page.wait_for_timeout(500)
        page.screenshot(path=folder / f"{name}.png", full_page=width > 800)
    page = browser.new_context(viewport={"width": 1040, "height": 800}).new_page()
    page.goto(address)
    opened(page, "image")
    moving(page, folder / "viewer.webp")


def moving(page: Any, path: Path) -> None:
    """A moving picture of the page while the size of a Gaussian, then a disk, is dragged."""
    import io

    from PIL import Image

    frames = []
    for kernel, slider in (("gaussian", "#p_sigma"), ("disk", "#p_radius")):
        page.select_option("#kernel", kernel)
        page.locator(f"#error[data-rest*='{kernel}']").wait_for(timeout=120_000)
        field = page.locator(slider)
        least, most = (float(field.get_attribute(name)) for name in ("min", "max"))
        sizes = least + (most - least) * (0.5 - 0.45 * np.cos(np.linspace(0, 2 * np.pi, 25)[:-1]))
        for size in sizes:
            field.fill(str(size))
            page.locator(f"#result[data-rest*='{field.input_value()}']").wait_for(timeout=60_000)
            page.locator(f"#kernel-panel[data-rest*='{field.input_value()}']").wait_for(timeout=60_000)
            frames.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB").resize((780, 600)))
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=120, loop=0, quality=60, method=4)


def with_page(work: Callable[[Any, str], None]) -> None:
    """Serve the shipped models and hand a browser and the address on."""
    from playwright.sync_api import sync_playwright

    given = Given(SHIPPED_PICTURES)
    shipped = map(Driver, MODALITIES.values())
    app = App([Session(driver.model, driver.raw, given) for driver in shipped])
    server = listen(app, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        work(browser, f"http://127.0.0.1:{server.port}/")
        browser.close()
    server.shutdown()


@click.command()
@click.option("--save_path", type=FILE, required=True, help="Folder of the pictures.")
@click.option("--only", type=click.Choice(["latency", "pictures"]))
def main(save_path: Path, only: str | None) -> None:
    """Print the table of latencies and write the pictures."""

    def work(browser: Any, address: str) -> None:
        if only != "pictures":
            page = browser.new_page()
            page.goto(address)
            click.echo("| moved | server, ms | input to pixels, ms |\n|---|---:|---:|")
            for line in latencies(page):
                click.echo(line)
        if only != "latency":
            shots(browser, address, save_path)

    with_page(work)


if __name__ == "__main__":
    main()
