"""Small fields of every kind with their signals, and requests to the page's application without a network."""

import json
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from authors import Network, torch_bytes
from cases import make_case, smooth
from click.testing import CliRunner
from werkzeug.test import Client, TestResponse

import eval as eval_program
import make_map
import nfconv
from viewer.given import Given
from viewer.server import App
from viewer.session import Session

KERNELS = Path(__file__).resolve().parent.parent / "data" / "raw" / "kernels"
HOST = "127.0.0.1:7860"
GAUSSIAN = {"kernel": "gaussian", "sigma": "0.25"}
# Paths of a model, its signal and the mask of that.
Files = tuple[Path, Path, Path | None]
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


def make_network(kind: str, folder: Path) -> Files:
    """A network of all coordinates after a few steps."""
    _, path = make_model("image", folder)
    size = {"num_channels": 16, "num_layers": 1, "num_steps": 20}
    field = nfconv.fit(path, 0.3, margin=1.0, field=kind, device="cpu", **size)
    return field.save(folder / f"{kind}.pth"), path, None


def make_released(folder: Path) -> Files:
    """A field as the authors save it, and a picture of another size than theirs."""
    (folder / "released.pth").write_bytes(torch_bytes(Network(2, 3).checkpoint()))
    return folder / "released.pth", make_case("image", folder).path, None


def make_callable(folder: Path) -> Files:
    """A SIREN of examples/fields.py in a program of the user's own, which is the signal, too."""
    program = folder / "mine.py"
    program.write_text(
        "import torch\n\nfrom examples.fields import Siren\n\ntorch.manual_seed(0)\nfield = Siren(16, 2, 6.0).eval()\n"
    )
    signal = Path(f"{program}:field")
    field = nfconv.fit(signal, 0.3, margin=1.0, factor="spline", device="cpu")
    return field.save(folder / "siren.pth"), signal, None


def make_masked(folder: Path) -> Files:
    """A picture with a hole."""
    path, mask = make_case("image", folder).path, np.ones((9, 14), np.float32)
    mask[3:6, 4:8] = 0
    np.save(folder / "mask.npy", mask)
    field = nfconv.fit(path, 0.3, margin=1.0, factor="spline", mask=mask, device="cpu")
    return field.save(folder / "model.pth"), path, folder / "mask.npy"


def make_tiled(folder: Path) -> Files:
    """A picture in tiles, each with a field of its own."""
    path = folder / "large.png"
    cv2.imwrite(str(path), (255 * smooth(40, 60, 3)).astype(np.uint8))
    field = nfconv.fit(path, 0.2, margin=1.0, factor="spline", tile=32, device="cpu")
    return field.save(folder / "tiles"), path, None


# Fields that are no separable ones of a whole signal.
OTHERS: dict[str, Callable[[Path], Files]] = {
    "mlp": partial(make_network, "mlp"), "siren": partial(make_network, "siren"), "released": make_released,
    "callable": make_callable, "masked": make_masked, "tiled": make_tiled,
}  # fmt: skip


def session_of(name: str, folder: Path, given: Given) -> Session:
    """The modality or other kind of field `name`, not loaded yet."""
    model, signal, mask = OTHERS[name](folder) if name in OTHERS else (*make_model(name, folder), None)
    return Session(model, signal, given, mask)


def opened(name: str, folder: Path, given: Given, with_signal: bool = True) -> Session:
    """A session that is loaded."""
    session = session_of(name, folder, given)
    session.path = session.path if with_signal else None
    session.open()
    assert session.step == "ready", session.problem
    return session


class Page:
    """The application, asked as a browser on this machine asks it."""

    def __init__(self, *sessions: Session) -> None:
        self.app = App(sessions)
        self.app.hosts.add(HOST)
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


def by_eval(command: str, folder: Path) -> bytes:
    """What the printed command writes, run in `folder`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in command.splitlines():
            words = shlex.split(line)
            program = {"eval.py": eval_program, "make_map.py": make_map}[words[1]]
            result = CliRunner().invoke(program.main, words[2:])
            assert result.exit_code == 0, result.output
        return Path(words[-1]).read_bytes()


def unpack(packet: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Facts and parts of a packet, read as page/net.js does."""
    length = int.from_bytes(packet[:4], "little")
    facts = json.loads(packet[4 : 4 + length])
    first = -(-(4 + length) // 8) * 8
    parts = {}
    for part in facts.pop("parts"):
        values = np.frombuffer(packet, part["type"], int(np.prod(part["shape"])), first + part["start"])
        parts[part["name"]] = values.reshape(part["shape"])
    return facts, parts
