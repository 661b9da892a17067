"""Ground-truth files: their facts, round trips, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from builders import exact_truth, noise_signal
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import RegularGridInterpolator

import nfconv
from files import ArchiveError, load_archive, save_archive
from modalities.image import ImageMetadata
from modalities.video import VideoMetadata
from signals import Signal, make_ground_truth
from signals.ground_truth import GroundTruth, pads_for
from signals.signal import coordinates, spacing
from training import train
from utils import load_montecarlo_gt


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axes, half_size", [((0, 1), 0.31), ((0, 1), (0.31, 0.5)), ((1,), 0.31)])
def test_a_file_gives_everything_back(tmp_path, dtype, axes, half_size):
    truth = exact_truth(noise_signal((6, 9), 3, axes), 2, half_size, boundary="reflect", dtype=dtype)
    truth = replace(truth, metadata=ImageMetadata(linear=True), source="ä b.png", seed=7, samples=5, backend="cupy")
    again = GroundTruth.load(truth.save(tmp_path / "deep" / "truth.npz"))
    assert again.values.dtype == dtype
    np.testing.assert_array_equal(again.values, truth.values)
    assert replace(again, values=truth.values).__dict__ == truth.__dict__
    assert again.digest == truth.digest


def test_files_of_version_0_2_are_read(tmp_path):
    truth = exact_truth(noise_signal((6, 9, 4), 3, (2,)))
    arrays = load_archive(truth.save(tmp_path / "truth.npz"), ())
    meta = np.array('{"fps": 12.5, "load": {"start": 3, "height": 6}, "released": false}')
    arrays |= {"modality": np.array("video"), "meta": meta, "half_size": np.array(0.2)}
    del arrays["backend"]
    truth = GroundTruth.load(save_archive(tmp_path / "old.npz", arrays))
    assert truth.metadata == VideoMetadata(fps=12.5, start=3, height=6)
    assert (truth.half_size, truth.backend) == ((0.2,), "numpy")


def test_half_sizes_differ_per_axis():
    signal = noise_signal((9, 12), 2)
    truth = make_ground_truth(signal, 1, (0.5, 0.3), 0.25, dtype="float64")
    padded = np.pad(signal.values, ((4, 4), (6, 6), (0, 0)), mode="edge")
    grid = [-1 + spacing(n) * np.arange(-p, n + p) for n, p in ((9, 4), (12, 6))]
    read = RegularGridInterpolator(grid, padded)
    # Midpoint sums of f(x - s) tent(s), which is even.
    nodes = (np.arange(800) + 0.5) / 400 - 1
    t, u = np.meshgrid(0.5 * nodes, 0.3 * nodes, indexing="ij")
    weights = np.outer(1 - np.abs(nodes), 1 - np.abs(nodes))
    for row, column in ((0, 0), (4, 9), (10, 15)):
        x, y = truth.coordinates(0)[row], truth.coordinates(1)[column]
        wanted = np.tensordot(weights / weights.sum(), read(np.stack([x - t, y - u], axis=-1)), axes=2)
        np.testing.assert_allclose(truth.values[row, column], wanted, atol=1e-4)
    assert (truth.half_size, truth.h) == ((0.5, 0.3), {0: 0.5, 1: 0.3})
    assert truth.kernel.radius.tolist() == [0.5, 0.3]


def test_monte_carlo_agrees_with_the_exact_method_and_says_what_it_did():
    signal = noise_signal((7, 6), 1)
    exact = make_ground_truth(signal, 0, (0.4, 0.2), 0.2, "reflect", samples=5)
    drawn = make_ground_truth(signal, 0, (0.4, 0.2), 0.2, "reflect", "monte_carlo", 400, seed=3)
    assert (exact.samples, drawn.samples, drawn.seed, drawn.method) == (0, 400, 3, "monte_carlo")
    assert exact.values.dtype == drawn.values.dtype == np.float32 and exact.pads == drawn.pads == (1, 1)
    np.testing.assert_allclose(drawn.values, exact.values, atol=0.06)


@pytest.mark.parametrize(
    "asked, words",
    [
        ({"order": 9}, "order must be"),
        ({"half_size": 0.9e-6}, "half size must lie in 1e-06..2 domain units"),
        ({"half_size": (0.1, 2.1)}, "not 0.1, 2.1"),
        ({"margin": -0.1}, "margin must lie in 0..4 domain units, not -0.1"),
        ({"margin": 4.1}, "not 4.1"),
        (
            {"boundary": "wrap"},
            "boundary must be one of clamp, reflect, periodic, extend, or 2 of them with commas, not wrap",
        ),
        ({"method": "magic"}, "exact or monte_carlo, not 'magic'"),
        ({"method": "monte_carlo", "samples": 0}, "at least 1, not 0"),
        ({"method": "monte_carlo", "sampler": "sobol"}, "--sampler must be one of lattice, independent"),
    ],
)
def test_requests_out_of_range_are_refused(asked, words):
    with pytest.raises(ValueError, match=words):
        make_ground_truth(noise_signal((5, 5)), **asked)


@given(
    margin=st.floats(0, 2),
    shape=st.lists(st.integers(1, 60), min_size=1, max_size=3),
    data=st.data(),
)
def test_pads_just_cover_the_margin_in_filtered_axes(margin, shape, data):
    axes = data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
    for axis, (pad, count) in enumerate(zip(pads_for(margin, tuple(shape), tuple(sorted(axes))), shape, strict=True)):
        if axis in axes:
            last = coordinates(count, pad)[-1] - 1
            assert last - spacing(count) < margin <= last + 1e-8 or pad == margin == 0
        else:
            assert pad == 0


def test_bounds_and_margin_are_where_the_values_end():
    truth = exact_truth(noise_signal((5, 11), axes=(0, 1)), margin=0.3)
    assert truth.pads == (1, 2)
    np.testing.assert_allclose(truth.bounds, [[-1.5, 1.5], [-1.4, 1.4]])
    assert truth.margin == pytest.approx(0.4)
    for axis in range(2):
        np.testing.assert_allclose(truth.coordinates(axis)[[0, -1]], truth.bounds[axis])


def test_a_look_at_the_file_shows_the_signals_own_grid(tmp_path):
    signal = noise_signal((5, 7), 3)
    look = load_montecarlo_gt(exact_truth(signal, margin=0.5).save(tmp_path / "truth.npz"))
    np.testing.assert_array_equal(look, exact_truth(signal, margin=0.0).values)
    assert look.shape == (5, 7, 3)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"order": -1}, "order"),
        ({"order": 9}, "order"),
        ({"half_size": (0.0, 0.1)}, "half size"),
        ({"half_size": (float("nan"), 0.1)}, "half size"),
        ({"half_size": (0.1, 2.1)}, "half size"),
        ({"half_size": (0.1,)}, "one number for each of the 2 filtered axes"),
        ({"boundary": "wrap"}, "boundary"),
        ({"axes": (0, 0)}, "axes"),
        ({"axes": (2,)}, "axes"),
        ({"axes": (1,), "half_size": (0.1,)}, "margin"),
        ({"pads": (1,)}, "pads"),
        ({"pads": (-1, 0)}, "pads"),
        ({"pads": (99, 0)}, "pads"),
    ],
)
def test_facts_that_do_not_fit_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        replace(exact_truth(noise_signal((5, 5))), **change)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_must_be_finite(value):
    truth = exact_truth(noise_signal((5, 5)))
    values = truth.values.copy()
    values[2, 3] = value
    with pytest.raises(ValueError, match="finite"):
        replace(truth, values=values)


@pytest.mark.parametrize(
    "name, value",
    [
        ("order", np.array([1, 2])),
        ("order", np.array(1.5)),
        ("order", np.array("one")),
        ("half_size", np.array(-0.1)),
        ("backend", np.array("abacus")),
        ("pads", np.array([1.0, np.nan])),
        ("meta", np.array("{")),
        ("meta", np.array("[1]")),
        ("meta", np.array("[]")),
        ("meta", np.array("[" * 100_000)),
        ("axes", np.array([], int)),
        ("values", np.zeros(())),
        ("values", np.zeros((9, 9, 1), np.int32)),
    ],
)
def test_a_file_with_senseless_facts_is_refused_by_name(tmp_path, name, value):
    file = exact_truth(noise_signal((5, 5))).save(tmp_path / "truth.npz")
    arrays = load_archive(file, ())
    save_archive(file, arrays | {name: value})
    with pytest.raises(ArchiveError, match=r"truth\.npz"):
        GroundTruth.load(file)


def test_a_missing_file_and_another_kind_of_file_are_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        GroundTruth.load(tmp_path / "none.npz")
    save_archive(tmp_path / "other.npz", {"values": np.zeros(3)})
    with pytest.raises(ArchiveError, match="lacks axes"):
        GroundTruth.load(tmp_path / "other.npz")


def test_one_sample_of_one_channel_has_ground_truth(tmp_path):
    truth = make_ground_truth(Signal(np.full((1, 1), 0.7), (0,)), margin=2.0)
    # A single sample lies at -1, the ones beyond it are 2 domain units apart.
    np.testing.assert_array_equal(truth.coordinates(0), [-5, -3, -1, 1, 3])
    np.testing.assert_array_equal(truth.bounds, [[-5, 3]])
    assert truth.pads == (2,) and truth.margin == 2.0 and truth.shape == (1,)
    np.testing.assert_allclose(GroundTruth.load(truth.save(tmp_path / "truth.npz")).values, np.full((5, 1), 0.7))
    field = train(truth, factor="spline")
    np.testing.assert_allclose(field.filter(nfconv.gaussian(sigma=0.3)), [[0.7]], atol=1e-4)
