"""The library of kernels: laws at random parameters, sizes, and how accurate the usual numbers of Diracs are."""

import math
from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import library
from kernels.fit import fit_errors
from kernels.library import build, target
from kernels.recipes import PARAMETERS, RECIPES
from kernels.sparse import SparseKernel

LENGTHS = st.floats(0.01, 0.5)
VALUES = {
    **{name: LENGTHS for name, parameter in PARAMETERS.items() if parameter.kind == "length"},
    "ratio": st.floats(1.2, 4.0),
    "angle": st.floats(-180.0, 180.0),
    "lobes": st.integers(2, 4),
    "degree": st.integers(0, 4),
}
MASSLESS = ("dog", "derivative", "second_derivative", "log", "gabor")
MASSES = {name: 0.0 if name in MASSLESS else 1.0 for name in RECIPES}
# The laws do not depend on the number of Diracs, and so many are placed without iterating.
MANY, QUICK = 16, 33


@st.composite
def requests(draw, name: str) -> tuple[int, dict]:
    """Filtered axes and parameters that make sense for a kernel; lengths that go together stay together."""
    recipe = RECIPES[name]
    axes = draw(st.integers(recipe.axes[0], min(recipe.axes[1], 2)))
    names = [n for n in recipe.parameters if n in VALUES and not (n == "angle" and axes == 1)]
    values = {n: draw(VALUES[n]) for n in names}
    if name == "ring":
        values["thickness"] = values["radius"] * draw(st.floats(0.2, 0.8))
    if name == "motion":
        values["thickness"] = values["length"] * draw(st.floats(0.1, 1.0))
    if name == "anisotropic":
        values["sigma_across"] = values["sigma"] * draw(st.floats(0.2, 5.0))
    if name == "gabor":
        values["frequency"] = draw(st.floats(0.15, 1.0)) / values["sigma"]
    if "axis" in recipe.parameters:
        values["axis"] = draw(st.integers(0, axes - 1))
    return axes, values


def lines_obey(kernel: SparseKernel) -> float:
    """The largest moment below n of any line of Diracs along any axis, relative to sum |w| r^k, one line at a time."""
    worst, total = 0.0, np.abs(kernel.weights).sum()
    for axis in kernel.axes:
        lines: dict[tuple, list[int]] = {}
        for i, position in enumerate(np.delete(kernel.positions, axis, axis=1).round(12)):
            lines.setdefault(tuple(position), []).append(i)
        r = np.abs(kernel.positions[:, axis]).max()
        for members in lines.values():
            t, w = kernel.positions[members, axis] / r, kernel.weights[members]
            worst = max(worst, *(abs(w @ t**k) / total for k in range(kernel.order + 1)))
    return worst


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "image"])
@settings(max_examples=3, deadline=None)
@given(data=st.data(), order=st.integers(0, 2))
def test_laws_hold_for_everything_at_random_parameters(name, data, order):
    axes, values = data.draw(requests(name))
    recipe = RECIPES[name]
    usual = recipe.count(order, values)
    kernel = build(name, order, axes, count=usual if usual <= MANY else QUICK, **values)
    assert lines_obey(kernel) <= 1e-12
    powers = np.abs(kernel.positions).prod(axis=1) ** (order + 1) / math.factorial(order + 1) ** axes
    assert abs(kernel.mass - MASSES[name]) <= 1e-9 + 1e-13 * np.abs(kernel.weights) @ powers
    exact = target(name, axes, **values)
    assert exact.mass == MASSES[name]
    assert (kernel.radius <= np.array(exact.radius) * (1 + 1e-9)).all()
    outside = np.array([exact.radius]) * (1.01 + np.random.default_rng(0).random((50, 1)))
    peak = np.abs(exact.on_grid([np.linspace(-r, r, 32) for r in exact.radius])).max()
    rounding = 1e-15 * np.abs(kernel.weights).sum() * np.prod((3 * kernel.radius) ** order)
    assert np.abs(kernel.density(outside)).max() <= 1e-9 * peak + rounding


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "image"])
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_exact_kernels_have_their_mass_and_support(name, data):
    axes, values = data.draw(requests(name))
    exact = target(name, axes, **values)
    edges = [r * np.linspace(-1, 1, 401) for r in exact.radius]
    means = exact.cell_means(edges, 2)
    cell = np.prod([e[1] - e[0] for e in edges])
    absolute = np.abs(means).sum() * cell
    assert abs(means.sum() * cell - MASSES[name]) <= 5e-3 * absolute
    assert (means.min() < -1e-3 * means.max()) == (MASSES[name] == 0 or name == "lanczos")
    beyond = [1.5 * r * np.array([-1.0, -0.7, 0.7, 1.0]) for r in exact.radius]
    assert not exact.on_grid(beyond)[(0, -1), ...].any()


@pytest.mark.parametrize(
    ("name", "values", "axes", "allowed"),
    [
        ("gaussian", {"sigma": 0.05}, 2, 0.02),
        ("dog", {"sigma": 0.03, "ratio": 1.6}, 2, 0.03),
        ("derivative", {"sigma": 0.04, "axis": 1}, 2, 0.03),
        ("second_derivative", {"sigma": 0.04}, 2, 0.03),
        ("log", {"sigma": 0.04}, 2, 0.03),
        ("disk", {"radius": 0.1}, 2, 0.05),
        ("gabor", {"sigma": 0.1, "frequency": 5.0, "angle": 30.0}, 2, 0.05),
        ("anisotropic", {"sigma": 0.1, "sigma_across": 0.025, "angle": 30.0}, 2, 0.05),
        ("motion", {"length": 0.2, "thickness": 0.03, "angle": 60.0}, 2, 0.05),
        ("lanczos", {"radius": 0.1}, 2, 0.03),
        ("quadratic", {"half_size": 0.1}, 1, 0.03),
    ],
)
def test_usual_numbers_of_diracs_are_accurate(name, values, axes, allowed):
    assert fit_errors(build(name, 1, axes, **values), target(name, axes, **values)).relative_l2 <= allowed


def test_size_is_free_and_fitted_once():
    for name, values, lengths in (
        ("gaussian", {"sigma": 0.05}, ("sigma",)),
        ("ring", {"radius": 0.1, "thickness": 0.03}, ("radius", "thickness")),
        ("motion", {"length": 0.3, "thickness": 0.1, "angle": 0.0}, ("length", "thickness")),
    ):
        small = build(name, 1, 2, count=9, **values)
        fits = library._unit_kernel.cache_info().misses
        large = build(name, 1, 2, count=9, **{k: v * 3 if k in lengths else v for k, v in values.items()})
        assert library._unit_kernel.cache_info().misses == fits
        np.testing.assert_allclose(large.positions, 3 * small.positions, rtol=1e-9)
        np.testing.assert_allclose(large.weights, small.weights / 3**4, rtol=1e-9)


def test_gaussian_in_any_number_of_axes_is_the_product():
    x = np.linspace(-0.14, 0.14, 9)
    single = build("gaussian", 1, 1, sigma=0.05).density(x[:, None])
    for dim in (2, 3):
        product = build("gaussian", 1, dim, sigma=0.05).density_grid([x] * dim)
        np.testing.assert_allclose(
            product, reduce(np.multiply.outer, [single] * dim), rtol=1e-5, atol=1e-6 * product.max()
        )
