"""What the library is asked for: requests it refuses, options of a command line, and its own table."""

import math

import numpy as np
import pytest

from kernels import minimal_kernel
from kernels.library import build, from_options, is_signed
from kernels.recipes import PARAMETERS, RECIPES


@pytest.mark.parametrize(
    ("name", "dim", "values", "message"),
    [
        ("gausian", 1, {"sigma": 0.1}, "no kernel called 'gausian'.*gaussian"),
        ("gaussian", 1, {}, "gaussian needs sigma"),
        ("gaussian", 1, {"sigma": 0.1, "radius": 0.2}, "no parameter 'radius'; it takes sigma"),
        ("gaussian", 1, {"sigma": 0.0}, "sigma must be positive"),
        ("gaussian", 1, {"sigma": math.nan}, "sigma must be positive"),
        ("gaussian", 1, {"sigma": "wide"}, "sigma must be a length"),
        ("dog", 1, {"sigma": 0.1, "ratio": 0.5}, "ratio above 1"),
        ("ring", 2, {"radius": 0.1, "thickness": 0.2}, "thickness between"),
        ("disk", 1, {"radius": 0.1}, "disk needs 2 filtered axes"),
        ("disk", 3, {"radius": 0.1}, "disk needs 2 filtered axes"),
        ("gabor", 2, {"sigma": 0.1, "frequency": 0.1}, "frequency of at least"),
        ("gabor", 1, {"sigma": 0.1, "frequency": 9.0, "angle": 20.0}, "no angle"),
        ("lanczos", 1, {"radius": 0.1, "lobes": 2.5}, "whole lobes"),
        ("bspline", 1, {"half_size": 0.1, "degree": 9}, "degree"),
        ("image", 2, {"radius": 0.1, "kernel_image": __file__}, "cannot be read as a picture"),
    ],
)
def test_wrong_requests_are_one_clear_sentence(name, dim, values, message):
    with pytest.raises(ValueError, match=message) as caught:
        build(name, 1, dim, **values)
    assert "\n" not in str(caught.value)


def test_options_of_a_command_line_become_a_kernel():
    options = dict.fromkeys(["kernel", *PARAMETERS])
    assert from_options(options, 1, 2) is None
    kernel = from_options({**options, "kernel": "tent", "half_size": 0.1}, 1, 3, (0, 1))
    np.testing.assert_array_equal(kernel.positions, minimal_kernel(1, 0.1, 3, (0, 1)).positions)
    with pytest.raises(ValueError, match="--sigma describes a kernel: name one with --kernel"):
        from_options({**options, "sigma": 0.1}, 1, 2)
    with pytest.raises(ValueError, match="no parameter 'sigma'"):
        from_options({**options, "kernel": "tent", "half_size": 0.1, "sigma": 0.1}, 1, 2)


def test_every_parameter_is_some_kernels_and_every_kernel_has_a_size():
    used = {name for recipe in RECIPES.values() for name in recipe.parameters}
    assert used == set(PARAMETERS)
    for recipe in RECIPES.values():
        assert any(PARAMETERS[name].kind == "length" for name in recipe.parameters)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [("gaussian", {"sigma": 0.1}, False), ("lanczos", {"radius": 0.1}, False), ("log", {"sigma": 0.1}, True),
     ("derivative", {"sigma": 0.1}, True), ("dog", {"sigma": 0.1}, True)],
)  # fmt: skip
def test_kernels_to_be_shown_around_grey_are_known_from_their_diracs(name, values, expected):
    assert is_signed(build(name, 1, 1, **values)) is expected
