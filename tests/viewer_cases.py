"""Small fields and their signals, and requests to the page's application without a network."""

from pathlib import Path

import numpy as np
from cases import make_case
from werkzeug.test import Client, TestResponse

import nfconv
from viewer.given import Given
from viewer.packet import unpack
from viewer.server import App
from viewer.session import Session

KERNELS = Path(__file__).resolve().parent.parent / "data" / "raw" / "kernels"
HOST = "127.0.0.1:7860"
# Along time a field of few samples is trained through a kernel that is wide for them.
HALF_SIZES = {"image": 0.3, "geometry": 0.3, "video": 0.6, "audio": 0.1, "motion": 0.25, "series": 0.2}


def make_model(name: str, folder: Path) -> tuple[Path, Path]:
    """A spline field of a small signal of modality `name`, and the signal, as files."""
    case = make_case(name, folder)
    options = {key: value for key, value in case.options.items() if key != "halo"}
    half_size = HALF_SIZES[name]
    signal = nfconv.read(case.path, name, reach=(1.0, half_size), **options)
    field = nfconv.fit(signal, half_size, margin=1.0, factor="spline", device="cpu")
    return field.save(folder / "model.pth"), case.path


def opened(name: str, folder: Path, given: Given, with_signal: bool = True) -> Session:
    """A session that is loaded."""
    model, signal = make_model(name, folder)
    session = Session(model, signal if with_signal else None, given)
    session.open()
    assert session.step == "ready", session.problem
    return session


class Page:
    """The application, asked as a browser on this machine asks it."""

    def __init__(self, *sessions: Session, given: Given | None = None) -> None:
        self.app = App(sessions, given or sessions[0].given, [HOST])
        self.client = Client(self.app)

    def get(self, path: str, host: str = HOST, **words: object) -> TestResponse:
        return self.client.get(path, query_string=words, headers={"Host": host})

    def post(self, path: str, content: bytes, **headers: str) -> TestResponse:
        return self.client.post(path, data=content, headers={"Host": HOST, **headers})

    def packet(self, what: str, **words: object) -> tuple[dict, dict[str, np.ndarray]]:
        found = self.get(f"/api/0/{what}", **words)
        assert found.status_code == 200, found.get_data(as_text=True)
        return unpack(found.get_data())

    def refused(self, what: str, **words: object) -> str:
        found = self.get(f"/api/0/{what}", **words)
        assert found.status_code in (409, 422), found.status_code
        return found.get_data(as_text=True)
