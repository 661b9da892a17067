"""Maps of a kernel's size and angle for a picture."""

import numpy as np
import pytest
from programs import call, refused

import make_map
from make_map import depth, flow, fovea


def test_the_fovea_and_the_focus_are_sharp():
    assert fovea((21, 31), 0.0, 0.0)[10, 15] == pytest.approx(0.0, abs=1e-12)
    assert depth((21, 31), 0.4)[14].max() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("degrees", [0.0, 30.0, 90.0, 135.0])
def test_flow_follows_stripes(degrees):
    y, x = np.mgrid[0:64, 0:64]
    angle = np.radians(degrees)
    # Rows count downwards: along (cos, -sin) in (columns, rows) the stripes do not change.
    stripes = np.sin(0.5 * (np.sin(angle) * x + np.cos(angle) * y))
    found = flow(stripes[..., None])[20:44, 20:44] * 180
    difference = (found - degrees + 90) % 180 - 90
    assert np.abs(difference).max() < 3


def test_the_largest_size_is_one_and_grows_as_distance_and_blur_do():
    found = fovea((21, 31), 1.0, 1.0)
    assert found[0, 0] == 1.0 and found[20, 30] == 0.0
    # 1 and 2 of sqrt(8) domain units.
    assert found[10, 30] == pytest.approx(8**-0.5) and found[20, 0] == pytest.approx(2 * 8**-0.5)
    found = depth((21, 31), 0.5)
    assert found.shape == (21, 31) and found.max() == 1.0
    # |inverse depth - that in focus| is a multiple of |y - 0.5|.
    np.testing.assert_allclose(found[:, 3], np.abs(np.linspace(-1, 1, 21) - 0.5) / 1.5, atol=1e-12)


@pytest.mark.parametrize("kind", ["fovea", "depth", "flow"])
def test_maps_are_written_for_a_picture(tmp_path, picture, kind):
    result = call(make_map, kind=kind, path=picture, save_path=tmp_path / "map.npy", row=0.5)
    assert result.exit_code == 0, result.output
    values = np.load(tmp_path / "map.npy")
    assert values.dtype == np.float32 and values.shape == (10, 14)
    assert values.min() >= 0 and values.max() <= 1


@pytest.mark.parametrize("name, words", [("map.png", "must name an .npy file"), ("old.npy", "exists")])
def test_maps_are_not_written_elsewhere(tmp_path, picture, name, words):
    (tmp_path / "old.npy").write_bytes(b"precious")
    refused(make_map, tmp_path, words, kind="flow", path=picture, save_path=tmp_path / name)
