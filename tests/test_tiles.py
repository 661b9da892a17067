"""Fields in tiles against exact convolutions of the whole signal: seams, borders, coarse levels, points, resuming."""

import copy
import os
import pickle
import re

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d
from tile_cases import PICTURE, rough_signal, samples, tiled

import nfconv
from files import ArchiveError
from models.exact import exact_at
from models.filtering import sparse_kernel
from models.levels import tile_file
from models.tiled import TiledField, load_tiled
from signals import Signal
from signals.exact import kernel_convolution
from signals.gaussians import gaussian_convolution
from training import source
from training.folder import lock_folder


def error(found, wanted):
    """rms difference."""
    return float(np.sqrt(np.mean((np.asarray(found, float) - np.asarray(wanted, float)) ** 2)))


@pytest.fixture(scope="module")
def picture():
    return tiled(PICTURE, 38)


def test_no_seam_shows_and_every_level_is_exact(picture):
    assert isinstance(picture, TiledField) and len(picture.levels) > 2
    tiling = picture.levels[0].tiling
    edges = [t * np.arange(1, c) for t, c in zip(tiling.tile, tiling.counts, strict=True)]
    levels = set()
    for size in (3.0, 6, 12, 24, 30):
        kernel = nfconv.minimal_kernel(1, samples(PICTURE, size), 2)
        levels.add(int(picture.level_of(torch.tensor(kernel.radius[None]))))
        off = np.abs(picture.filter(kernel) - kernel_convolution(PICTURE, kernel)).max(axis=-1)
        assert np.sqrt(np.mean(off**2)) < 6e-4
        seam = np.concatenate([off[edges[0] + side].ravel() for side in (-1, 0)] +
                              [off[:, edges[1] + side].ravel() for side in (-1, 0)])  # fmt: skip
        assert np.sqrt(np.mean(seam**2)) < 2 * np.sqrt(np.mean(off**2)) + 1e-6
    assert levels == set(range(len(picture.levels)))


def test_wide_gaussians_are_those_of_scipy(picture):
    for sigma in (4.0, 8.0):
        offsets = np.arange(-int(3 * sigma), int(3 * sigma) + 1)
        weights = np.exp(-((offsets / sigma) ** 2) / 2)
        wanted = PICTURE.values.astype(float)
        for axis in (0, 1):
            wanted = correlate1d(wanted, weights / weights.sum(), axis=axis, mode="nearest")
        kernel = nfconv.gaussian(sigma=1.0)
        found = picture.filter(kernel, scale=samples(PICTURE, sigma))
        assert error(found, wanted) < 1e-3
    assert picture.filter(nfconv.gaussian(sigma=0.1)).shape == (110, 101, 2)
    assert len(sparse_kernel(picture, nfconv.gaussian(sigma=0.1))) == 33**2
    assert len(sparse_kernel(picture, nfconv.gaussian(sigma=0.02))) == 13**2


def test_points_have_the_tile_and_the_level_that_they_need(picture):
    generator = np.random.default_rng(1)
    points = generator.uniform(-1, 1, (60, 2))
    scale = np.geomspace(1, 6, 60)
    # On a border of tiles, between two tiles, and at both ends.
    tile, steps = picture.levels[0].tiling.tile, picture.levels[0].tiling.steps
    points[:6, 0] = np.array([tile[0], tile[0] - 0.5, tile[0] - 1e-9, 0, steps[0], 2 * tile[0]]) * 2 / steps[0] - 1
    kernel = sparse_kernel(picture, nfconv.gaussian(sigma=samples(PICTURE, 1.5)[0]))
    found = picture.filter(kernel, at=points, scale=scale)
    stretch = torch.as_tensor(scale)[:, None].expand(-1, 2)
    wanted = exact_at(PICTURE, kernel, torch.as_tensor(points), stretch, "clamp")
    np.testing.assert_allclose(found, wanted, atol=2e-3)
    assert error(found, wanted) < 3e-4
    traced = torch.tensor(points, requires_grad=True)
    picture.filter(kernel, at=traced, scale=torch.tensor(scale)).sum().backward()
    step = 1e-5 * np.eye(2)[0]
    ahead, behind = (picture.filter(kernel, at=points[6:] + s * step, scale=scale[6:], precision="64") for s in (1, -1))
    slope = (ahead - behind).sum(axis=1) / 2e-5
    np.testing.assert_allclose(traced.grad[6:, 0], slope, atol=1e-3 * np.abs(slope).max())
    with pytest.raises(ValueError, match="larger --margin") as caught:
        picture.filter(kernel, at=points, scale=100 * scale)
    most = float(re.search(r"answers up to ([\d.]+)", str(caught.value))[1])
    assert picture.filter(nfconv.tent(half_size=0.999 * most), at=points).shape == (60, 2)
    with pytest.raises(ValueError, match="larger --margin"):
        picture.filter(nfconv.tent(half_size=1.001 * most), at=points)


