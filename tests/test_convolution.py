"""The sparse convolution: on grids and at points it is the sum over Diracs, and costs what it says."""

import math
from functools import reduce

import numpy as np
import pytest
import torch
from builders import field_config, lopsided, random_field
from field_cases import CONFIGS, brute_force, close, uneven_kernel

from kernels import SparseKernel, combine, minimal_kernel, outer
from kernels.separate import tensor_terms
from models.convolution import (
    KernelError,
    check_kernel,
    check_reach,
    convolve_grid,
    convolve_points,
    grid_stencils,
)
from models.field import FieldConfig
from models.stencil import direct_stencil, shared_stencils


@pytest.fixture(params=CONFIGS)
def field(request):
    return random_field(CONFIGS[request.param])


def test_filtering_a_grid_is_the_sum_over_diracs(field):
    config = field.config
    kernel = uneven_kernel(config)
    grid = [torch.linspace(-1, 1, 2 + axis, dtype=torch.float64) for axis in range(config.dim)]
    result = convolve_grid(field, kernel, grid)
    points = torch.cartesian_prod(*grid).reshape(-1, config.dim)
    assert result.shape == (*map(len, grid), config.channels)
    close(result.reshape(len(points), -1), brute_force(field, kernel, points), 1e-7)


@pytest.mark.parametrize("name", ["siren", "mlp", "swish", "uneven ranks", "swish in 1-D"])
def test_large_grids_share_nodes_and_lose_nothing(name):
    field = random_field(CONFIGS[name])
    kernel = uneven_kernel(field.config)
    grid = [torch.linspace(-1, 1, 70, dtype=torch.float64)] * field.config.dim
    result = convolve_grid(field, kernel, grid)
    chosen = torch.randint(70, (6, field.config.dim), generator=torch.Generator().manual_seed(0))
    points = torch.stack([grid[axis][chosen[:, axis]] for axis in range(field.config.dim)], dim=-1)
    close(result[tuple(chosen.T)], brute_force(field, kernel, points), 1e-4)


@pytest.mark.parametrize("block", [1, 7, 1 << 16])
def test_blocks_do_not_change_the_result(block):
    field, kernel = random_field(CONFIGS["mlp"]), uneven_kernel(CONFIGS["mlp"])
    grid = [torch.linspace(-1, 1, 4, dtype=torch.float64)] * 2
    close(convolve_grid(field, kernel, grid, block), convolve_grid(field, kernel, grid), 1e-12)
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
@pytest.mark.parametrize("name", ["siren", "swish", "uneven ranks"])
def test_kernels_that_are_no_product(name, make):
    field = random_field(CONFIGS[name])
    kernel = make(field.config)
    grid = [torch.linspace(-0.8, 0.9, 3, dtype=torch.float64)] * 2
    points = torch.cartesian_prod(*grid)
    wanted = brute_force(field, kernel, points)
    close(convolve_grid(field, kernel, grid).flatten(0, 1), wanted, 1e-5)
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
    field, kernel = random_field(CONFIGS["swish"]), uneven_kernel(CONFIGS["swish"])
    points = torch.rand(4, 2, dtype=torch.float64)
    factors = torch.full((4, 2), scale, dtype=torch.float64)
    close(convolve_points(field, kernel, points, factors), convolve_points(field, kernel.scaled(scale), points))


@pytest.mark.parametrize("asked, nodes", [(30, 30), (3, 16)])
@pytest.mark.parametrize("degree", range(8))
def test_shared_nodes_keep_polynomials_up_to_degree_seven(degree, asked, nodes):
    x = torch.linspace(-1, 1, 20, dtype=torch.float64)
    positions, weights = lopsided()[0].positions[:, 0], lopsided()[0].weights
    shared, direct = shared_stencils(x, positions, [weights], asked)[0], direct_stencil(x, positions, weights)
    assert len(shared.nodes) == nodes < len(direct.nodes)
    assert float(shared.nodes[0] + shared.nodes[-1]) == pytest.approx(float(direct.nodes.min() + direct.nodes.max()))
    sums = [stencil.combine(stencil.nodes[:, None] ** degree, 0) for stencil in (shared, direct)]
    wanted = sum(w * (x - t) ** degree for t, w in zip(positions, weights, strict=True))
    close(sums[1][:, 0], wanted, 1e-11)
    close(sums[0], sums[1], 1e-9)


@pytest.mark.parametrize("dim, order, size", [(1, 2, 1000), (2, 1, 256), (2, 1, 512), (3, 0, 128)])
def test_pointwise_grids_cost_at_most_one_and_a_half_queries_per_output(dim, order, size):
    field = random_field(field_config("mlp", dim, 1, order=order), half_size=(0.05,) * dim)
    shifts = np.linspace(-0.07, 0.07, 13)
    moved = [SparseKernel(k.positions + shift, k.weights, order, (0,)) for shift in shifts
             if (k := minimal_kernel(order, 0.05))]  # fmt: skip
    kernel = reduce(outer, [combine(moved, [1 / 13] * 13)] * dim)
    grid = [torch.linspace(-1, 1, size, dtype=torch.float64)] * dim
    terms = grid_stencils(field, kernel, tensor_terms(kernel), grid)
    assert math.prod(len(stencil.nodes) for stencil in terms[0]) <= 1.5 * size**dim


