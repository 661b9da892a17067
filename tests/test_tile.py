"""Tasks of a field in tiles: what is there already, and several tiles at once, as a GPU solves them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tile_cases import PICTURE, samples, tiled

import nfconv
from files import ArchiveError
from models.levels import tile_file
from signals import Signal
from training import Source, plan, resolve, tile
from training.plan import plan_tiles
from training.tile import solve_tiles


def test_a_run_that_was_cut_goes_on_with_the_tiles_that_are_there(tmp_path, monkeypatch):
    solved, whole, most = [], tile.save_tile, 3

    def counting(plan, trainer, truth, level, index, digest):
        if len(solved) == most:
            raise KeyboardInterrupt
        solved.append((level, index))
        return whole(plan, trainer, truth, level, index, digest)

    monkeypatch.setattr(tile, "save_tile", counting)
    with pytest.raises(KeyboardInterrupt):
        tiled(PICTURE, 56, folder=tmp_path)
    with pytest.raises(ArchiveError, match="not all tiles are trained"):
        nfconv.load(tmp_path)
    # A torn file is no tile.
    file = sorted(tmp_path.glob("level_0/*.pth"))[1]
    file.write_bytes(file.read_bytes()[:-100])
    most = 1000
    field = tiled(PICTURE, 56, folder=tmp_path)
    assert len(solved) == len(set(solved)) + 1
    assert not list(tmp_path.glob("**/*.npy"))
    monkeypatch.setattr(tile, "save_tile", whole)
    again = tiled(PICTURE, 56)
    for number, level in enumerate(field.levels):
        for index in level.tiling.indices:
            files = [tile_file(found.folder, number, index) for found in (field, again)]
            assert files[0].stat().st_size == files[1].stat().st_size
    np.testing.assert_array_equal(field.filter(nfconv.tent(half_size=0.1)), again.filter(nfconv.tent(half_size=0.1)))
    with pytest.raises(ValueError, match="another signal or with other options"):
        tiled(PICTURE, 56, half=4, folder=tmp_path)
    # Samples that have changed are seen in the tiles that they are in.
    values = PICTURE.values.copy()
    values[:10, :10] += 0.5
    solved.clear()
    most = 1
    monkeypatch.setattr(tile, "save_tile", counting)
    with pytest.raises(KeyboardInterrupt):
        tiled(Signal(values, (0, 1)), 56, folder=tmp_path)
    # Tiles of both signals are no field.
    with pytest.raises(ArchiveError, match="not all tiles are trained"):
        nfconv.load(tmp_path)
    most = 1000
    tiled(Signal(values, (0, 1)), 56, folder=tmp_path)
    assert [index for level, index in solved if not level] == [(0, 0)]


def planned(folder):
    """A picture's tiles, whose core is as small as it gets."""
    picture = Source(PICTURE, 1, samples(PICTURE, 3), 0.5, "clamp")
    return picture, plan_tiles(picture, 38, resolve({"factor": "spline", "core_size": 800}).to_dict(), folder)


def test_tiles_that_are_solved_together_are_those_that_are_solved_alone(tmp_path):
    picture, alone = planned(tmp_path / "alone")
    _, together = planned(tmp_path / "together")
    indices = list(alone.levels[0].tiling.indices)
    wanted = [solve_tiles(alone, picture, 0, [index])[0] for index in indices]
    # One is there already, and its file is not made again.
    solve_tiles(together, picture, 0, indices[2:3])
    time = tile_file(together.folder, 0, indices[2]).stat().st_mtime_ns
    for numbers, like in zip(solve_tiles(together, picture, 0, indices), wanted, strict=True):
        assert numbers.keys() == like.keys()
        assert all(numbers[name] == pytest.approx(like[name]) for name in numbers)
    assert tile_file(together.folder, 0, indices[2]).stat().st_mtime_ns == time
    for index in indices:
        found, like = (nfconv.load(tile_file(run.folder, 0, index)) for run in (together, alone))
        for name, value in found.state_dict().items():
            np.testing.assert_allclose(value, like.state_dict()[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_gpu_has_as_many_tiles_in_a_task_as_its_memory_holds(tmp_path, monkeypatch):
    _, found = planned(tmp_path)
    every = [list(level.tiling.indices) for level in found.levels]
    assert found.tasks == [[(number, (index,)) for index in level] for number, level in enumerate(every)]
    monkeypatch.setattr(plan, "pick_device", lambda name: torch.device("cuda", 0))
    for most in (1, 2 * 10**4, 10**9):
        monkeypatch.setattr(plan, "LARGEST_TOGETHER", most)
        for (number, level), tasks in zip(enumerate(every), found.tasks, strict=True):
            assert [index for _, indices in tasks for index in indices] == level
            shape = np.array(found.levels[number].tiling.tile) + 2 * np.array(found.levels[number].pads)
            values = 2 * int(np.prod(shape))
            assert all(len(indices) == 1 or len(indices) * values <= most for _, indices in tasks)
            assert most < 10**9 or len(tasks) == 1


def test_coarse_levels_of_separable_fields_are_few_and_better(tmp_path):
    _, found = planned(tmp_path)
    own, coarse = (tile.options_of(found, level) for level in (0, 1))
    factor = np.prod([found.factor(axis) for axis in found.config.axes])
    assert (own.accuracy, coarse.accuracy) == (-1.0, tile.COARSE_ACCURACY)
    assert factor > 1 and coarse.core_size == own.core_size // factor
    for asked in ({"accuracy": 60.0}, resolve({"field": "siren"}).to_dict()):
        same = replace(found, options={**found.options, **asked})
        assert tile.options_of(same, 1) == tile.options_of(same, 0)
