"""Ground-truth files: their facts, round trips, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from builders import exact_truth, noise_signal
from hypothesis import given
from hypothesis import strategies as st

from files import ArchiveError, load_archive, save_archive
from signals.ground_truth import GroundTruth, pads_for
from signals.signal import spacing
from utils import load_montecarlo_gt

FACTS = ("axes", "order", "half_size", "boundary", "pads", "method", "samples", "seed", "modality", "source", "meta")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("axes", [(0, 1), (1,)])
def test_a_file_gives_everything_back(tmp_path, dtype, axes):
    truth = exact_truth(noise_signal((6, 9), 3, axes), order=2, half_size=0.31, boundary="reflect", dtype=dtype)
    truth = replace(truth, meta={"alpha": True, "load": {"frames": 3}, "name": "ä"}, source="ä b.png", seed=7)
    again = GroundTruth.load(truth.save(tmp_path / "deep" / "truth.npz"))
    assert again.values.dtype == dtype
    np.testing.assert_array_equal(again.values, truth.values)
    assert [getattr(again, name) for name in FACTS] == [getattr(truth, name) for name in FACTS]
    assert again.digest == truth.digest


@given(
    margin=st.floats(0, 2),
    shape=st.lists(st.integers(1, 60), min_size=1, max_size=3),
    data=st.data(),
)
def test_pads_just_cover_the_margin_in_filtered_axes(margin, shape, data):
    axes = data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
    for axis, (pad, count) in enumerate(zip(pads_for(margin, tuple(shape), tuple(sorted(axes))), shape, strict=True)):
        if axis in axes:
            assert (pad - 1) * spacing(count) < margin <= pad * spacing(count) + 1e-8
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
        ({"half_size": 0.0}, "half size"),
        ({"half_size": float("nan")}, "half size"),
        ({"half_size": 2.1}, "half size"),
        ({"half_size": 1e-300}, "half size"),
        ({"boundary": "wrap"}, "boundary"),
        ({"axes": ()}, "axes"),
        ({"axes": (0, 0)}, "axes"),
        ({"axes": (2,)}, "axes"),
        ({"axes": (1,)}, "margin"),
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
    arrays = load_archive(file, FACTS)
    save_archive(file, arrays | {name: value})
    with pytest.raises(ArchiveError, match=r"truth\.npz"):
        GroundTruth.load(file)


def test_a_missing_file_and_another_kind_of_file_are_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError, match="not there"):
        GroundTruth.load(tmp_path / "none.npz")
    save_archive(tmp_path / "other.npz", {"values": np.zeros(3)})
    with pytest.raises(ArchiveError, match="another kind"):
        GroundTruth.load(tmp_path / "other.npz")


def test_every_corrupted_byte_of_the_values_is_detected(tmp_path):
    file = exact_truth(noise_signal((5, 5))).save(tmp_path / "truth.npz")
    whole = file.read_bytes()
    for place in range(200, len(whole), 211):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            found = GroundTruth.load(file)
        except ArchiveError:
            continue
        assert found.digest == GroundTruth.load(_written(file, whole)).digest


def _written(file, data):
    file.write_bytes(data)
    return file
