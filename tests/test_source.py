"""How large tiles are by themselves, and which signals are too large for one field."""

import numpy as np
import pytest
from builders import noise_signal

import nfconv
from signals import Signal
from training import source
from training.source import Source, tile_sizes, too_large


@pytest.mark.parametrize("shape, axes", [((40, 30), (0, 1)), ((12, 50), (1,)), ((90,), (0,))])
def test_a_field_is_too_large_where_its_ground_truth_is_margin_and_channels_included(monkeypatch, shape, axes):
    found = Source(noise_signal(shape, 3, axes), 1, (0.1,) * len(axes), 0.5, "clamp")
    values = found.truth().values.size
    monkeypatch.setattr(source, "LARGEST_WHOLE", values)
    assert not too_large(found)
    monkeypatch.setattr(source, "LARGEST_WHOLE", values - 1)
    assert too_large(found)


def test_tiles_of_more_axes_are_no_longer_and_hold_more_samples():
    sides = []
    for shape in ((20_000,), (1500, 1500), (260, 260, 260)):
        dim = len(shape)
        # One value that is repeated takes no memory.
        signal = Signal(np.broadcast_to(np.float32(0.5), (*shape, 1)), tuple(range(dim)))
        sizes = tile_sizes(Source(signal, 1, (1e-3,) * dim, 0.1, "clamp"))
        assert len(set(sizes)) == 1
        sides.append(sizes[0])
    assert sides[0] >= sides[1] > sides[2] and sides[0] < sides[1] ** 2 < sides[2] ** 3


def test_tiles_hold_as_many_values_as_are_solved_at_once(monkeypatch):
    found = Source(noise_signal((400, 300), 3), 1, (0.02, 0.02), 0.1, "clamp")
    monkeypatch.setattr(source, "LARGEST_TILE", 400 * 300 * 3)
    assert tile_sizes(found) == [400, 300]
    monkeypatch.setattr(source, "LARGEST_TILE", 400 * 300 * 3 - 1)
    assert np.prod(tile_sizes(found)) * 3 < 400 * 300 * 3


def test_what_no_tiles_are_is_refused():
    signal = noise_signal((110, 101))
    for tile, text in ((1, "two samples or more"), ((4, 5, 6), "two samples or more"), ("a", "number of samples"),
                       (5, "larger than its training kernel of")):  # fmt: skip
        with pytest.raises(ValueError, match=text):
            nfconv.fit(signal, 0.06, tile=tile)
    with pytest.raises(ValueError, match="callable"):
        nfconv.fit(lambda points: points[:, :1], dim=2, tile=64)


def test_a_long_axis_is_too_large_for_the_dense_matrices_of_one_field():
    signal = Signal(np.broadcast_to(np.float32(0.5), (60_000, 1)), (0,))
    assert too_large(Source(signal, 1, (2e-4,), 0.1, "clamp"))
    assert not too_large(Source(signal, 1, (2e-2,), 0.1, "clamp"))
    with pytest.raises(ValueError, match="two samples or more"):
        tile_sizes(Source(signal, 1, (2e-2,), 0.1, "clamp"), 3.5)


@pytest.mark.parametrize("shape, tile, wanted", [
    ((120, 90), (60, 30), [60, 30]), ((120, 90), "0,30", [120, 30]), ((90,), (30,), [30]), ((12, 120), 40, [12, 40]),
    ((60, 48, 40), (20, 0, 10), [20, 48, 10]),
])  # fmt: skip
def test_every_axis_has_the_tile_that_was_asked_for_it(shape, tile, wanted):
    axes = (1,) if shape == (12, 120) else tuple(range(len(shape)))
    assert tile_sizes(Source(noise_signal(shape, 1, axes), 1, 4 / max(shape), 0.1, "clamp"), tile) == wanted
