"""Variable projection: its loss, its gradient, and that what it solves for is the best there is."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import exact_truth, noise_signal, smooth_signal
from training_cases import CPU, ROUGH, generator, targets_of, trainer_of

from kernels import minimal_kernel
from models.convolution import convolve_grid
from signals.exact import kernel_convolution
from training import projection, resolve, setup, train
from training.directions import choose_ranks, decompose, singular_directions
from training.objective import LatticeObjective
from training.projection import narrow_stencil, solve_scaled
from training.setup import make_trainer
from training.validation import Validation


def parts(truth, levels: int = 3, **asked) -> tuple:
    """A separable field of few features, its targets and its prepared objective."""
    trainer = trainer_of(truth, levels=levels, **{"num_channels": 5} | asked)
    return trainer.field, trainer.objective.targets, trainer.objective


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


def test_a_finished_projection_has_the_residuals_it_reports():
    field, targets, objective = parts(exact_truth(noise_signal((60,)), 1, 0.2, 0.3))
    objective.rows = 1000
    loss = objective.loss(field, generator())
    objective.finish(field)
    batch = whole_batch(targets)
    with torch.no_grad():
        residuals = LatticeObjective(targets, 1, "l2", 3).residuals(field, batch)
    squares = [float(residual.square().mean()) for residual in residuals]
    assert [float(rms.detach()) for rms in loss.rms] == pytest.approx(np.sqrt(squares), rel=1e-6)
    # The loss: levels weighed by 4^l, and what a four times narrower kernel sees of the 1-D functions, weighed by 2e-5.
    stencil = targets.stencils()[0]
    narrow = narrow_stencil(stencil)
    with torch.no_grad():
        fine = narrow.combine(field.factors[0](narrow.nodes), 0) * objective.directions[0].sizes
    rows = targets.values.shape[0] / len(stencil.first)
    energy = sum(4.0**level * square * targets.channels for level, square in enumerate(squares))
    total = 0.5 * np.log(energy + 2e-5 * float(fine.square().mean(dim=0).sum()))
    assert rows == stencil.count
    assert float(loss.total.detach()) == pytest.approx(total, rel=1e-6)


def test_residuals_are_means_over_all_points_of_several_axes():
    field, targets, objective = parts(exact_truth(noise_signal((30, 25), 3), 1, 0.2, 0.3), num_channels=60)
    objective.rows = 1000
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
def test_the_prior_sees_the_same_stretch_through_a_kernel_a_quarter_as_wide(n, phases):
    truth = exact_truth(noise_signal((20 * phases,)), n - 1, n * phases / (20 * phases - 1), 0.3)
    stencil = targets_of(truth).stencils()[0]
    narrow = narrow_stencil(stencil)
    assert (narrow.n, narrow.spacing) == (n, stencil.spacing / 4)
    assert float(narrow.nodes[0]) == pytest.approx(float(stencil.nodes[0]), abs=1e-12)
    # Its nodes fill the L + n steps of a lattice, four to a step.
    assert len(narrow.nodes) == 4 * (stencil.count + n)
    assert float(narrow.nodes[-1] - narrow.nodes[0]) == pytest.approx(
        stencil.spacing * (stencil.count + n) - narrow.spacing
    )


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


@pytest.mark.parametrize("shape", [(6, 9, 2), (60, 3)])
def test_singular_directions_are_those_of_the_unfolded_array(shape):
    values = torch.randn(shape, dtype=torch.float64, generator=generator())
    for axis in range(len(shape) - 1):
        vectors, sizes = singular_directions(values, axis)
        unfolded = values.movedim(axis, 0).flatten(1)
        kept = min(unfolded.shape)
        assert vectors.shape == (shape[axis], kept)
        torch.testing.assert_close(sizes, torch.linalg.svdvals(unfolded), rtol=1e-7, atol=1e-9)
        torch.testing.assert_close(vectors.T @ vectors, torch.eye(kept, dtype=torch.float64))
        # Each vector spans as much of the array as its singular value says.
        torch.testing.assert_close((vectors.T @ unfolded).norm(dim=1), sizes, rtol=1e-7, atol=1e-9)


def test_a_signal_of_zeros_has_singular_values_to_divide_by():
    for shape in ((5, 7), (9, 2)):
        _, sizes = singular_directions(torch.zeros(shape, dtype=torch.float64), 0)
        assert (sizes > 0).all() and (sizes < 1e-100).all()


def test_a_decomposition_adds_up_to_the_ground_truth(truth):
    targets = targets_of(truth)
    found = decompose(targets, 2)
    total = found.rest + found.polynomial.grid(targets.stencils()).detach()
    torch.testing.assert_close(total, targets.values, atol=1e-12, rtol=1e-12)
    # The rest has no part in any of the polynomials.
    rest = found.rest
    for stencil, axis in zip(targets.stencils(), targets.axes, strict=True):
        x = axis.positions(torch.arange(axis.count))
        rest = torch.tensordot(rest, x[:, None] ** torch.arange(3), dims=([0], [0]))
        assert len(stencil.nodes)
    assert rest.abs().max() < 1e-7 * targets.values.abs().sum()


@pytest.mark.parametrize("size", [10, 200, 5000])
def test_ranks_fit_the_core_they_are_given(truth, size):
    targets = targets_of(truth)
    spectra = decompose(targets, 2).sizes
    ranks = choose_ranks(targets, spectra, (12,) * truth.dim, size=size)
    assert len(ranks) == truth.dim and min(ranks) >= 1
    assert ranks == (1,) * truth.dim or np.prod(ranks) * truth.channels <= size
    assert all(rank <= 12 for rank, axis in zip(ranks, targets.axes, strict=True) if axis.n)
    # One threshold on all singular values: what is kept is no smaller than what the limits allow but was dropped.
    kept = min(float(s[rank - 1]) for s, rank in zip(spectra, ranks, strict=True) if rank > 1 or len(s) == 1)
    caps = [min(12, len(s)) if axis.n else len(s) for s, axis in zip(spectra, targets.axes, strict=True)]
    dropped = [float(s[rank]) for s, rank, cap in zip(spectra, ranks, caps, strict=True) if rank < cap]
    assert max(dropped, default=0) <= kept or ranks == (1,) * truth.dim


@pytest.mark.parametrize("width", [16, 128])
def test_networks_wider_than_their_axis_has_rows_do_not_swing_between_them(width):
    truth = exact_truth(noise_signal((30, 25)), 0, 0.1, 0.4, dtype="float32")
    field = train(truth, num_channels=width, num_steps=100)
    rows = [len(stencil.first) * stencil.count for stencil in targets_of(truth).stencils()]
    assert field.config.widths == tuple(min(width, count) for count in rows)
    assert field.psnr > 30


def test_axes_of_few_rows_get_networks_of_sixteen_features():
    targets = targets_of(exact_truth(noise_signal((9, 40), axes=(1,)), 1, 0.2, 0.3))
    assert setup.widths_for(targets, 128) == (16, targets.axes[1].count)
    assert setup.widths_for(targets, 12) == (12, 12)


def test_a_core_is_filled_as_far_as_its_axes_go():
    targets = targets_of(exact_truth(noise_signal((40, 33), 2), 1, 0.1, 0.3))
    spectra = decompose(targets, 0).sizes
    sizes = [np.prod(choose_ranks(targets, spectra, (30, 20), n)) * targets.channels for n in (50, 200, 800, 1 << 20)]
    assert all(0.6 * size < found <= size for size, found in zip((50, 200, 800), sizes, strict=False))
    assert sizes[-1] == 30 * 20 * targets.channels


def test_directions_that_are_rounding_are_not_kept():
    targets = targets_of(exact_truth(noise_signal((40, 33), 2), 1, 0.1, 0.3))
    spectra = [torch.tensor([1.0, 1e-3, 1.1e-6, 0.9e-6], dtype=torch.float64)] * 2
    assert choose_ranks(targets, spectra, (9, 9), 1 << 20) == (3, 3)
    # Below a millionth of a millionth of the truth all is rounding.
    tiny = 1e-14 * float(targets.values.norm())
    assert choose_ranks(targets, [tiny * s for s in spectra], (9, 9), 1 << 20) == (1, 1)


def test_fewer_directions_keep_the_accuracy_that_is_asked_for():
    targets = targets_of(exact_truth(noise_signal((40, 33), 2), 1, 0.1, 0.3))
    found = decompose(targets, 0)
    inside = [axis.positions(torch.arange(axis.count)).abs() <= 1 for axis in targets.axes]
    sizes = []
    for accuracy in (30.0, 45.0, 60.0):
        ranks = choose_ranks(targets, found.sizes, found.rest.shape[:2], 1 << 20, accuracy)
        left = found.rest
        for axis, rank in enumerate(ranks):
            basis = found.vectors[axis][:, :rank]
            left = torch.tensordot(basis @ basis.T, left, dims=([1], [axis])).movedim(0, axis)
        error = (left - found.rest)[inside[0]][:, inside[1]].square().mean()
        assert accuracy <= -10 * float(error.log10()) < accuracy + 12
        # One direction fewer per axis would exceed the bound.
        allowed = 10 ** (-accuracy / 10) * targets.inside * targets.channels
        assert sum(float(s[r:].square().sum()) for s, r in zip(found.sizes, ranks, strict=True)) <= allowed
        assert sum(float(s[r - 1 :].square().sum()) for s, r in zip(found.sizes, ranks, strict=True)) > allowed
        sizes.append(sum(ranks))
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize(
    "shape, axes, order, least",
    [((60, 45), None, 1, 60), ((120,), None, 2, 60), ((24, 22, 20), None, 0, 50), ((50, 5, 4), (0,), 1, 60)],
)
def test_splines_hold_the_truth_without_a_step(shape, axes, order, least):
    truth = exact_truth(smooth_signal(shape, 2, axes), order, 0.25, 0.4)
    field = train(truth, factor="spline", levels=2)
    assert list(field.origin.psnr) == [1.0, 2.0]
    assert min(field.origin.psnr.values()) > least
    assert field.config.tables == tuple(0 if axis in truth.axes else n for axis, n in enumerate(shape))


@pytest.mark.parametrize("half_size", [0.2, 0.33, 0.5])
def test_splines_answer_other_kernels_of_rough_signals(half_size):
    signal = noise_signal((64, 50))
    field = train(exact_truth(signal, 1, 0.2, 0.4), factor="spline").double()
    kernel = minimal_kernel(1, half_size, 2)
    grid = [torch.linspace(-1, 1, n, dtype=torch.float64) for n in signal.shape]
    error = convolve_grid(field, kernel, grid).numpy() - kernel_convolution(signal, kernel)
    assert np.sqrt(np.mean(error**2)) < 2e-3


@pytest.mark.parametrize("per_step", [0.5, 6.0, 64.0])
def test_knots_cover_the_training_queries_and_are_no_finer_than_samples(per_step):
    truth = exact_truth(noise_signal((50, 5, 40), axes=(0, 2)), 1, (0.2, 0.3), 0.3)
    field, targets, _ = parts(truth, factor="spline", knots=per_step)
    config = field.config
    for axis in truth.axes:
        nodes = targets.stencils()[axis].nodes
        assert config.reach[axis] == pytest.approx(float(nodes.abs().max()) - 1, abs=1e-9)
        steps = 2 * float(nodes.abs().max()) / truth.h[axis]
        assert config.knots[axis] == max(8, round(min(per_step, targets.axes[axis].phases) * steps))
    assert (config.knots[1], config.reach[1]) == (0, 0.0)


def test_more_knots_than_can_be_solved_for_are_refused(monkeypatch):
    truth = exact_truth(noise_signal((300,)), 0, 0.01, 0.1)
    knots = parts(truth, factor="spline", knots=1.0)[0].config.knots[0]
    monkeypatch.setattr(setup, "LARGEST_SPLINE", knots - 1)
    with pytest.raises(ValueError, match=rf"{knots} knots along one axis are more than the {knots - 1} .* --knots"):
        parts(truth, factor="spline", knots=1.0)


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
