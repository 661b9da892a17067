"""Variable projection: its loss, its gradient, and that what it solves for is the best there is."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import exact_truth, field_config, noise_signal, random_field, smooth_signal
from training_cases import CPU, generator, targets_of

from training import projection
from training.directions import choose_ranks, singular_directions, without_polynomial
from training.folder import RunFolder
from training.lattice import LatticeTargets
from training.loop import Hooks
from training.objective import LatticeObjective, fit_polynomial, polynomial_values
from training.optimise import build_optimisers
from training.options import resolve
from training.projection import ProjectionObjective
from training.setup import make_config, make_field, make_objective, make_trainer
from training.validation import Validation


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


def test_a_finished_projection_has_the_residuals_it_reports():
    field, targets, objective = projection_of(exact_truth(noise_signal((60,)), 1, 0.2, 0.3), levels=3)
    objective.rows = 1000
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
            seen[projection.draw_phases(direction, 10, generator(seed))] += 1
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


@pytest.mark.parametrize("width", [16, 128])
def test_networks_wider_than_their_axis_has_rows_do_not_swing_between_them(tmp_path, width):
    truth = exact_truth(noise_signal((30, 25)), 0, 0.1, 0.4, dtype=np.float32)
    options = resolve({"num_channels": width, "num_steps": 100})
    with RunFolder(tmp_path, "run", False) as folder:
        trainer = make_trainer(truth, options, folder, CPU)
        trainer.run(Hooks(lambda *_: None, lambda _: None))
    rows = [axis.phases * axis.length for axis in trainer.objective.targets.axes]
    assert trainer.field.config.widths == tuple(min(width, count) for count in rows)
    assert Validation(truth, 1).measure(trainer.field.requires_grad_(False))[0.1] > 30


def test_a_core_is_filled_as_far_as_its_axes_go():
    targets = targets_of(exact_truth(noise_signal((40, 33), 2), 1, 0.1, 0.3))
    sizes = [np.prod(choose_ranks(targets, (30, 20), size)) * targets.channels for size in (50, 200, 800, 1 << 20)]
    assert all(0.6 * size < found <= size for size, found in zip((50, 200, 800), sizes, strict=False))
    assert sizes[-1] == 30 * 20 * targets.channels


def test_fewer_directions_keep_the_accuracy_that_is_asked_for():
    truth = exact_truth(noise_signal((40, 33), 2), 1, 0.1, 0.3)
    targets = targets_of(truth)
    values = targets.values - targets.values.mean(dim=(0, 1))
    inside = [axis.positions(torch.arange(axis.phases * axis.length)).abs() <= 1 for axis in targets.axes]
    sizes = []
    for accuracy in (30.0, 45.0, 60.0):
        ranks = choose_ranks(targets, values.shape[:2], 1 << 20, accuracy)
        left = values
        for axis, rank in enumerate(ranks):
            basis = singular_directions(values, axis)[0][:, :rank]
            left = torch.tensordot(basis @ basis.T, left, dims=([1], [axis])).movedim(0, axis)
        error = (left - values)[inside[0]][:, inside[1]].square().mean()
        assert accuracy <= -10 * float(error.log10()) < accuracy + 12
        sizes.append(sum(ranks))
    assert sizes == sorted(set(sizes))
    assert targets.inside == int(inside[0].sum() * inside[1].sum())


def test_networks_of_float32_are_solved_in_float64():
    truth = exact_truth(smooth_signal((40, 31), 3), 1, 0.2, 0.3)
    targets = LatticeTargets(truth, CPU)
    options = resolve({"num_channels": 24, "num_layers": 1, "num_steps": 1, "precision": 32})
    field = make_field(make_config(truth, targets, options), options, CPU)
    assert field.dtype == torch.float32
    objective = make_objective(targets, options, truth, None)
    objective.prepare(field, generator())
    loss = objective.loss(field, generator())
    loss.total.backward()
    assert loss.total.dtype == torch.float64
    assert all(p.grad is None or p.grad.dtype == torch.float32 for p in field.parameters())
    objective.finish(field)
    assert Validation(truth, 1).measure(field.requires_grad_(False))[0.2] > 30


@pytest.mark.parametrize("shape, axes", [((40, 31), None), ((30, 5, 4), (0,))])
def test_what_the_polynomial_part_leaves_is_known_without_a_field(shape, axes):
    truth = exact_truth(smooth_signal(shape, 2, axes), 1, 0.2, 0.3)
    targets = targets_of(truth)
    field = random_field(field_config("mlp", truth.dim, 2, axes=truth.axes))
    fit_polynomial(field, targets)
    left = targets.values - polynomial_values(field, targets)
    torch.testing.assert_close(without_polynomial(targets.values, targets, 2), left, atol=1e-9, rtol=0)


def test_smooth_signals_get_the_directions_the_polynomial_part_adds():
    truth = exact_truth(smooth_signal((60, 45), 2), 1, 0.25, 0.4)
    _, _, objective = projection_of(truth)
    whole = objective.core.square().sum()
    left = without_polynomial(targets_of(truth).values, targets_of(truth), 2).square().sum()
    assert float(left - whole) < 1e-6 * float(left)
