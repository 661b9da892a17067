"""Samples of coarse levels, as the tiles of the level before leave them."""

import numpy as np
import pytest
from builders import noise_signal

from training.coarse import averaged, reach_of_block
from training.options import resolve
from training.plan import plan_tiles
from training.source import Source


@pytest.mark.parametrize("half", [3, 3.5])
@pytest.mark.parametrize("order", [0, 1])
def test_every_tile_leaves_the_averages_of_as_many_samples_beyond_its_own(tmp_path, order, half):
    """Averages keep linear functions; what a tile reads reaches as far beyond its block as that of any other."""
    signal = noise_signal((150, 40))
    source = Source(signal, order, (half * 2 / 149, half * 2 / 39), 0.5, "clamp")
    plan = plan_tiles(source, 38, resolve({"factor": "spline"}).to_dict(), tmp_path)
    tiling, reaches = plan.levels[0].tiling, set()
    assert tiling.counts[0] > 2 and plan.factor(0) == 2
    for index in tiling.indices:
        (first, last), (begin, end) = reach_of_block(plan, 0, index), plan.block(0, index)
        rows, columns = (np.arange(a, b) for a, b in zip(first, last, strict=True))
        values = (3 + 0.5 * rows[:, None] - 0.25 * columns)[..., None]
        rows, columns = (plan.factor(axis) * np.arange(begin[axis], end[axis]) for axis in (0, 1))
        found = averaged(values, first, plan, 0, index)
        np.testing.assert_allclose(found[..., 0], 3 + 0.5 * rows[:, None] - 0.25 * columns, atol=1e-4)
        reaches.add((first[0] - 2 * begin[0], last[0] - 2 * end[0]))
    assert len(reaches) == 1
