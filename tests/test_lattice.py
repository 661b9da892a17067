"""Lattices of the ground truth and what is supervised through them, against the convolution at single points."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import exact_truth, noise_signal, smooth_signal
from scipy.interpolate import RegularGridInterpolator
from training_cases import generator, network_for, targets_of

from kernels import minimal_kernel
from models.convolution import convolve_points
from models.polynomial import PolynomialPart
from signals.exact import minimal_convolution
from training import lattice
from training.lattice import LatticeTargets, fit_polynomial
from training.objective import LatticeObjective, PointObjective, batch_shape
from training.pyramid import LOSSES, levels


def resampled_positions(targets: LatticeTargets) -> list[torch.Tensor]:
    """Where the values are along every axis, as lattices [q, L] of h lie: phase by phase."""
    grids = [a.origin + a.h * (torch.arange(a.length) + torch.arange(a.phases)[:, None].double() / a.phases)
             for a in targets.axes]  # fmt: skip
    return [grid.flatten() for grid in grids]


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


def values_at(targets: LatticeTargets, points: torch.Tensor) -> torch.Tensor:
    """The resampled ground truth [N, c] at `points` [N, d] that are among its points."""
    rows = []
    for x, at in zip(resampled_positions(targets), points.T, strict=True):
        distance, row = (x - at[:, None]).abs().min(dim=1)
        assert distance.max() < 1e-9
        rows.append(row)
    return targets.values[tuple(rows)]


def test_lattices_stay_within_the_ground_truth_and_cover_it(truth):
    targets = targets_of(truth)
    for axis, x in enumerate(resampled_positions(targets)):
        low, high = truth.bounds[axis]
        assert low - 1e-9 <= x.min() and x.max() <= high + 1e-9
        assert len(x) == targets.values.shape[axis] == targets.axes[axis].count
        if axis in truth.axes:
            assert float(x.min() - low) == pytest.approx(float(high - x.max()), abs=1e-9)
            step = truth.h[axis] / targets.axes[axis].phases
            assert targets.axes[axis].h == truth.h[axis]
            # As fine as the samples, but no finer than phases require.
            spacing = 2 / (truth.shape[axis] - 1)
            assert step <= spacing * (1 + 1e-6) < step + step / (targets.axes[axis].phases - 1 or 1e-9)
            assert x[0] - low + high - x.max() < truth.h[axis]
        else:
            np.testing.assert_allclose(x, truth.coordinates(axis), atol=1e-12)
    inside = [int((x.abs() <= 1 + 1e-9).sum()) for x in resampled_positions(targets)]
    assert targets.inside == np.prod(inside)
    assert targets.margin == pytest.approx(min(-1 - float(resampled_positions(targets)[a].min()) for a in truth.axes))


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


@pytest.mark.parametrize("count, degree", [(2, 1), (3, 1), (4, 3), (5, 3), (6, 5), (20, 5)])
def test_resampling_keeps_polynomials_of_the_degree_that_samples_determine(count, degree):
    x, at = np.linspace(-1, 1, count), np.linspace(-1, 1, 9)
    found = lattice._resampled(x[:, None] ** degree, 0, x, at)
    np.testing.assert_allclose(found[:, 0], at**degree, atol=1e-12)
    # Positions that are samples have their values, both ends included.
    values = np.random.default_rng(count).standard_normal((2, count, 3))
    np.testing.assert_array_equal(lattice._resampled(values, 1, x, x[::-1]), values[:, ::-1])


def test_a_single_sample_is_its_lattice():
    targets = targets_of(exact_truth(noise_signal((1, 20), axes=(1,)), 1, 0.3, 0.2))
    assert (targets.axes[0].h, targets.axes[0].length, targets.axes[0].phases, targets.axes[0].n) == (2.0, 1, 1, 0)
    alone = exact_truth(noise_signal((1,)), 1, 0.5, 1.0)
    np.testing.assert_allclose(targets_of(alone).values, alone.core[0, 0])


def test_ground_truths_without_room_for_a_lattice_are_refused(monkeypatch):
    with pytest.raises(ValueError, match="covers 2 domain units, less than one kernel step of 4"):
        targets_of(exact_truth(noise_signal((3,)), 0, 2.0, 0.0))
    truth = exact_truth(noise_signal((21, 5), 3, axes=(0,)), 1, 0.05, 0.0)
    # 2 / 0.05 = 40 steps, 5 samples and 3 channels.
    monkeypatch.setattr(lattice, "LARGEST_LATTICES", 600)
    targets_of(truth)
    monkeypatch.setattr(lattice, "LARGEST_LATTICES", 599)
    with pytest.raises(ValueError, match=r"half size 0\.05 is far finer .* larger --half_size"):
        targets_of(truth)


def test_drawn_points_and_lattices_carry_the_same_truth(truth):
    targets = targets_of(truth)
    batch = targets.draw(generator(), batch_shape(targets, 300))
    assert torch.equal(batch.values.flatten(0, -2), values_at(targets, batch_positions(targets, batch)))
    assert batch.points == len(batch_positions(targets, batch))
    assert [p * count for p, count in batch.lattices] == list(batch.values.shape[:-1])
    points, values = targets.draw_points(generator(), 50)
    assert torch.equal(values, values_at(targets, points))


def test_every_lattice_is_drawn_as_often():
    targets = targets_of(exact_truth(noise_signal((12, 9), axes=(0,)), 1, 0.5, 0.2))
    axis = targets.axes[0]
    drawn = torch.zeros(axis.phases, axis.length)
    rows = torch.zeros(9)
    draw = generator()
    for _ in range(600):
        batch = targets.draw(draw, [(1, 2), (1, 4)])
        place = ((batch.stencils[0].first + 1e-9 - axis.origin) / axis.h)[0]
        drawn[int(place % 1 * axis.phases), int(place)] += 1
        rows[((batch.stencils[1].nodes + 1) * 4).round().long()] += 1
    assert drawn[:, -1].sum() == 0 and drawn[:, :-1].min() > 0.4 * drawn.max()
    assert rows.sum() == 2400 and rows.min() > 0.7 * rows.max()


@pytest.mark.parametrize("kind", ["mlp", "separable"])
def test_lattice_and_point_residuals_agree_on_the_same_points(truth, kind):
    field, targets = network_for(truth, kind), targets_of(truth)
    batch = targets.draw(generator(), batch_shape(targets, 200))
    finest = LatticeObjective(targets, 200, "l1", 1).residuals(field, batch)[0].reshape(-1, truth.channels)
    direct = convolve_points(field, truth.kernel, batch_positions(targets, batch)) - batch.values.flatten(0, -2)
    torch.testing.assert_close(finest, direct, atol=1e-8, rtol=1e-8)


def test_the_lattice_loss_adds_up_the_levels():
    truth = exact_truth(smooth_signal((40, 31), 3), 1, 0.2, 0.3)
    field, targets = network_for(truth), targets_of(truth)
    objective = LatticeObjective(targets, 300, "l2", 2)
    loss = objective.loss(field, generator(2))
    batch = targets.draw(generator(2), objective.shape)
    squares = [residual.square().mean() for residual in objective.residuals(field, batch)]
    assert len(squares) == len(loss.rms) == 2 and loss.points == batch.points
    torch.testing.assert_close(loss.total, sum(squares))
    torch.testing.assert_close(torch.stack(loss.rms), torch.stack(squares).sqrt())


def test_point_loss_is_the_loss_of_its_points(truth):
    field, targets = network_for(truth), targets_of(truth)
    loss = PointObjective(targets, 64, "l2").loss(field, generator(3))
    points, values = targets.draw_points(generator(3), 64)
    residual = convolve_points(field, truth.kernel, points) - values
    torch.testing.assert_close(loss.total, residual.square().mean())
    assert loss.points == 64


@pytest.mark.parametrize("level", [1, 2])
def test_coarser_levels_are_seen_through_a_kernel_twice_as_large(level):
    signal, size = smooth_signal((161, 121), 2), 0.1 * 2**level
    truth = exact_truth(signal, 1, 0.1, 0.5)
    field, targets = network_for(truth), targets_of(truth)
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
    assert len(levels(torch.zeros(5, 1), [(1, 5)], [2], 9)) == 2
    assert [level.shape for level in levels(torch.zeros(8, 5, 1), [(2, 4), (1, 5)], [1, 0], 2)] == [
        (2, 4, 1, 5, 1), (2, 3, 1, 5, 1)
    ]  # fmt: skip


@pytest.mark.parametrize("batch", [256, 4096, 20_000])
def test_a_2d_order_1_step_costs_at_most_1_3_queries_a_sample(batch):
    targets = targets_of(exact_truth(noise_signal((256, 256)), 1, 0.05, 0.4))
    drawn = targets.draw(generator(), batch_shape(targets, batch))
    queries = len(drawn.stencils[0].nodes) * len(drawn.stencils[1].nodes)
    assert queries <= (1.3 if batch >= 4096 else 1.5) * drawn.points
    assert 0.5 * batch <= drawn.points <= 2 * batch


def test_batches_are_shorter_stretches_or_more_lattices():
    targets = targets_of(exact_truth(noise_signal((100, 100)), 1, 0.1, 0.4))
    axis = targets.axes[0]
    assert (axis.length, axis.phases) == (28, 5)
    assert batch_shape(targets, 28 * 28 // 4) == [(1, 14), (1, 14)]
    assert batch_shape(targets, 28 * 28) == [(1, 28), (1, 28)]
    assert batch_shape(targets, 28 * 28 * 9) == [(3, 28), (3, 28)]
    assert batch_shape(targets, 1 << 20) == [(5, 28), (5, 28)]
    # Long enough for one coarser level.
    assert batch_shape(targets, 1) == [(1, 7), (1, 7)]
    mixed = targets_of(exact_truth(noise_signal((100, 4), axes=(0,)), 1, 0.1, 0.4))
    assert batch_shape(mixed, 3 * 4 * 28) == [(3, 28), (1, 4)]


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_the_measures_they_are_named_after(name):
    residual = torch.tensor([3e-3, -4e-3, 0.0, 1e-2])
    wanted = {"l1": 17e-3 / 4, "l2": 125e-6 / 4, "log": 0.5 * np.log(125e-6 / 4)}
    assert float(LOSSES[name](residual)) == pytest.approx(wanted[name], rel=1e-5)
    assert np.isfinite(float(LOSSES[name](0 * residual)))


def test_the_polynomial_fit_is_the_least_squares_fit(truth):
    targets = targets_of(truth)
    best = PolynomialPart([axis.n for axis in targets.axes], 2, truth.channels).double()
    fit_polynomial(targets, best)
    with torch.no_grad():
        error = (best.grid(targets.stencils()) - targets.values).square().sum()
        for seed in range(4):
            shaken = network_for(truth, seed=seed).polynomial
            shaken.coefficients.mul_(1e-2).add_(best.coefficients)
            assert (shaken.grid(targets.stencils()) - targets.values).square().sum() > error


def test_prepared_networks_start_at_the_size_of_the_signal(truth):
    field, targets = network_for(truth), targets_of(truth)
    objective = LatticeObjective(targets, 4000, "l2", 1)
    objective.prepare(field, generator())
    # The same batch again: what the polynomial leaves of it has the size of the network.
    batch = targets.draw(generator(), objective.shape)
    rest = (batch.values - field.polynomial.grid(batch.stencils)).flatten(0, -2).square().mean(dim=0)
    network = field.network_grid(batch.stencils).detach().flatten(0, -2).square().mean(dim=0)
    torch.testing.assert_close(network, rest, rtol=1e-6, atol=1e-12)


def test_stencils_ask_for_all_values_in_their_order(truth):
    field, targets = network_for(truth), targets_of(truth)
    points = torch.cartesian_prod(*resampled_positions(targets)).reshape(-1, truth.dim)[::7]
    seen = field.grid(targets.stencils()).flatten(0, -2)[::7]
    torch.testing.assert_close(seen, convolve_points(field, truth.kernel, points), atol=1e-8, rtol=1e-8)
