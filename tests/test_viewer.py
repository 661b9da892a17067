"""The page's answers: what is shown and downloaded is what eval.py and the exact convolution give."""

import cv2
import numpy as np
import pytest
from viewer_cases import GAUSSIAN, KERNELS, Page, by_eval, opened

import nfconv
from kernels.library import KERNELS as LIBRARY
from modalities import MODALITIES
from models.varying import Filter
from signals.exact import target_convolution
from signals.measures import psnr
from viewer.foveation import Bank
from viewer.given import MAP_SIDE, Given
from viewer.sliders import kernel_table


@pytest.fixture(scope="module")
def pages(tmp_path_factory, small_pictures):
    """A page with one small field of every modality, made when it is first asked for."""
    made = {}

    def page(name: str) -> Page:
        if name not in made:
            made[name] = Page(opened(name, tmp_path_factory.mktemp(name), Given(KERNELS)))
        return made[name]

    return page


@pytest.fixture
def page(pages):
    return pages("image")


def decoded(part: np.ndarray) -> np.ndarray:
    """A picture of a packet as uint8 [H, W, 3], RGB."""
    return cv2.imdecode(part, cv2.IMREAD_COLOR)[..., ::-1]


@pytest.mark.parametrize("name", MODALITIES)
def test_every_modality_answers_every_panel(pages, name):
    page = pages(name)
    state = page.get("/api/0/state").get_json()
    assert (state["modality"], state["loaded"], state["problem"]) == (name, True, "")
    draft, parts = page.packet("draft", **GAUSSIAN)
    assert draft["draft"] and parts
    session = page.app.sessions[0]
    session._levels["gaussianfixed"] = 2
    coarse, _ = page.packet("draft", **GAUSSIAN)
    session._levels.clear()
    assert name == "video" or np.prod(coarse["shape"]) < np.prod(state["shape"]) * session.field.config.channels
    rest, parts = page.packet("result", **GAUSSIAN)
    assert rest["shape"][:-1] == state["shape"]
    kernel, drawn = page.packet("kernel", **GAUSSIAN)
    assert kernel["diracs"] == rest["diracs"]
    assert np.abs(drawn["density"]).max() == 1
    error, _ = page.packet("error", **GAUSSIAN)
    assert all(np.isfinite(value) for value in error["metrics"].values())
    assert page.packet("signal")[1].keys() == parts.keys()


def test_results_at_rest_are_the_filtered_picture_and_drafts_nearly(page):
    field = page.app.sessions[0].field
    wanted = np.round(255 * np.clip(field.filter(nfconv.gaussian(sigma=0.25)), 0, 1))
    _, rest = page.packet("result", **GAUSSIAN)
    np.testing.assert_array_equal(decoded(rest["picture"]), wanted)
    _, draft = page.packet("draft", **GAUSSIAN)
    assert draft["picture"][:2].tobytes() == b"\xff\xd8"
    assert np.abs(decoded(draft["picture"]) - wanted).mean() < 14


def test_errors_are_against_the_exact_kernel(page):
    session = page.app.sessions[0]
    signal = nfconv.read(session.path)
    truth = target_convolution(signal, nfconv.gaussian(sigma=0.25).target(2), "clamp")
    found, _ = page.packet("error", **GAUSSIAN)
    assert found["metrics"]["psnr"] == pytest.approx(psnr(session.field.filter(nfconv.gaussian(sigma=0.25)), truth))


def test_normals_of_shapes_point_outwards(pages):
    _, parts = pages("geometry").packet("result", kernel="tent", half_size="0.3")
    vertices, normals = parts["vertices"], parts["normals"]
    outward = vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    assert (np.sum(outward * normals, axis=1) > 0.9).all()
    assert parts["faces"].max() == len(vertices) - 1


def test_a_clip_is_dragged_by_one_of_its_frames(pages):
    page = pages("video")
    whole = page.app.sessions[0].field.filter(nfconv.gaussian(sigma=0.25))
    _, parts = page.packet("draft", **GAUSSIAN, frame=3)
    assert np.abs(decoded(parts["picture"]) - 255 * np.clip(whole[:, :, 3], 0, 1)).mean() < 14
    _, parts = page.packet("result", **GAUSSIAN)
    assert parts["clip"][4:8].tobytes() == b"ftyp"


