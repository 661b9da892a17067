"""Requests to fields in tiles, and to one of their tiles, that have no answer."""

import numpy as np
import pytest
from tile_cases import PICTURE, tiled

import nfconv


@pytest.fixture(scope="module")
def picture():
    return tiled(PICTURE, 38)


WRONG = {
    "too small": ({"out": np.zeros((50, 40, 2), np.float32)}, "out must be an array of floats"),
    "too large": ({"out": np.zeros((120, 101, 2), np.float32)}, "out must be an array of floats"),
    "one channel": ({"out": np.zeros((110, 101, 1), np.float32)}, "out must be an array of floats"),
    "whole numbers": ({"out": np.zeros((110, 101, 2), np.uint8)}, "out must be an array of floats .*, not uint8"),
    "a list": ({"out": []}, "not a list"),
    "out at points": ({"out": np.zeros((3, 2)), "at": np.zeros((3, 2))}, "shape and out are for grids"),
    "a shape of floats": ({"shape": (2.5, 3)}, "must have 2 positive numbers"),
    "one number": ({"shape": 300}, "must have 2 positive numbers"),
    "negative": ({"shape": (-3, 5)}, "must have 2 positive numbers"),
    "another number of scales": ({"at": np.zeros((3, 2)), "scale": np.ones(4)}, r"scale must be .* not \[4\]"),
    "a map of another shape": ({"scale": np.ones(60)}, "must be a map of the output's shape"),
    "no scale": ({"at": np.zeros((3, 2)), "scale": np.full(3, np.nan)}, "scale must be positive and finite"),
    "a negative scale": ({"scale": -1.0}, "scale must be positive and finite"),
}


@pytest.mark.parametrize("name", WRONG)
def test_requests_that_fit_no_result_are_refused_before_anything_is_written(picture, name):
    request, words = WRONG[name]
    out = request.get("out")
    before = None if out is None else np.array(out)
    for field in (picture, picture.tile(0, (0, 0))):
        if field is picture or "scale" not in request:
            with pytest.raises(ValueError, match=words):
                field.filter(nfconv.tent(half_size=0.15), **request)
    assert out is None or np.array_equal(before, out)


def test_lists_are_answered_as_arrays_are(picture):
    points, sizes = np.array([[-0.9, 0.1], [0.2, 0.3], [0.8, -0.7]]), [1.0, 1.5, 2.0]
    kernel, sigma = nfconv.tent(half_size=0.15), np.stack([size * 0.01 * np.eye(2) for size in sizes])
    wanted = picture.filter(kernel, at=points, scale=np.array(sizes))
    np.testing.assert_array_equal(picture.filter(kernel, at=points, scale=sizes), wanted)
    wanted = picture.filter(nfconv.gaussian(), at=points, covariance=sigma)
    np.testing.assert_array_equal(picture.filter(nfconv.gaussian(), at=points, covariance=sigma.tolist()), wanted)
    wanted = picture.filter(kernel, (3, 1), scale=np.array(sizes)[:, None])
    np.testing.assert_array_equal(picture.filter(kernel, (3, 1), scale=[[size] for size in sizes]), wanted)


def test_covariances_of_no_gaussian_are_refused(picture):
    for covariance in (np.eye(3), np.full((2, 2), np.nan), -np.eye(2), np.zeros((4, 2, 2))):
        with pytest.raises(ValueError, match="the covariance must be"):
            picture.filter(nfconv.gaussian(), at=np.zeros((3, 2)), covariance=covariance)


def test_a_large_kernel_inside_and_a_small_one_outside_do_not_add_up(picture):
    level = picture.levels[0]
    least, most = float((np.array(level.half) * level.unit).max()), float(level.reach.min())
    points = np.array([[-0.97, -0.97], [-1 - 0.9 * (most - least), -0.97]])
    sizes = np.array([0.98 * most, 1.02 * least])
    kernel = nfconv.tent(half_size=1.0)
    alone = [picture.filter(kernel, at=points[[k]], scale=sizes[[k]]) for k in (0, 1)]
    np.testing.assert_allclose(picture.filter(kernel, at=points, scale=sizes), np.concatenate(alone), atol=1e-6)
