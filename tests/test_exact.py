"""Exact convolutions of grid signals against quadrature of their definition."""

import itertools
import math

import numpy as np
import pytest
from builders import broken_line, lopsided, noise_signal
from scipy.interpolate import RegularGridInterpolator

import nfconv
from kernels import SparseKernel, combine, minimal_kernel, outer
from kernels.target import Target
from signals import coordinates, exact, spacing
from signals.exact import kernel_convolution, minimal_convolution, refined_taps, target_convolution

NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(4)


def folded(place: np.ndarray, last: int, boundary: str) -> np.ndarray:
    """Where a boundary rule finds the value for `place`, in samples counted from the first of `last` + 1."""
    if boundary == "clamp" or last == 0:
        return np.clip(place, 0, last)
    return last - np.abs(last - np.mod(place, 2 * last))


def read(signal, points: np.ndarray, boundary: str) -> np.ndarray:
    """The signal at points [N, d], multilinear between samples and continued by the boundary rule."""
    grid = [np.arange(n) for n in signal.values.shape[:-1]]
    places = []
    for axis, (n, halo) in enumerate(zip(signal.shape, signal.halo, strict=True)):
        place = (points[:, axis] + 1) / spacing(n) + halo
        places.append(folded(place, len(grid[axis]) - 1, boundary) if axis in signal.axes else place)
    kept = [axis for axis, x in enumerate(grid) if len(x) > 1]
    values = signal.values.squeeze(tuple(axis for axis in range(signal.dim) if axis not in kept))
    within = np.clip(np.stack(places, -1)[:, kept], 0, [len(grid[axis]) - 1 for axis in kept])
    return RegularGridInterpolator([grid[axis] for axis in kept], values)(within)


