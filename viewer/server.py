"""The page's server: this machine alone, nothing from outside, and no request but an upload has an effect.

/                                page.html, and /page/NAME the files it asks for
/api/models                      names of the models
/api/K/state, /api/K/signal      how far model K is loaded and what it takes; its signal
/api/K/draft|result|kernel|error?KERNEL     see session.py; packets (packet.py)
/api/K/command|download|map?KERNEL          see download.py; text and files
POST /api/picture, /api/map      a dropped picture, a painted map -> its name
"""

import json
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from werkzeug import Request, Response
from werkzeug.exceptions import HTTPException, abort
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from models.memory import is_out_of_memory
from utils import one_line
from viewer.download import command, map_file, result_file, result_name
from viewer.given import LARGEST_PICTURE
from viewer.selection import parse_selection
from viewer.session import ANSWERS, Session

PAGE = Path(__file__).resolve().parent / "page"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".txt": "text/plain"}
HOST, PORTS = "127.0.0.1", 20
# Letters of an address, requests that wait or work at once, and seconds that a slow one is waited for.
LONGEST_ADDRESS, MOST_REQUESTS, PATIENCE = 4096, 16, 20
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}  # fmt: skip
# What the page waits for while dragging has a worker of its own, so that nothing that comes at rest holds it up.
QUICK = ("draft",)


class App:
    """The WSGI application of sessions that share pictures and maps; `hosts` are the names it answers to."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        self.sessions, self.given = sessions, sessions[0].given
        self.hosts: set[str] = set()
        self._room = threading.Semaphore(MOST_REQUESTS)
        # Every thread that calls PyTorch gets threads of its own from OpenMP: two that stay, not one per request.
        self._workers = {quick: ThreadPoolExecutor(1) for quick in (True, False)}

    def __call__(self, environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        request.max_content_length = LARGEST_PICTURE
        response = self.answer(request)
        response.headers.extend(HEADERS)
        return response(environ, start_response)

    def answer(self, request: Request) -> Response:
        """The response to a request; what a user can fix is one sentence, and what is our own mistake goes to the
        terminal."""
        try:
            self._check(request)
            if not self._room.acquire(blocking=False):
                abort(503, "too many requests at once: wait for the answers")
            try:
                return self._routed(request)
            finally:
                self._room.release()
        except HTTPException as error:
            return _sentence(error.description or error.name, error.code or 400)
        except (ValueError, OSError) as error:
            return _sentence(one_line(str(error)), 422)
        except Exception as error:
            if is_out_of_memory(error):
                return _sentence("out of memory; ask for less at once", 422)
            traceback.print_exc(file=sys.stderr)
            return _sentence("something went wrong here: the terminal says what", 500)

    def _check(self, request: Request) -> None:
        """Refuse other hosts (DNS rebinding), other sites, methods and addresses that the page never asks for."""
        if request.headers.get("Host") not in self.hosts:
            abort(403, "this page is for this machine only")
        site, origin = request.headers.get("Sec-Fetch-Site", "none"), request.headers.get("Origin")
        if site not in ("none", "same-origin") or origin not in (None, *(f"http://{host}" for host in self.hosts)):
            abort(403, "this page answers no other site")
        if request.method not in ("GET", "HEAD", "POST"):
            abort(405, description="this page is read, or given a picture")
        if len(request.environ.get("QUERY_STRING", "")) + len(request.path) > LONGEST_ADDRESS:
            abort(414, "the address is too long")

    def _routed(self, request: Request) -> Response:
        where = request.path.strip("/").split("/")
        if request.method == "POST":
            return self._given(request, where)
        if where in ([""], ["page", "page.html"]):
            return _file("page.html")
        if where == ["favicon.ico"]:
            return Response(status=204)
        if where[0] == "page" and len(where) == 2:
            return _file(where[1])
        if where == ["api", "models"]:
            return _json([session.model.parent.name or str(session.model) for session in self.sessions])
        if len(where) != 3 or where[0] != "api" or where[1] not in map(str, range(len(self.sessions))):
            abort(404, "there is no such page")
        return self._asked(self.sessions[int(where[1])], where[2], request)

    def _given(self, request: Request, where: list[str]) -> Response:
        takes: dict[str, Callable[[bytes], str]] = {"picture": self.given.add_picture, "map": self.given.add_map}
        if len(where) != 2 or where[0] != "api" or where[1] not in takes:
            abort(404, "there is no such page")
        length = request.content_length
        if length is None or "chunked" in request.headers.get("Transfer-Encoding", ""):
            abort(411, "an upload states its length")
        if length > LARGEST_PICTURE:
            abort(413, f"an upload may have {LARGEST_PICTURE >> 20} MB")
        content = request.get_data(cache=False)
        if len(content) != length:
            abort(400, "the upload was cut off")
        return _json({"name": takes[where[1]](content), "pictures": self.given.names})

    def _asked(self, session: Session, what: str, request: Request) -> Response:
        if what == "state":
            threading.Thread(target=session.open, daemon=True).start()
            return _json(session.state())
        if what not in (*ANSWERS, "signal", "command", "download", "map"):
            abort(404, "there is no such page")
        if not session.loaded:
            abort(409, session.problem or "the model is still being loaded")
        words = request.args.to_dict(flat=False)
        if any(len(values) > 1 for values in words.values()):
            abort(422, "every word is given once")
        once = {name: values[0] for name, values in words.items()}
        return self._workers[what in QUICK].submit(_packed, session, what, once).result()


def _packed(session: Session, what: str, words: dict[str, str]) -> Response:
    if what == "signal":
        return Response(session.signal(), mimetype="application/octet-stream")
    selection = parse_selection(words)
    if what in ANSWERS:
        return Response(ANSWERS[what](session, selection), mimetype="application/octet-stream")
    if what == "command":
        return Response(command(session, selection), mimetype="text/plain")
    if what == "map":
        name, content = map_file(session, selection)
    else:
        name, content = result_name(session.kind, selection), result_file(session, selection)
    found = Response(content, mimetype="application/octet-stream")
    found.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return found


def _file(name: str) -> Response:
    """One of the page's own files, by its name among them."""
    known = {path.name: path for path in PAGE.iterdir() if path.suffix in TYPES}
    if name not in known:
        abort(404, "there is no such page")
    return Response(known[name].read_bytes(), mimetype=TYPES[known[name].suffix])


def _json(content: Any) -> Response:
    return Response(json.dumps(content), mimetype="application/json")


def _sentence(text: str, code: int) -> Response:
    return Response(text, code, mimetype="text/plain")


class Handler(WSGIRequestHandler):
    """Requests that end, without a line for each on the terminal."""

    timeout = PATIENCE

    def log(self, *_: Any, **__: Any) -> None:
        """Nothing."""


def listen(app: App, port: int) -> BaseWSGIServer:
    """A server of `app` on 127.0.0.1 and the first port from `port` on that is free; raises OSError where none of
    PORTS is."""
    for candidate in range(port, min(port + PORTS, 65536)) if port else (0,):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((HOST, candidate))
            listener.listen(64)
        except OSError:
            listener.close()
            continue
        found = listener.getsockname()[1]
        app.hosts |= {f"{HOST}:{found}", f"localhost:{found}"}
        server = make_server(HOST, found, app, threaded=True, request_handler=Handler, fd=listener.fileno())
        listener.close()  # the server has its own copy
        return server
    raise OSError(f"no port from {port} to {port + PORTS - 1} is free: choose another --port")
