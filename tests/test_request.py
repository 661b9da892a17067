"""Requests for kernels by name: which are refused and how, options of a command line, the library's own table."""

import math

import numpy as np
import pytest

from kernels import library, minimal_kernel, request
from kernels.library import KERNELS, Kernel, parameters


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("gausian", {"sigma": 0.1}, f"there is no kernel called 'gausian'; the library has {', '.join(KERNELS)}"),
        ("dog", {"sigma": 0.1, "radius": 0.2}, "dog has no parameter 'radius'; it takes sigma, ratio"),
        ("gaussian", {"sigma": 0.0}, "sigma must be positive, and from 1e-06 to 1e+06, not 0.0"),
        ("gaussian", {"sigma": 1.1e6}, "sigma must be positive, and from 1e-06 to 1e+06, not 1100000.0"),
        ("gaussian", {"sigma": math.nan}, "sigma must be positive, and from 1e-06 to 1e+06, not nan"),
        ("gaussian", {"sigma": "wide"}, "sigma must be a length, not 'wide'"),
        ("gabor", {"frequency": 1.1e6}, "frequency must be positive, and from 1e-06 to 1e+06, not 1100000.0"),
        ("dog", {"ratio": 1001}, "ratio must be positive, and from 1e-06 to 1000, not 1001.0"),
        ("motion", {"angle": 1.1e6}, "angle must be from -1e+06 to 1e+06, not 1100000.0"),
        ("motion", {"length": 1.0, "thickness": 0.99e-3}, "the sizes that length and thickness give differ more than"),
        ("gabor", {"sigma": 1.0, "frequency": 1001}, "the sizes that sigma and frequency give differ more than"),
    ],
)
def test_wrong_requests_are_refused_at_once(name, values, message):
    with pytest.raises(ValueError) as caught:
        Kernel(name, values)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("kernel", "dim", "message"),
    [
        (library.gaussian(), 1, "gaussian needs sigma (standard deviation in domain units)"),
        (library.gaussian(sigma=0.1), 4, "gaussian needs 1 to 3 filtered axes, and there are 4"),
        (library.disk(radius=0.1), 1, "disk needs 2 filtered axes, and there are 1"),
        (library.disk(radius=0.1), 3, "disk needs 2 filtered axes, and there are 3"),
        (library.dog(sigma=0.1, ratio=1.0), 1, "dog needs a ratio above 1, not 1.0"),
        (library.ring(radius=0.1, thickness=0.1), 2, "ring needs a thickness between 0 and its radius"),
        (library.gabor(sigma=0.1, frequency=0.99), 2, "gabor needs a frequency of at least 0.1 / sigma cycles"),
        (library.gabor(sigma=0.1, frequency=9.0, angle=20.0), 1, "gabor has no angle in one filtered axis"),
        (library.lanczos(radius=0.1, lobes=2.5), 1, "lanczos needs 2 to 8 whole lobes, not 2.5"),
        (library.lanczos(radius=0.1, lobes=1), 1, "lanczos needs 2 to 8 whole lobes, not 1.0"),
        (library.lanczos(radius=0.1, lobes=9), 1, "lanczos needs 2 to 8 whole lobes, not 9.0"),
        (library.bspline(half_size=0.1, degree=9), 1, "bspline needs a whole degree from 0 to 8, not 9.0"),
        (library.bspline(half_size=0.1, degree=-1), 1, "bspline needs a whole degree from 0 to 8, not -1.0"),
        (library.derivative(sigma=0.1, axis=2), 2, "axis 2 is not among the filtered axes (0, 1)"),
        (library.image(radius=0.1, kernel_image=__file__), 2, f"{__file__} is not a readable image"),
    ],
)
def test_requests_that_do_not_fit_are_refused_where_they_are_used(kernel, dim, message):
    for use in (lambda: kernel.sparse(1, dim), lambda: kernel.target(dim)):
        with pytest.raises(ValueError) as caught:
            use()
        assert str(caught.value).startswith(message)


def test_limits_themselves_are_allowed():
    assert library.gaussian(sigma=1e-6).target(2).radius == (3e-6, 3e-6)
    assert library.gabor(sigma=1e3, frequency=1.0).parameters[0] == ("sigma", 1e3)
    library.motion(length=1e3, thickness=1.0)
    library.gabor(sigma=0.1, frequency=1.0).target(2)
    for lobes in (2, 8):
        library.lanczos(radius=0.1, lobes=lobes).target(1)
    for degree in (0, 8):
        library.bspline(half_size=0.1, degree=degree).target(1)


def test_requests_compare_by_what_they_ask_for():
    kernel = library.dog(sigma=1 / 8, count=9)
    assert kernel == Kernel("dog", {"ratio": None, "sigma": "0.125", "radius": None}, 9)
    assert len({kernel, library.dog(sigma=0.125, count=9), library.dog(sigma=0.125)}) == 2
    assert dict(kernel.parameters) == {"sigma": 0.125, "ratio": 1.6}
    assert library.derivative(sigma=0.1, axis="1").parameters == (("sigma", 0.1), ("axis", 1))
    assert (library.gaussian.__name__, library.gaussian.__doc__) == (
        "gaussian",
        "The Gaussian, cut at 3 sigma, of mass 1.",
    )


