"""Rounding noise of float32 in training: refused where it would drown the signal, warned of where it costs accuracy."""

import copy

import pytest
import torch
from builders import exact_truth, smooth_signal
from training_cases import CPU, generator, trainer_of

from training import precision
from training.lattice import LatticeTargets
from training.precision import check_precision, check_precision_early, rounding_noise


def trainer(dim: int, order: int, half_size: float, **asked):
    """A trainer of a network on a smooth signal."""
    signal = smooth_signal((24,) * dim if dim == 3 else (128,) * dim, 1)
    return trainer_of(exact_truth(signal, order, half_size, 0.1), **{"num_channels": 16, "num_layers": 2} | asked)


def test_noise_is_the_error_of_float32_relative_to_the_signal():
    trained = trainer(2, 1, 0.05, field="mlp")
    field, targets = trained.field, trained.objective.targets
    stencils = targets.draw(generator(3), trained.objective.shape).stencils
    with torch.no_grad():
        error = field.grid(stencils).double() - copy.deepcopy(field).double().grid(stencils)
    measured = float(error.square().mean().sqrt() / targets.values.double().std())
    assert measured / 3 < rounding_noise(field, targets) < 3 * measured


class Inexact:
    """A field that is wrong by 0.01 in every channel unless it is asked in float64."""

    device, error = torch.device("cpu"), 0.01

    def double(self):
        self.error = 0.0
        return self

    def grid(self, stencils):
        return torch.full((len(stencils[0].nodes), len(stencils[1].nodes), 5), self.error)


def test_noise_and_signal_are_lengths_over_all_channels():
    targets = LatticeTargets(exact_truth(smooth_signal((30, 20), 5), 1, 0.2, 0.1), CPU)
    wanted = 0.01 * 5**0.5 / float(targets.values.flatten(0, -2).double().std(dim=0).square().sum().sqrt())
    assert rounding_noise(Inexact(), targets) == pytest.approx(wanted, rel=1e-6)


def test_three_dimensions_of_order_one_are_refused_in_float32():
    with pytest.raises(ValueError, match=r"2 differences per axis at spacing 0\.05: .*--precision 64"):
        check_precision_early(trainer(3, 1, 0.05, field="mlp"))


@pytest.mark.parametrize(
    "dim, order, half_size, asked",
    [
        (3, 1, 0.05, {"field": "mlp", "precision": 64}),
        (3, 1, 0.05, {"field": "separable", "precision": 32}),
        (3, 0, 0.1, {"field": "mlp"}),
        (2, 0, 0.05, {"field": "mlp"}),
    ],
)
def test_what_float32_can_represent_is_not_refused(dim, order, half_size, asked):
    assert check_precision_early(trainer(dim, order, half_size, **asked)) is None


@pytest.mark.parametrize("noise, text", [(0.0099, None), (0.0101, "1.0%"), (0.0999, "10.0%"), (0.1001, "error")])
def test_noise_is_warned_of_from_a_hundredth_and_refused_from_a_tenth_of_the_signal(monkeypatch, noise, text):
    trained = trainer(2, 1, 0.2, field="mlp")
    monkeypatch.setattr(precision, "rounding_noise", lambda field, targets: noise)
    if text == "error":
        with pytest.raises(ValueError, match="10% of the signal"):
            check_precision(trained.field, trained.objective.targets)
    else:
        warning = check_precision(trained.field, trained.objective.targets)
        assert (warning or "").startswith(f"rounding noise of float32 is {text} of the signal" if text else "")
        assert (warning is None) == (text is None)


def test_noise_is_looked_at_again_after_a_few_steps_of_a_copy(monkeypatch):
    trained = trainer(2, 1, 0.2, field="siren")
    before = copy.deepcopy(trained.field.state_dict())
    seen = []

    def check(field, targets):
        seen.append(copy.deepcopy(field.state_dict()))
        return f"after {len(seen)}" if len(seen) == warned else None

    monkeypatch.setattr(precision, "check_precision", check)
    for warned in (1, 2, 3):
        seen.clear()
        assert check_precision_early(trained) == (f"after {warned}" if warned < 3 else None)
    assert all(torch.equal(value, before[name]) for name, value in trained.field.state_dict().items())
    assert all(torch.equal(value, before[name]) for name, value in seen[0].items())
    for _ in range(4):
        trained.advance()
    # Four steps at the full learning rate move further than the four of its warm-up.
    moved = [
        float((state["head.weight"] - before["head.weight"]).norm()) for state in (seen[1], trained.field.state_dict())
    ]
    assert moved[0] > 2 * moved[1] > 0
