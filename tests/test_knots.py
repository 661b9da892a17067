"""Where knots go: lines compressed to what matters, spacings, spreading, pruning, and how many it takes."""

import numpy as np
import pytest

from kernels import knots as module
from kernels.knots import Line, Spacing, best_knots, count_for_error, prune, refine, spread
from kernels.splines import SplineBasis

EDGES = np.linspace(-1, 1, 401)
MIDDLES = (EDGES[1:] + EDGES[:-1]) / 2
COSINE = Line.of_axis(EDGES, np.where(np.abs(MIDDLES) < 0.5, np.cos(np.pi * MIDDLES), 0.0), 0)
SLOPE = Line(EDGES, np.exp(-3 * (MIDDLES + 1))[:, None])
HILL = Line(EDGES, ((1 + MIDDLES) ** 2 * (1 - MIDDLES) ** 4)[:, None])


def broken_line(kinks: list[float], values: list[float]) -> Line:
    """Cell means of a broken line."""
    return Line(EDGES, np.interp(MIDDLES, kinks, values)[:, None])


def orthogonal(size: int) -> np.ndarray:
    """Random orthonormal columns."""
    return np.linalg.qr(np.random.default_rng(size).standard_normal((size, size)))[0]


def test_lines_span_the_support_and_keep_the_channels_that_matter():
    line = Line.of_axis(np.arange(7.0), np.array([0, 0, 2.0, 0, 3, 0]), 0)
    np.testing.assert_array_equal(line.edges, [2, 3, 4, 5])
    np.testing.assert_array_equal(line.means, [[2], [0], [3]])
    # Singular values below 1e-4 of the largest are left out, the rest comes largest first.
    left, right = orthogonal(5), orthogonal(6)[:, :5]
    means = left @ np.diag([3.0, 1.0, 3.05e-4, 2.9e-4, 1e-5]) @ right.T
    for axis, unfolded in ((0, means), (1, means.T)):
        line = Line.of_axis(np.arange(len(unfolded) + 1.0), means, axis)
        np.testing.assert_allclose(np.linalg.norm(line.means, axis=0), [3.0, 1.0, 3.05e-4])
        np.testing.assert_allclose(line.means @ line.means.T, unfolded @ unfolded.T, atol=2e-7)
        assert len(line.edges) == len(unfolded) + 1
    assert Line.of_axis(np.arange(61.0), orthogonal(60), 0).means.shape == (60, 48)
    assert Line.of_axis(np.arange(6.0), orthogonal(5), 0).means.shape == (5, 5)
    with pytest.raises(ValueError, match="zero everywhere"):
        Line.of_axis(EDGES, np.zeros(400), 0)


def test_symmetry_and_likeness_are_judged_within_rounding():
    def line(*means: float) -> Line:
        return Line(np.arange(len(means) + 1.0), np.array(means)[:, None])

    assert line(1, 2, 1).symmetric
    assert line(1, 2, -2, -1).symmetric
    assert line(1, 1 + 0.49e-6).symmetric
    assert not line(1, 1 + 0.52e-6).symmetric
    assert line(1, 2, 3).alike(line(-2, -4, -6))
    assert not line(1, 2, 3).alike(line(3, 2, 1))
    assert not line(1, 2).alike(line(1, 2, 3))
    assert line(1, 1).alike(line(1, 1 + 0.97e-7))
    assert not line(1, 1).alike(line(1, 1 + 1.05e-7))


def test_condensed_lines_have_half_as_many_cells_and_six_channels():
    means = np.random.default_rng(0).random((5, 8))
    edges = np.array([0.0, 1, 2, 3, 4, 6])
    condensed = Line(edges, means).condensed()
    np.testing.assert_allclose(condensed.means, [means[:2, :6].mean(axis=0), means[2:4, :6].mean(axis=0)])
    np.testing.assert_array_equal(condensed.edges, [0, 2, 6])
    np.testing.assert_array_equal(Line(edges[:5], means[:4]).condensed().edges, [0, 2, 4])


