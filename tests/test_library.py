"""The library of kernels against closed forms, and the moment conditions at random parameters and sizes."""

import inspect
import math
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from kernels import library, minimal_kernel
from kernels.fit import fit_errors
from kernels.library import KERNELS, Kernel, parameters
from kernels.separate import grid_density, is_signed
from kernels.sparse import SparseKernel

LENGTHS = st.floats(0.01, 0.5)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    **{name: LENGTHS for name, (parameter, _) in parameters().items() if parameter.kind == "length"},
    "ratio": st.floats(1.2, 4.0),
    "angle": st.floats(-180.0, 180.0),
    "lobes": st.integers(2, 4),
    "degree": st.integers(0, 4),
}
MASSLESS = ("dog", "derivative", "second_derivative", "log", "gabor")
DRAWN = [name for name in KERNELS if name != "image"]
# The conditions do not depend on the number of Diracs, and so many are placed without iterating.
MANY, QUICK = 16, 33


@st.composite
def requests(draw, name: str) -> tuple[int, dict]:
    """Filtered axes and parameters that make sense for a kernel; lengths that go together stay together."""
    entry = KERNELS[name]
    axes = draw(st.integers(entry.axes[0], min(entry.axes[1], 2)))
    names = [n for n in entry.parameters if n in VALUES and not (n == "angle" and axes == 1)]
    values = {n: draw(VALUES[n]) for n in names}
    if name == "ring":
        values["thickness"] = values["radius"] * draw(st.floats(0.2, 0.8))
    if name == "motion":
        values["thickness"] = values["length"] * draw(st.floats(0.1, 1.0))
    if name == "anisotropic":
        values["sigma_across"] = values["sigma"] * draw(st.floats(0.2, 5.0))
    if name == "gabor":
        values["frequency"] = draw(st.floats(0.15, 1.0)) / values["sigma"]
    if "axis" in entry.parameters:
        values["axis"] = draw(st.integers(0, axes - 1))
    return axes, values


def worst_moment(kernel: SparseKernel) -> float:
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


@pytest.mark.parametrize("name", DRAWN)
@settings(max_examples=2, deadline=None)
@given(data=st.data(), order=st.integers(0, 2))
def test_moment_conditions_hold_at_random_parameters(name, data, order):
    axes, values = data.draw(requests(name))
    usual = KERNELS[name].count(order, values)
    request = Kernel(name, values, usual if usual <= MANY else QUICK)
    kernel, exact = request.sparse(order, axes), request.target(axes)
    assert worst_moment(kernel) <= 1e-12
    powers = np.abs(kernel.positions).prod(axis=1) ** (order + 1) / math.factorial(order + 1) ** axes
    assert exact.mass == (0.0 if name in MASSLESS else 1.0)
    assert abs(kernel.mass - exact.mass) <= 1e-9 + 1e-13 * np.abs(kernel.weights) @ powers
    assert (kernel.radius <= np.array(exact.radius) * (1 + 1e-9)).all()
    outside = np.array([exact.radius]) * (1.01 + np.random.default_rng(0).random((50, 1)))
    peak = np.abs(exact.on_grid([np.linspace(-r, r, 32) for r in exact.radius])).max()
    rounding = 1e-15 * np.abs(kernel.weights).sum() * np.prod((3 * kernel.radius) ** order)
    assert np.abs(kernel.density(outside)).max() <= 1e-9 * peak + rounding


@pytest.mark.parametrize("name", DRAWN)
@settings(max_examples=2, deadline=None)
@given(data=st.data())
def test_exact_kernels_have_their_mass_and_support(name, data):
    axes, values = data.draw(requests(name))
    exact = Kernel(name, values).target(axes)
    edges = [r * np.linspace(-1, 1, 401) for r in exact.radius]
    means = exact.cell_means(edges, 2)
    cell = np.prod([e[1] - e[0] for e in edges])
    absolute = np.abs(means).sum() * cell
    assert abs(means.sum() * cell - exact.mass) <= 5e-3 * absolute
    assert (means.min() < -1e-3 * means.max()) == (name in MASSLESS or name == "lanczos")
    # Something is left at the border of the box, and nothing beyond it.
    for axis in range(axes):
        assert np.abs(np.moveaxis(means, axis, 0)[[0, 1, -2, -1]]).max() > 0
    beyond = [r * np.array([-1.001, -0.7, 0.7, 1.001]) for r in exact.radius]
    assert not exact.on_grid(beyond)[(0, -1), ...].any()


