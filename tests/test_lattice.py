"""Lattices of the ground truth and what is supervised through them, against the convolution at single points."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import exact_truth, field_config, noise_signal, random_field, smooth_signal
from scipy.interpolate import RegularGridInterpolator
from training_cases import generator, targets_of, training_kernel

from kernels import minimal_kernel
from models.convolution import convolve_points
from signals.exact import minimal_convolution
from training.lattice import LatticeTargets
from training.objective import LatticeObjective, PointObjective, batch_shape, fit_polynomial, polynomial_values
from training.pyramid import LOSSES, levels


def resampled_positions(targets: LatticeTargets) -> list[torch.Tensor]:
    return [axis.positions(torch.arange(n)) for axis, n in zip(targets.axes, targets.values.shape, strict=False)]


def batch_positions(targets: LatticeTargets, batch) -> torch.Tensor:
    """Where a batch's values are, [N, d], found again by their stencils."""
    centres = []
    for axis, stencil in zip(targets.axes, batch.stencils, strict=True):
        nodes = stencil.nodes
        if axis.n:
            rows = nodes.reshape(len(stencil.first), -1)[:, : stencil.count]
            nodes = (rows + axis.h * axis.n / 2).reshape(-1)
        centres.append(nodes)
    return torch.cartesian_prod(*centres).reshape(-1, len(centres))


def test_lattices_stay_within_the_ground_truth_and_cover_it(truth):
    targets = targets_of(truth)
    for axis, x in enumerate(resampled_positions(targets)):
        low, high = truth.bounds[axis]
        assert low - 1e-9 <= x[0] and x[-1] <= high + 1e-9
        assert x[0] - low + high - x[-1] < targets.h if axis in truth.axes else len(x) == truth.shape[axis]


@pytest.mark.parametrize("order, tolerance", [(0, 2e-3), (1, 2e-5), (2, 2e-5)])
def test_resampled_truth_is_the_exact_convolution_there(order, tolerance):
    # The reference is a signal of samples so fine that the resampled points lie on some of them.
    fine, step = 481, 8
    signal = smooth_signal((fine,), 1)
    coarse = replace(exact_truth(signal, order, 0.2, 0.0), values=exact_truth(signal, order, 0.2, 0.0).values[::step])
    targets = targets_of(coarse)
    x = resampled_positions(targets)[0].numpy()
    exact = minimal_convolution(signal, order, [0.2])[:, 0]
    wanted = np.interp(x, np.linspace(-1, 1, fine), exact)
    np.testing.assert_allclose(targets.values[:, 0].numpy(), wanted, atol=tolerance)


def test_drawn_points_and_lattices_carry_the_same_truth(truth):
    targets = targets_of(truth)
    batch = targets.draw(generator(), batch_shape(targets, 300))
    x = resampled_positions(targets)
    points = batch_positions(targets, batch)
    places = [torch.searchsorted(grid, points[:, axis] - 1e-9) for axis, grid in enumerate(x)]
    assert torch.equal(batch.values.flatten(0, -2), targets.values[tuple(places)])
    scattered, values = targets.draw_points(generator(), 50)
    places = [torch.searchsorted(grid, scattered[:, axis] - 1e-9) for axis, grid in enumerate(x)]
    assert torch.equal(values, targets.values[tuple(places)])


@pytest.mark.parametrize("kind", ["mlp", "separable"])
def test_lattice_and_point_residuals_agree_on_the_same_points(truth, kind):
    config = field_config(kind, truth.dim, truth.channels, axes=truth.axes, order=truth.order)
    field, targets = random_field(config), targets_of(truth)
    batch = targets.draw(generator(), batch_shape(targets, 200))
    finest = LatticeObjective(targets, 200, "l1", 1).residuals(field, batch)[0].reshape(-1, truth.channels)
    points = batch_positions(targets, batch)
    direct = convolve_points(field, training_kernel(truth), points) - batch.values.flatten(0, -2)
    torch.testing.assert_close(finest, direct, atol=1e-8, rtol=1e-8)


def test_point_loss_is_the_loss_of_its_points(truth):
    config = field_config("mlp", truth.dim, truth.channels, axes=truth.axes, order=truth.order)
    field, targets = random_field(config), targets_of(truth)
    loss = PointObjective(targets, 64, "l2").loss(field, generator(3))
    points, values = targets.draw_points(generator(3), 64)
    residual = convolve_points(field, training_kernel(truth), points) - values
    torch.testing.assert_close(loss.total, residual.square().mean())
    assert loss.queries == 64 * len(training_kernel(truth))


