"""The page of networks, the authors' fields, the user's own callables and signals with missing samples."""

import cv2
import numpy as np
import pytest
from authors import Network
from cases import make_case
from click.testing import CliRunner
from viewer_cases import GAUSSIAN, KERNELS, OTHERS, Page, by_eval, opened

import nfconv
import view
from models.tiled import TiledField
from signals.exact import target_convolution
from signals.masks import masked
from signals.measures import psnr
from viewer.given import Given
from viewer.session import Session


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A page with one field of every kind."""
    given = Given(KERNELS)
    return {name: Page(opened(name, tmp_path_factory.mktemp(name), given)) for name in OTHERS}


@pytest.mark.parametrize("name", OTHERS)
def test_every_panel_is_answered_on_the_signals_own_grid(pages, name):
    page = pages[name]
    shape = page.app.sessions[0]._signal.shape
    assert page.packet("draft", **GAUSSIAN)[1]["picture"].size
    assert page.packet("result", **GAUSSIAN)[0]["shape"][:-1] == page.get("/api/0/state").json["shape"]
    assert page.packet("kernel", **GAUSSIAN)[0]["diracs"] == 169
    assert tuple(page.packet("signal")[0]["shape"][:-1]) == shape
    facts, parts = page.packet("error", **GAUSSIAN)
    assert np.isfinite(facts["metrics"]["psnr"])
    # A callable has quadrature at some points, everything else an exact answer everywhere.
    assert (facts.get("points"), list(parts)) == ((256, []) if name == "callable" else (None, ["picture"]))


@pytest.mark.parametrize("name", OTHERS)
def test_downloads_are_the_bytes_of_the_printed_command(pages, tmp_path, name):
    page = pages[name]
    selection = GAUSSIAN | {"suffix": "npy"}
    command = page.get("/api/0/command", **selection).get_data(as_text=True)
    assert page.get("/api/0/download", **selection).get_data() == by_eval(command, tmp_path)


def test_errors_are_against_what_is_known_alone(pages):
    page, kernel = pages["masked"], nfconv.gaussian(sigma=0.25)
    session = page.app.sessions[0]
    signal = nfconv.read(session.path)
    mask = np.load(session.mask).astype(float)
    whole = target_convolution(masked(signal, mask), kernel.target(2), "clamp")
    # The mean of the known samples is what a constant is told apart from, and cancels.
    mean = (signal.values * mask[..., None]).sum((0, 1)) / mask.sum()
    wanted = whole[..., :-1] / whole[..., -1:] + mean
    found = page.packet("error", **GAUSSIAN)[0]["metrics"]["psnr"]
    assert found == pytest.approx(psnr(session.field.filter(kernel), wanted), abs=1e-3)


def test_a_tiled_clip_is_dragged_by_one_of_its_frames(tmp_path):
    path = make_case("video", tmp_path).path
    field = nfconv.fit(path, 0.6, margin=1.0, factor="spline", tile="12,12,5", device="cpu")
    session = Session(field.save(tmp_path / "tiles"), path, Given(KERNELS))
    session.open()
    assert isinstance(session.field, TiledField) and session.step == "ready"
    _, parts = Page(session).packet("draft", **GAUSSIAN, frame=3)
    wanted = 255 * np.clip(session.field.filter(nfconv.gaussian(sigma=0.25)), 0, 1)[:, :, 3]
    assert np.abs(cv2.imdecode(parts["picture"], cv2.IMREAD_COLOR)[..., ::-1] - wanted).mean() < 14


def test_what_is_no_file_is_not_downloaded(pages):
    page = pages["mlp"]
    assert ".zarr" not in page.get("/api/0/state").json["results"]
    assert "not downloaded as .zarr: choose one of .png" in page.refused("download", **GAUSSIAN, suffix="zarr")


def test_a_released_field_shows_the_authors_own_sums(pages, tmp_path):
    page = pages["released"]
    state = page.get("/api/0/state").json
    assert state["unit"] == ["domain units", 1.0]
    _, parts = page.packet("kernel", kernel="tent", half_size="0.05")
    assert len(parts["diracs"]) == 9
    content = page.get("/api/0/download", kernel="tent", half_size="0.05", suffix="npy").get_data()
    (tmp_path / "found.npy").write_bytes(content)
    found = np.load(tmp_path / "found.npy")[60:64, 40:44].reshape(-1, 3)
    rows, columns = np.meshgrid(*[np.linspace(-1, 1, 128)[s] for s in (slice(60, 64), slice(40, 44))], indexing="ij")
    # The tent of half size s is even: its Diracs are 1, -2, 1 over s squared.
    wanted = Network(2, 3).filtered(
        np.stack([rows.ravel(), columns.ravel()], 1), np.array([-0.05, 0, 0.05]), np.array([1, -2, 1]) / 0.05**2, (0, 1)
    )
    np.testing.assert_allclose(found, wanted, atol=2e-3 * np.abs(wanted).max())


@pytest.mark.parametrize(
    "flags, told",
    [
        (["--signal", "SIGNAL", "--signal", "SIGNAL"], "2 signals for 1 models"),
        (["--mask", "SIGNAL"], "1 masks for 0 signals"),
        (["--signal", "missing.png"], "missing.png does not exist"),
        (["--signal", "SIGNAL", "--mask", "missing.npy"], "missing.npy does not exist"),
    ],
)
def test_files_that_do_not_go_together_are_refused(model, tmp_path, flags, told):
    path = str(make_case("image", tmp_path).path)
    words = [path if word == "SIGNAL" else word for word in flags]
    result = CliRunner().invoke(view.main, ["--model_path", str(model), "--no_browser", *words])
    assert result.exit_code and told in result.output and "Traceback" not in result.output


def test_signals_that_lack_their_mask_are_told_so(tmp_path):
    model, signal, _ = OTHERS["masked"](tmp_path)
    session = Session(model, signal, Given(KERNELS))
    session.open()
    assert "give their --mask" in session.problem and session.loaded