def test_kernels_below_that_of_training_are_warned_of_and_that_one_is_not(picture):
    points = np.zeros((1, 2))
    for share, warned in ((1.0, 0), (0.999, 1), (1.001, 0)):
        notes = []
        picture.filter(nfconv.minimal_kernel(1, share * np.array(samples(PICTURE, 3)), 2), at=points,
                       notify=notes.append)  # fmt: skip
        assert len(notes) == warned and all("does not hold details that fine" in note for note in notes)


def test_points_outside_have_a_level_that_reaches_them(picture):
    kernel = sparse_kernel(picture, nfconv.gaussian(sigma=0.12))
    # The same picture with its border's samples around it, where these points are inside.
    larger = Signal(np.pad(PICTURE.values, ((40, 40), (40, 40), (0, 0)), mode="edge"), (0, 1))
    shrunk = np.array([(n - 1) / (n + 79) for n in PICTURE.shape])
    for out in (0.01, 0.05, 0.1, 0.2):
        points = np.array([[1 + out, 0.3], [-0.2, -1 - out], [1 + out, 1 + out / 2], [0.4, -0.9]])
        inside, ones = torch.as_tensor(points * shrunk), torch.ones(4, 2)
        wanted = exact_at(larger, kernel.scaled(shrunk), inside, ones, "clamp")
        np.testing.assert_allclose(exact_at(PICTURE, kernel, torch.as_tensor(points), ones, "clamp"), wanted, atol=1e-6)
        assert error(picture.filter(kernel, at=points), wanted) < 5e-4
    with pytest.raises(ValueError, match=r"up to 0.6 outside .*, and with that the kernel has radius 0.9"):
        picture.filter(kernel, at=np.array([[1.6, 0.0]]))
    with pytest.raises(ValueError, match=r"up to 0.3 outside .* no details finer than a kernel of radius .*--tile 0"):
        picture.filter(nfconv.tent(half_size=0.06), at=np.array([[1.3, 0.0]]))


def test_points_have_covariances_of_their_own(picture):
    generator = np.random.default_rng(4)
    points, spread = generator.uniform(-1, 1, (40, 2)), generator.uniform(-0.04, 0.04, (40, 2, 2))
    sigma = spread @ spread.swapaxes(1, 2) + 0.05**2 * np.eye(2)
    found = picture.filter(nfconv.gaussian(), at=points, covariance=sigma)
    assert error(found, gaussian_convolution(PICTURE, points, sigma, "clamp")) < 1e-3


def test_maps_of_sizes_and_covariances_are_what_points_are(picture):
    shape = (31, 23)
    y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    points, sizes = np.stack([y, x], -1).reshape(-1, 2), np.exp(1.2 * x * y) * 2
    kernel = nfconv.gaussian(sigma=samples(PICTURE, 2)[0])
    found = picture.filter(kernel, shape, scale=sizes)
    np.testing.assert_allclose(found.reshape(-1, 2), picture.filter(kernel, at=points, scale=sizes.ravel()), atol=1e-4)
    turn = np.stack([np.stack([1 + 0 * x, 0.6 * x], -1), np.stack([0.6 * x, 1 + x**2], -1)], -1) * 0.003
    found = picture.filter(nfconv.gaussian(), shape, covariance=turn)
    rows = np.arange(0, len(points), 37)
    wanted = gaussian_convolution(PICTURE, points[rows], turn.reshape(-1, 2, 2)[rows], "clamp")
    assert error(found.reshape(-1, 2)[rows], wanted) < 1e-3
    one = picture.filter(nfconv.gaussian(), shape, covariance=turn[3, 4])
    np.testing.assert_allclose(one[3, 4], found[3, 4], atol=2e-4)


@pytest.mark.parametrize("boundary", ["reflect", "periodic", "clamp,periodic"])
def test_the_boundary_rule_is_that_of_the_whole_signal(boundary):
    field = tiled(PICTURE, 56, boundary=boundary)
    for size in (6, 18, 30):
        kernel = nfconv.minimal_kernel(1, samples(PICTURE, size), 2)
        off = np.abs(field.filter(kernel) - kernel_convolution(PICTURE, kernel, boundary))
        assert max(off[:2].max(), off[-2:].max(), off[:, :2].max(), off[:, -2:].max()) < 3e-3


