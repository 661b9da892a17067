"""Variable projection: its loss, its gradient, and that what it solves for is the best there is."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import exact_truth, noise_signal, smooth_signal
from training_cases import CPU, ROUGH, generator, parts, targets_of

from training import projection, resolve, setup, train
from training.objective import LatticeObjective
from training.projection import FINER, narrow_stencil, solve_scaled
from training.setup import make_trainer
from training.validation import Validation


def whole_batch(targets):
    """All points at once."""
    return targets.draw(generator(), [(axis.phases, axis.length) for axis in targets.axes])


@pytest.mark.parametrize("name", ROUGH)
def test_projection_gradient_is_the_slope_of_its_loss(name):
    field, _, objective = parts(ROUGH[name]())
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
    field, targets, objective = parts(exact_truth(noise_signal((60,)), 1, 0.2, 0.3))
    monkeypatch.setattr(projection, "ROWS_PER_FEATURE", 1000)
    loss = objective.loss(field, generator())
    objective.finish(field)
    batch = whole_batch(targets)
    with torch.no_grad():
        residuals = LatticeObjective(targets, 1, "l2", 3).residuals(field, batch)
    squares = [float(residual.square().mean()) for residual in residuals]
    assert [float(rms.detach()) for rms in loss.rms] == pytest.approx(np.sqrt(squares), rel=1e-6)
    # The loss: levels weighed by 4^l, and what a four times narrower kernel sees of the 1-D functions, weighed by 2e-5.
    stencil = targets.stencils()[0]
    narrow = narrow_stencil(stencil, 1)
    with torch.no_grad():
        fine = narrow.combine(field.factors[0](narrow.nodes), 0) * objective.directions[0].sizes
    rows = targets.values.shape[0] / len(stencil.first)
    energy = sum(4.0**level * square * targets.channels for level, square in enumerate(squares))
    total = 0.5 * np.log(energy + 2e-5 * float(fine.square().mean(dim=0).sum()))
    assert rows == stencil.count
    assert float(loss.total.detach()) == pytest.approx(total, rel=1e-6)


def test_residuals_are_means_over_all_points_of_several_axes(monkeypatch):
    field, targets, objective = parts(exact_truth(noise_signal((30, 25), 3), 1, 0.2, 0.3), num_channels=60)
    monkeypatch.setattr(projection, "ROWS_PER_FEATURE", 1000)
    loss = objective.loss(field, generator())
    assert loss.points == targets.values[..., 0].numel()
    sums = []
    for d in objective.directions:
        products, _, _ = objective._solve(field, d)
        sums.append([float((form * products).sum().detach()) for form in d.forms])
    per_row = np.mean([targets.values[..., 0].numel() / targets.values.shape[axis] for axis in range(2)])
    wanted = np.sqrt(np.sum(sums, axis=0) / (3 * per_row))
    np.testing.assert_allclose([float(rms.detach()) for rms in loss.rms], wanted, rtol=1e-9)


@pytest.mark.parametrize("n, phases", [(1, 1), (2, 5), (3, 4)])
def test_the_prior_sees_the_same_stretch_through_a_narrower_kernel(n, phases):
    truth = exact_truth(noise_signal((20 * phases,)), n - 1, n * phases / (20 * phases - 1), 0.3)
    stencil = targets_of(truth).stencils()[0]
    narrow = narrow_stencil(stencil, 1)
    assert (narrow.n, narrow.spacing) == (n, stencil.spacing / FINER)
    assert float(narrow.nodes[0]) == pytest.approx(float(stencil.nodes[0]), abs=1e-12)
    # Its nodes fill the L + n steps of a lattice, FINER to a step.
    assert len(narrow.nodes) == FINER * (stencil.count + n)
    assert float(narrow.nodes[-1] - narrow.nodes[0]) == pytest.approx(
        stencil.spacing * (stencil.count + n) - narrow.spacing
    )
    # Several lattices are one with as many times the results, sorted.
    several = narrow_stencil(stencil, 3).nodes.sort().values
    torch.testing.assert_close(several[::3], narrow.nodes)
    torch.testing.assert_close(several.diff(), torch.full_like(several[1:], narrow.spacing / 3))


@pytest.mark.parametrize("order, factor, weight", [(0, "spline", 2e-4), (1, "spline", 2e-5), (0, "swish", 2e-5)])
def test_the_prior_weighs_more_for_splines_at_the_edges_of_boxes(order, factor, weight):
    field, _, _ = parts(exact_truth(noise_signal((60,)), order, 0.2, 0.3), factor=factor)
    assert projection.prior_weight(field.config) == pytest.approx(weight)


def test_normal_equations_are_solved_whatever_the_size_of_the_features():
    features = torch.randn(30, 4, dtype=torch.float64, generator=generator())
    features = features * torch.tensor([1.0, 0.1, 1e3, 1e-9])
    right = torch.randn(30, 2, dtype=torch.float64, generator=generator(1))
    found = solve_scaled(features.T @ features, features.T @ right)
    # Each unknown is kept small by 1e-6 of its feature's norm, or of a millionth of the largest one.
    norms = features.norm(dim=0)
    ridge = 1e-6 * norms.clamp_min(1e-6 * float(norms.max())).diag()
    wanted = torch.linalg.lstsq(torch.cat([features, ridge]), torch.cat([right, torch.zeros(4, 2)])).solution
    torch.testing.assert_close(found / wanted, torch.ones(4, 2, dtype=torch.float64), rtol=1e-3, atol=0)
    zero = torch.zeros(3, 3, dtype=torch.float64)
    assert torch.equal(solve_scaled(zero, zero), zero)


def test_the_phases_of_a_step_are_drawn_evenly(truth):
    _, _, objective = parts(truth)
    for direction in objective.directions:
        count, length = len(direction.stencil.first), direction.stencil.count
        seen = torch.zeros(count)
        step = min(count, max(1, round(count * length / 10)))
        for seed in range(300):
            drawn = projection.draw_phases(direction, 10, generator(seed))
            assert len(drawn) == int(np.ceil(count / step)) and len(set(drawn.tolist())) == len(drawn)
            assert set(((drawn[1:] - drawn[:-1]) % count).tolist()) <= {step}
            seen[drawn] += 1
        assert seen.min() > 0.5 * seen.max()


def test_no_shaken_head_beats_the_solved_one():
    field, targets, objective = parts(exact_truth(noise_signal((60,)), 1, 0.2, 0.3), levels=1)
    objective.finish(field)
    batch = whole_batch(targets)
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
    trained = train(truth, field=field, num_channels=6, num_steps=3, precision=64)
    if field == "separable":
        found = Validation(truth, 1)
        np.testing.assert_allclose(found.predict(trained, found.levels[0]), value, atol=1e-6)
        assert trained.psnr > 120


def test_finishing_twice_changes_nothing(truth):
    field, _, objective = parts(truth)
    before = {name: value.clone() for name, value in field.state_dict().items()}
    objective.finish(field)
    assert all(torch.equal(value, before[name]) for name, value in field.state_dict().items())


@pytest.mark.parametrize("half_size, bands, frequency", [(0.05, 8, 20.0), (2.0, 3, 0.5), (1e-4, 17, 1000.0)])
def test_networks_reach_the_first_zero_of_the_training_kernel(half_size, bands, frequency):
    h = half_size  # of order 1
    truth = exact_truth(noise_signal((9,)), 1, 0.3, 0.5)
    truth = replace(truth, half_size=(half_size,))
    config = setup.make_config(truth, None, resolve({"field": "siren", "omega_0": 0.0, "pe": -1}))
    assert (config.pe, config.omega_0) == (bands, pytest.approx(frequency))
    assert 2.0 ** (bands - 2) < 2 * np.pi / h <= 2.0 ** (bands - 1)
    asked = setup.make_config(truth, None, resolve({"field": "mlp", "omega_0": 7.0, "pe": 0}))
    assert (asked.pe, asked.omega_0) == (0, 7.0)


@pytest.mark.parametrize(
    "asked, bits", [({}, 64), ({"precision": 32}, 32), ({"field": "mlp"}, 32), ({"field": "mlp", "precision": 64}, 64),
                    ({"factor": "spline", "precision": 32}, 64)],
)  # fmt: skip
def test_heads_are_solved_for_in_float64(asked, bits):
    trainer = make_trainer(ROUGH["2-D"](), resolve({"num_channels": 5, "num_steps": 1} | asked), CPU)
    assert trainer.field.dtype == (torch.float64 if bits == 64 else torch.float32)
