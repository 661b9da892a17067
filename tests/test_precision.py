"""Rounding noise: foretold from the field and the kernel, and refused where it would drown the signal."""

import copy

import numpy as np
import pytest
import torch
from builders import exact_truth, field_config, random_field, smooth_signal

from kernels import minimal_kernel
from models.convolution import convolve_points
from models.precision import estimate_noise, noise_estimate
from training.lattice import LatticeTargets
from training.options import resolve
from training.setup import PrecisionError, check_precision, make_config, make_field, make_objective

CPU = torch.device("cpu")


@pytest.mark.parametrize("kind", ["mlp", "siren"])
@pytest.mark.parametrize("order, half_size", [(0, 0.05), (1, 0.05), (1, 0.2), (2, 0.1)])
def test_noise_is_foretold_within_a_factor_of_three(kind, order, half_size):
    field = random_field(field_config(kind, 2, 2, order=order, num_channels=48, num_layers=2, pe=5, omega_0=15.0))
    kernel = minimal_kernel(order, half_size, 2)
    points = 2 * torch.rand(400, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(7)) - 1
    single = copy.deepcopy(field).float()
    difference = convolve_points(single, kernel, points) - convolve_points(field, kernel, points)
    measured = float(difference.square().mean().sqrt())
    assert measured / 3 < estimate_noise(field, kernel) < 3 * measured


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_noise_grows_with_the_weights_of_the_kernel(scale):
    kernel = minimal_kernel(1, 0.2, 2)
    assert noise_estimate(1e-7, kernel.scaled(scale)) == pytest.approx(noise_estimate(1e-7, kernel) / scale**4)
    assert noise_estimate(1.0, kernel) == pytest.approx(np.linalg.norm(kernel.weights))


def prepared(dim: int, order: int, half_size: float, **asked) -> tuple:
    """A field ready for training, and its targets."""
    truth = exact_truth(smooth_signal((24,) * dim if dim == 3 else (128,) * dim, 1), order, half_size, 0.1)
    options = resolve({"num_channels": 16, "num_steps": 1} | asked)
    targets = LatticeTargets(truth, CPU)
    field = make_field(make_config(truth, targets, options), options, CPU)
    make_objective(targets, options, truth, None).prepare(field, torch.Generator().manual_seed(0))
    return field, targets


def test_three_dimensions_of_order_one_are_refused_in_float32():
    with pytest.raises(PrecisionError, match="--precision 64"):
        check_precision(*prepared(3, 1, 0.05, field="mlp"))


@pytest.mark.parametrize(
    "dim, order, half_size, asked",
    [
        (3, 1, 0.05, {"field": "mlp", "precision": 64}),
        (3, 1, 0.05, {"field": "separable"}),
        (3, 0, 0.1, {"field": "mlp"}),
        (2, 0, 0.05, {"field": "mlp"}),
    ],
)
def test_what_holds_is_not_refused(dim, order, half_size, asked):
    assert check_precision(*prepared(dim, order, half_size, **asked)) is None
