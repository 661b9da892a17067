"""The benchmark's counting and its report; nothing here measures time."""

import json

import numpy as np
import pytest
import torch
from builders import field_config, random_field, smooth_signal
from click.testing import CliRunner

from benchmarks import filtering, montecarlo, quality, report, throughput
from benchmarks.figures import draw_figures
from benchmarks.measure import Bar, Settings, decibels, interleaved, slope
from benchmarks.run import PARTS, main
from kernels import minimal_kernel
from mc_utils import monte_carlo_convolution
from models.convolution import convolve_points
from models.exact import ExactField

BEGIN, END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"

MACHINE = {"cpu": "a processor", "cores": 2, "threads": 2, "load": 0.5, "python": "3.12.1", "date": "2025-01-01",
           "versions": {"torch": "2.9"}, "seed": 0, "seconds": 12.0}  # fmt: skip
COMPARED = {
    "seconds_direct": 400.0, "seconds_points": 40.0, "seconds_tables": None,
    "seconds_grid": 0.04, "speed_up": 1e4, "queries_per_output": 1.5,
    "agreement": 90.0, "accuracy_direct": 61.25, "accuracy_grid": 61.25, "accuracy_grid_whole": 61.0,
    "peak_memory_mb": None,
}  # fmt: skip
OUTCOME = {
    "psnr": [64.25, 79.0, 92.0, 106.0],
    "steps": 1500,
    "parameters": 119_579,
    "stored": 480_000,
    "seconds": 15.0,
    "set_up": 1.5,
}
BAR = Bar("something", 60, 90).to_dict()


def small_results():
    """One entry of everything that the parts measure."""
    fields = {"separable": COMPARED}
    averaged = {"accuracy": 60.0, "samples": 1e5, "seconds_signal": 3.0, "seconds_network": 7200.0}
    sampled = {"rms": [1e-2, 1e-3], "slope": -0.66, "samples_at_50_dB": 40}
    step = {"seconds": 0.4, "first_step": 0.5, "points": 12_544, "samples_per_second": 3e4,
            "samples_per_second_and_core": 1.5e4, "queries_per_sample": 1.07,
            "gflops": 80.0, "share": 0.55}  # fmt: skip
    data = {
        "filtering": {
            "compared": {"gaussian": fields, "tent": fields},
            "sizes": {"separable": {"0.05": 0.04, "0.4": 0.041}}, "counts": {"separable": {"3": 0.03, "21": 0.035}},
            "instead": {"SciPy": {"seconds": 0.02, "accuracy": 300.0}}, "monte_carlo": {"fields": {"mlp": averaged}},
        },
        "quality": {"sizes": [0.05, 0.1, 0.2, 0.4],
                    "runs": [OUTCOME | {"method": "separable", "picture": "astronaut", "budget": 15.0}]},
        "variants": {"sizes": [0.05, 0.1, 0.2, 0.4], "half_size": 0.025,
                     "runs": [OUTCOME | {"variant": "separable: default", "budget": 10.0, "half": 33.0}]},
        "throughput": {"width": 256, "layers": 4, "products_gflops": {"cube": 150.0}, "steps": {"mlp, lattice": step}},
        "ground_truth": {"samples": [1, 4], "lattice": sampled, "independent": sampled, "sampler": "lattice",
                         "seconds_exact": 0.01, "seconds_monte_carlo": 4.0},
    }  # fmt: skip
    return {name: {"machine": MACHINE, "data": part | {"bars": [BAR]}} for name, part in data.items()}


def test_the_report_is_drawn_from_json_and_put_between_the_readmes_markers(tmp_path):
    for name, part in small_results().items():
        (tmp_path / f"{name}.json").write_text(json.dumps(part))
    parts = report.load_results(tmp_path)
    figures = draw_figures(parts, tmp_path / "docs")
    text = report.render(parts, figures, tmp_path / "docs", tmp_path)
    assert set(parts) == set(PARTS) - {"kernels"}
    for words in ("10,000 x", "40 ms", "64.2", "2 h", "5 of 5 promised", "55%"):
        assert words in text
    for figure in figures:
        assert f"](docs/{figure.name})" in text
        assert figure.stat().st_size < 100_000
    readme = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    inserted = report.insert(readme, text)
    assert inserted.startswith("before\n")
    assert inserted.endswith("after\n")
    assert "old" not in inserted
    assert report.insert(inserted, text) == inserted