@pytest.mark.parametrize("order", [0, 1, 2])
def test_error_is_that_of_the_best_spline(order):
    edges = np.array([-1.0, -0.8, -0.5, -0.45, 0.0, 0.1, 0.4, 0.7, 0.9, 1.0])
    means = np.random.default_rng(0).random((9, 2))
    knots = np.array([-1.0, -0.3, 0.2, 0.6, 1.0])
    root = np.sqrt(np.diff(edges))[:, None]
    design = SplineBasis(knots, order).averages(edges) * root
    best = design @ np.linalg.lstsq(design, means * root, rcond=None)[0]
    expected = np.linalg.norm(means * root - best) / np.linalg.norm(means * root)
    assert np.isclose(Line(edges, means).error(knots, order), expected, rtol=1e-12)


def test_spacings_turn_free_numbers_into_knots_and_back():
    uneven = Spacing(-1.0, 2.0, 5, 0.25, False)
    assert list(uneven.index) == [0, 1, 2, 3]
    np.testing.assert_allclose(uneven.knots(np.zeros(3)), [-1, -0.25, 0.5, 1.25, 2])
    # A slack of 2 in shares of 2, 4, 1 and 1 eighths.
    np.testing.assert_allclose(uneven.knots(np.log([2, 4, 1])), np.cumsum([-1, 0.75, 1.25, 0.5, 0.5]))
    np.testing.assert_allclose(uneven.free(np.cumsum([-1, 0.75, 1.25, 0.5, 0.5])), np.log([2, 4, 1]))
    even = Spacing(-1.0, 1.0, 6, 0.1, True)
    assert list(even.index) == [0, 1, 2, 1, 0]
    knots = even.knots(np.array([1.0, -1.0]))
    np.testing.assert_array_equal(knots, -knots[::-1])
    np.testing.assert_allclose(even.free(knots), [1.0, -1.0])
    # Gaps that are too small become the smallest one and a hundredth of an even share of the slack.
    found = uneven.knots(uneven.free(np.array([-1.0, -0.99, 0.5, 1.25, 2.0])))
    shares = np.array([0.01 * 2 / 4, 1.24, 0.5, 0.5])
    np.testing.assert_allclose(np.diff(found), 0.25 + 2 * shares / shares.sum())


def test_knots_spread_by_a_power_of_the_bends_over_a_floor():
    # Two spikes, one 32 times the other; flat elsewhere.
    spikes = broken_line([-1.0, -0.5, -0.45, -0.4, 0.45, 0.5, 0.55, 1.0], [0.0, 0.0, 1.0, 0.0, 0.0, 32.0, 0.0, 0.0])
    uniform, *others = spread(spikes, 1, 2001)
    np.testing.assert_allclose(uniform, np.linspace(-1, 1, 2001))
    floors, powers = (0.1, 0.5, 0.1, 0.5), (1 / 2.5, 1 / 2.5, 1.0, 1.0)
    for knots, floor, power in zip(others, floors, powers, strict=True):
        np.testing.assert_allclose(knots[[0, -1]], [-1, 1])
        # Of the knots, floor / (1 + floor) are even, so many on a tenth of the line.
        even = 2000 * floor / (1 + floor) / 10
        np.testing.assert_allclose(np.diff(knots).max(), 2 / 2000 * (1 + floor) / floor)
        small, large = (((knots > middle - 0.1) & (knots < middle + 0.1)).sum() - even for middle in (-0.45, 0.5))
        assert np.isclose(large / small, 32**power, rtol=0.03)
    for knots in spread(COSINE, 1, 12):
        np.testing.assert_allclose(knots, -knots[::-1], atol=1e-12)


def test_pruning_drops_or_merges_what_is_missed_least():
    kinks, values = [-1.0, -0.5, 0.2, 0.6, 1.0], [0.0, 1.0, 0.3, 0.8, 0.0]
    line = broken_line(kinks, values)
    np.testing.assert_allclose(prune(line, 1, np.sort([*kinks, -0.8, 0.35]), 5), kinks, atol=1e-12)
    # The middle of two neighbours is where the bend is.
    pair = np.array([-1.0, -0.55, -0.45, 0.2, 0.6, 1.0])
    np.testing.assert_allclose(prune(line, 1, pair, 5), kinks, atol=1e-12)
    even = broken_line([-1, -0.6, -0.2, 0.2, 0.6, 1], [0, 1, 0.4, 0.4, 1, 0])
    found = prune(even, 1, np.array([-1, -0.65, -0.55, -0.2, 0.2, 0.55, 0.65, 1]), 6)
    np.testing.assert_allclose(found, [-1, -0.6, -0.2, 0.2, 0.6, 1], atol=1e-12)
    found = prune(even, 1, np.array([-1, -0.6, -0.4, -0.2, 0.1, 0.2, 0.4, 0.6, 1]), 8)
    np.testing.assert_allclose(found, [-1, -0.6, -0.4, -0.2, 0.2, 0.4, 0.6, 1], atol=1e-12)
    for count in (8, 6, 4):
        found = prune(COSINE, 1, np.linspace(-0.5, 0.5, 10), count)
        np.testing.assert_allclose(found, -found[::-1], atol=1e-12)


