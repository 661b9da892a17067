"""The tables of the benchmarks hold what was measured; no time is judged here."""

import json
import math
import re

import numpy as np
import pytest
import torch
from builders import broken_line, field_config, noise_signal, random_field, smooth_signal
from click.testing import CliRunner
from field_cases import brute_force

import nfconv
from benchmarks import common, filtering
from benchmarks.callables import Averages
from benchmarks.common import Settings
from benchmarks.gallery import KERNELS, TEASER, model_table
from benchmarks.points import random_covariances, yardstick
from benchmarks.run import SECTIONS, joined, main
from kernels import minimal_kernel, outer
from scripts.ship_model import main as ship


@pytest.fixture
def settings(tmp_path):
    return Settings(tmp_path, quick=True)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a quick run of everything, and its folder."""
    folder = tmp_path_factory.mktemp("benchmarks")
    result = CliRunner().invoke(main, ["--quick", "--save_path", str(folder)], catch_exceptions=False)
    assert result.exit_code == 0
    return (folder / "benchmarks.md").read_text(), folder


def rows_of(text: str, title: str) -> list[list[str]]:
    """The cells of all tables of one section, heads and rules left out."""
    section = text.split(f"\n## {title}\n")[1].split("\n## ")[0]
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE):
        found += [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()[2:]]
    return found


def seconds_in(cell: str) -> float:
    """What a cell like '12.3 ms (45 ms)' says by the clock."""
    value, unit = cell.split()[:2]
    return float(value) * {"ms": 1e-3, "s": 1.0, "h": 3600.0}[unit]


def plain_psnr(values, truth) -> float:
    return -10 * math.log10(np.mean((np.asarray(values, np.float64) - truth) ** 2))


def test_a_quick_run_writes_every_section_its_figures_and_the_joined_page(page):
    text, folder = page
    assert {path.name for path in folder.iterdir()} == {
        "benchmarks.md", "benchmark_quality.png", "kernels.png", "teaser.png", *(f"{name}.md" for name in SECTIONS)
    }  # fmt: skip
    assert text == joined(folder)
    assert len(re.findall(r"\*Made in .* with seed 0: version ", text)) == len(SECTIONS)
    fields = ["splines", "separable", "siren", "mlp"]
    names = [row[0] for row in rows_of(text, "Filtering")]
    assert names[:8] == [f"{kernel}, {field}" for kernel in ("Gaussian", "tent") for field in fields]
    assert names[8:16] == fields * 2
    assert [row[0] for row in rows_of(text, "Ground truth")][:2] == ["lattice", "independent"]
    assert [row[0] for row in rows_of(text, "Fields of shapes")] == ["separable", "mlp", "siren"]
    assert [row[0] for row in rows_of(text, "Kernels")] == [*TEASER, "box"]
    assert set(TEASER) < set(KERNELS)


def test_points_are_measured_as_shares_of_the_yardstick(page):
    rows = {row[0]: row for row in rows_of(page[0], "Points, covariances and maps")}
    for dim, base in (("", rows["yardstick"]), ("3-D, ", rows["3-D, yardstick"])):
        assert base[2:] == ["1.00", "-"]
        for name in ("axis-aligned", "ratio up to 4, `accuracy=60`"):
            _, each, share, decibels = rows[dim + name]
            assert float(share) == pytest.approx(float(each.split()[0]) / float(base[1].split()[0]), rel=0.02, abs=0.01)
            assert float(decibels) > 55
    assert all(float(rows[name][3].split()[0]) > 120 for name in ("disk, 2,348 Diracs", "ring", "motion"))
    assert float(rows["a covariance per pixel"][2]) > float(rows["2 kernels interpolated"][2]) + 20
    widths = [row[1] for row in rows_of(page[0], "The protocols of peers")]
    assert widths[:2] == ["variance 0", "variance 0.0001"] and "tent of half size 0.3" in widths

    linear, waves = [float(row[2]) for row in rows_of(page[0], "Angles") if row[0].startswith("Gabor, 0.5")]
    assert waves > linear + 5


@pytest.mark.parametrize("dim", [2, 3])
def test_the_yardstick_is_the_filter_itself(dim):
    field = random_field(field_config("separable", dim, 2), margin=0.9)
    rng, kernel = np.random.default_rng(0), nfconv.gaussian(sigma=0.1)
    at, scale = rng.uniform(-1, 1, (9, dim)), rng.uniform(0.5, 1.5, (9, dim))
    found = yardstick(field, kernel.sparse(1, dim), torch.tensor(at), torch.tensor(scale))
    wanted = field.filter(kernel, at=at, scale=scale, precision="64")
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("dim, ratio", [(2, 4), (2, 8), (3, 4)])
def test_random_covariances_have_the_sizes_and_ratios_asked_for(dim, ratio):
    sigmas = random_covariances(2000, dim, ratio, np.random.default_rng(0))
    sizes = np.sqrt(np.linalg.eigvalsh(sigmas))
    assert sizes.max() <= 0.2 + 1e-9 and sizes.min() >= min(0.03, 0.2 / ratio) - 1e-9
    assert 0.9 * ratio < (sizes[:, -1] / sizes[:, 0]).max() <= ratio + 1e-9
    assert abs(np.corrcoef(sigmas[:, 0, 0], sigmas[:, 1, 1])[0, 1]) < 0.9


def test_the_quality_of_a_solved_field_is_what_fitting_it_again_gives(page):
    row = next(row for row in rows_of(page[0], "Quality against training time") if "splines" in row[0])
    signal = Settings(page[1], quick=True).picture()
    field = nfconv.fit(signal, factor="spline", device="cpu")
    assert row[:2] == ["separable, splines; astronaut", "solved"]
    for size, cell in zip((0.05, 0.1, 0.2, 0.4), row[3:7], strict=True):
        truth = nfconv.make_ground_truth(signal, 1, size, 0.0).core
        assert float(cell) == pytest.approx(plain_psnr(field.filter(minimal_kernel(1, size, 2)), truth), abs=0.06)
    assert row[7:9] == ["0", f"{sum(p.numel() for p in field.parameters()):,}"]


def test_fields_of_callables_break_even_where_averages_have_asked_as_often(page):
    rows = rows_of(page[0], "Callables")
    assert [row[0] for row in rows[:4]] == [
        f"{net}, {way}" for net in ("SIREN", "hash grid") for way in ("spline", "swish")
    ]
    even = [row for row in rows if row[4:5] in (["a lattice"], ["quadrature"])]
    assert len(even) == 2
    for _, _, asked, _, _, each, _, _, by_evaluations, _ in even:
        times = float(asked.replace(",", "")) / float(each.replace(",", ""))
        assert float(by_evaluations) == pytest.approx(times, rel=0.5 / float(each) + 0.01)
    way = Averages("a way", (10, 100, 1000), (20.0, 40.0, 60.0))
    assert [way.evaluations(x) for x in (30, 40, 80)] == pytest.approx([10**1.5, 100, 10_000])


def test_points_cost_nine_queries_and_lattices_little_more_than_one(page):
    rows = {row[0]: row for row in rows_of(page[0], "Throughput of a training step")}
    assert len(rows) == 6
    for name, (_, step, points, per_second, queries, rate, _) in rows.items():
        assert points == ("128" if "points" in name else "1,024")
        assert queries == "9.00" if "points" in name else 1 < float(queries) < 1.3
        count = float(points.replace(",", ""))
        assert float(per_second.replace(",", "")) * seconds_in(step) == pytest.approx(count, rel=0.01)
        # Five layers of 16: from 30 encoded coordinates, or from the two themselves.
        operations = 6 * (16 * (30 if "mlp" in name else 2) + 4 * 16 * 16) * float(queries) * count
        assert float(rate) * 1e9 * seconds_in(step) == pytest.approx(operations, rel=0.02)


def test_variants_change_against_the_default(page):
    (default, levels, splines) = rows_of(page[0], "What was tried")
    assert [default[0], levels[0], splines[0]] == ["separable: default", "1 level", "splines"]
    for row in (default, levels, splines):
        wanted = np.mean([float(a) - float(b) for a, b in zip(row[2:6], default[2:6], strict=True)])
        assert float(row[6]) == pytest.approx(wanted, abs=0.11)


def test_shipped_models_are_listed_with_the_numbers_of_their_records(page):
    rows = rows_of(page[0], "Shipped models")
    for path in (common.ROOT / "trained_models").glob("*/model.json"):
        for name, found in json.loads(path.read_text())["filters"].items():
            (row,) = [r for r in rows if r[0] == name.replace("_", " ") and f"{found['whole']['mse']:.1e}" in r]
            assert row[1] == str(found["diracs"])


@pytest.mark.parametrize("kind", ["separable", "mlp"])
def test_a_row_of_filtering_agrees_with_sums_and_counts_made_here(kind, settings):
    signal, kernel = smooth_signal((9, 7), 3), outer(minimal_kernel(1, 0.2), minimal_kernel(1, 0.3))
    field = random_field(field_config(kind, 2, 3), margin=0.5, half_size=(0.1, 0.1), shape=(9, 7))
    field = field if kind == "separable" else field.float()
    (row,) = filtering.compare({kind: field}, {"tent": kernel}, signal, settings)
    points = torch.cartesian_prod(*[torch.linspace(-1, 1, n, dtype=torch.float64) for n in (9, 7)])
    seen = []
    for module in field.factors if kind == "separable" else [field.network]:
        module.forward = lambda x, forward=module.forward: seen.append(len(x)) or forward(x)
    whole = filtering.answers(field, kernel).reshape(63, 3)
    queries = sum(seen)
    # Rounding depends on the order that points are asked in, and so does the agreement of a network.
    order = torch.randperm(63, generator=torch.Generator().manual_seed(0))
    direct = filtering.dirac_by_dirac(field, kernel, points[order]).numpy()
    wanted = brute_force(field, kernel, points[order]).detach()
    np.testing.assert_allclose(direct, wanted, atol=1e-5 * np.abs(direct).max())
    size = direct.max() - direct.min()
    truth = nfconv.make_ground_truth(signal, 1, (0.2, 0.3), 0.0, dtype="float64").core.reshape(63, 3)
    assert row[0] == f"tent, {kind}"
    faster = seconds_in(row[1]) / seconds_in(row[4])
    assert float(row[5].split()[0].replace(",", "")) == pytest.approx(faster, abs=0.6, rel=0.02)
    assert (row[2] == "-") == (row[3] == "-") == (kind == "mlp")
    assert row[6] == f"{queries / 63:.3g}"
    assert float(row[7].split()[0]) == pytest.approx(plain_psnr(whole[order] / size, direct / size), abs=1)
    assert row[8] == f"{plain_psnr(whole, truth):.1f} dB"


def test_sums_dirac_by_dirac_and_axis_by_axis_are_the_convolution_of_the_field():
    field, points = random_field(field_config("separable", 2, 3)), torch.rand(20, 2, dtype=torch.float64)
    kernel = outer(broken_line(np.array([-0.2, 0.05, 0.2]), np.array([0.0, 3.0, 0.0])), minimal_kernel(1, 0.2))
    wanted = brute_force(field, kernel, points).detach().numpy()
    for ways in (filtering.dirac_by_dirac, filtering.axis_by_axis):
        np.testing.assert_allclose(ways(field, kernel, points).numpy(), wanted, atol=1e-8)


def test_every_way_without_a_field_gives_the_convolution(settings):
    kernel = outer(minimal_kernel(1, 0.2), broken_line(np.array([-0.3, 0.1, 0.3]), np.array([0.0, 2.0, 0.0])))
    rows = filtering.rivals(smooth_signal((24, 31), 3), kernel, settings)
    assert len(rows) == 4
    assert all(float(row[2].split()[0]) > 120 for row in rows)


def test_independent_samples_err_as_their_square_root_and_laws_give_their_counts_back(settings):
    signal = noise_signal((40, 44), 3)
    rows, laws = filtering.errors(signal, (4, 16), settings)
    by_name = {row[0]: row for row in rows}
    assert float(by_name["independent"][3]) == pytest.approx(-0.5, abs=0.05)
    assert float(by_name["lattice"][3]) < -0.55
    # The error of one sample of f is its spread within the kernel, from many independent ones.
    many = np.stack([
        nfconv.make_ground_truth(signal, 1, common.HALF_SIZE, 0.0, method="monte_carlo", samples=1, seed=seed,
                                 sampler="independent").values for seed in range(1, 33)
    ])  # fmt: skip
    spread = math.sqrt(many.var(axis=0, ddof=1).mean())
    assert float(by_name["independent"][1]) == pytest.approx(spread / 2, rel=0.1)
    for name, row in by_name.items():
        for count, error in zip((4, 16), row[1:3], strict=True):
            assert laws[name](-20 * math.log10(float(error))) == pytest.approx(count, rel=0.05)


def test_a_shipped_model_is_the_runs_own_with_the_record_of_how_it_was_made(tmp_path):
    run, results, shipped = tmp_path / "run", tmp_path / "results", tmp_path / "models" / "images"
    run.mkdir()
    (results / "tent_0.05").mkdir(parents=True)
    (run / "model_final.pth").write_bytes(b"weights")
    outcome = {"options": {"seed": 3}, "preparation": 1.25, "seconds": 30.0, "steps": 1500, "threads": 2,
               "torch": "2.9", "parameters": 1234, "bytes": 2_340_000, "psnr": {}}  # fmt: skip
    (run / "metrics.json").write_text(json.dumps(outcome))
    found = {"radius": [0.05, 0.04], "diracs": 9, "seconds": 0.456, "whole": {"psnr": 61.26, "ssim": 0.99987}}
    (results / "tent_0.05" / "metrics.json").write_text(json.dumps(found))
    words = ["--run", run, "--results", results, "--save_path", shipped, "--command", "sh make.sh", "--signal",
             "data/a.png", "--order", 1, "--half_size", 0.05, "--margin", 0.4]  # fmt: skip
    output = CliRunner().invoke(ship, [str(word) for word in words], catch_exceptions=False).output
    assert output == f"{shipped / 'model.pth'}: 2.34 MB\n"
    assert (shipped / "model.pth").read_bytes() == b"weights"
    record = json.loads((shipped / "model.json").read_text())
    filters = {"tent_0.05": {"radius": 0.05, "diracs": 9, "seconds": 0.46, "whole": found["whole"], "interior": None}}
    assert record["filters"] == filters
    assert record["ground_truth"] == {"signal": "data/a.png", "order": 1, "half_size": 0.05, "margin": 0.4}
    assert record["options"] == {"seed": 3}
    assert model_table("images", record | {"machine": "a processor"}) == (
        "**images**: `a.png`, order 1, half size 0.05, margin 0.4; 1,234 weights in 2.34 MB; prepared in 1.2 s, "
        "1,500 steps in 30 s, seed 3 (a processor, 2 threads). Made by `sh make.sh`.\n\n"
        "| filter | Diracs | PSNR | SSIM |\n|---|---:|---:|---:|\n| tent 0.05 | 9 | 61.3 dB | 0.9999 |"
    )