WISHES = [
    GAUSSIAN,
    {"kernel": "disk", "radius": "0.4"},
    {"kernel": "gabor", "sigma": "0.2", "frequency": "1.7", "angle": "30"},
    {"kernel": "derivative", "sigma": "0.2", "axis": "1", "suffix": "npy"},
    {"kernel": "image", "kernel_image": "heart", "radius": "0.5", "size": "2"},
    {"kernel": "gaussian", "sigma": "1.5px", "suffix": "npy"},
]


@pytest.mark.parametrize("selection", WISHES, ids=lambda selection: selection["kernel"])
def test_downloads_are_the_bytes_of_the_printed_command(page, tmp_path, selection):
    command = page.get("/api/0/command", **selection).get_data(as_text=True)
    page.packet("draft", **{name: value for name, value in selection.items() if name not in ("suffix", "size")})
    found = page.get("/api/0/download", **selection)
    assert found.status_code == 200, found.get_data(as_text=True)
    assert found.get_data() == by_eval(command, tmp_path)


@pytest.mark.parametrize("name", [name for name in MODALITIES if name != "image"])
def test_downloads_of_every_modality_are_the_bytes_of_the_printed_command(pages, tmp_path, name):
    page = pages(name)
    command = page.get("/api/0/command", **GAUSSIAN).get_data(as_text=True)
    assert page.get("/api/0/download", **GAUSSIAN).get_data() == by_eval(command, tmp_path)


def test_foveation_is_that_of_eval_and_drafts_blend_it(page, tmp_path):
    selection = {
        **GAUSSIAN,
        "vary": "fovea",
        "row": "0.4",
        "column": "-0.25",
        "least": "0.3",
        "most": "1",
        "suffix": "npy",
    }
    command = page.get("/api/0/command", **selection).get_data(as_text=True)
    found = page.get("/api/0/download", **selection).get_data()
    assert found == by_eval(command, tmp_path)
    del selection["suffix"]
    _, rest = page.packet("result", **selection)
    _, draft = page.packet("draft", **selection)
    assert np.abs(decoded(draft["picture"]) - decoded(rest["picture"]).astype(float)).mean() < 14
    assert page.packet("error", **selection)[0]["points"] == 9 * 14


def test_painted_gaussians_are_those_of_eval(page, tmp_path):
    painted = np.tile(np.array([0.25, 0.2, 0.0], "<f4"), (MAP_SIDE, MAP_SIDE, 1))
    painted[:, :30] = (0.3, 0.15, 60.0)
    token = page.post("/api/map", painted.tobytes()).get_json()["name"]
    selection = {"kernel": "gaussian", "vary": "brush", "map": token, "suffix": "npy"}
    (tmp_path / "brush.npy").write_bytes(page.get("/api/0/map", **selection).get_data())
    command = page.get("/api/0/command", **selection).get_data(as_text=True)
    command = command.replace("brush.npy", str(tmp_path / "brush.npy"))
    assert page.get("/api/0/download", **selection).get_data() == by_eval(command, tmp_path)
    covariance = np.load(tmp_path / "brush.npy")[5, 5]
    c, s = np.cos(np.pi / 3), np.sin(np.pi / 3)
    along, across = np.array([-s, c]), np.array([c, s])
    wanted = 0.3**2 * np.outer(along, along) + 0.15**2 * np.outer(across, across)
    np.testing.assert_allclose(covariance, wanted, rtol=1e-6)
    assert page.packet("draft", kernel="gaussian", vary="brush", map=token)[0]["draft"]


def test_a_dropped_picture_is_a_kernel(page):
    drawn = np.zeros((9, 9), np.uint8)
    drawn[:, 3:6] = 255
    content = cv2.imencode(".png", drawn)[1].tobytes()
    given = page.post("/api/picture", content).get_json()
    assert given["name"] in given["pictures"]
    facts, _ = page.packet("result", kernel="image", kernel_image=given["name"], radius="0.5")
    assert facts["radius"] == pytest.approx(0.5)
    assert page.packet("draft", kernel="image", kernel_image=given["name"], radius="0.45")[0]["draft"]


