"""A headless browser on the page, where there is one."""

import contextlib
import shutil
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from viewer.server import App, listen

MISSING = "needs a browser: apt-get install chromium, or python -m playwright install --only-shell chromium"
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


@contextlib.contextmanager
def browser_of() -> Iterator[Any]:
    """Debian's browser where it is installed, else Playwright's own; skips tests where there is neither."""
    api = pytest.importorskip("playwright.sync_api", reason=MISSING)
    with api.sync_playwright() as started:
        try:
            found = started.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        except api.Error as error:
            if "Executable doesn't exist" not in str(error):
                raise
            pytest.skip(MISSING)
        yield found
        found.close()


@contextlib.contextmanager
def served(app: App) -> Iterator[str]:
    """The page's address while `app` is served on a port of its own."""
    server = listen(app, 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Watched:
    """What a page at `address` and a `fragment` does that it must not: errors, and requests to another place."""

    def __init__(self, page, address: str, fragment: str = "") -> None:
        self.page, self.address = page, address
        self.errors: list[str] = []
        self.asked: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(address + fragment)

    def check(self, refusals: int = 0) -> None:
        """No errors but so many refused requests, and nothing asked elsewhere."""
        other = [text for text in self.errors if "422" not in text]
        assert not other and len(self.errors) <= refusals, self.errors
        own = (self.address, f"blob:{self.address}", "data:")
        assert self.asked and all(url.startswith(own) for url in self.asked)

    def rested(self, panel: str, words: str = "") -> None:
        """Wait until a panel shows a result at rest that was asked for with `words`."""
        asked = f"*='{words}'" if words else ""
        self.page.locator(f"#{panel}[data-rest{asked}]").wait_for(timeout=20_000)

    def seen(self, panel: str = "result") -> bytes:
        """A picture of a panel."""
        return self.page.locator(f"#{panel} .stage").screenshot()