def test_refining_moves_knots_to_the_bends():
    line = broken_line([-1.0, -0.4, 0.3, 1.0], [0.0, 1.0, 0.2, 0.0])
    spacing = Spacing(-1.0, 1.0, 4, 0.05, False)
    found = spacing.knots(refine(line, 1, spacing, spacing.free(np.linspace(-1, 1, 4))))
    np.testing.assert_allclose(found, [-1.0, -0.4, 0.3, 1.0], atol=1e-4)
    assert refine(line, 1, Spacing(-1.0, 1.0, 2, 0.05, False), np.zeros(0)).size == 0


def test_best_knots_are_symmetric_where_the_target_is_and_end_with_it():
    knots = best_knots(COSINE, 1, 8)
    np.testing.assert_allclose(knots, -knots[::-1], atol=1e-15)
    np.testing.assert_allclose(knots[[0, -1]], [-0.5, 0.5], atol=0.01)
    assert COSINE.error(knots, 1) < 0.9 * COSINE.error(np.linspace(knots[0], knots[-1], 8), 1)
    # No gap is smaller than a quarter of the mean, or than asked.
    assert np.diff(best_knots(SLOPE, 0, 9)).min() >= 2 / 8 / 4 - 1e-12
    assert np.diff(best_knots(SLOPE, 0, 9, 0.2)).min() >= 0.2 - 1e-12
    assert np.diff(best_knots(SLOPE, 0, 9, 0.01)).min() < 2 / 8 / 4


@pytest.mark.parametrize(
    ("count", "channels", "refinements"),
    [(20, 2, 4), (21, 2, 1), (21, 1, 4), (30, 1, 4), (32, 1, 3), (32, 2, 1), (33, 1, 0)],
)
def test_many_knots_or_channels_are_refined_less(monkeypatch, count, channels, refinements):
    calls = []
    monkeypatch.setattr(module, "refine", lambda line, order, spacing, start: calls.append(start) or start)
    line = Line(EDGES, np.exp(-3 * (MIDDLES[:, None] + 1) * np.arange(1, channels + 1)))
    best_knots(line, 1, count)
    assert len(calls) == refinements


def test_impossible_knots_are_refused():
    with pytest.raises(ValueError, match="a kernel of order 1 needs at least 3 Diracs per axis, not 2"):
        best_knots(SLOPE, 1, 2)
    with pytest.raises(ValueError, match=r"11 Diracs do not fit in a length of 2 with gaps of 0\.2"):
        best_knots(SLOPE, 1, 11, 0.2)
    assert len(best_knots(SLOPE, 1, 10, 0.2)) == 10


@pytest.mark.parametrize(("order", "error"), [(0, 0.3), (0, 0.1), (1, 0.02), (2, 0.01)])
def test_count_for_an_error_is_the_fewest(order, error):
    reached = {c: HILL.error(best_knots(HILL, order, c, thorough=False), order) for c in range(order + 2, 20)}
    tried: list[str] = []
    found = count_for_error(HILL, order, error, None, tried.append)
    assert found == min(count for count, value in reached.items() if value <= error)
    assert tried[0] == (f"{order + 2} Diracs along an axis: error {reached[order + 2]:.3g}, its share is {error:.3g}")


def test_errors_that_take_too_many_knots_are_refused():
    noise = Line(EDGES, np.random.default_rng(0).random((400, 1)))
    with pytest.raises(ValueError, match="an error of 1e-05 takes more than 257 Diracs per axis"):
        count_for_error(noise, 0, 1e-5, None)