@pytest.mark.parametrize("shape, axes, order, tile, sizes", [
    ((900,), (0,), 1, 200, (6, 50)), ((700,), (0,), 0, 150, (6, 24)), ((32, 37, 34), (0, 1, 2), 1, 20, (4, 8)),
    ((12, 14, 130), (2,), 1, (8, 0, 50), (6, 13)), ((6, 60, 64), (1, 2), 1, (0, 32, 32), (6, 13)),
])  # fmt: skip
def test_any_axes_of_any_signal(shape, axes, order, tile, sizes):
    signal = rough_signal(shape, 1, axes)
    field = tiled(signal, tile, 3 if len(axes) < 3 else 2, order=order)
    for size in sizes:
        kernel = nfconv.minimal_kernel(order, samples(signal, size), len(shape), axes)
        assert error(field.filter(kernel), kernel_convolution(signal, kernel)) < 2e-3


def test_saved_and_loaded_it_is_the_same(picture, tmp_path):
    path = picture.save(tmp_path / "mine")
    loaded = nfconv.load(path)
    kernel = nfconv.gaussian(sigma=0.06)
    np.testing.assert_array_equal(loaded.filter(kernel), picture.filter(kernel))
    assert loaded.origin == load_tiled(path / "tiles.json").origin == picture.origin
    with pytest.raises(ValueError, match="never overwritten"):
        picture.save(path)
    out = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", np.float32, (110, 101, 2))
    assert picture.filter(kernel, out=out) is out
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), picture.filter(kernel))
    text = (path / "tiles.json").read_text()
    for broken in (text[:-20], "[]", text.replace('"pads"', '"pad"'), text.replace('"tile": [', '"tile": [1.5,')):
        (path / "tiles.json").write_text(broken)
        with pytest.raises(ArchiveError):
            nfconv.load(path)


def test_a_tile_in_the_place_of_another_is_refused(picture, tmp_path):
    loaded = nfconv.load(picture.save(tmp_path / "mine"))
    tile_file(loaded.folder, 0, (1, 1)).write_bytes(tile_file(loaded.folder, 0, (0, 1)).read_bytes())
    with pytest.raises(ArchiveError, match="is another tile"):
        loaded.filter(nfconv.tent(half_size=0.08))


def test_a_field_finds_its_tiles_from_anywhere_and_a_copy_as_long_as_it_lives(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    field = tiled(rough_signal((50, 40)), 25, folder="mine")
    monkeypatch.chdir("/")
    assert field.filter(field.kernel).shape == (50, 40, 2)
    temporary = tiled(rough_signal((50, 40)), 25)
    again = copy.deepcopy(temporary)
    del temporary
    np.testing.assert_array_equal(again.filter(again.kernel), field.filter(field.kernel))
    with pytest.raises(ValueError, match="is not pickled: give fit a folder"):
        pickle.dumps(again)


def test_a_copy_that_ends_early_leaves_nothing(picture, tmp_path, monkeypatch):
    monkeypatch.setattr("models.tiled.shutil.copyfileobj", lambda *_: os.truncate("/dev/full/none", 0))
    with pytest.raises(OSError):
        picture.save(tmp_path / "mine")
    assert not list(tmp_path.iterdir())


def test_one_fit_at_a_time_writes_a_folder(tmp_path):
    with lock_folder(tmp_path / "mine"), pytest.raises(ValueError, match="another run is writing"):
        tiled(rough_signal((50, 40)), 25, folder=tmp_path / "mine")


def test_missing_samples_are_missing_in_all_tiles():
    values = PICTURE.values.copy()
    hole = np.zeros(values.shape[:2], bool)
    hole[30:50, 20:60] = True
    field = nfconv.fit(Signal(values, (0, 1)), samples(PICTURE, 3), margin=0.3, tile=48, mask=~hole, core_size=100_000,
                       accuracy=0)  # fmt: skip
    kernel = nfconv.minimal_kernel(1, samples(PICTURE, 9), 2)
    known = Signal((~hole)[..., None].astype(float), (0, 1))
    weight = kernel_convolution(known, kernel)
    wanted = kernel_convolution(Signal(values * ~hole[..., None], (0, 1)), kernel) / np.maximum(weight, 1e-3)
    found = field.filter(kernel, share=True)
    sure = weight[..., 0] > 0.2
    assert error(found[sure][:, :2], wanted[sure]) < 3e-3
    assert error(found[..., 2:], weight) < 1e-3


def test_a_signal_that_one_field_does_not_hold_is_cut_by_itself(monkeypatch, capsys):
    monkeypatch.setitem(source.TILE, 2, 64)
    monkeypatch.setattr(source, "SHARED", {"factor", "core_size"})
    signal = rough_signal((140, 130), 1)
    small, large = (
        nfconv.fit(signal, samples(signal, 4), margin=0.2, factor="spline", core_size=size) for size in (2000, 60_000)
    )
    assert isinstance(small, TiledField) and not isinstance(large, TiledField)
    assert capsys.readouterr().err.count("signal is fitted in tiles: ") == 1
