"""Training: what is minimised is the difference from the exact convolution, at every level and by every objective."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import exact_truth, field_config, noise_signal, random_field, smooth_signal
from scipy.interpolate import RegularGridInterpolator

from kernels import minimal_kernel
from models import build_field
from models.convolution import convolve_points
from signals.exact import minimal_convolution
from training import projection
from training.autodiff import AutodiffObjective, derivative
from training.lattice import LatticeTargets
from training.muon import Muon, orthogonalise
from training.objective import LatticeObjective, PointObjective, batch_shape, fit_polynomial, polynomial_values
from training.optimise import FLOOR, WARM_UP_STEPS, build_optimisers, rate
from training.options import PRESETS, RECIPES, Options, resolve
from training.projection import ProjectionObjective, choose_ranks, singular_directions
from training.pyramid import LOSSES, levels
from training.setup import make_config, make_field, make_objective
from training.validation import Validation, psnr

CPU = torch.device("cpu")
TRUTHS = {
    "2-D": lambda: exact_truth(smooth_signal((40, 31), 3), 1, 0.2, 0.3),
    "grey, order 2": lambda: exact_truth(smooth_signal((33, 40), 1), 2, 0.3, 0.25),
    "1-D, order 0": lambda: exact_truth(smooth_signal((90,), 2), 0, 0.1, 0.3),
    "3-D, order 0": lambda: exact_truth(smooth_signal((14, 12, 13), 1), 0, 0.3, 0.2),
    "time alone": lambda: exact_truth(smooth_signal((30, 5, 4), 3, axes=(0,)), 1, 0.2, 0.3),
}


@pytest.fixture(params=TRUTHS)
def truth(request):
    return TRUTHS[request.param]()


def targets_of(truth) -> LatticeTargets:
    return LatticeTargets(truth, CPU, torch.float64)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


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


def training_kernel(truth):
    return minimal_kernel(truth.order, truth.half_size, truth.dim, truth.axes)


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
def test_losses_vanish_with_the_residual_and_grow_with_it(name):
    sizes = [float(LOSSES[name](torch.full((5,), r))) for r in (1e-3, 1e-2, 1.0)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1]


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


def projection_of(truth, levels: int = 3) -> tuple:
    """A separable field of few features, its targets and its prepared objective."""
    targets = targets_of(truth)
    options = resolve({"num_channels": 5, "num_layers": 1, "num_steps": 1, "levels": levels})
    field = make_field(make_config(truth, targets, options), options, CPU)
    objective = make_objective(targets, options, truth, None)
    assert isinstance(objective, ProjectionObjective)
    objective.prepare(field, generator())
    return field, targets, objective


ROUGH = {
    "2-D": lambda: exact_truth(noise_signal((30, 25), 3), 1, 0.2, 0.3),
    "1-D, order 2": lambda: exact_truth(noise_signal((60,), 2), 2, 0.2, 0.3),
    "3-D, order 0": lambda: exact_truth(noise_signal((14, 12, 13)), 0, 0.3, 0.2),
    "time alone": lambda: exact_truth(noise_signal((30, 5, 4), 3, axes=(0,)), 1, 0.2, 0.3),
}


@pytest.mark.parametrize("name", ROUGH)
def test_projection_gradient_is_the_slope_of_its_loss(name):
    field, _, objective = projection_of(ROUGH[name]())
    objective.loss(field, generator()).total.backward()
    for name, p in field.named_parameters():
        if ".network." not in name:
            continue
        direction = torch.randn(p.shape, dtype=p.dtype, generator=generator(1))
        direction /= direction.norm()
        losses = []
        with torch.no_grad():
            for shift in (1e-5, -1e-5):
                p.add_(direction, alpha=shift)
                losses.append(float(objective.loss(field, generator()).total))
                p.sub_(direction, alpha=shift)
        slope = (losses[0] - losses[1]) / 2e-5
        assert float((p.grad * direction).sum()) == pytest.approx(slope, rel=2e-3, abs=1e-6)


def test_a_finished_projection_has_the_residuals_it_reports(monkeypatch):
    monkeypatch.setattr(projection, "ROWS_PER_FEATURE", 1000)
    field, targets, objective = projection_of(exact_truth(noise_signal((60,)), 1, 0.2, 0.3), levels=3)
    reported = objective.loss(field, generator()).rms
    objective.finish(field)
    batch = targets.draw(generator(), [(axis.phases, axis.length) for axis in targets.axes])
    with torch.no_grad():
        residuals = LatticeObjective(targets, 1, "l2", 3).residuals(field, batch)
    for rms, residual in zip(reported, residuals, strict=True):
        assert float(rms.detach()) == pytest.approx(float(residual.square().mean().sqrt()), rel=1e-6)


def test_the_phases_of_a_step_are_drawn_evenly(truth):
    _, _, objective = projection_of(truth)
    for direction in objective.directions:
        count = len(direction.stencil.first)
        seen = torch.zeros(count)
        for seed in range(300):
            seen[projection.draw_phases(direction, 5, generator(seed))] += 1
        assert seen.min() > 0.5 * seen.max()


def test_no_shaken_head_beats_the_solved_one():
    field, targets, objective = projection_of(exact_truth(noise_signal((60,)), 1, 0.2, 0.3), levels=1)
    objective.finish(field)
    batch = targets.draw(generator(), [(axis.phases, axis.length) for axis in targets.axes])
    lattice, head = LatticeObjective(targets, 1, "l2", 1), field.factors[0].head.weight
    with torch.no_grad():
        best = float(lattice.residuals(field, batch)[0].square().sum())
        for seed in range(5):
            shake = 1e-3 * head.abs().max() * torch.randn(head.shape, dtype=head.dtype, generator=generator(seed))
            head.add_(shake)
            assert float(lattice.residuals(field, batch)[0].square().sum()) > best
            head.sub_(shake)


@pytest.mark.parametrize("value", [0.0, 0.7])
@pytest.mark.parametrize("field", ["separable", "mlp"])
def test_a_signal_without_detail_is_learned_too(value, field):
    signal = smooth_signal((12, 14), 2)
    truth = exact_truth(replace(signal, values=np.full_like(signal.values, value)), 1, 0.2, 0.3)
    targets = targets_of(truth)
    options = resolve({"field": field, "num_channels": 6, "num_steps": 1, "precision": 64})
    model = make_field(make_config(truth, targets, options), options, CPU)
    objective = make_objective(targets, options, truth, None)
    objective.prepare(model, generator())
    for _ in range(3):
        loss = objective.loss(model, generator())
        assert torch.isfinite(loss.total) and len(loss.rms) > 0
        loss.total.backward()
        for optimiser in build_optimisers(model, options):
            optimiser.step()
    objective.finish(model)
    if field == "separable":
        np.testing.assert_allclose(Validation(truth, 1).predict(model.requires_grad_(False), 0.2), value, atol=1e-6)


def test_finishing_twice_changes_nothing(truth):
    field, _, objective = projection_of(truth)
    before = {name: value.clone() for name, value in field.state_dict().items()}
    objective.finish(field)
    assert all(torch.equal(value, before[name]) for name, value in field.state_dict().items())


def test_singular_directions_are_those_of_the_unfolded_array():
    values = torch.randn(6, 9, 2, dtype=torch.float64, generator=generator())
    for axis in range(2):
        vectors, sizes = singular_directions(values, axis)
        unfolded = values.movedim(axis, 0).flatten(1)
        kept = min(unfolded.shape)
        torch.testing.assert_close(sizes[:kept], torch.linalg.svdvals(unfolded)[:kept], rtol=1e-7, atol=1e-9)
        kept = min(vectors.shape[1], kept)
        torch.testing.assert_close((vectors.T @ vectors)[:kept, :kept], torch.eye(kept, dtype=torch.float64))


@pytest.mark.parametrize("size", [10, 200, 5000])
def test_ranks_fit_the_core_they_are_given(truth, size):
    targets = targets_of(truth)
    ranks = choose_ranks(targets, (12,) * truth.dim, size=size)
    assert len(ranks) == truth.dim and min(ranks) >= 1
    assert ranks == (1,) * truth.dim or np.prod(ranks) * truth.channels <= size
    assert all(rank <= 12 for rank, axis in zip(ranks, targets.axes, strict=True) if axis.n)


@pytest.mark.parametrize("shape", [(8, 8), (5, 12), (12, 5)])
def test_orthogonalised_updates_are_near_the_polar_factor(shape):
    matrices = torch.randn(3, *shape, generator=generator())
    for matrix, near in zip(matrices, orthogonalise(matrices), strict=True):
        left, sizes, right = torch.linalg.svd(matrix, full_matrices=False)
        # The quintic takes every singular value that is not tiny into 0.6..1.3 and leaves the directions alone.
        core = left.T @ near @ right.T
        assert torch.dist(core, core.diagonal().diag_embed()) < 1e-3
        assert ((core.diagonal() > 0.6) & (core.diagonal() < 1.3))[sizes > 0.05 * sizes[0]].all()


def test_muon_moves_each_matrix_by_its_own_orthogonal_update():
    matrices = [torch.nn.Parameter(torch.zeros(4, 6)) for _ in range(2)] + [torch.nn.Parameter(torch.zeros(3, 3))]
    for p in matrices:
        p.grad = torch.randn(p.shape, generator=generator(p.numel()))
    matrices[1].grad = -3.0 * matrices[0].grad
    Muon(matrices, lr=0.1).step()
    torch.testing.assert_close(matrices[1].data, -matrices[0].data, atol=1e-5, rtol=1e-4)
    for p in matrices:
        assert float((p.data * p.grad).sum()) < 0
        assert float(p.data.square().mean().sqrt()) == pytest.approx(0.1 * 0.2, rel=0.3)
    with pytest.raises(ValueError, match="matrices"):
        Muon([torch.nn.Parameter(torch.zeros(3))], lr=0.1)


@pytest.mark.parametrize(
    "asked, muon, adam",
    [
        ({"field": "mlp"}, {"network.layers.1.weight", "network.layers.2.weight"},
         {"network.layers.0.weight", "network.layers.0.bias", "network.layers.1.bias", "network.layers.2.bias",
          "head.weight", "polynomial.coefficients"}),
        ({"field": "siren"}, set(), None),
        ({"field": "separable"}, {"factors.0.network.layers.1.weight", "factors.1.network.layers.1.weight"},
         {f"factors.{j}.network.layers.{k}" for j in (0, 1) for k in ("0.weight", "0.bias", "1.bias")}),
    ],
)  # fmt: skip
def test_every_parameter_that_descends_has_one_optimiser(asked, muon, adam):
    options = resolve(asked | {"num_channels": 6, "num_steps": 1, "num_layers": 2})
    config = field_config(
        options.field, 2, 1, num_layers=2, **({"core": "tucker"} if asked["field"] == "separable" else {})
    )
    field = build_field(config)
    names = {id(p): name for name, p in field.named_parameters()}
    given = {type(o).__name__: [names[id(p)] for g in o.param_groups for p in g["params"]]
             for o in build_optimisers(field, options)}  # fmt: skip
    assert set(given.get("Muon", [])) == muon
    assert set(given["Adam"]) == (set(names.values()) if adam is None else adam)


def test_schedules():
    cosine = resolve({"num_steps": 1000})
    assert rate(cosine, 0, 0.0) == pytest.approx(1 / WARM_UP_STEPS)
    assert rate(cosine, 500, 0.0) == 1.0
    assert rate(cosine, 500, 0.5) == pytest.approx((1 + FLOOR) / 2)
    assert rate(cosine, 999, 1.0) == rate(cosine, 999, 7.0) == pytest.approx(FLOOR)
    authors = resolve({}, "paper")
    assert [rate(authors, step, 0.9) for step in (0, 9_999, 10_000, 25_000)] == [1.0, 1.0, 0.5, 0.25]


def test_the_preset_is_the_paper():
    options = resolve({}, "paper")
    assert (options.num_channels, options.num_layers, options.pe, options.norm_exp) == (256, 4, 4, 0.0)
    assert (options.num_steps, options.time_budget, options.batch) == (300_000, 0.0, 16_384)
    assert (options.optimizer, options.learn_rate, options.loss, options.supervision) == ("adam", 1e-3, "l1", "points")
    assert resolve({"num_channels": 32}, "paper").num_channels == 32


@pytest.mark.parametrize("field", RECIPES)
def test_a_budget_that_is_asked_for_replaces_the_recipes(field):
    assert resolve({"field": field}).time_budget > 0
    steps = resolve({"field": field, "num_steps": 10})
    assert (steps.num_steps, steps.time_budget) == (10, 0.0)
    seconds = resolve({"field": field, "time_budget": 5.0}, "paper" if field == "mlp" else None)
    assert (seconds.num_steps, seconds.time_budget) == (0, 5.0)
    both = resolve({"field": field, "num_steps": 10, "time_budget": 5.0})
    assert (both.num_steps, both.time_budget) == (10, 5.0)
    assert resolve(both.to_dict()) == both
    assert Options(**json.loads(json.dumps(both.to_dict()))) == both


@pytest.mark.parametrize(
    "asked, preset, words",
    [
        ({"num_channels": 0}, None, "--num_channels"),
        ({"num_layers": 65}, None, "--num_layers"),
        ({"learn_rate": float("nan")}, None, "--learn_rate"),
        ({"learn_rate": -1.0}, None, "--learn_rate"),
        ({"levels": 0}, None, "--levels"),
        ({"batch": 0}, None, "--batch"),
        ({"num_steps": -1}, None, "--num_steps"),
        ({"num_steps": 0, "time_budget": 0.0}, None, "budget"),
        ({"time_budget": float("inf")}, None, "--time_budget"),
        ({"seed": -1}, None, "--seed"),
        ({"precision": 16}, None, "--precision"),
        ({"loss": "huber"}, None, "--loss"),
        ({"field": "kan"}, None, "--field"),
        ({"optimizer": "sgd"}, None, "--optimizer"),
        ({"schedule": "linear"}, None, "--schedule"),
        ({"supervision": "projection", "field": "mlp"}, None, "--supervision"),
        ({"widht": 3}, None, "widht"),
        ({}, "authors", "--preset"),
    ],
)
def test_options_that_cannot_be_meant_are_refused_by_name(asked, preset, words):
    with pytest.raises(ValueError, match=words):
        resolve(asked, preset)


def test_presets_name_known_options():
    for name in PRESETS:
        resolve({}, name)


@pytest.mark.parametrize("order", range(3))
def test_validation_truth_at_larger_sizes_is_the_convolution_there(order):
    n = order + 1
    # Samples a whole number to the kernel step, so that reading between them costs nothing.
    size = n * 4 / 80
    signal = noise_signal((81, 81), 2)
    truth = exact_truth(signal, order, size / 2 * 2, 0.6, "reflect")
    validation = Validation(truth, 3)
    assert [level.half_size for level in validation.levels] == [size * k for k in (1, 2, 4) if size * k < 0.6 + size]
    for level in validation.levels:
        exact = minimal_convolution(signal, order, [level.half_size] * 2, "reflect")
        np.testing.assert_allclose(level.truth, exact, atol=1e-9)


def test_validation_stops_at_the_margin():
    truth = exact_truth(noise_signal((41,)), 1, 0.2, 0.0)
    assert [level.half_size for level in Validation(truth, 4).levels] == [0.2]


def test_validation_between_samples_is_close_to_the_convolution_there():
    signal = smooth_signal((70, 50), 1)
    for level in Validation(exact_truth(signal, 1, 0.123, 0.5), 3).levels:
        assert psnr(level.truth, minimal_convolution(signal, 1, [level.half_size] * 2)) > 90


def test_a_validated_field_is_compared_on_the_signals_grid():
    truth = exact_truth(smooth_signal((9, 12), 2), 1, 0.2, 0.3)
    field = random_field(field_config("separable", 2, 2))
    validation = Validation(truth, 1)
    predicted = validation.predict(field, 0.2)
    points = torch.cartesian_prod(*[torch.linspace(-1, 1, n, dtype=torch.float64) for n in (9, 12)])
    wanted = convolve_points(field, training_kernel(truth), points).reshape(9, 12, 2)
    np.testing.assert_allclose(predicted, wanted.numpy(), atol=1e-8)
    assert validation.measure(field)[0.2] == psnr(predicted, truth.core)


@pytest.mark.parametrize("axes, order", [((0, 1), 1), ((1,), 2)])
def test_derivatives_undo_the_integrations_of_the_polynomial_part(axes, order):
    field = random_field(field_config("mlp", 2, 2, axes=axes, order=order))
    points = torch.rand(7, 2, dtype=torch.float64, generator=generator())
    powers = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    wanted = sum(field.polynomial.coefficients[tuple(k)] * (points**k).prod(dim=1, keepdim=True) for k in powers)
    torch.testing.assert_close(derivative(field.polynomial, field.config.n)(points), wanted)


@pytest.mark.parametrize("kind", ["siren", "separable"])
def test_autodiff_supervises_what_fine_differences_measure(kind):
    signal = smooth_signal((20, 16), 2)
    truth = exact_truth(signal, 1, 0.2, 0.3)
    field, targets = random_field(field_config(kind, 2, 2, num_channels=6)), targets_of(truth)
    objective = AutodiffObjective(targets, signal, truth.margin, "clamp", 200, "l2")
    uniform = torch.rand(200, 2, dtype=torch.float64, generator=generator(5))
    points = torch.as_tensor(truth.bounds[:, 0]) + uniform * torch.as_tensor(truth.bounds[:, 1] - truth.bounds[:, 0])
    # The smallest minimal kernel that differences can bear is close to a Dirac.
    seen = convolve_points(field, minimal_kernel(1, 2e-3, 2), points)
    places = (points.clamp(-1, 1) + 1) / 2 * torch.tensor([19.0, 15.0], dtype=torch.float64)
    read = RegularGridInterpolator([np.arange(20), np.arange(16)], signal.values)
    residual = seen - torch.as_tensor(read(places.numpy()))
    loss = objective.loss(field, generator(5))
    assert float(loss.total.detach()) == pytest.approx(float(residual.square().mean()), rel=1e-3)
    assert (loss.points, loss.queries) == (200, 200)
