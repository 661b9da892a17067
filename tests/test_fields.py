"""Fields: what they answer on grids is what they answer point by point, whatever they are made of."""

import itertools
import math
from dataclasses import replace

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


@pytest.mark.parametrize("name", ["siren", "mlp in 3-D", "mlp along time", "split"])
def test_rescaling_gives_the_network_part_the_size_asked_for(name):
    field = random_field(CONFIGS[name])
    stencils = lattice_stencils(field.config)
    size = 0.1 + torch.arange(field.config.channels, dtype=torch.float64)
    field.rescale(stencils, size)
    rms = field.network_grid(stencils).flatten(0, -2).square().mean(dim=0).sqrt()
    close(rms, size)


def test_quality_is_that_at_the_training_kernel():
    assert math.isnan(random_field(CONFIGS["mlp"]).psnr)
    assert random_field(CONFIGS["mlp"], psnr={2.0: 31.0, 1.0: 45.5}).psnr == 45.5


def test_diracs_of_the_training_kernel_are_two_half_sizes_by_its_integrations_apart():
    field = random_field(field_config("separable", 3, axes=(0, 2), order=2), half_size=(0.3, 0.6))
    assert field.h == pytest.approx({0: 0.2, 2: 0.4})
    assert field.config.n == (3, 0, 3)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"kind": "kan"}, "kind must be one of separable, siren, mlp, not 'kan'"),
        ({"factor": "relu"}, "factor must be"),
        ({"dim": 0, "axes": ()}, "dim must be a whole number from 1 to 8, not 0"),
        ({"channels": 0}, "channels must be a whole number from 1 to 4096"),
        ({"channels": 4097}, "channels must be"),
        ({"channels": 2.0}, "channels must be"),
        ({"order": 9}, "order must be a whole number from 0 to 8"),
        ({"order": -1}, "order must be"),
        ({"num_layers": 0}, "num_layers must be a whole number from 1 to 64"),
        ({"num_layers": 65}, "num_layers must be"),
        ({"num_channels": 8193}, "num_channels must be a whole number from 1 to 8192"),
        ({"pe": 25}, "pe must be a whole number from 0 to 24"),
        ({"poly_degree": 9}, "poly_degree must be a whole number from 0 to 8"),
        ({"bias": 2}, "bias must be a whole number from 0 to 1"),
        ({"axes": (0, 2)}, "axes"),
        ({"axes": ()}, "axes"),
        ({"omega_0": float("nan")}, "omega_0 nan"),
        ({"omega_0": 0.9e-3}, "out of range"),
        ({"omega_0": 1001.0}, "out of range"),
        ({"norm_exp": -0.1}, "out of range"),
        ({"norm_exp": 10.1}, "out of range"),
        ({"ranks": (3,)}, "ranks must be 2 whole numbers from 1 to 8192"),
        ({"ranks": (3, 8193)}, "ranks must be"),
        ({"ranks": (3, 0)}, "ranks must be"),
        ({"ranks": ()}, "requires ranks"),
        ({"widths": (3, 0)}, "widths must be 2 whole numbers from 1 to 8192"),
        ({"widths": (3, 8193)}, "widths must be"),
        ({"axes": (0,), "tables": (0, -1)}, "tables must be 2 whole numbers from 0 to 16777216"),
        ({"tables": (4, 0)}, "only axes that are not filtered"),
        ({"factor": "spline"}, "four knots"),
        ({"factor": "spline", "knots": (4, 3), "reach": (0.1, 0.1)}, "four knots"),
        ({"factor": "spline", "knots": (5, (1 << 24) + 1), "reach": (0.1, 0.1)}, "knots must be"),
        ({"factor": "spline", "knots": (5, 5), "reach": (0.1, 100.1)}, "reach of spline factors must be 2 numbers"),
        ({"factor": "spline", "knots": (5, 5), "reach": (0.1, -0.1)}, "reach of spline"),
        ({"factor": "spline", "knots": (5, 5), "reach": (0.1,)}, "reach of spline"),
        ({"split": -1}, "split must be a whole number from 0 to num_layers - 1, not -1"),
        ({"split": 1, "num_layers": 1}, "split must be"),
        ({"split": True, "num_layers": 3}, "split must be"),
        ({"knots": (5,)}, "knots must be 2 whole numbers from 0 to 16777216"),
    ],
)
def test_configurations_no_field_can_have_are_refused(change, words):
    whole = field_config("separable", 2)
    with pytest.raises(ValueError, match=words):
        replace(whole, **change)


def test_the_ends_of_every_range_are_configurations():
    ends = [{"channels": 4096}, {"order": 8}, {"order": 0}, {"num_layers": 64}, {"num_channels": 8192}, {"pe": 24}]
    ends += [
        {"poly_degree": 8, "bias": True},
        {"omega_0": 1000.0},
        {"omega_0": 1e-3},
        {"norm_exp": 10.0},
        {"pe": 0, "poly_degree": 0},
    ]
    ends += [{"ranks": (8192, 1)}, {"widths": (8192, 1)}, {"axes": (1,), "tables": (1 << 24, 0)}, {"norm_exp": 0.0}]
    ends += [
        {"factor": "spline", "knots": (4, 1 << 24), "reach": (100.0, 0.0)},
        {"num_layers": 1, "num_channels": 1},
        {"num_layers": 64, "split": 63},
    ]
    for change in ends:
        config = replace(field_config("separable", 2), **change)
        assert FieldConfig.from_dict(config.to_dict()) == config


def test_in_networks_of_older_files_every_layer_sees_every_coordinate():
    values = field_config("mlp").to_dict()
    del values["split"]
    assert FieldConfig.from_dict(values) == field_config("mlp", split=0)


def test_networks_are_as_wide_as_asked_in_every_axis():
    config = replace(field_config("separable", 2), widths=(5, 9))
    assert [config.width(axis) for axis in range(2)] == [5, 9]
    assert [config.layers, field_config("siren").layers, field_config("mlp").layers] == ["swish", "sine", "swish"]
    assert [factor.head.in_features for factor in random_field(config).factors] == [5, 9]


@pytest.mark.parametrize(
    "kind, change, named",
    [
        ("mlp", {"pe": 3}, ["pe"]),
        ("mlp", {"omega_0": 9.0}, []),
        ("mlp", {"split": 1, "num_layers": 2}, ["num_layers", "split"]),
        ("siren", {"omega_0": 9.0, "order": 0}, ["order", "omega_0"]),
        ("separable", {"ranks": (5, 6)}, ["ranks"]),
        ("separable", {"factor": "sine"}, ["factor"]),
    ],
)
def test_fields_differ_in_what_gives_their_weights_a_meaning(kind, change, named):
    mine = field_config(kind)
    assert mine.differences(mine) == []
    assert sorted(mine.differences(field_config(kind, **change))) == sorted(named)


def test_a_field_knows_its_training_kernel():
    field = random_field(field_config("separable", 3, axes=(0, 2), order=2), half_size=(0.1, 0.3), margin=0.25)
    assert (field.margin, field.kernel.order, field.kernel.axes) == (0.25, 2, (0, 2))
    np.testing.assert_allclose(field.kernel.radius, (0.1, 0.0, 0.3))
    assert field.kernel.mass == pytest.approx(1.0)