@pytest.mark.parametrize(
    ("kernel", "axes", "allowed"),
    [
        (library.gaussian(sigma=0.05), 2, 0.02),
        (library.dog(sigma=0.03), 2, 0.03),
        (library.derivative(sigma=0.04, axis=1), 2, 0.03),
        (library.second_derivative(sigma=0.04), 2, 0.03),
        (library.log(sigma=0.04), 2, 0.03),
        (library.disk(radius=0.1), 2, 0.05),
        (library.hexagon(radius=0.1), 2, 0.06),
        (library.gabor(sigma=0.1, frequency=5.0, angle=30.0), 2, 0.05),
        (library.anisotropic(sigma=0.1, sigma_across=0.025, angle=30.0), 2, 0.05),
        (library.motion(length=0.2, thickness=0.03, angle=60.0), 2, 0.05),
        (library.lanczos(radius=0.1), 2, 0.03),
        (library.quadratic(half_size=0.1), 1, 0.03),
        (library.box(half_size=0.1), 1, 0.06),
    ],
)
def test_usual_numbers_of_diracs_are_accurate(kernel, axes, allowed):
    assert fit_errors(kernel.sparse(1, axes), kernel.target(axes)).relative_l2 <= allowed


def test_gaussian_is_that_of_scipy_and_a_product_in_any_number_of_axes():
    x = np.linspace(-0.14, 0.14, 9)
    single = library.gaussian(sigma=0.05).sparse(1).density(x[:, None])
    for dim in (1, 2, 3):
        sparse = library.gaussian(sigma=0.05).sparse(1, dim)
        product = reduce(np.multiply.outer, [single] * dim)
        np.testing.assert_allclose(grid_density(sparse, [x] * dim), product, rtol=1e-5, atol=1e-6 * product.max())
        points = np.random.default_rng(0).uniform(-0.14, 0.14, (20, dim))
        inside = math.erf(3 / math.sqrt(2)) ** dim
        exact = multivariate_normal(np.zeros(dim), 0.05**2 * np.eye(dim)).pdf(points) / inside
        np.testing.assert_allclose(library.gaussian(sigma=0.05).target(dim).density(points), exact, rtol=1e-12)
        wide = multivariate_normal(np.zeros(dim), 0.1**2 * np.eye(dim)).pdf(points) / inside
        found = library.dog(sigma=0.05, ratio=2).target(dim).density(points)
        np.testing.assert_allclose(found, exact - wide, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("degree", range(4))
def test_splines_of_the_fields_order_are_the_minimal_kernels(degree):
    minimal = minimal_kernel(degree, 0.2, 2)
    same = library.bspline(half_size=0.2, degree=degree)
    for kernel in (Kernel(["box", "tent", "quadratic", "cubic"][degree], {"half_size": 0.2}), same):
        found = kernel.sparse(degree, 2)
        np.testing.assert_array_equal(found.positions, minimal.positions)
        np.testing.assert_array_equal(found.weights, minimal.weights)
        # Of another order it is fitted, to the same target.
        assert len(kernel.sparse(degree + 1)) > degree + 3
        x = np.linspace(-0.21, 0.21, 50)
        expected = minimal_kernel(degree, 0.2).density(x[:, None])
        np.testing.assert_allclose(kernel.target(1).density(x[:, None]), expected, atol=1e-6)


def test_hexagon_is_uniform_between_its_sides_and_turns_with_its_angle():
    # Rows run downwards: a corner at 90 degrees points up, to smaller y. The sides are sqrt(3) / 2 from the centre.
    points = np.array([[0, 0], [0, 0.099], [0.086, 0], [0, 0.101], [0.087, 0], [0.08, 0.06], [-0.099, 0.0]])
    upright = library.hexagon(radius=0.1).target(2)
    area = 3 * math.sqrt(3) / 2 * 0.01
    np.testing.assert_allclose(upright.density(points), np.array([1, 1, 1, 0, 0, 0, 0]) / area, rtol=1e-12)
    np.testing.assert_allclose(upright.radius, [math.sqrt(3) / 20, 0.1], rtol=1e-12)
    turned = library.hexagon(radius=0.1, angle=90).target(2)
    np.testing.assert_allclose(turned.density(points), np.array([1, 0, 1, 0, 1, 0, 1]) / area, rtol=1e-12)
    np.testing.assert_allclose(turned.radius, [0.1, math.sqrt(3) / 20], rtol=1e-12)


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        (library.gaussian(sigma=0.1), False),
        (library.lanczos(radius=0.1), False),
        (library.log(sigma=0.1), True),
        (library.derivative(sigma=0.1), True),
        (library.dog(sigma=0.1), True),
    ],
)
def test_kernels_to_be_shown_around_grey_are_known_from_their_diracs(kernel, expected):
    for factor in (0.01, 1.0, 100.0):
        assert is_signed(kernel.sparse(1, 1).times(factor)) is expected


def test_kernels_are_asked_for_by_the_names_of_their_parameters():
    signature = inspect.signature(library.dog)
    assert list(signature.parameters) == ["sigma", "ratio", "count", "error"]
    assert signature.parameters["ratio"].default == 1.6
    with pytest.raises(TypeError, match=r"^dog\(\) takes 0 positional arguments"):
        library.dog(0.1)
