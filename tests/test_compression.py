"""Fewer ranks for smooth Gaussians: they show of a field what all of its ranks show."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import exact_truth, field_config, random_field, smooth_signal

import nfconv
from kernels.correlated import correlated_gaussians
from kernels.correlated3 import correlated_gaussians_3d
from models.compression import compressed, truncation
from models.convolution import reach_of
from models.covariance import Covariances, SharedKernels, convolve_covariances
from models.field import MOST_KEPT
from training import train


def covariances(count: int, dim: int, least: float = 0.1) -> np.ndarray:
    """Covariances of any direction, deviations from `least` to 0.2."""
    rng = np.random.default_rng(0)
    turns = np.linalg.qr(rng.standard_normal((count, dim, dim)))[0]
    return turns * rng.uniform(least, 0.2, (count, 1, dim)) ** 2 @ turns.mT


@pytest.fixture(scope="module")
def noise():
    """A field of splines of two channels of noise."""
    values = np.random.default_rng(0).random((60, 45, 2), np.float32)
    truth = exact_truth(replace(smooth_signal((60, 45), 2), values=values), 1, 0.1, 0.9)
    return train(truth, factor="spline")


@pytest.mark.parametrize("accuracy", [40.0, 60.0])
def test_fewer_ranks_show_smooth_gaussians_the_same(noise, accuracy):
    tables, core = compressed(noise, reach_of(noise, (1, 1), (0, 0)), torch.float64, 0.09, accuracy)
    assert [len(table.coefficients[0]) for table in tables] == list(core.shape[:2])
    assert core.numel() < 0.9 * noise.core.numel()
    # Under a derivative all ranks are multiplied.
    at = torch.tensor(np.random.default_rng(0).uniform(-1, 1, (200, 2)), requires_grad=True)
    sigmas = covariances(200, 2, 0.09)
    whole = noise.filter(nfconv.gaussian(), at=at, covariance=sigmas, accuracy=accuracy).detach()
    few = noise.filter(nfconv.gaussian(), at=at.detach(), covariance=sigmas, accuracy=accuracy)
    error = float((few - whole).square().mean().sqrt())
    assert 0 < error < 10 ** (-(accuracy + 20) / 20)


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_ranks_and_channels_of_every_number_of_axes(dim, channels):
    uneven = ((9, 14), (7, 9, 8))[dim - 2]
    shape = {"ranks": uneven, "factor": "spline", "knots": (40,) * dim, "reach": (1.0,) * dim}
    field = random_field(field_config("separable", dim, channels, **shape), margin=0.9)
    sigma = torch.tensor(covariances(30, dim))
    at = torch.tensor(np.random.default_rng(1).uniform(-0.9, 0.9, (30, dim)))
    make = correlated_gaussians if dim == 2 else correlated_gaussians_3d
    asked = (field, at, Covariances.of(sigma), SharedKernels(make(1, 0, 0), field.device))
    # A signal of about 1, every rank a tenth of the one before.
    for axis, rank in enumerate(uneven):
        field.core.mul_((0.1 ** torch.arange(rank)).reshape(-1, *[1] * (dim - axis)))
    field.polynomial.coefficients.zero_()
    field.core.div_(convolve_covariances(*asked).abs().max())
    whole = convolve_covariances(*asked)
    sizes = []
    for accuracy in (20.0, 60.0, 300.0):
        error = float((convolve_covariances(*asked, accuracy=accuracy) - whole).square().mean().sqrt())
        assert error < 10 ** (-accuracy / 20) + 1e-9
        tables, core = compressed(field, reach_of(field, (0.9,) * dim, (0,) * dim), torch.float64, 0.1, accuracy)
        assert core.shape == (*[len(table.coefficients[0]) for table in tables], channels)
        sizes.append(core.numel())
    assert sizes[0] < sizes[1] < sizes[2] <= field.core.numel()


@pytest.mark.parametrize("decibels", [20.0, 40.0])
def test_copies_of_a_channel_change_no_rank_and_the_error_is_what_is_allowed(decibels):
    rng, core = np.random.default_rng(0), torch.diag(30 * 0.8 ** torch.arange(40, dtype=torch.float64))[..., None]
    seen = [torch.tensor(np.linalg.qr(rng.standard_normal((50, 40)))[0]) for _ in range(2)]
    ranks = []
    for channels in (1, 9):
        whole = core.expand(-1, -1, channels)
        maps, kept = truncation(seen, whole, decibels)
        ranks.append(kept.shape[:2])
        found = torch.einsum("xi,yj,ijc->xyc", seen[0] @ maps[0], seen[1] @ maps[1], kept)
        wanted = torch.einsum("xi,yj,ijc->xyc", *seen, whole)
        error = -20 * float((found - wanted).square().mean().sqrt().log10())
        assert decibels <= error < decibels + 4
    assert ranks[0] == ranks[1]


def test_deviations_that_change_from_call_to_call_do_not_fill_the_memory(noise):
    for size in np.geomspace(0.04, 0.2, 30):
        noise.filter(nfconv.gaussian(), at=np.zeros((1, 2)), covariance=size**2 * np.eye(2))
    assert len(noise._kept) <= MOST_KEPT and len(noise.in_dtype(torch.float64)._kept) == MOST_KEPT


@pytest.mark.parametrize("size", [1e-3, 1e-7])
def test_thin_gaussians_show_all_ranks_at_no_cost(noise, size):
    # As many samples as these would be asked for could not be held.
    found = noise.filter(nfconv.gaussian(), at=np.zeros((1, 2)), covariance=size**2 * np.eye(2))
    assert np.isfinite(found).all()
    assert not any(key[0] == "compression" and key[2] < 0.02 for key in noise.in_dtype(torch.float64)._kept)


def test_gaussians_of_one_size_are_as_good_as_with_all_ranks(noise):
    """None is thinner than those that the ranks are cut for."""
    at = torch.tensor(np.random.default_rng(6).uniform(-1, 1, (100, 2)))
    sigma = np.diag([0.1**2, 0.1**2])
    whole = noise.filter(nfconv.gaussian(), at=at.clone().requires_grad_(), covariance=sigma).detach()
    error = float((noise.filter(nfconv.gaussian(), at=at, covariance=sigma) - whole).square().mean().sqrt())
    assert error < 10 ** (-80 / 20)