@pytest.mark.parametrize(
    "words, told",
    [
        ({"kernel": "gaussian", "sigma": "5"}, "trained with a margin"),
        ({"kernel": "gaussian"}, "gaussian needs sigma"),
        ({"kernel": "ring", "radius": "0.2", "thickness": "0.3"}, "ring needs a thickness"),
        ({"kernel": "image", "kernel_image": "../data/raw/kernels/heart.png", "radius": "0.3"}, "is no path"),
        ({"kernel": "image", "kernel_image": "nothing", "radius": "0.3"}, "no picture 'nothing'"),
        ({"kernel": "gaussian", "sigma": "0.2", "size": "3"}, "size one of"),
        ({"kernel": "gaussian", "sigma": "0.2", "vary": "brush"}, "nothing has been painted"),
        ({"kernel": "gaussian", "sigma": "0.2", "model_path": "x"}, "the page has no 'model_path'"),
    ],
)
def test_refusals_are_the_programs_sentences(page, words, told):
    for what in ("draft", "result", "kernel", "error", "command", "download"):
        sentence = page.refused(what, **words)
        assert told in sentence and "\n" not in sentence


def test_warnings_come_with_results_at_rest(page):
    assert "below the training kernel" in page.packet("result", kernel="gaussian", sigma="0.03")[0]["notes"][0]
    assert page.packet("draft", kernel="gaussian", sigma="0.03")[0]["notes"] == []


def test_without_a_signal_there_is_a_sentence(tmp_path):
    page = Page(opened("series", tmp_path, Given(KERNELS), with_signal=False))
    state = page.get("/api/0/state").json
    assert (state["time"], state["names"], state["times"]) == ("time", ["left", "right"], [0, 14.5])
    assert page.packet("result", **GAUSSIAN)[1]["curves"].shape == (30, 2)
    assert "give --signal" in page.refused("error", **GAUSSIAN)
    assert "give --signal" in page.refused("signal")


@pytest.mark.parametrize("name", ["image", "geometry", "series"])
def test_every_slider_starts_within_its_range_and_its_kernel_is_answered(pages, name):
    page = pages(name)
    field = page.app.sessions[0].field
    table = {entry["name"]: entry for entry in kernel_table(field)}
    axes = len(field.config.axes)
    assert list(table) == [n for n, entry in LIBRARY.items() if entry.axes[0] <= axes <= entry.axes[1]]
    for kernel in ("gaussian", "tent", "dog"):
        words: dict[str, object] = {"kernel": kernel}
        for control in table[kernel]["parameters"]:
            least, most, step, value = (control[key] for key in ("least", "most", "step", "value"))
            assert least <= value <= most
            assert value / step == pytest.approx(round(value / step))
            words[control["name"]] = most if control["kind"] == "length" else value
        assert page.packet("kernel", **words)[0]["diracs"]


def test_blends_of_a_few_sizes_are_the_varying_kernel_to_50_decibels(page):
    field = page.app.sessions[0].field
    kernel = nfconv.gaussian(sigma=0.39).sparse(1, 2)
    factors = np.linspace(0.3, 1, 20 * 30).reshape(20, 30, 1)
    chosen, bank, asked = Filter((kernel,), factors=factors), Bank(), []

    def filtered(size: float) -> np.ndarray:
        asked.append(size)
        return field.filter(kernel, (20, 30), scale=size)

    wanted = np.stack([field.filter(kernel, (20, 30), scale=s)[i, j] for (i, j), s in np.ndenumerate(factors[..., 0])])
    found = [bank.blend("one", chosen, (20, 30), filtered) for _ in range(2)]
    assert psnr(found[1].reshape(-1, 3), wanted) > 50
    np.testing.assert_array_equal(found[0], found[1])
    assert len(asked) == 8