def test_counts_and_errors_replace_the_usual_number():
    assert len(library.gaussian(sigma=0.1).sparse(1)) == 13
    assert len(library.gaussian(sigma=0.1, count=9).sparse(1)) == 9
    assert len(library.gaussian(sigma=0.1, count=(7, 9)).sparse(1, 2)) == 63
    tried: list[str] = []
    assert len(library.gaussian(sigma=0.1, error=0.2).sparse(1, notify=tried.append)) < 9
    assert tried
    with pytest.raises(ValueError, match="either"):
        library.gaussian(sigma=0.1, count=9, error=0.1).sparse(1)


def test_edges_are_as_steep_as_their_order_allows():
    for order, gap in ((1, 0.01), (2, 0.03), (3, 0.06), (4, 0.06)):
        gaps = np.diff(library.box(half_size=1.0).sparse(order).positions[:, 0])
        assert gap - 1e-12 <= gaps.min() < 1.5 * gap


def test_usual_numbers_of_diracs_grow_with_order_and_details():
    def count(name: str, order: int, **values: float) -> int:
        return KERNELS[name].count(order, values)

    assert [count("gaussian", order) for order in range(5)] == [32, 13, 10, 11, 12]
    assert [count("box", order) for order in range(4)] == [2, 4, 6, 8]
    # 4, 1 and 0.7 Diracs per detail, in pairs: 12 at order 1 are 48 and 8.4.
    assert [count("lanczos", order, lobes=3) for order in range(3)] == [16 + 48, 5 + 12, 4 + 8]
    assert count("dog", 1, sigma=1.0, ratio=1.6) == 17
    assert count("dog", 1, sigma=1.0, ratio=3.2) == 17 + 2 * round(5 * math.log(2) / 2)
    assert count("gabor", 1, sigma=0.5, frequency=2.0) == 13 + 24
    assert count("gabor", 0, sigma=1.0, frequency=900.0) == 193
    lines = {"length": 1.0, "thickness": 0.1}
    assert [count("motion", 1, angle=angle, **lines) for angle in (0.0, -90.0, 30.0)] == [17, 17, 17 + 8]
    sizes = {"sigma": 1.0, "sigma_across": 6.0}
    assert [count("anisotropic", 1, angle=angle, **sizes) for angle in (0.0, 180.0, 30.0)] == [13, 13, 13 + 8]


def test_size_is_free_and_fitted_once(monkeypatch):
    fits = []
    request._fitted.cache_clear()
    real = request.fit_kernel
    monkeypatch.setattr(request, "fit_kernel", lambda *args, **other: fits.append(1) or real(*args, **other))
    for small, large in (
        (library.gaussian(sigma=0.0503), library.gaussian(sigma=0.1509)),
        (library.ring(radius=0.1, thickness=0.031, count=9), library.ring(radius=0.3, thickness=0.093, count=9)),
        (library.gabor(sigma=0.1, frequency=6.0, count=9), library.gabor(sigma=0.3, frequency=2.0, count=9)),
    ):
        first, second = small.sparse(1, 2), large.sparse(1, 2)
        np.testing.assert_allclose(second.positions, 3 * first.positions, rtol=1e-9)
        np.testing.assert_allclose(second.weights, first.weights / 3**4, rtol=1e-9)
    assert len(fits) == 3
    # A k-th derivative at size s is 1 / s^k stronger.
    for kernel, times in ((library.derivative, 1), (library.second_derivative, 2), (library.log, 2)):
        first, second = kernel(sigma=0.1, count=9).sparse(1, 2), kernel(sigma=0.2, count=9).sparse(1, 2)
        np.testing.assert_allclose(second.weights, first.weights / 2 ** (4 + times), rtol=1e-9)


def test_every_parameter_says_what_it_is_and_who_takes_it():
    table = parameters()
    assert table["thickness"][1] == ["ring", "motion"]
    assert table["sigma"][0].help == "standard deviation in domain units"
    assert [table[name][0].type for name in ("sigma", "axis", "kernel_image")] == [float, int, str]
    assert table["ratio"][0].default == 1.6
    for entry in KERNELS.values():
        assert entry.names("length")


def test_stretched_kernels_are_longer_along_an_axis_and_derivatives_as_strong():
    plain = Kernel("gaussian", {"sigma": 0.1})
    stretched = Kernel("gaussian", {"sigma": 0.1}, stretch=(1.0, 2.5))
    assert stretched.sparse(1, 3, (0, 2)).radius == pytest.approx([0.3, 0.0, 0.75])
    points = np.random.default_rng(0).uniform(-0.3, 0.3, (50, 2))
    found, wanted = stretched.target(2), plain.target(2)
    np.testing.assert_allclose(found.density(points * [1.0, 2.5]), wanted.density(points) / 2.5)
    tent = Kernel("tent", {"half_size": 0.1}, stretch=(1.0, 2.5)).sparse(1, 2)
    np.testing.assert_allclose(tent.positions, minimal_kernel(1, (0.1, 0.25), 2).positions)
    for name, degree in (("derivative", 1), ("second_derivative", 2)):
        slope = Kernel(name, {"sigma": 0.1, "axis": 1}, stretch=(3.0, 2.5)).target(2)
        x = np.linspace(-1.2, 1.2, 801)
        grid = slope.on_grid([x, x])
        # A ramp of slope 1, and x^2, give 1 and 2, as without the stretch.
        assert (grid @ (-x) ** degree).sum() * (x[1] - x[0]) ** 2 == pytest.approx(degree, rel=2e-3)
