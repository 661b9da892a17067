"""The page's server under hostile use: one sentence for everything, nothing read or written outside, memory bounded."""

import random
import socket
import sys
import tempfile
import threading
import tracemalloc
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest
from programs import snapshot
from viewer_cases import GAUSSIAN, HOST, KERNELS, Page, opened
from werkzeug.test import TestResponse

from viewer import server
from viewer.given import LARGEST_PICTURE, MAP_BYTES, Given
from viewer.server import App, listen

ODD = [
    *("nan", "-inf", "1e309", "1e-400", "0", "-1", "0x10", "1,2", "1,2,3", "../../etc/passwd", "%2e%2e%2f", "5px"),
    *("[1]", "{}", "1e6", "1e-6", "-0.0", "/dev/zero", "heart", "", "9" * 60, "\0", "\N{SNOWMAN}" * 20, "a" * 5000),
    "5 parsecs",
]  # fmt: skip
PATHS = [
    *("/", "/page/..", "/page/../server.py", "/page/%2e%2e/server.py", "/page/page.js", "/page//etc/passwd", "/api"),
    *("/api/1/state", "/api/-1/state", "/api/0/open", "/api/0/__class__", "/api/00/result", "/api/0/result/x"),
    *("/page/server.py", "/static/x", "/..", "/api/0/../0/result", "/page/three.LICENSE.txt/x", "//evil.example/"),
    "/\r\nX: y",
]  # fmt: skip
WORDS = [
    *("kernel", "sigma", "radius", "half_size", "angle", "axis", "frequency", "ratio", "lobes", "degree", "size"),
    *("kernel_image", "vary", "row", "column", "least", "most", "map", "frame", "suffix", "model_path", "save_path"),
    *("signal", "__proto__"),
]  # fmt: skip
KINDS = ["draft", "result", "kernel", "error", "command", "download", "map", "signal", "state"]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return Page(opened("image", tmp_path_factory.mktemp("image"), Given(KERNELS)))


@contextmanager
def serving(app: App):
    """The application on a port of its own."""
    found = listen(app, 0)
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.shutdown()
        thread.join()
        found.server_close()


