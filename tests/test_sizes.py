"""Tables over place and size answer what sums over Diracs do."""

import math

import numpy as np
import pytest
import torch
from builders import exact_truth, field_config, random_field, smooth_signal

import nfconv
from kernels import SparseKernel
from kernels.separate import tensor_terms
from models.bundles import Bundle
from models.sizes import Lattice, size_tables
from training import train


def field_of(dim: int, channels: int = 2):
    """A field of splines of a signal of about 1."""
    shape = ((90,), (40, 50), (18, 20, 16))[dim - 1]
    return train(exact_truth(smooth_signal(shape, channels), 1, 0.1, 0.4), factor="spline").in_dtype(torch.float64)


def summed(field, kernel: SparseKernel, points: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """sum_i w_i F(x - s t_i) / s^n, point by point."""
    found = []
    for x, s in zip(points, scale, strict=True):
        with torch.no_grad():
            values = field(torch.as_tensor(x - s * kernel.positions)).numpy()
        found.append((kernel.weights / np.prod(s) ** kernel.n) @ values)
    return np.array(found)


@pytest.mark.parametrize("dim, name", [(1, "tent"), (1, "log"), (2, "gaussian"), (2, "log"), (3, "gaussian")])
def test_sizes_of_every_point_are_the_sums_over_diracs(dim, name):
    kernel = {
        "gaussian": nfconv.gaussian(sigma=0.08),
        "log": nfconv.log(sigma=0.07),
        "tent": nfconv.tent(half_size=0.2),
    }[name].sparse(1, dim)
    field, rng = field_of(dim), np.random.default_rng(0)
    points, scale = rng.uniform(-1, 1, (10, dim)), rng.uniform(0.6, 1.4, (10, dim))
    points[:2] = [[-1.0] * dim, [1.0] * dim]
    bundle = Bundle.of_terms(kernel, tensor_terms(kernel, 1e-9), field.device)
    lattice = Lattice.of(field, kernel.radius.tolist(), float(scale.min()), float(scale.max()), [1.0] * dim)
    found = size_tables(field, bundle, lattice, 60.0).at(torch.as_tensor(points), torch.as_tensor(scale)).numpy()
    wanted = summed(field, kernel, points, scale)
    size = max(1.0, float(np.abs(wanted).max()))
    assert -20 * math.log10(float(np.sqrt(np.mean((found - wanted) ** 2))) / size) > 80


def test_one_size_reaches_up_to_the_margin_and_many_no_further():
    field = field_of(2, 1)
    kernel = nfconv.gaussian(sigma=0.1).sparse(1, 2)
    radius, ends = kernel.radius.tolist(), [1.0, 1.0]
    limit = (field.origin.margin + 0.1) / radius[0]
    assert 2 ** Lattice.of(field, radius, 0.4, limit, ends).sizes[-1] == pytest.approx(limit)
    assert Lattice.of(field, radius, 0.41, 1.07, ends) == Lattice.of(field, radius, 0.42, 1.08, ends)
    assert Lattice.of(field, radius, limit, limit, ends).sizes == (math.log2(limit),)


def test_many_points_are_answered_from_tables_and_agree_with_few():
    field, rng = field_of(2), np.random.default_rng(1)
    points, scale = rng.uniform(-1, 1, (20_000, 2)), rng.uniform(0.7, 1.3, 20_000)
    shares: list[float] = []
    many = field.filter(nfconv.gaussian(sigma=0.1), at=points, scale=scale, progress=shares.append)
    assert any(key[0] == "sizes" for key in field._kept) and shares[-1] == 1
    few = field.filter(nfconv.gaussian(sigma=0.1), at=points[:100], scale=scale[:100], precision="64")
    assert 0 < np.sqrt(np.mean((many[:100] - few) ** 2)) < 1e-4
    # Gradients come from the kernel itself.
    asked = torch.tensor(points, requires_grad=True)
    field.filter(nfconv.gaussian(sigma=0.1), at=asked, scale=scale).sum().backward()
    assert bool(asked.grad.abs().max() > 0)


def test_fields_of_noise_that_tables_do_not_meet_are_read_as_before():
    config = field_config("separable", 1, 1, ranks=(8,), factor="spline", knots=(400,), reach=(1.0,))
    field = random_field(config, margin=0.9)
    points = np.random.default_rng(2).uniform(-1, 1, (20_000, 1))
    kernel = nfconv.tent(half_size=0.2).sparse(1, 1)
    found = field.filter(kernel, at=points, accuracy=110.0)
    np.testing.assert_allclose(found[:50], summed(field.in_dtype(torch.float64), kernel, points[:50], np.ones((50, 1))),
                               atol=1e-5 * np.abs(found).max())  # fmt: skip