@pytest.mark.parametrize("text", ["", "no markers", END + BEGIN[:-1]])
def test_a_readme_without_markers_stays_as_it_is(text):
    assert report.insert(text, "section") == text


def test_a_report_of_no_results_says_so_without_failing(tmp_path):
    assert "0 of 0" in report.render(report.load_results(tmp_path), [], tmp_path, tmp_path)


@pytest.mark.parametrize("measured, at_least, met", [(2, True, True), (1, True, False), (1, False, True)])
def test_a_bar_is_met_on_its_own_side(measured, at_least, met):
    assert Bar("text", 1.5, measured, at_least).met is met


def test_tasks_take_turns_and_warm_up_once():
    seen = []
    seconds = interleaved({"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}, rounds=2)
    assert seen == ["a", "b"] * 3
    assert set(seconds) == {"a", "b"}


def test_the_direct_sum_is_the_convolution_of_the_field():
    field = random_field(field_config("separable", 2, 3))
    points, kernel = torch.rand(20, 2, dtype=torch.float64), minimal_kernel(1, 0.2, 2)
    direct = filtering.dirac_by_dirac(field, kernel, points)
    np.testing.assert_allclose(direct.numpy(), convolve_points(field, kernel, points).numpy(), atol=1e-8)


@pytest.mark.parametrize("dim", [2, 3])
def test_networks_of_all_coordinates_need_at_most_one_and_a_half_queries_per_output(dim):
    assert filtering.queries_per_output(dim) <= 1.5


@pytest.mark.parametrize("count", filtering.COUNTS)
def test_broken_line_gaussians_have_the_diracs_and_the_mass_asked_for(count):
    kernel = filtering.polyline_gaussian(count, 0.2)
    assert len(kernel) == count**2
    assert kernel.mass == pytest.approx(1)


def test_every_way_without_a_field_gives_the_convolution():
    signal = smooth_signal((24, 31), 3)
    found = filtering.instead(signal, filtering.polyline_gaussian(7, 0.2), Settings(quick=True))
    assert all(entry["accuracy"] > 100 for entry in found.values())


def test_operations_are_counted_from_the_matrices_of_the_network():
    field = random_field(field_config("mlp", 2, 3, num_channels=8, num_layers=2, pe=2))
    assert throughput.weights(type("Trainer", (), {"field": field})) == 8 * (10 + 8 + 8)


def test_laws_and_decibels():
    x = np.array([1.0, 4.0, 16.0])
    assert slope(x, 3 * x**-0.5) == pytest.approx(-0.5)
    assert decibels(np.zeros(4), np.full(4, 0.1)) == pytest.approx(20)


def test_the_default_method_is_held_to_its_bars():
    entry = OUTCOME | {"method": quality.DEFAULT, "picture": "astronaut", "budget": 15.0}
    assert [bar.met for bar in quality.bars([entry])] == [True] * 5
    assert quality.bars([entry | {"method": "another"}]) == []


def test_unknown_parts_are_refused():
    result = CliRunner().invoke(main, ["--parts", "filtering,cooking"])
    assert result.exit_code == 1
    assert "not cooking" in result.output


def test_exact_convolution_is_what_sampling_tends_to():
    signal, kernel = smooth_signal((16, 16)), minimal_kernel(1, 0.3, 2)
    fields = {"mlp": random_field(field_config("mlp", 2, 1)).float(), "exact": ExactField(signal, 1, 0.3)}
    runs = {name: run_of(field) for name, field in fields.items()}
    found = montecarlo.filtering(runs, signal, kernel, Settings(quick=True))
    for samples, rms in zip(found["samples"], found["rms"], strict=True):
        estimates = np.stack(
            [monte_carlo_convolution(signal, 1, 0.3, "clamp", (0, 0), samples, seed) for seed in range(1, 33)]
        )
        # Squared errors about the mean of many estimates, which knows nothing of exact convolution.
        squares = (estimates - estimates.mean(axis=0)) ** 2 * 32 / 31
        assert abs(rms**2 - squares.mean()) < 4 * squares.std() / np.sqrt(512)  # of 512 random pixels
    assert found["rms"][1] < found["rms"][0] / 2
    assert found["fields"]["exact"]["accuracy"] > 200


def run_of(field):
    """A run of which only the field matters."""
    return type("Run", (), {"field": field})()
