"""Fields: what they answer on grids is what they answer point by point, whatever they are made of."""

import itertools
import math

import numpy as np
import pytest
import torch
from builders import field_config, random_field
from field_cases import CONFIGS, close

from kernels.minimal import difference_weights
from models.field import FieldConfig
from models.stencil import Differences, Points


@pytest.fixture(params=CONFIGS)
def field(request):
    return random_field(CONFIGS[request.param])


def positions_of(stencil) -> torch.Tensor:
    """Centres [M] of a stencil's results, in the order of its results."""
    if isinstance(stencil, Points):
        return stencil.nodes
    return (stencil.first[:, None] + stencil.spacing * torch.arange(stencil.count).double()).reshape(-1)


def lattice_stencils(config: FieldConfig) -> list:
    """Two lattices of three points in every filtered axis, four scattered points in the others."""
    stencils = []
    for axis, n in enumerate(config.n):
        if n:
            stencils.append(Differences(torch.tensor([-0.41, 0.07 + axis / 50], dtype=torch.float64), n, 0.13, 3))
        else:
            stencils.append(Points(torch.tensor([-0.9, 0.11, 0.5, 1.0], dtype=torch.float64)))
    return stencils


def test_grids_are_differences_of_points(field):
    stencils = lattice_stencils(field.config)
    centres = [positions_of(s) for s in stencils]
    kernel = [(torch.zeros(1), np.ones(1))] * field.config.dim
    for axis, n in enumerate(field.config.n):
        if n:
            kernel[axis] = (0.13 * (torch.arange(n + 1, dtype=torch.float64) - n / 2), difference_weights(n, 0.13))
    grid = field.grid(stencils)
    assert grid.shape == (*map(len, centres), field.config.channels)
    for index in [(0,) * field.config.dim, tuple(len(x) - 1 for x in centres), tuple(len(x) // 2 for x in centres)]:
        total = 0.0
        for choice in itertools.product(*[range(len(t)) for t, _ in kernel]):
            x = [centres[a][i] - kernel[a][0][k] for a, (i, k) in enumerate(zip(index, choice, strict=True))]
            weight = math.prod(float(w[k]) for (_, w), k in zip(kernel, choice, strict=True))
            total = total + weight * field(torch.stack(x)[None].double())[0]
        close(grid[index], total)


@pytest.mark.parametrize("dim, axes, order", [(1, (0,), 3), (2, (0, 1), 1), (3, (0, 2), 2), (2, (1,), 0)])
def test_polynomial_part_differentiates_to_a_polynomial(dim, axes, order):
    field = random_field(field_config("siren", dim, 2, axes=axes, order=order, poly_degree=2))
    coefficients = field.polynomial.coefficients
    field.head.weight.zero_()
    # A difference is the derivative seen through a B-spline, which keeps the powers 0 and 1 and shifts the others.
    flat = torch.cartesian_prod(*[torch.arange(3)] * dim).reshape(-1, dim)
    for powers in flat:
        if (powers[list(axes)] == 2).any():
            coefficients[tuple(powers)] = 0
    stencils = lattice_stencils(field.config)
    centres = torch.cartesian_prod(*[positions_of(s) for s in stencils]).reshape(-1, dim)
    wanted = sum(coefficients[tuple(powers)] * (centres**powers).prod(dim=1, keepdim=True) for powers in flat)
    close(field.grid(stencils).flatten(0, -2), wanted, 1e-8)


def test_rescaling_gives_the_network_part_the_size_asked_for(field):
    stencils = lattice_stencils(field.config)
    size = 0.1 + torch.arange(field.config.channels, dtype=torch.float64)
    field.rescale(stencils, size)
    rms = field.network_grid(stencils).flatten(0, -2).square().mean(dim=0).sqrt()
    close(rms, size)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "kan"},
        {"factor": "relu"},
        {"core": "dense"},
        {"dim": 0, "axes": ()},
        {"channels": 0},
        {"channels": 2.0},
        {"order": 9},
        {"order": -1},
        {"num_layers": 0},
        {"num_channels": 10**6},
        {"pe": 25},
        {"axes": (0, 2)},
        {"axes": ()},
        {"omega_0": float("nan")},
        {"norm_exp": -1.0},
        {"ranks": (3,)},
        {"ranks": (3, 4)},
        {"core": "tucker", "ranks": (3, 0)},
        {"tables": (4, 0)},
        {"factor": "spline"},
        {"factor": "spline", "knots": (5, 3)},
        {"factor": "spline", "knots": (5, 5), "reach": (0.1, float("inf"))},
        {"knots": (5,)},
        {"poly_degree": 9},
    ],
)
def test_configurations_no_field_can_have_are_refused(change):
    with pytest.raises(ValueError):
        FieldConfig(**({"kind": "separable", "dim": 2, "channels": 1, "axes": (0, 1), "order": 1} | change))


@pytest.mark.parametrize(
    "kind, change, named",
    [
        ("mlp", {"pe": 3}, ["pe"]),
        ("mlp", {"omega_0": 9.0}, []),
        ("siren", {"omega_0": 9.0, "order": 0}, ["order", "omega_0"]),
        ("separable", {"ranks": (5, 6), "core": "tucker"}, ["core", "ranks"]),
        ("separable", {"factor": "sine"}, ["factor"]),
    ],
)
def test_fields_differ_in_what_gives_their_weights_a_meaning(kind, change, named):
    mine = field_config(kind)
    assert mine.differences(mine) == []
    assert sorted(mine.differences(field_config(kind, **change))) == sorted(named)
