"""Small features between coarse samples: found, resolved, or told of in the estimate; against closed forms."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtr

from nfconv import fit, gaussian
from signals.callables import SamplingRequest, SamplingSettings
from signals.estimate import Checks, convolved_at
from signals.probing import continuous
from signals.sampling import Sampling, sample
from signals.search import OUTPUTS, POINTS, Search


def blobs(centres, size):
    """The sum of Gaussians of 1 at their centres."""
    return lambda p: sum(np.exp(-((p - c) ** 2).sum(axis=1, keepdims=True) / (2 * size**2)) for c in centres)


def tents_of_blobs(points, centres, size, half_size):
    """Their convolution with the tent: second differences of the second antiderivative of a Gaussian, per axis."""

    def twice(x):
        return x * ndtr(x / size) + size * np.exp(-(x**2) / (2 * size**2)) / math.sqrt(2 * math.pi)

    found = 0.0
    for c in centres:
        x = points - c
        differences = twice(x + half_size) - 2 * twice(x) + twice(x - half_size)
        found = found + np.prod(size * math.sqrt(2 * math.pi) * differences / half_size**2, axis=1)
    return found[:, None]


def sampled(f, dim, half_size, boundary="clamp", **settings) -> tuple[Sampling, SamplingRequest]:
    request = SamplingRequest(tuple(range(dim)), 1, (half_size,) * dim, 0.2, boundary)
    return sample(replace(continuous(f, dim=dim), settings=SamplingSettings(**settings)), request), request


def measured(found, request, centres, size):
    """PSNR (peak 1) over the domain from points around every blob: there is nothing elsewhere."""
    half_size, dim, power = request.half_size[0], len(request.axes), 0.0
    reach = half_size + 4 * size
    for c in centres:
        points = c + np.random.default_rng(3).uniform(-reach, reach, (400, dim))
        error = convolved_at(found.signal, request, points) - tents_of_blobs(points, centres, size, half_size)
        power += float(np.mean(error**2)) * reach**dim
    return -10 * math.log10(power)


@pytest.mark.parametrize("evaluations", [1 << 22, 40_000])
@pytest.mark.parametrize(
    "dim, size, count, half_size",
    [(1, 0.002, 3, 0.05), (2, 0.01, 1, 0.05), (2, 0.005, 5, 0.05), (2, 0.003, 20, 0.05),
     (3, 0.04, 1, 0.05), (3, 0.05, 4, 0.1)],
)  # fmt: skip
def test_small_features_are_resolved_or_known_to_be_missing(dim, size, count, half_size, evaluations):
    centres = np.random.default_rng(0).uniform(-0.75, 0.75, (count, dim))
    found, request = sampled(blobs(centres, size), dim, half_size, evaluations=evaluations, accuracy=80.0)
    assert found.evaluations <= evaluations
    assert found.estimate <= measured(found, request, centres, size) + 9
    assert found.met or evaluations < 1 << 22


def test_features_of_the_margin_are_found_where_it_is_asked():
    centres = np.array([[1.12, 0.3]])
    found, request = sampled(blobs(centres, 0.015), 2, 0.05, "extend", accuracy=80.0)
    points = centres + np.random.default_rng(0).uniform(-0.05, 0.05, (200, 2))
    error = convolved_at(found.signal, request, points) - tents_of_blobs(points, centres, 0.015, 0.05)
    assert found.met and np.abs(error).max() < 0.01


def test_one_filtered_axis_finds_features_of_a_slice():
    def spot(p):
        return np.exp(-((p[:, :1] - 0.303) ** 2) / (2 * 0.004**2)) * (np.abs(p[:, 1:] - 0.25) < 0.01)

    request = SamplingRequest((0,), 1, (0.05,), 0.2, "clamp")
    found = sample(replace(continuous(spot, dim=2), settings=SamplingSettings(accuracy=70.0)), request)
    point = np.array([[0.31, 0.25]])
    assert found.met
    wanted = tents_of_blobs(point[:, :1], np.array([[0.303]]), 0.004, 0.05)
    np.testing.assert_allclose(convolved_at(found.signal, request, point), wanted, atol=2e-3)


def test_a_search_costs_little_more_than_its_points():
    """A constant nothing else, a polynomial twelve outputs."""
    found, _ = sampled(lambda p: np.full((len(p), 1), 0.3), 2, 0.1)
    assert found.estimate == 300 and POINTS < found.evaluations < POINTS + 700
    found, _ = sampled(lambda p: p[:, :1] ** 2 * p[:, 1:], 2, 0.1)
    assert found.met and found.evaluations < 5000 + POINTS + OUTPUTS * 300


@pytest.mark.parametrize("evaluations, points", [(10, 0), (1000, 32), (40_000, 2048), (1 << 22, POINTS)])
def test_points_are_a_share_of_the_evaluations_and_asked_once(evaluations, points):
    asked = []

    def f(p):
        asked.append(len(p))
        return np.sin(9 * p).sum(axis=1, keepdims=True)

    source = replace(continuous(f, dim=2), settings=SamplingSettings(evaluations=evaluations))
    request = SamplingRequest((0, 1), 1, (0.1, 0.1), 0.2, "clamp")
    checks, grid = Checks.of(source, request), sample(source, request).signal
    usual = checks.measured(grid, checks.points, checks.plan(grid.shape, 0)[:3])
    search = Search(source, request, checks)
    for again in (False, True):
        asked.clear()
        used = search.psnr(grid, usual, evaluations)[1]
        assert used == sum(asked) <= evaluations // 8 and (points in asked) != (again or not points)
    assert len(search.points) == points


def test_a_field_of_blobs_filters_them_or_warns(capsys):
    centres = np.random.default_rng(1).uniform(-0.9, 0.9, (3, 2))
    points = centres + 0.01
    for evaluations in (300_000, 10_000):
        field = fit(blobs(centres, 0.01), dim=2, half_size=0.05, factor="spline", evaluations=evaluations)
        warned = "evaluations ended at an estimated" in capsys.readouterr().err
        assert warned == (evaluations < 300_000)
        variance = 0.01**2 + 0.05**2
        # A Gaussian of a Gaussian is one.
        wanted = sum(0.01**2 / variance * np.exp(-((points - c) ** 2).sum(1) / (2 * variance)) for c in centres)
        near = np.abs(field.filter(gaussian(sigma=0.05), at=points)[:, 0] - wanted).max() < 0.03 * wanted.max()
        assert near != warned