def raw(port: int, content: bytes) -> bytes:
    """What the server says to these bytes, after which nothing more is sent."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        found = b""
        while part := connection.recv(65536):
            found += part
        return found


def watch(event: str, details: tuple) -> None:
    """Note the files that are opened while that is asked for; a hook like this stays for good."""
    if WATCHED is not None and event == "open" and isinstance(details[0], str):
        WATCHED.append(details[0])


WATCHED: list[str] | None = None
sys.addaudithook(watch)


def cut(dice: random.Random, port: int) -> bytes:
    """A request over the wire that ends before its body does, or is none."""
    host = f"Host: 127.0.0.1:{port}\r\n"
    target, body = dice.choice(["/api/picture", "/api/map", "/api/0/result"]), dice.randbytes(dice.randint(0, 300))
    length = dice.choice([len(body) + dice.randint(1, 10**6), 10**12, -5, "x", MAP_BYTES])
    heads = (
        f"POST {target} HTTP/1.1\r\n{host}Content-Length: {length}\r\n\r\n",
        f"POST {target} HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\nffffffff\r\n",
        f"GET {target} HTTP/1.1\r\nHost: evil.example\r\n",
        "",
    )
    return dice.choice(heads).encode() + body


def hostile(page: Page, dice: random.Random) -> TestResponse:
    """One hostile request."""
    words = {dice.choice(WORDS): dice.choice(ODD) for _ in range(dice.randint(0, 3))}
    words = {**GAUSSIAN, **words} if dice.random() < 0.6 else words
    path = dice.choice(PATHS) if dice.random() < 0.25 else f"/api/0/{dice.choice(KINDS)}"
    if dice.random() < 0.15:
        target = dice.choice(["/api/map", "/api/picture", "/", path])
        return page.post(target, dice.randbytes(dice.randint(0, 9000)))
    host = dice.choice(["evil.example", "127.0.0.1:1", "localhost", ""]) if dice.random() < 0.15 else HOST
    return page.get(path, host, **words)


def test_a_thousand_hostile_requests_end_in_sentences(page, tmp_path, monkeypatch, capsys):
    global WATCHED
    monkeypatch.chdir(tmp_path)
    dice, model = random.Random(0), page.app.sessions[0].model.parent
    page.packet("error", **GAUSSIAN)
    before, codes, early = snapshot(model), Counter(), 0
    WATCHED = watched = []
    tracemalloc.start()
    with serving(page.app) as wire:
        for number in range(1000):
            if number == 200:
                early = tracemalloc.get_traced_memory()[0]
            if number % 10 == 0:
                # What is no request for the application is answered by the server itself, or not at all.
                assert b"200 OK" not in raw(wire.port, cut(dice, wire.port))[:15]
                codes["cut"] += 1
                continue
            answer = hostile(page, dice)
            codes[answer.status_code] += 1
            text = answer.get_data()
            if answer.status_code not in (200, 204):
                assert text and len(text) < 500 and b"\n" not in text and b"Traceback" not in text
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert sum(codes.values()) == 1000 and codes["cut"] == 100
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    WATCHED = None
    assert 500 not in codes and codes[403] > 50 and codes[422] > 200 and codes[200] > 100, codes
    assert "Traceback" not in capsys.readouterr().err
    # Nothing grows with the number of requests but kernels, which are kept up to a number of them.
    assert peak < 1 << 28 and held - early < 1 << 24, (peak, held, early)
    assert snapshot(tmp_path) == {} and snapshot(model) == before
    own = (str(KERNELS), str(model), str(server.PAGE), tempfile.gettempdir(), str(server.PAGE.parent.parent))
    python = (sys.prefix, sys.base_prefix, "/proc/", "/sys/", "<")
    assert not [path for path in watched if not path.startswith(own + python)]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "127.0.0.1", "127.0.0.1:7861", "[::1]:7860", ""])
def test_other_hosts_are_refused(page, host):
    for path in ("/", "/api/models", "/api/0/state"):
        assert page.get(path, host).status_code == 403


def test_other_sites_may_neither_ask_nor_give(page):
    assert page.post("/api/picture", b"x", Origin="http://evil.example").status_code == 403
    assert page.post("/api/picture", b"x", **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert page.post("/api/picture", b"x", Origin=f"http://{HOST}").status_code == 422


def test_uploads_are_bounded_and_read_as_pictures(page, tmp_path):
    kept = page.app.given.names
    found = page.post("/api/picture", bytes(LARGEST_PICTURE + 1))
    assert (found.status_code, found.get_data(as_text=True)) == (413, "an upload may have 8 MB")
    bomb = b"P6 60000 60000 255\n" + bytes(100)
    assert "more than the" in page.post("/api/picture", bomb).get_data(as_text=True)
    assert page.post("/api/picture", b"import os").status_code == 422
    for content in (bytes(MAP_BYTES - 1), bytes(MAP_BYTES), np.full(MAP_BYTES // 4, np.nan, "<f4").tobytes()):
        assert page.post("/api/map", content).status_code == 422
    assert page.app.given.names == kept


def test_getting_has_no_effect_on_what_was_given(page):
    names = page.app.given.names
    for kind in KINDS:
        page.get(f"/api/0/{kind}", **GAUSSIAN)
    assert (
        page.get("/api/picture").status_code == 404 and page.client.put("/", headers={"Host": HOST}).status_code == 405
    )
    assert page.app.given.names == names


def test_only_the_last_sixteen_things_given_are_kept(page):
    for number in range(20):
        content = np.full(MAP_BYTES // 4, 0.2 + number / 100, "<f4").tobytes()
        last = page.post("/api/map", content).get_json()["name"]
    assert len(page.app.given._maps) == 16
    assert page.app.given.map(last).shape == (64, 64, 2, 2)


def test_the_server_is_on_the_loopback_alone_and_takes_the_next_port(page):
    with serving(page.app) as first, pytest.MonkeyPatch.context() as patch:
        assert first.server_address[0] == "127.0.0.1"
        other = App(page.app.sessions)
        second = listen(other, first.port)
        assert second.port > first.port and f"127.0.0.1:{second.port}" in other.hosts
        second.server_close()
        patch.setattr(server, "PORTS", 1)
        with pytest.raises(OSError, match="choose another --port"):
            listen(other, first.port)


def test_cut_and_malformed_requests_over_the_wire_leave_it_running(page, capsys):
    with serving(page.app) as found:
        host = f"Host: 127.0.0.1:{found.port}\r\n".encode()
        cases = [
            b"POST /api/picture HTTP/1.1\r\n" + host + b"Content-Length: 5000\r\n\r\nabc",
            b"POST /api/picture HTTP/1.1\r\n" + host + b"Content-Length: -5\r\n\r\nabc",
            b"POST /api/map HTTP/1.1\r\n" + host + b"Content-Length: 99999999999\r\n\r\n",
            b"POST /api/map HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\nabc",
            b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n" + host + b"\r\n",
            b"\x16\x03\x01\x02\x00" + bytes(200),
            b"GET / HTTP/1.1\r\n" + host + b"X: " + b"y" * 70000 + b"\r\n\r\n",
        ]
        for content in cases:
            assert b"200 OK" not in raw(found.port, content)[:15]
        assert b"200 OK" in raw(found.port, b"GET / HTTP/1.0\r\n" + host + b"\r\n")[:20]
    assert "Traceback" not in capsys.readouterr().err
