"""Fields: what they answer on grids is what they answer point by point, whatever they are made of."""

import itertools
import math
from functools import reduce

import numpy as np
import pytest
import torch
from builders import field_config, lopsided, random_field

from kernels import SparseKernel, combine, minimal_kernel, outer
from kernels.minimal import difference_weights
from models.convolution import (
    KernelError,
    check_kernel,
    check_reach,
    convolve_grid,
    convolve_points,
    count_queries,
    grid_stencils,
)
from models.field import FieldConfig
from models.stencil import Differences, Points, Weighted, direct_stencil, noise_gain, shared_stencil

CONFIGS = {
    "siren": field_config("siren", 2, 3),
    "mlp": field_config("mlp", 2, 1, norm_exp=0.0),
    "mlp in 3-D": field_config("mlp", 3, 1, order=0),
    "siren in 1-D": field_config("siren", 1, 7, order=2),
    "mlp along time": field_config("mlp", 3, 3, axes=(0,)),
    "cp of swish": field_config("separable", 2, 3),
    "cp of sine": field_config("separable", 3, 1, factor="sine"),
    "cp in 1-D": field_config("separable", 1, 7, order=2),
    "tucker of swish": field_config("separable", 2, 7, core="tucker", ranks=(5, 3)),
    "tucker of sine": field_config("separable", 3, 1, core="tucker", ranks=(2, 5, 3), factor="sine"),
    "tucker with tables": field_config("separable", 3, 3, axes=(0,), core="tucker", ranks=(4, 3, 2), tables=(0, 9, 7)),
    "cp of splines": field_config("separable", 2, 3, factor="spline", knots=(9, 12), reach=0.7),
    "tucker of splines": field_config(
        "separable",
        3,
        2,
        axes=(0, 2),
        order=0,
        core="tucker",
        ranks=(4, 3, 2),
        tables=(0, 7, 0),
        factor="spline",
        knots=(8, 0, 11),
        reach=0.6,
    ),
    "cp, middle axis": field_config("separable", 3, 1, axes=(1,), order=0),
}
pointwise = [name for name in CONFIGS if CONFIGS[name].kind != "separable"]


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


def brute_force(field, kernel: SparseKernel, points: torch.Tensor, stretch: np.ndarray | None = None) -> torch.Tensor:
    """sum_k w_k F(x - s t_k) / s^n, one Dirac at a time; stretch s [N, d]."""
    s = torch.ones_like(points) if stretch is None else torch.as_tensor(stretch)
    size = s[:, list(kernel.axes)].pow(kernel.n).prod(dim=1, keepdim=True)
    return sum(
        w / size * field(points - s * torch.tensor(t)) for t, w in zip(kernel.positions, kernel.weights, strict=True)
    )


def close(actual, wanted, relative: float = 1e-9) -> None:
    """Equal up to rounding of the largest value: differences cancel, so small values know no better."""
    wanted = np.asarray(wanted)
    np.testing.assert_allclose(np.asarray(actual), wanted, rtol=0, atol=relative * max(1.0, np.abs(wanted).max()))


def uneven_kernel(config: FieldConfig) -> SparseKernel:
    """An asymmetric outer product of the field's order on uneven knots, 6 Diracs an axis (order 1), else minimal."""
    if config.order != 1:
        return minimal_kernel(config.order, 0.21, config.dim, config.axes)
    factors = [lopsided(6, 0.25, seed)[0] for seed in range(len(config.axes))]
    return reduce(outer, factors).embedded(config.axes, config.dim)


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


def test_filtering_a_grid_is_the_sum_over_diracs(field):
    config = field.config
    kernel = uneven_kernel(config)
    grid = [torch.linspace(-1, 1, 2 + axis, dtype=torch.float64) for axis in range(config.dim)]
    result = convolve_grid(field, kernel, grid, half_size=0.2)
    points = torch.cartesian_prod(*grid).reshape(-1, config.dim)
    assert result.shape == (*map(len, grid), config.channels)
    close(result.reshape(len(points), -1), brute_force(field, kernel, points), 1e-7)


@pytest.mark.parametrize("name", ["siren", "mlp", "cp of swish", "tucker of swish", "cp in 1-D"])
def test_large_grids_share_nodes_and_lose_nothing(name):
    field = random_field(CONFIGS[name])
    kernel = uneven_kernel(field.config)
    grid = [torch.linspace(-1, 1, 70, dtype=torch.float64)] * field.config.dim
    result = convolve_grid(field, kernel, grid, half_size=0.2)
    chosen = torch.randint(70, (6, field.config.dim), generator=torch.Generator().manual_seed(0))
    points = torch.stack([grid[axis][chosen[:, axis]] for axis in range(field.config.dim)], dim=-1)
    close(result[tuple(chosen.T)], brute_force(field, kernel, points), 1e-4)


