"""Tiles of a signal: which samples they have, their coordinates, and stretches of a signal beyond its ends."""

import numpy as np
import pytest
from builders import noise_signal

from signals.tiling import Tiling, balanced, stretch_of


def test_tiles_cover_a_signal_once_and_have_coordinates_of_their_own():
    tiling = Tiling((149.0, 130.0), (38, 44))
    assert tiling.shape == (150, 131) and tiling.counts == (4, 3)
    assert sum(np.prod(tiling.valid(index)) for index in tiling.indices) == 150 * 131
    x = np.linspace(-1, 1, 150)
    tiles = tiling.tile_of(0, x)
    np.testing.assert_array_equal(tiles, np.arange(150) // 38)
    place = (tiling.local(0, x, tiles) + 1) / 2 * 37 + 38 * tiles
    np.testing.assert_allclose(place, np.arange(150), atol=1e-9)
    np.testing.assert_allclose(tiling.stretch, [149 / 37, 130 / 43])
    assert [balanced(n, 100) for n in (100, 101, 250)] == [100, 51, 84]


@pytest.mark.parametrize("boundary", ["clamp", "reflect", "periodic"])
def test_stretches_of_a_signal_are_those_of_the_padded_signal(boundary):
    signal = noise_signal((7, 9), 2)
    whole = signal.padded((20, 20), boundary)
    for start, stop in (((-3, 2), (12, 9)), ((-20, -20), (27, 29)), ((8, 5), (20, 29))):
        rows = tuple(slice(20 + a, 20 + b) for a, b in zip(start, stop, strict=True))
        np.testing.assert_array_equal(stretch_of(signal, start, stop, boundary), whole[rows].astype(np.float32))


@pytest.mark.parametrize("steps, tile", [((0.0, 30.0), (1, 8)), ((12.5, 0.0), (5, 1)), ((40.0, 20.0), (9, 21))])
def test_lengths_in_a_tile_are_those_between_its_positions(steps, tile):
    tiling, x = Tiling(steps, tile), np.array([-0.5, 0.5])
    slopes = [float(np.diff(tiling.local(axis, x, 0))[0]) for axis in range(2)]
    np.testing.assert_allclose(tiling.stretch, slopes)