@pytest.mark.parametrize("name", ["siren", "swish", "uneven ranks"])
def test_long_axes_are_combined_without_a_matrix(name, monkeypatch):
    field, kernel = random_field(CONFIGS[name]), uneven_kernel(CONFIGS[name])
    grid = [torch.linspace(-1, 1, 50 + 9 * axis, dtype=torch.float64) for axis in range(2)]
    dense = convolve_grid(field, kernel, grid)
    monkeypatch.setattr("models.stencil.LARGEST_MATRIX", 0)
    close(convolve_grid(field, kernel, grid), dense, 1e-10)


def test_products_of_one_kernel_share_the_points_a_network_sees():
    field = random_field(field_config("siren", 2, 1))
    seen = []
    field.network.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    kernel = sum_of_products(field.config)
    grid = [torch.linspace(-1, 1, 40, dtype=torch.float64)] * 2
    convolve_grid(field, kernel, grid, block=100)
    (stencils, _) = grid_stencils(field, kernel, tensor_terms(kernel), grid)
    assert sum(seen) == math.prod(len(stencil.nodes) for stencil in stencils)
    assert max(seen) <= 100


def test_separable_grids_ask_every_factor_once_for_all_filters():
    field, seen = random_field(CONFIGS["swish"], half_size=(0.05, 0.05)), []
    for factor in field.factors:
        factor.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    grid = [torch.linspace(-1, 1, 300, dtype=torch.float64)] * 2
    for radius in (0.15, 0.1):
        convolve_grid(field, reduce(outer, [lopsided(13, radius)[0]] * 2), grid)
    # 24 nodes in a knot of 0.05 over 2 (1 + margin 0.3 + half size 0.05), and 10 for the ends.
    assert seen == [2 * 1.35 / 0.05 * 24 + 10] * 2


def test_networks_are_asked_at_few_nodes_per_output_and_enough_per_knot():
    kernel = reduce(outer, [lopsided(13, 0.15)[0]] * 2)
    coarse = random_field(field_config("mlp", 2), half_size=(1.9, 1.9))
    grid = [torch.linspace(-1, 1, 400, dtype=torch.float64)] * 2
    ((first, second),) = grid_stencils(coarse, kernel, tensor_terms(kernel), grid)
    assert len(first.nodes) == len(second.nodes) == int(1.5**0.5 * 400)
    # Its own minimal kernel asks a field for 6 nodes a knot; it has 2 knots in 0.1.
    fine = random_field(field_config("mlp", 2), half_size=(0.1, 0.1))
    kernel, grid = minimal_kernel(1, 0.1, 2), [torch.linspace(-1, 1, 200, dtype=torch.float64)] * 2
    ((first, _),) = grid_stencils(fine, kernel, tensor_terms(kernel), grid)
    assert len(first.nodes) == max(int(2.2 / 0.1 * 6), int(1.5**0.5 * 200))


@pytest.mark.parametrize(
    "kernel, words",
    [
        (minimal_kernel(0, 0.2, 2), "order 0.*order 1.*--order 0"),
        (minimal_kernel(2, 0.2, 2), "order 2.*order 1.*--order 2"),
        (minimal_kernel(1, 0.2, 3), r"axes \(0, 1, 2\) of 3, the field axes \(0, 1\) of 2"),
        (minimal_kernel(1, 0.2, 2, (0,)), r"axes \(0,\) of 2, the field axes \(0, 1\) of 2"),
    ],
)
def test_kernels_of_another_order_or_other_axes_are_refused(kernel, words):
    with pytest.raises(KernelError, match=words):
        check_kernel(random_field(field_config("mlp", 2)), kernel)


def test_a_kernel_reaches_as_far_as_margin_and_training_kernel():
    field = random_field(field_config("mlp", 2), half_size=(0.1, 0.2), margin=0.3)
    check_reach(field, minimal_kernel(1, (0.4, 0.5), 2).radius)
    # Lattices may miss half of the 0.1 between the Diracs of the first axis, of the 0.2 in the second.
    for size, least, margin in (((0.41, 0.1), "0.4", "0.36"), ((0.1, 0.53), "0.5", "0.43")):
        with pytest.raises(
            KernelError, match=f"answers up to {least}: use a smaller kernel, or train on --margin {margin}$"
        ):
            check_reach(field, minimal_kernel(1, size, 2).radius)


def test_only_margins_that_can_be_made_are_advised():
    field = random_field(field_config("mlp", 2), half_size=(0.1, 0.1), margin=0.3)
    with pytest.raises(KernelError, match=r"train on --margin 4$"):
        check_reach(field, [4.05, 0.0])
    with pytest.raises(KernelError, match=r"use a smaller kernel: no margin lets one of more than 4\.05 through$"):
        check_reach(field, [4.06, 0.0])
    # Rounded up, so that a field trained so answers.
    with pytest.raises(KernelError, match=r"train on --margin 0\.363$"):
        check_reach(field, [0.41234, 0.0])
