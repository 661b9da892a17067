"""Samples of callables, and how well their convolution is known, against quadrature written here."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from programs import call
from sampling_cases import FOLDS, convolved, decibels, integral

import eval as eval_program
import mc_utils
from kernels import minimal_kernel
from modalities import CALLABLES
from nfconv import fit, gaussian
from signals import make_ground_truth, sampling
from signals.callables import SamplingRequest, SamplingSettings
from signals.ground_truth import GroundTruth
from signals.probing import continuous
from signals.quadrature import dense_convolution
from signals.sampling import corrected, refined, sample, storing_grid
from signals.signal import boundary_rules, coordinates, spacing

CENTRES = np.array([[0.1, -0.2, 0.05], [-0.35, 0.25, 0.3], [0.4, 0.3, -0.25], [-0.2, -0.45, -0.4]])
RADII = np.array([0.42, 0.3, 0.33, 0.25])


def spheres(p):
    return np.min([np.linalg.norm(p - c, axis=1) - r for c, r in zip(CENTRES, RADII, strict=True)], axis=0)[:, None]


def waves(p):
    return 0.5 + 0.2 * np.sin(14 * p[:, :1] + 3 * p[:, 1:] ** 2) + 0.2 * np.cos(11 * p[:, 1:] - 2 * p[:, :1])


@pytest.mark.parametrize(
    "f, dim, half_size, accuracy, most",
    [(waves, 2, 0.1, 60, 16_000), (waves, 2, 0.1, 80, 25_000), (spheres, 3, 0.1, 60, 27_000)],
)
def test_accuracy_is_met_with_few_evaluations_and_known(f, dim, half_size, accuracy, most):
    source = replace(continuous(f, dim=dim), settings=SamplingSettings((0,), accuracy))
    request = SamplingRequest(tuple(range(dim)), 1, (half_size,) * dim, 0.2, "clamp")
    found = sample(source, request)
    points = np.random.default_rng(1).uniform(-1, 1, (100, dim))
    truth = integral(f, half_size, points, list(range(dim)), FOLDS["clamp"], 8)
    measured = decibels(convolved(found.signal, request, points), truth)
    assert found.met and found.evaluations <= most
    assert measured >= accuracy - 2 and abs(measured - found.estimate) <= 6


@pytest.mark.parametrize("budget", [3000, 4500, 7000, 10_000, 20_000])
def test_what_is_left_of_a_budget_is_used(budget):
    """The last grid is as large as the rest of the budget pays for, where that is finer than the one before."""
    source = replace(continuous(waves, dim=2), settings=SamplingSettings((0,), 300.0, budget))
    found = sample(source, SamplingRequest((0, 1), 1, (0.1, 0.1), 0.2, "clamp"))
    assert not found.met and budget * 2 / 3 < found.evaluations <= budget


@pytest.mark.parametrize("dim, half_size, budget", [(1, 1e-4, 1000), (2, 0.01, 3000), (3, 0.01, 30_000)])
def test_a_budget_below_the_first_grid_starts_with_about_half_of_it(dim, half_size, budget, monkeypatch):
    def ripples(p):
        return np.cos(40 * p).sum(axis=-1, keepdims=True)

    source, grids = replace(continuous(ripples, dim=dim), settings=SamplingSettings((0,), 300.0, budget)), []
    sampled = sampling._sampled
    monkeypatch.setattr(sampling, "_sampled", lambda *asked: grids.append(asked[3]) or sampled(*asked))
    sample(source, SamplingRequest(tuple(range(dim)), 1, (half_size,) * dim, 0.2, "clamp"))
    assert budget / 4 < math.prod(grids[0]) < budget * 3 / 4


@pytest.mark.parametrize("boundary", list(FOLDS))
def test_ground_truth_of_a_callable_is_its_integral_beyond_the_border_too(boundary):
    """By quadrature in the test, at samples of the margin as well; Monte Carlo agrees."""

    def f(p):
        return 0.5 + 0.3 * np.sin(np.pi * (p[:, :1] + 0.3)) * np.cos(2 * np.pi * p[:, 1:])

    signal = CALLABLES.from_callable(f, dim=2, accuracy=80)
    truth = make_ground_truth(signal, 1, 0.2, 0.3, boundary, dtype="float64")
    rng = np.random.default_rng(0)
    index = [rng.integers(0, n, 40) for n in truth.values.shape[:2]]
    points = np.stack([truth.coordinates(a)[i] for a, i in enumerate(index)], -1)
    wanted = integral(f, 0.2, points, [0, 1], FOLDS[boundary])
    assert decibels(truth.values[tuple(index)], wanted) >= 77
    assert truth.metadata.used <= 25_000 and truth.metadata.estimate >= 80 and truth.metadata.resolution == truth.shape
    rough = make_ground_truth(signal, 1, 0.2, 0.3, boundary, "monte_carlo", 64, dtype="float64")
    points = np.stack(np.meshgrid(*[rough.coordinates(a)[::9] for a in (0, 1)], indexing="ij"), -1).reshape(-1, 2)
    wanted = integral(f, 0.2, points, [0, 1], FOLDS[boundary])
    assert decibels(rough.values[::9, ::9].reshape(-1, 1), wanted) > 40


def test_one_filtered_axis_and_an_unknown_number_of_others():
    signal = CALLABLES.with_axes(CALLABLES.from_callable(lambda p: np.sin(p[:, :1] + 9 * p[:, 2:]), dim=3), "z")
    truth = make_ground_truth(signal, 1, 0.1, 0.2, "extend")
    assert truth.axes == (2,) and truth.shape[:2] == (17, 17)
    points = np.array([[0.5, 0.25, z] for z in (-1.0, -0.3, 1.0)])
    wanted = integral(lambda p: np.sin(p[:, :1] + 9 * p[:, 2:]), 0.1, points, [2], FOLDS["extend"])
    row = [np.interp(z, truth.coordinates(2), truth.values[12, 10, :, 0]) for z in points[:, 2]]
    np.testing.assert_allclose(row, wanted[:, 0], atol=2e-3)


def test_corrected_samples_read_linearly_have_the_right_mean():
    """Over whole periods the linear reading of s - s'' / 12 errs by the fourth order, that of s by the second."""
    for n in (20, 40):
        x = 2 * np.arange(n + 3) / n
        f = np.exp(np.sin(x))[:, None]
        assert np.array_equal(corrected(f, 0)[[0, -1]], f[[0, -1]])
        second = f[2:] - 2 * f[1:-1] + f[:-2]
        np.testing.assert_allclose(corrected(f, 0)[2:-2], f[2:-2] - second[1:-1] / 12, rtol=1e-14)
        np.testing.assert_allclose(corrected(f, 0)[[1, -2]], f[[1, -2]] - second[[0, -1]] / 8, rtol=1e-14)


def test_corrected_samples_have_the_right_mean_up_to_the_border():
    """The trapezoidal rule over them errs by the fourth order, over the samples by the second."""
    errors = []
    for n in (40, 80):
        x = coordinates(n + 1)[:, None]
        errors.append(
            [abs(np.trapezoid(f[:, 0], dx=2 / n) - 2 * math.sinh(1)) for f in (np.exp(x), corrected(np.exp(x), 0))]
        )
    (plain, found), (finer, least) = errors
    assert 3.9 < plain / finer < 4.1 and 14 < found / least < 18 and found < plain / 100


def test_refinement_keeps_the_function():
    source = replace(continuous(waves, dim=2), settings=SamplingSettings((12, 9)))
    request = SamplingRequest((0, 1), 1, (0.2, 0.25), 0.2, "extend")
    coarse = sample(source, request).signal
    fine = refined(coarse, request)
    assert fine.shape == (11 * 4 + 1, 8 * 4 + 1)
    assert storing_grid(continuous(waves, dim=2), request).shape == (41, 33)
    assert all(4 * spacing(n) <= s + 1e-9 for n, s in zip(fine.shape, request.half_size, strict=True))
    step = [(m - 1) // (n - 1) for m, n in zip(fine.shape, coarse.shape, strict=True)]
    np.testing.assert_allclose(fine.values[:: step[0], :: step[1]], coarse.values, atol=1e-14)
    middle = fine.values[: 2 * step[0] : step[0], 0].mean(axis=0)
    np.testing.assert_allclose(middle, (coarse.values[0, 0] + coarse.values[1, 0]) / 2)


def test_a_budget_that_ends_first_is_a_warning(capsys):
    signal = CALLABLES.from_callable(lambda p: (p[:, :1] > p[:, 1:]) * 1.0, dim=2, evaluations=3000)
    make_ground_truth(signal, 1, 0.1, 0.2)
    said = capsys.readouterr().err
    assert "evaluations, estimated" in said and "warning" in said and "3000 evaluations ended at an estimated" in said


def test_quadrature_of_the_package_agrees(tmp_path):
    points = np.random.default_rng(2).uniform(-1, 1, (5, 2))
    kernel = minimal_kernel(1, 0.2, 2)
    for boundary, fold in FOLDS.items():
        found = dense_convolution(continuous(waves, dim=2), kernel, (0, 1), boundary_rules(boundary, (0, 1), 2), points)
        tolerance = 1e-7 if boundary != "periodic" else 1e-4
        np.testing.assert_allclose(found, integral(waves, 0.2, points, [0, 1], fold, 80), atol=tolerance)


def test_a_field_of_a_callable_filters_it(tmp_path):
    field = fit(waves, dim=2, half_size=0.1, factor="spline", boundary="extend", accuracy=80)
    assert field.origin.modality == "field" and field.origin.boundary == "extend"
    points = np.random.default_rng(4).uniform(-1, 1, (60, 2))
    for size, least in ((0.1, 75), (0.2, 78), (0.4, 80)):
        found = field.filter(minimal_kernel(1, size, 2), at=points)
        assert decibels(found, integral(waves, size, points, [0, 1], FOLDS["extend"])) >= least
    assert field.filter(gaussian(sigma=0.05)).shape == (*field.origin.shape, 1)


def test_rules_per_axis_are_kept_in_files(tmp_path):
    signal = CALLABLES.from_callable(waves, dim=2)
    truth = make_ground_truth(signal, 1, 0.2, 0.3, "clamp,periodic")
    again = GroundTruth.load(truth.save(tmp_path / "truth.npz"))
    assert again.boundary == "clamp,periodic" and again.metadata == truth.metadata
    assert make_ground_truth(signal, 1, 0.2, 0.3, "clamp,clamp").boundary == "clamp"


def test_programs_filter_a_callable_and_measure_against_it(tmp_path):
    """From a program of the user to a result, measured with quadrature of the function itself."""
    (tmp_path / "mine.py").write_text(
        "import numpy as np\ndef field(p):\n    return 0.5 + 0.4 * np.sin(5 * p[:, :1] * p[:, 1:])\n"
    )
    flags = {"signal": f"{tmp_path / 'mine.py'}:field", "coordinates": "xy", "kernel": "gaussian", "sigma": 0.1}
    done = call(eval_program, save_path=tmp_path / "out", **flags)
    assert done.exit_code == 0 and "measured against quadrature of mine.py:field itself at 256 points" in done.output
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["whole"]["psnr"] > 75
    assert (tmp_path / "out" / "output.png").is_file() and (tmp_path / "out" / "output.npy").is_file()
    words = {"path": f"{tmp_path / 'mine.py'}:field", "save_path": tmp_path / "gt.npz", "half_size": "13px"}
    assert call(mc_utils, **words).exit_code == 1 and not (tmp_path / "gt.npz").exists()