def pieces(centre: float, step: float, knots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gauss nodes t and weights over the support of a kernel, split wherever it or f(centre - t) bends."""
    low, high = knots[0], knots[-1]
    bends = centre + 1 - step * np.arange(np.floor((centre + 1 - high) / step), np.ceil((centre + 1 - low) / step) + 1)
    cuts = np.unique(np.clip(np.concatenate([knots, bends]), low, high))
    half = np.diff(cuts)[:, None] / 2
    return (cuts[:-1, None] + half + half * NODES).ravel(), (half * NODE_WEIGHTS).ravel()


def quadrature(signal, factors, boundary: str, point: np.ndarray) -> np.ndarray:
    """The integral of f(point - t) g(t) for a product kernel: (density, knots) for every filtered axis."""
    offsets, masses = [np.zeros(1)] * signal.dim, [np.ones(1)] * signal.dim
    for axis, (density, knots) in zip(signal.axes, factors, strict=True):
        t, w = pieces(point[axis], spacing(signal.shape[axis]), knots)
        offsets[axis], masses[axis] = t, w * density(t)
    shifts = np.array(list(itertools.product(*offsets)))
    weights = np.array([np.prod(w) for w in itertools.product(*masses)])
    return weights @ read(signal, point - shifts, boundary)


def closed_form(order: int, s: float):
    """The minimal kernels as everybody writes them down: box, tent, quadratic and cubic B-spline of half size s."""
    forms = {
        0: lambda u: 0.5 * (np.abs(u) <= 1),
        1: lambda u: np.maximum(1 - np.abs(u), 0),
        2: lambda u: 1.5 * np.where(3 * np.abs(u) < 1, 0.75 - (1.5 * u) ** 2, 0.5 * (1.5 - 1.5 * np.abs(u)) ** 2),
        3: lambda u: 2 * np.where(np.abs(u) < 0.5, 2 / 3 - 4 * u**2 + 4 * np.abs(u) ** 3, (2 - 2 * np.abs(u)) ** 3 / 6),
    }
    return lambda t: forms[order](t / s) / s, np.linspace(-s, s, order + 2)


def corners_and_middle(signal) -> list[tuple[int, ...]]:
    return [tuple(part) for part in ([0] * signal.dim, [n - 1 for n in signal.shape], [n // 3 for n in signal.shape])]


SIGNALS = {
    "1-D": noise_signal((11,), 2),
    "non-square": noise_signal((7, 5), 3),
    "grey": noise_signal((6, 9), 1),
    "3-D": noise_signal((4, 3, 5), 1),
    "time alone": noise_signal((8, 3, 2), 3, axes=(0,)),
    "halo": noise_signal((3, 9), 1, axes=(1,), halo=(0, 4)),
    "one row": noise_signal((1, 6), 2),
}


@pytest.mark.parametrize("boundary", ["clamp", "reflect"])
@pytest.mark.parametrize("order", range(4))
@pytest.mark.parametrize("name", SIGNALS)
def test_minimal_convolution_is_the_integral(name, order, boundary):
    signal = SIGNALS[name]
    sizes = [0.37 + 0.2 * j for j in range(len(signal.axes))]
    values = minimal_convolution(signal, order, sizes, boundary)
    factors = [closed_form(order, s) for s in sizes]
    for index in corners_and_middle(signal):
        point = np.array([coordinates(n)[i] for n, i in zip(signal.shape, index, strict=True)])
        np.testing.assert_allclose(values[index], quadrature(signal, factors, boundary, point), rtol=0, atol=1e-10)


@pytest.mark.parametrize("boundary", ["clamp", "reflect"])
def test_margin_holds_the_convolution_beyond_the_border(boundary):
    signal = noise_signal((5, 6), 1)
    values = minimal_convolution(signal, 1, [0.5, 0.3], boundary, pads=(2, 3))
    point = np.array([-1 - 2 * spacing(5), 1 + 3 * spacing(6)])
    factors = [closed_form(1, 0.5), closed_form(1, 0.3)]
    np.testing.assert_allclose(values[0, -1], quadrature(signal, factors, boundary, point), rtol=0, atol=1e-10)


@pytest.mark.parametrize("half_size", [1e-6, 0.01, 0.95, 2.0])
def test_sizes_from_below_a_sample_to_the_whole_domain(half_size):
    signal = noise_signal((40,), 1)
    values = minimal_convolution(signal, 1, [half_size])
    point = coordinates(40)[13:14]
    wanted = quadrature(signal, [closed_form(1, half_size)], "clamp", point)
    np.testing.assert_allclose(values[13], wanted, rtol=0, atol=1e-10)


@pytest.mark.parametrize("order", range(9))
def test_constants_pass_every_order(order):
    signal = noise_signal((12,))
    values = minimal_convolution(type(signal)(np.full((12, 1), 0.7), (0,), "image"), order, [0.4])
    np.testing.assert_allclose(values, 0.7, rtol=1e-12)


def test_lopsided_kernel_is_not_mirrored():
    kernel, knots, heights = lopsided()
    signal = noise_signal((17,), 2)
    values = kernel_convolution(signal, kernel)
    density = lambda t: np.interp(t, knots, heights)  # noqa: E731
    for i in (0, 5, 16):
        wanted = quadrature(signal, [(density, knots)], "clamp", coordinates(17)[i : i + 1])
        np.testing.assert_allclose(values[i], wanted, rtol=0, atol=1e-10)
        assert np.abs(quadrature(signal, [(lambda t: density(-t), -knots[::-1])], "clamp", coordinates(17)[i : i + 1])
                      - wanted).max() > 1e-3  # fmt: skip


@pytest.mark.parametrize("boundary", ["clamp", "reflect"])
def test_sum_of_products_is_the_sum_of_integrals(boundary):
    (a, ka, va), (b, kb, vb), (c, kc, vc) = (lopsided(5, 0.4, seed) for seed in (1, 2, 3))
    signal = noise_signal((9, 12), 2)
    kernel = combine([outer(a, b), outer(c, a)], [1.0, -0.5])
    values = kernel_convolution(signal, kernel, boundary)
    line = lambda k, v: (lambda t: np.interp(t, k, v), k)  # noqa: E731
    for index in corners_and_middle(signal):
        point = np.array([coordinates(n)[i] for n, i in zip(signal.shape, index, strict=True)])
        wanted = quadrature(signal, [line(ka, va), line(kb, vb)], boundary, point)
        wanted = wanted - 0.5 * quadrature(signal, [line(kc, vc), line(ka, va)], boundary, point)
        np.testing.assert_allclose(values[index], wanted, rtol=0, atol=1e-9)


@pytest.mark.parametrize("shape, count", [((21, 16), 90), ((7, 6, 5), 60)])
def test_a_scattered_kernel_is_the_sum_of_its_products(shape, count):
    rng, dim = np.random.default_rng(0), len(shape)
    tent, signal = minimal_kernel(1, 0.4, dim), noise_signal(shape, 2)
    shifts = rng.uniform(-0.3, 0.3, (count, dim))
    moved = [SparseKernel(tent.positions + shift, tent.weights, 1, tent.axes) for shift in shifts]
    weights = rng.random(count)
    kernel = combine(moved, weights)
    assert exact.tensor_terms(kernel) is None
    wanted = sum(w * kernel_convolution(signal, part, "reflect") for w, part in zip(weights, moved, strict=True))
    np.testing.assert_allclose(kernel_convolution(signal, kernel, "reflect"), wanted, rtol=0, atol=1e-9)


def test_kernel_in_one_axis_of_three():
    kernel, knots, heights = lopsided()
    signal = noise_signal((10, 3, 2), 3, axes=(0,))
    values = kernel_convolution(signal, kernel.embedded((0,), 3))
    point = np.array([coordinates(10)[2], 0.0, 1.0])
    wanted = quadrature(signal, [(lambda t: np.interp(t, knots, heights), knots)], "clamp", point)
    np.testing.assert_allclose(values[2, 1, 1], wanted, rtol=0, atol=1e-10)


def test_convolution_is_linear_in_the_kernel_and_shifts_with_it():
    signal = noise_signal((33,))
    knots = np.array([-0.25, 0.0, 0.25])
    step = spacing(33)
    here = kernel_convolution(signal, broken_line(knots, np.array([0, 4.0, 0])))
    there = kernel_convolution(signal, broken_line(knots + 3 * step, np.array([0, 4.0, 0])))
    np.testing.assert_allclose(there[8:], here[5:-3], atol=1e-12)


@pytest.mark.parametrize("shape, axes", [((30, 4, 5), (0,)), ((12, 9), (0, 1)), ((6, 7, 8), (0, 2))])
def test_slabs_do_not_change_the_result(monkeypatch, shape, axes):
    signal = noise_signal(shape, 3, axes)
    whole = minimal_convolution(signal, 1, [0.3] * len(axes))
    monkeypatch.setattr(exact, "SLAB", 60)
    np.testing.assert_array_equal(minimal_convolution(signal, 1, [0.3] * len(axes)), whole)


def test_long_filters_agree_with_short_steps():
    signal = noise_signal((400,))
    values = minimal_convolution(signal, 1, [0.5])
    taps = exact.minimal_taps(1, 0.5, spacing(400))
    assert len(taps) > 64
    padded = np.pad(signal.values[:, 0], len(taps) // 2, mode="edge")
    np.testing.assert_allclose(values[:, 0], np.convolve(padded, taps, mode="valid"), atol=1e-13)


@pytest.mark.parametrize("step", [0.1, 0.7, 1 / 3])
def test_taps_reach_one_sample_beyond_the_kernel(step):
    for count in (3, 4):
        assert len(exact.minimal_taps(1, count * step, step)) == 2 * (count + 1) + 1
        assert exact.sparse_taps(minimal_kernel(1, count * step), [step]).shape == (2 * (count + 1) + 1,)
        target = Target(lambda x: np.ones(len(x)), (count * step,))
        assert exact.target_taps(target, [step]).shape == (2 * (count + 1) + 1,)


def test_float32_is_float64_rounded():
    signal = noise_signal((9, 7), 3)
    single = minimal_convolution(signal, 2, [0.3, 0.3], dtype=np.float32)
    assert single.dtype == np.float32
    np.testing.assert_array_equal(single, minimal_convolution(signal, 2, [0.3, 0.3]).astype(np.float32))


@pytest.mark.parametrize("shape, axes", [((11,), (0,)), ((11, 8), (0, 1)), ((3, 11), (1,))])
def test_separable_targets_are_convolved_axis_by_axis(shape, axes):
    signal, sizes = noise_signal(shape, 2, axes), [0.37, 0.53][: len(axes)]
    density = lambda x: np.prod([np.maximum(1 - np.abs(t) / s, 0) / s for t, s in zip(x.T, sizes, strict=True)], axis=0)  # noqa: E731
    found = target_convolution(signal, Target(density, tuple(sizes)), "reflect")
    np.testing.assert_allclose(found, minimal_convolution(signal, 1, sizes, "reflect"), atol=1e-10)


@pytest.mark.parametrize("boundary", ["clamp", "reflect"])
def test_targets_that_are_no_product_are_integrated_cell_by_cell(boundary):
    # Edges on samples: 2 steps of 0.2 and 2 of 0.25.
    radius, signal = (0.4, 0.5), noise_signal((11, 9), 2)
    inside = lambda x: (np.abs(x) <= radius).all(axis=1)  # noqa: E731
    density = lambda x: inside(x) * (1 + x[:, 0] * x[:, 1] + x[:, 0] ** 2 * x[:, 1])  # noqa: E731
    found = target_convolution(signal, Target(density, radius), boundary)
    ends = [np.array([-r, r]) for r in radius]
    powers = [(lambda t, k=k: t**k) for k in range(3)]
    for index in corners_and_middle(signal):
        point = np.array([coordinates(n)[i] for n, i in zip(signal.shape, index, strict=True)])
        wanted = sum(quadrature(signal, [(powers[a], ends[0]), (powers[b], ends[1])], boundary, point)
                     for a, b in ((0, 0), (1, 1), (2, 1)))  # fmt: skip
        np.testing.assert_allclose(found[index], wanted, rtol=0, atol=1e-10)


def test_kernels_thinner_than_a_sample_are_integrated_as_finely_as_they_need():
    sigma, across, step = 0.2, 0.004, spacing(64)
    target = nfconv.anisotropic(sigma=sigma, sigma_across=across, angle=30.0).target(2)
    taps = refined_taps(target, [step, step])
    assert taps.sum() == pytest.approx(1.0, abs=1e-4)
    # The second moments of a Gaussian cut at an ellipse of 3 sigma, and of hat functions.
    share = 1 - 4.5 * math.exp(-4.5) / (1 - math.exp(-4.5))
    c, s = math.cos(math.radians(30)), math.sin(math.radians(30))
    for axis, wanted in enumerate(((s * sigma) ** 2 + (c * across) ** 2, (c * sigma) ** 2 + (s * across) ** 2)):
        line = taps.sum(axis=1 - axis)
        places = step * (np.arange(len(line)) - len(line) // 2)
        assert line @ places**2 == pytest.approx(share * wanted + step**2 / 6, rel=1e-3)