@pytest.mark.parametrize("block", [1, 7, 1 << 16])
def test_blocks_do_not_change_the_result(block):
    field, kernel = random_field(CONFIGS["mlp"]), uneven_kernel(CONFIGS["mlp"])
    grid = [torch.linspace(-1, 1, 4, dtype=torch.float64)] * 2
    close(convolve_grid(field, kernel, grid, 0.2, block), convolve_grid(field, kernel, grid, 0.2), 1e-12)
    points = torch.cartesian_prod(*grid)
    close(convolve_points(field, kernel, points, block=block), convolve_points(field, kernel, points), 1e-12)


def sum_of_products(config: FieldConfig) -> SparseKernel:
    a, b, c = (lopsided(4, 0.25, seed)[0] for seed in (1, 2, 3))
    return combine([outer(a, b), outer(c, a)], [1.0, -0.7]).embedded(config.axes, config.dim)


def scattered_kernel(config: FieldConfig) -> SparseKernel:
    """90 tents at random places: Diracs that lie on no grid worth the name."""
    tent = minimal_kernel(1, 0.1, 2)
    shifts = np.random.default_rng(0).uniform(-0.15, 0.15, (90, 2))
    moved = [SparseKernel(tent.positions + shift, tent.weights, 1, (0, 1)) for shift in shifts]
    return combine(moved, [1 / 90] * 90).embedded(config.axes, config.dim)


@pytest.mark.parametrize("make", [sum_of_products, scattered_kernel])
@pytest.mark.parametrize("name", ["siren", "cp of swish", "tucker of swish"])
def test_kernels_that_are_no_product(name, make):
    field = random_field(CONFIGS[name])
    kernel = make(field.config)
    grid = [torch.linspace(-0.8, 0.9, 3, dtype=torch.float64)] * 2
    points = torch.cartesian_prod(*grid)
    wanted = brute_force(field, kernel, points)
    close(convolve_grid(field, kernel, grid, 0.1).flatten(0, 1), wanted, 1e-5)
    close(convolve_points(field, kernel, points), wanted, 1e-5)


def test_scattered_points_with_a_scale_of_their_own(field):
    config = field.config
    kernel = uneven_kernel(config)
    generator = torch.Generator().manual_seed(1)
    points = 2 * torch.rand(5, config.dim, dtype=torch.float64, generator=generator) - 1
    close(convolve_points(field, kernel, points), brute_force(field, kernel, points), 1e-8)
    scale = 0.5 + torch.rand(5, len(config.axes), dtype=torch.float64, generator=generator)
    stretch = np.ones((5, config.dim))
    stretch[:, list(config.axes)] = scale
    close(convolve_points(field, kernel, points, scale), brute_force(field, kernel, points, stretch), 1e-8)
    shown = []
    asked = sum(len(np.unique(t)) for t in kernel.positions[:, config.axes].T) if field.factored else len(kernel)
    convolve_points(field, kernel, points, block=2 * asked, progress=shown.append)
    assert shown == [0.4, 0.8, 1.0]
    assert convolve_points(field, kernel, points[:0]).shape == (0, config.channels)


@pytest.mark.parametrize("scale", [0.5, 1.7])
def test_a_scale_per_point_is_the_scaled_kernel(scale):
    field, kernel = random_field(CONFIGS["cp of swish"]), uneven_kernel(CONFIGS["cp of swish"])
    points = torch.rand(4, 2, dtype=torch.float64)
    factors = torch.full((4, 2), scale, dtype=torch.float64)
    close(convolve_points(field, kernel, points, factors), convolve_points(field, kernel.scaled(scale), points))


@pytest.mark.parametrize("degree", range(8))
def test_shared_nodes_keep_polynomials_up_to_degree_seven(degree):
    x = torch.linspace(-1, 1, 20, dtype=torch.float64)
    positions, weights = lopsided()[0].positions[:, 0], lopsided()[0].weights
    shared, direct = shared_stencil(x, positions, weights, 30), direct_stencil(x, positions, weights)
    assert len(shared.nodes) <= 30 < len(direct.nodes)
    sums = [stencil.combine(stencil.nodes[:, None] ** degree, 0) for stencil in (shared, direct)]
    wanted = sum(w * (x - t) ** degree for t, w in zip(positions, weights, strict=True))
    close(sums[1][:, 0], wanted, 1e-11)
    close(sums[0], sums[1], 1e-9)


