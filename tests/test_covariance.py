"""Filtering with a covariance per point, against dense quadrature of the Gaussian and against known kernels."""

import numpy as np
import pytest
import torch
from builders import exact_truth, field_config, random_field, smooth_signal
from scipy.ndimage import map_coordinates

import nfconv
from kernels.correlated import correlated_gaussians
from kernels.correlated3 import correlated_gaussians_3d
from models.convolution import KernelError, convolve_points
from models.covariance import Covariances, SharedKernels, _from_diracs, convolve_covariances
from training import train


def covariance(sizes, angle: float) -> np.ndarray:
    """The covariance of a Gaussian with standard deviations `sizes` along and across a direction."""
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s], [s, c]])
    return turn @ np.diag(np.square(sizes)) @ turn.T


def random_covariances(count: int, ratio: float = 4.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points and covariances of any angle, standard deviations 0.05 to 0.2."""
    rng = np.random.default_rng(seed)
    sizes = rng.uniform(0.1, 0.2, count)
    shapes = zip(
        sizes, np.maximum(sizes / rng.uniform(1, ratio, count), 0.05), rng.uniform(0, np.pi, count), strict=True
    )
    return rng.uniform(-1, 1, (count, 2)), np.stack([covariance((a, b), angle) for a, b, angle in shapes])


def quadrature(signal, points: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """The signal, read multilinearly and clamped, under each Gaussian: 3 Gauss points a cell, 7 deviations wide."""
    nodes, shares = np.polynomial.legendre.leggauss(3)
    results = []
    for point, sigma in zip(points, sigmas, strict=True):
        axes = []
        for n, centre, size in zip(signal.shape, point, np.sqrt(np.diag(sigma)), strict=True):
            cell = 2 / (n - 1)
            first, last = np.floor((centre - 7 * size + 1) / cell), np.ceil((centre + 7 * size + 1) / cell)
            cells = np.arange(first, last)[:, None]
            axes.append(((cells + (nodes + 1) / 2).ravel(), np.tile(shares * cell / 2, len(cells)), cell))
        (rows, wr, cr), (columns, wc, cc) = axes
        offset = np.stack(np.meshgrid(rows * cr - 1 - point[0], columns * cc - 1 - point[1], indexing="ij"), axis=-1)
        square = np.einsum("...i,ij,...j->...", offset, np.linalg.inv(sigma), offset)
        weights = np.exp(-square / 2) / (2 * np.pi * np.sqrt(np.linalg.det(sigma))) * np.outer(wr, wc)
        lines = []
        for place, n in ((rows, signal.shape[0]), (columns, signal.shape[1])):
            place = np.clip(place, 0, n - 1)
            low = np.minimum(place.astype(int), n - 2)
            matrix = np.zeros((len(place), n))
            matrix[np.arange(len(place)), low] = 1 - (place - low)
            matrix[np.arange(len(place)), low + 1] = place - low
            lines.append(matrix)
        results.append(np.einsum("rc,ri,cj,ijk->k", weights, lines[0], lines[1], signal.values, optimize=True))
    return np.array(results)


@pytest.fixture(scope="module")
def fitted():
    """A smooth signal and its field of splines, with a margin for Gaussians of standard deviation 0.2."""
    signal = smooth_signal((60, 45), 2)
    return signal, train(exact_truth(signal, 1, 0.1, 0.9), factor="spline")


@pytest.mark.parametrize("accuracy, decibels", [(60, 76), (80, 90)])
def test_random_covariances_agree_with_quadrature(fitted, accuracy, decibels):
    signal, field = fitted
    points, sigmas = random_covariances(40)
    found = field.filter(nfconv.gaussian(), at=points, covariance=sigmas, accuracy=accuracy)
    error = np.sqrt(np.mean((found - quadrature(signal, points, sigmas)) ** 2))
    assert -20 * np.log10(error) > decibels


def test_random_covariances_of_three_axes_agree_with_quadrature():
    signal, rng = smooth_signal((14, 13, 12), 1), np.random.default_rng(0)
    field = train(exact_truth(signal, 1, 0.2, 0.9), factor="spline")
    points, sigmas = rng.uniform(-1, 1, (6, 3)), []
    for sizes in rng.uniform(0.07, 0.2, (6, 3)):
        turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        sigmas.append(turn @ np.diag(sizes**2) @ turn.T)
    found = field.filter(nfconv.gaussian(), at=points, covariance=np.array(sigmas))
    nodes, shares = np.polynomial.legendre.leggauss(2)
    for point, sigma, value in zip(points, sigmas, found, strict=True):
        lines = []
        for n, centre, size in zip(signal.shape, point, np.sqrt(np.diag(sigma)), strict=True):
            cell = 1 / (n - 1)
            cells = np.arange(np.floor((centre - 6 * size) / cell), np.ceil((centre + 6 * size) / cell))[:, None]
            lines.append((((cells + (nodes + 1) / 2) * cell).ravel(), np.tile(shares * cell / 2, len(cells))))
        places = np.stack(np.meshgrid(*[x for x, _ in lines], indexing="ij"), axis=-1)
        offset = places - point
        square = np.einsum("...i,ij,...j->...", offset, np.linalg.inv(sigma), offset, optimize=True)
        weights = np.exp(-square / 2) * np.einsum("i,j,k->ijk", *[w for _, w in lines])
        at = [(np.clip(places[..., axis], -1, 1) + 1) / 2 * (n - 1) for axis, n in enumerate(signal.shape)]
        values = map_coordinates(signal.values[..., 0], at, order=1)
        assert value[0] == pytest.approx((weights * values).sum() / weights.sum(), abs=2e-4)


def test_the_third_correlation_of_three_axes_is_the_partial_one():
    """Of two axes beside the third: minus the entry of the inverse, over the roots of its diagonal (Lauritzen 1996)."""
    rng = np.random.default_rng(3)
    roots = rng.standard_normal((9, 3, 3))
    sigmas = roots @ roots.transpose(0, 2, 1)
    found, inverse = Covariances.of(torch.tensor(sigmas)), np.linalg.inv(sigmas)
    scale = np.sqrt(np.diagonal(sigmas, axis1=1, axis2=2))
    np.testing.assert_allclose(found.correlations[:, 0], sigmas[:, 0, 1] / scale[:, 0] / scale[:, 1])
    np.testing.assert_allclose(found.correlations[:, 1], sigmas[:, 0, 2] / scale[:, 0] / scale[:, 2])
    partial = -inverse[:, 1, 2] / np.sqrt(inverse[:, 1, 1] * inverse[:, 2, 2])
    np.testing.assert_allclose(found.correlations[:, 2], partial, rtol=1e-6)
    np.testing.assert_allclose(found.thinnest, np.sqrt(np.linalg.eigvalsh(sigmas).min()), rtol=1e-6)


@pytest.mark.parametrize("kind", ["separable", "mlp"])
def test_fields_are_asked_for_the_sparse_kernel_of_every_covariance(kind):
    field = random_field(field_config(kind, 2, 3))
    points, sigmas = random_covariances(5)
    kernels = correlated_gaussians(1, 0, 0)
    shared = SharedKernels(kernels, field.device)
    found = convolve_covariances(
        field, torch.tensor(points), Covariances.of(torch.tensor(sigmas)), shared, block=3 * 225
    )
    for point, sigma, value in zip(points, sigmas, found, strict=True):
        sizes = np.sqrt(np.diag(sigma))
        kernel = kernels.sparse(tuple(sizes), sigma[0, 1] / sizes.prod())
        wanted = convolve_points(field, kernel, torch.tensor(point[None]))[0]
        np.testing.assert_allclose(value, wanted, atol=1e-5 * float(wanted.abs().max() + 1))


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("order", [0, 1])
def test_tables_and_diracs_agree_for_every_order_and_number_of_axes(order, dim):
    field, rng = random_field(field_config("separable", dim, 2, order=order)), np.random.default_rng(0)
    shared = SharedKernels((correlated_gaussians, correlated_gaussians_3d)[dim - 2](order, 0, 0), field.device)
    turns = np.linalg.qr(rng.standard_normal((4, dim, dim)))[0]
    covariances = Covariances.of(torch.tensor(turns * rng.uniform(0.1, 0.2, (4, 1, dim)) ** 2 @ turns.mT))
    points = torch.tensor(rng.uniform(-1, 1, (4, dim)))
    pairing = shared.pairings(covariances.correlations)
    wanted = _from_diracs(field, shared, points, covariances.deviations, pairing)
    found = convolve_covariances(field, points, covariances, shared)
    np.testing.assert_allclose(found, wanted, atol=1e-5 * float(wanted.abs().max()))


def test_a_map_of_covariances_on_a_grid(fitted):
    _, field = fitted
    sigmas = random_covariances(12)[1].reshape(3, 4, 2, 2)
    at = np.stack(np.meshgrid(np.linspace(-1, 1, 3), np.linspace(-1, 1, 4), indexing="ij"), axis=-1).reshape(-1, 2)
    wanted = field.filter(nfconv.gaussian(), at=at, covariance=sigmas.reshape(-1, 2, 2))
    np.testing.assert_allclose(
        field.filter(nfconv.gaussian(), (3, 4), covariance=sigmas).reshape(-1, 2), wanted, atol=1e-5
    )


@pytest.mark.parametrize("kind", ["separable", "mlp"])
@pytest.mark.parametrize("accuracy", [60, 75])
def test_one_covariance_for_a_grid_is_that_of_every_point(kind, accuracy):
    field, notes = random_field(field_config(kind, 2, 3), half_size=(0.5, 0.5), margin=0.9), []
    sigma = random_covariances(1)[1][0]
    at = np.stack(np.meshgrid(np.linspace(-1, 1, 3), np.linspace(-1, 1, 4), indexing="ij"), axis=-1).reshape(-1, 2)
    wanted = field.filter(nfconv.gaussian(), at=at, covariance=sigma, accuracy=accuracy, precision="64")
    found = field.filter(nfconv.gaussian(), (3, 4), covariance=sigma, accuracy=accuracy, precision="64",
                         notify=notes.append)  # fmt: skip
    np.testing.assert_allclose(found.reshape(-1, 3), wanted, atol=1e-4 * np.abs(wanted).max())
    assert len(notes) == 1 and "thinner than the training kernel" in notes[0]
    with pytest.raises(ValueError, match="without sigma, and no scale"):
        field.filter(nfconv.gaussian(), (3, 4), covariance=sigma, scale=2.0)


def test_one_filtered_axis_takes_variances():
    field = random_field(field_config("separable", 1, 1, poly_degree=1), margin=0.9)
    at, sizes = np.array([[0.1], [-0.4]]), np.array([0.1, 0.25])
    found = field.filter(nfconv.gaussian(), at=at, covariance=np.square(sizes)[:, None, None])
    np.testing.assert_allclose(found, field.filter(nfconv.gaussian(sigma=1.0), at=at, scale=sizes), rtol=1e-9)


@pytest.mark.parametrize(
    "asked, words",
    [
        ({"covariance": [[1e-2, 0], [0, -1e-2]]}, "covariance 0, .* is not symmetric and positive definite"),
        ({"covariance": [[1e-2, 2e-2], [2e-2, 1e-2]]}, "not symmetric and positive definite"),
        ({"covariance": [[1e-2, np.nan], [np.nan, 1e-2]]}, "not symmetric and positive definite"),
        ({"covariance": np.eye(3)}, r"must be \[4, 2, 2\], not \[3, 3\]"),
        ({"covariance": np.stack([np.eye(2)] * 3)}, r"must be \[4, 2, 2\], not \[3, 2, 2\]"),
        ({"covariance": np.eye(2), "scale": 2.0}, "use gaussian.. without sigma, and no scale"),
        ({"covariance": np.eye(2), "kernel": nfconv.gaussian(sigma=0.1)}, "without sigma"),
        ({"covariance": np.eye(2), "kernel": nfconv.disk(radius=0.1)}, "without sigma"),
        ({"covariance": [[1e-2, 9.96e-3], [9.96e-3, 1e-2]]}, "beyond the 0.99"),
        ({"covariance": 0.07 * np.eye(2)}, "has radius 0.9525 .*margin"),
    ],
)
def test_covariances_that_cannot_be_answered_are_refused(asked, words):
    field = random_field(field_config("mlp", 2), margin=0.6)
    with pytest.raises(ValueError, match=words):
        field.filter(**({"kernel": nfconv.gaussian(), "at": np.zeros((4, 2))} | asked))


def test_the_largest_correlation_may_be_rounded():
    field, values = random_field(field_config("separable", 2), margin=0.9), []
    for rho in (0.99 * (1 + 5e-7), 0.99 * (1 - 5e-7)):
        sigma = 1e-2 * np.array([[1, rho], [rho, 1]])
        values.append(field.filter(nfconv.gaussian(), at=np.zeros((1, 2)), covariance=sigma))
    np.testing.assert_allclose(*values, rtol=1e-3)


def test_axes_that_are_not_filtered_are_refused():
    field = random_field(field_config("mlp", 3, axes=(0, 1)), margin=0.9)
    with pytest.raises(KernelError, match="one to three axes, all filtered, not 2 of 3"):
        field.filter(nfconv.gaussian(), at=np.zeros((1, 3)), covariance=0.01 * np.eye(2))


def test_thin_gaussians_are_warned_of():
    field, notes = random_field(field_config("separable", 2), half_size=(0.2, 0.2), margin=0.9), []
    for size, warned in ((0.0667, 0), (0.066, 1)):
        sigma = covariance((0.15, size), 0.5)
        field.filter(nfconv.gaussian(), at=np.zeros((1, 2)), covariance=sigma, notify=notes.append)
        assert len(notes) == warned


@pytest.mark.parametrize("kind", ["separable", "siren", "spline"])
def test_gradients_in_points_scale_and_covariance(kind):
    shape = {"factor": "spline", "knots": (12, 12), "reach": (1.2, 1.2)} if kind == "spline" else {}
    field = random_field(field_config("siren" if kind == "siren" else "separable", 2, 2, **shape), margin=0.9)
    points, sigmas = (torch.tensor(value[:3]).requires_grad_() for value in random_covariances(3))
    scale = torch.tensor([[0.7, 0.9], [0.5, 1.1], [0.6, 0.8]], dtype=torch.float64).requires_grad_()
    kernel = nfconv.gaussian(sigma=0.1)
    assert torch.autograd.gradcheck(lambda x, s: field.filter(kernel, at=x, scale=s), (points, scale), atol=1e-4)
    half = torch.linalg.cholesky(sigmas.detach()).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x, root: field.filter(nfconv.gaussian(), at=x, covariance=root @ root.mT), (points, half), atol=1e-4
    )