@pytest.mark.parametrize("level", [1, 2])
def test_coarser_levels_are_seen_through_a_kernel_twice_as_large(level):
    signal, size = smooth_signal((161, 121), 2), 0.1 * 2**level
    field, targets = random_field(field_config("mlp", 2, 2)), targets_of(exact_truth(signal, 1, 0.1, 0.5))
    batch = targets.draw(generator(), [(1, axis.length) for axis in targets.axes])
    predicted, true = (
        levels(values, batch.lattices, [2, 2], level + 1)[level].squeeze((0, 2))
        for values in (field.grid(batch.stencils), batch.values)
    )
    x = [s.nodes[:n] + axis.h * 2**level for s, axis, n in zip(batch.stencils, targets.axes, true.shape, strict=False)]
    points = torch.cartesian_prod(*x)
    wider = convolve_points(field, minimal_kernel(1, size, 2), points)
    torch.testing.assert_close(predicted.flatten(0, 1), wider, atol=1e-8, rtol=1e-8)
    exact = exact_truth(signal, 1, size, 0.5)
    read = RegularGridInterpolator([exact.coordinates(0), exact.coordinates(1)], exact.values, method="cubic")
    np.testing.assert_allclose(true.flatten(0, 1), read(points.numpy()), atol=1e-5)


def test_pyramid_stops_where_the_lattice_is_too_short():
    shapes = [level.shape[1] for level in levels(torch.zeros(12, 1), [(1, 12)], [2], 9)]
    assert shapes == [12, 10, 6]
    assert [level.shape for level in levels(torch.zeros(8, 5, 1), [(2, 4), (1, 5)], [1, 0], 2)] == [
        (2, 4, 1, 5, 1), (2, 3, 1, 5, 1)
    ]  # fmt: skip


@pytest.mark.parametrize("batch", [256, 4096, 20_000])
def test_a_2d_order_1_step_costs_at_most_1_3_queries_a_sample(batch):
    truth = exact_truth(noise_signal((256, 256)), 1, 0.05, 0.4)
    targets = targets_of(truth)
    objective = LatticeObjective(targets, batch, "l1", 4)
    field = random_field(field_config("mlp", 2, 1))
    loss = objective.loss(field, generator())
    assert loss.queries <= (1.3 if batch >= 4096 else 1.5) * loss.points
    assert 0.5 * batch <= loss.points <= 2 * batch


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_the_measures_they_are_named_after(name):
    residual = torch.tensor([3e-3, -4e-3, 0.0, 1e-2])
    wanted = {"l1": 17e-3 / 4, "l2": 125e-6 / 4, "log": 0.5 * np.log(125e-6 / 4)}
    assert float(LOSSES[name](residual)) == pytest.approx(wanted[name], rel=1e-5)


def test_the_polynomial_fit_is_the_least_squares_fit(truth):
    config = field_config("mlp", truth.dim, truth.channels, axes=truth.axes, order=truth.order)
    field, targets = random_field(config), targets_of(truth)
    fit_polynomial(field, targets)
    best = (polynomial_values(field, targets) - targets.values).square().sum()
    for seed in range(4):
        shaken = random_field(config, seed)
        shaken.polynomial.coefficients.mul_(1e-2).add_(field.polynomial.coefficients)
        assert (polynomial_values(shaken, targets) - targets.values).square().sum() > best


def test_prepared_fields_start_at_the_size_of_the_signal(truth):
    config = field_config("mlp", truth.dim, truth.channels, axes=truth.axes, order=truth.order)
    field, targets = random_field(config), targets_of(truth)
    objective = LatticeObjective(targets, 4000, "l2", 1)
    objective.prepare(field, generator())
    rest = (targets.values - polynomial_values(field, targets)).square().mean().sqrt()
    assert float(objective.loss(field, generator(1)).rms[0]) < 3 * float(rest)
    stencils = targets.draw(generator(1), objective.shape).stencils
    network = field.network_grid(stencils).detach().square().mean().sqrt()
    assert float(rest) / 3 < float(network) < 3 * float(rest)