def test_noise_gain_is_how_much_independent_errors_grow():
    rng = torch.Generator().manual_seed(0)
    for stencil in (
        Differences(torch.zeros(1, dtype=torch.float64), 2, 0.3, 1),
        Weighted(torch.zeros(3), torch.tensor([[1.0, -2.0, 4.0]], dtype=torch.float64)),
        Points(torch.zeros(1)),
    ):
        errors = torch.randn(len(stencil.nodes), 20_000, dtype=torch.float64, generator=rng)
        assert float(stencil.combine(errors, 0).std()) == pytest.approx(noise_gain(stencil), rel=0.03)


def test_rescaling_gives_the_network_part_the_size_asked_for(field):
    stencils = lattice_stencils(field.config)
    size = 0.1 + torch.arange(field.config.channels, dtype=torch.float64)
    field.rescale(stencils, size)
    rms = field.network_grid(stencils).flatten(0, -2).square().mean(dim=0).sqrt()
    close(rms, size)


@pytest.mark.parametrize("dim, order, size", [(1, 2, 1000), (2, 1, 256), (2, 1, 512), (3, 0, 128)])
def test_pointwise_grids_cost_at_most_one_and_a_half_queries_per_output(dim, order, size):
    field = random_field(field_config("mlp", dim, 1, order=order))
    shifts = np.linspace(-0.07, 0.07, 13)
    moved = [SparseKernel(k.positions + shift, k.weights, order, (0,)) for shift in shifts
             if (k := minimal_kernel(order, 0.05))]  # fmt: skip
    kernel = reduce(outer, [combine(moved, [1 / 13] * 13)] * dim)
    grid = [torch.linspace(-1, 1, size, dtype=torch.float64)] * dim
    terms = grid_stencils(field, kernel, grid, half_size=0.05)
    assert count_queries(field, terms) <= 1.5 * size**dim


def test_counted_queries_are_the_points_a_network_sees():
    field = random_field(field_config("siren", 2, 1))
    seen = []
    field.network.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    kernel = sum_of_products(field.config)
    grid = [torch.linspace(-1, 1, 40, dtype=torch.float64)] * 2
    convolve_grid(field, kernel, grid, 0.2, block=100)
    assert sum(seen) == count_queries(field, grid_stencils(field, kernel, grid, 0.2))
    assert max(seen) <= 100


def test_separable_grids_cost_their_axes():
    field = random_field(CONFIGS["cp of swish"])
    seen = []
    for factor in field.factors:
        factor.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    kernel = reduce(outer, [lopsided(13, 0.15)[0]] * 2)
    grid = [torch.linspace(-1, 1, 300, dtype=torch.float64)] * 2
    convolve_grid(field, kernel, grid, half_size=0.05)
    assert sum(seen) == count_queries(field, grid_stencils(field, kernel, grid, 0.05))
    assert sum(seen) < 0.05 * 300**2


@pytest.mark.parametrize(
    "kernel, words",
    [
        (minimal_kernel(0, 0.2, 2), "order 0.*order 1"),
        (minimal_kernel(2, 0.2, 2), "order 2.*order 1"),
        (minimal_kernel(1, 0.2, 1), "axes"),
        (minimal_kernel(1, 0.2, 3), "axes"),
        (minimal_kernel(1, 0.2, 2, (0,)), "axes"),
        (minimal_kernel(1, 0.41, 2), "--margin 0.31"),
        (minimal_kernel(1, (0.1, 0.5), 2), "--margin 0.4"),
    ],
)
def test_kernels_the_field_cannot_answer_for_are_refused(kernel, words):
    field = random_field(field_config("mlp", 2))
    with pytest.raises(KernelError, match=words):
        check_kernel(field, kernel)
        check_reach(kernel, margin=0.3, half_size=0.1)
    check_kernel(field, minimal_kernel(1, 0.4, 2))
    check_reach(minimal_kernel(1, 0.4, 2), margin=0.3, half_size=0.1)


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
        {"factor": "spline", "knots": (5, 5), "reach": float("inf")},
        {"knots": (5,)},
        {"poly_degree": 9},
    ],
)
def test_configurations_no_field_can_have_are_refused(change):
    with pytest.raises(ValueError):
        FieldConfig(**({"kind": "separable", "dim": 2, "channels": 1, "axes": (0, 1), "order": 1} | change))
