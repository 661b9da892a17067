"""The examples run from top to bottom, and what they print is right."""

import re
import subprocess
import sys

import nbformat
import numpy as np
import pytest
from checkout import ROOT
from nbclient import NotebookClient
from PIL import Image

import nfconv
from modalities.formats.programs import read_program
from signals.measures import psnr
from signals.probing import continuous
from signals.quadrature import dense_convolution

EXAMPLES = ROOT / "examples"


@pytest.fixture(autouse=True)
def single_thread(monkeypatch):
    # Threads of several processes that wait for each other are slower than one.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_demo_is_one_short_file_and_as_accurate_as_it_says(tmp_path):
    photograph, picture = tmp_path / "small.png", tmp_path / "demo.png"
    Image.open(ROOT / "data/raw/images/astronaut.png").resize((128, 96)).save(photograph)
    assert len((EXAMPLES / "demo.py").read_text().splitlines()) <= 150
    done = subprocess.run(
        [sys.executable, EXAMPLES / "demo.py", photograph, picture], capture_output=True, text=True, check=True
    )
    qualities = [float(value) for value in re.findall(r"PSNR ([\d.]+) dB", done.stdout)]
    assert len(qualities) == 3 and min(qualities) > 60
    assert np.asarray(Image.open(picture)).shape == (48, 64, 3)


def executed(name: str) -> tuple[str, list]:
    """What a notebook prints, and its figures."""
    notebook = nbformat.read(EXAMPLES / name, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(EXAMPLES)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(o.get("text", "") for o in outputs), [o for o in outputs if "image/png" in o.get("data", {})]


def test_own_network_is_filtered_as_it_says():
    printed, figures = executed("own_network.ipynb")
    (quality,) = re.findall(r"PSNR ([\d.]+) dB against quadrature", printed)
    evaluations = re.findall(r"(\d+) evaluations", printed)[-1]
    assert float(quality) > 56 and int(evaluations) < 60_000 and len(figures) == 1


def test_examples_of_callables_are_fields(monkeypatch):
    """Each is probed as a user's program is, fitted roughly, and filtered to what quadrature says."""
    points = np.random.default_rng(0).uniform(-0.7, 0.7, (6, 4))
    cases = {"unit_square": (2, 0.2, 45, {"coordinates": "xy", "domain": (0, 1)}), "spheres": (3, 0.3, 45, {}),
             "checker": (2, 0.3, 25, {"boundary": "periodic"}), "density": (3, 0.4, 30, {})}  # fmt: skip
    for name, (dim, half_size, least, options) in cases.items():
        f = read_program(f"{EXAMPLES / 'fields.py'}:{name}")
        rough = {"factor": "spline", "margin": 0.3, "accuracy": 50, "evaluations": 100_000, "dim": dim}
        field = nfconv.fit(f, half_size, **(rough | options))
        boundary = options.get("boundary", "clamp")
        source = continuous(f, options.get("coordinates"), options.get("domain", (-1, 1)), dim)
        kernel = nfconv.minimal_kernel(1, half_size, dim)
        truth = dense_convolution(
            source, kernel, range(dim), (boundary,) * dim, points[:, :dim], 60 if dim == 2 else 10
        )
        assert psnr(field.filter(kernel, at=points[:, :dim]), truth) > least, name


def test_networks_of_the_examples_learn_the_photograph():
    for name, least in (("siren", 18), ("hash_grid", 18)):
        f = getattr(read_program(f"{EXAMPLES / 'fields.py'}:Siren"), "forward", None)
        module = sys.modules["_field_fields"]
        network = getattr(module, name)(steps=60)
        pixels = np.asarray(Image.open(ROOT / "data/raw/images/astronaut.png").resize((16, 16), Image.Resampling.BOX))
        x = (np.arange(16) + 0.5) / 8 - 1
        seen = continuous(network, dim=2)(np.stack(np.meshgrid(x, x, indexing="ij"), -1).reshape(-1, 2))
        assert f and psnr(seen.reshape(16, 16, 3), pixels[..., :3] / 255) > least


def test_light_is_filtered_alone():
    """4-D: two axes of light, two of the picture, of which the light's are filtered."""
    f = read_program(f"{EXAMPLES / 'fields.py'}:light_stage")
    signal = nfconv.read(f, axes="vu", dim=4, accuracy=40, evaluations=300_000)
    truth = nfconv.make_ground_truth(signal, 1, 0.3, 0.2)
    assert truth.axes == (0, 1) and truth.shape[2:] == (17, 17)
    place = [truth.shape[0] // 2, truth.shape[1] // 3, 6, 9]
    point = np.array([[truth.coordinates(axis)[i + truth.pads[axis]] for axis, i in enumerate(place)]])
    kernel = nfconv.minimal_kernel(1, 0.3, 4, (0, 1))
    wanted = dense_convolution(continuous(f, dim=4), kernel, (0, 1), ("clamp",) * 4, point, 20)
    np.testing.assert_allclose(truth.values[tuple(i + p for i, p in zip(place, truth.pads, strict=True))], wanted[0],
                               atol=0.01)  # fmt: skip


def test_the_horizon_is_grey_where_pixels_hold_many_squares(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import horizon

    once, filtered = horizon.picture(height=60, width=80, half_size=0.1)
    assert once[:1].std() > 0.4 and filtered[:1].std() < 0.01 and abs(filtered[:1].mean() - 0.5) < 0.01
    assert filtered[30:].std() > 0.3


def test_level_of_detail_beats_samples_of_equal_time_and_mip_maps(tmp_path):
    picture = tmp_path / "detail.png"
    done = subprocess.run(
        [sys.executable, EXAMPLES / "level_of_detail.py", picture, "100", "128"],
        capture_output=True,
        text=True,
        check=True,
    )
    qualities = {name: float(value) for name, value in re.findall(r"(.*): PSNR ([\d.]+) dB", done.stdout)}
    # The number of samples that take as long depends on the machine.
    assert len(qualities) >= 4 and qualities["one query per pixel"] > 46
    assert max(qualities["mip maps, trilinear"], qualities["mip maps, 16 taps"]) < qualities["one query per pixel"] - 10
    assert np.asarray(Image.open(picture)).ndim == 3


def test_an_unknown_blur_is_recovered_by_descent(tmp_path):
    words = [EXAMPLES / "depth_of_field.py", ROOT / "data/raw/images/astronaut.png", tmp_path / "depth.png", "48", "60"]
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, check=True)
    first, *_, last = (float(value) for value in re.findall(r"step \d+: ([\d.]+) dB", done.stdout))
    detailed, everywhere = (float(value) for value in re.findall(r"([\d.]+)%", done.stdout))
    # It starts 52 % off (in the median, everywhere).
    assert last > first + 10 and max(detailed, everywhere) < 26
    assert (tmp_path / "depth.png").is_file()


def test_tour_runs_from_top_to_bottom():
    source = EXAMPLES / "tour.ipynb"
    notebook = nbformat.read(source, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(EXAMPLES)}}).execute()
    printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    (quality,) = re.findall(r"PSNR ([\d.]+) dB against SciPy", printed)
    assert float(quality) > 55 and "the same result: True" in printed
    figures = [o for cell in notebook.cells for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
    assert len(figures) == 4 and source.stat().st_size < 50_000
