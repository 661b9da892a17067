"""Grids are filtered in slabs and blocks, which change nothing but the memory."""

import numpy as np
import pytest
import torch
from builders import field_config, noise_signal, random_field

import models.gridded
from kernels import minimal_kernel
from models.exact import ExactField
from models.filtering import grid_points
from models.networks import Network
from signals.exact import kernel_convolution


@pytest.mark.parametrize("axes", [(1, 2), (0, 2)])
def test_slabs_do_not_change_the_result(monkeypatch, axes):
    signal = noise_signal((6, 7, 5), 2, axes)
    field, kernel, shares = ExactField(signal, 1, 0.4), minimal_kernel(1, 0.4, 3, axes), []
    whole = field.filter(kernel, (6, 7, 5), progress=shares.append)
    np.testing.assert_allclose(whole, kernel_convolution(signal, kernel), atol=1e-6)
    seen = []
    convolve = models.gridded.convolve_grid
    monkeypatch.setattr(models.gridded, "SLAB", 6 * 7 * 5 * 2)
    monkeypatch.setattr(models.gridded, "convolve_grid", lambda field, kernel, grid, *rest: (
        seen.append(tuple(map(len, grid))), convolve(field, kernel, grid, *rest))[1])  # fmt: skip
    field.filter(kernel, (6, 7, 5))
    assert seen == [(6, 7, 5)]
    monkeypatch.setattr(models.gridded, "SLAB", 2 * 6 * 7 * 5 * 2 // {1: 7, 0: 6}[3 - sum(axes)])
    np.testing.assert_array_equal(field.filter(kernel, (6, 7, 5), progress=shares.append), whole)
    assert sum(part[3 - sum(axes)] for part in seen[1:]) == (6, 7)[3 - sum(axes)]
    assert max(part[3 - sum(axes)] for part in seen[1:]) == 2
    assert shares[-1] == 1.0 and len(shares) == (3 if axes == (1, 2) else 4)


def test_a_network_reports_how_far_it_is():
    field, shares = random_field(field_config("mlp", 2, 3), shape=(10, 2)), []
    field.filter(minimal_kernel(1, 0.2, 2), block=40, progress=shares.append)
    # 3 Diracs an axis make 30 x 6 points: slabs of 6 rows.
    assert shares == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


class Greedy(Network):
    """A network for which memory never suffices for more than 70 points at once."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        if len(points) > 70:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate")
        return self.network(points)


@pytest.mark.parametrize("at", [None, grid_points((12, 7))])
def test_filtering_goes_on_in_smaller_blocks_where_memory_does_not_suffice(at):
    field, notes = random_field(field_config("mlp", 2, 1), shape=(12, 7)), []
    kernel = minimal_kernel(1, 0.2, 2)
    wanted = field.filter(kernel, at=at, precision="64")
    field.network = Greedy(field.network)
    result = field.filter(kernel, at=at, precision="64", block=1 << 10, notify=notes.append)
    np.testing.assert_allclose(result, wanted, rtol=1e-6, atol=1e-6)
    assert notes and "64 points" in notes[-1]
