"""Rounding noise, estimated from the field and the kernel, against noise that is measured."""

import copy

import numpy as np
import pytest
import torch
from builders import field_config, random_field

from kernels import minimal_kernel
from models import precision
from models.convolution import convolve_points
from models.precision import estimate_noise, query_error


@pytest.mark.parametrize("kind", ["mlp", "siren"])
@pytest.mark.parametrize("order, half_size", [(0, 0.05), (1, 0.05), (1, 0.2), (2, 0.1)])
def test_noise_is_estimated_within_a_factor_of_two(kind, order, half_size):
    field = random_field(field_config(kind, 2, 2, order=order, num_channels=48, num_layers=2, pe=5, omega_0=15.0))
    kernel = minimal_kernel(order, half_size, 2)
    points = 2 * torch.rand(400, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(7)) - 1
    single = copy.deepcopy(field).float()
    difference = convolve_points(single, kernel, points) - convolve_points(field, kernel, points)
    measured = float(difference.square().mean().sqrt())
    assert measured / 2 < estimate_noise(field, kernel) < 2 * measured


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_noise_grows_with_the_weights_of_the_kernel(scale):
    field, kernel = random_field(field_config("mlp")), minimal_kernel(1, 0.2, 2)
    assert estimate_noise(field, kernel.scaled(scale)) == pytest.approx(estimate_noise(field, kernel) / scale**4)


class Noisy(torch.nn.Module):
    """A field whose float32 errs by independent noise of rms 1e-3 about a slow part, and whose float64 is exact."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def network_points(self, points: torch.Tensor) -> torch.Tensor:
        slow = 1e6 + points.sum(dim=1, keepdim=True).double().expand(-1, 2)
        return slow if points.dtype == torch.float64 else slow + 1 + 1e-3 * torch.randn(len(points), 2).double()


def test_only_what_differs_between_close_points_is_noise():
    torch.manual_seed(0)
    assert query_error(Noisy(), torch.rand(50_000, 2).double()) == pytest.approx(1e-3, rel=0.02)


def test_probes_fill_the_domain(monkeypatch):
    seen = []
    monkeypatch.setattr(precision, "query_error", lambda field, points: seen.append(points) or 1e-7)
    field = random_field(field_config("mlp", 3))
    kernel = minimal_kernel(1, 0.2, 3)
    assert estimate_noise(field, kernel) == pytest.approx(1e-7 * np.linalg.norm(kernel.weights))
    assert seen[0].shape == (256, 3) and seen[0].dtype == torch.float64
    np.testing.assert_allclose(np.quantile(seen[0], [0, 0.25, 0.5, 0.75, 1]), [-1, -0.5, 0, 0.5, 1], atol=0.1)
    assert seen[0].abs().max() <= 1
