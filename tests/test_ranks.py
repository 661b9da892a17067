"""How many directions a separable field keeps by default, what they hold, and what is said where that is too little."""

import re
import warnings

import numpy as np
import pytest
import torch
from builders import exact_truth, smooth_signal
from training_cases import CPU, targets_of

from signals import Signal
from training import directions, resolve, setup, train
from training.directions import choose_ranks, decompose
from training.setup import make_trainer, rank_shortfall
from training.validation import Validation


def rough_truth(size: int = 96, samples: int = 5, range_: float = 1.0):
    """A picture of full rank, noise on smooth waves, through a tent of whole samples."""
    waves = smooth_signal((size, size), 3).values
    noise = np.random.default_rng(3).standard_normal(waves.shape)
    signal = Signal(range_ * np.clip(waves + 0.08 * noise, 0, 1), (0, 1), "image")
    return exact_truth(signal, 1, samples * 2 / (size - 1), 0.3, dtype="float32")


@pytest.mark.parametrize("options", [
    {"core_size": 300}, {"core_size": 1200}, {"core_size": 3000}, {"core_size": 6000, "knots": 2.5},
    {"accuracy": 40}, {"accuracy": 0, "core_size": 12_000},
])  # fmt: skip
@pytest.mark.parametrize("range_", [1.0, 5.0])
def test_the_estimate_is_the_measured_quality(options, range_):
    truth = rough_truth(range_=range_)
    trainer = make_trainer(truth, resolve({"factor": "spline"} | options), CPU)
    trainer.finish()
    measured = Validation(truth, 1).measure(trainer.field)[1.0]
    assert trainer.objective.held == pytest.approx(measured, abs=0.5)


def test_the_estimate_of_networks_is_what_their_ranks_leave():
    truth = rough_truth()
    objective = make_trainer(truth, resolve({"num_steps": 1, "core_size": 1200}), CPU).objective
    targets = targets_of(truth)
    (found,) = decompose([targets], 2)
    left = found.rest
    for axis, basis in enumerate(objective.bases):
        left = torch.tensordot(basis @ basis.T, left, dims=([1], [axis])).movedim(0, axis)
    inside = [axis.positions(torch.arange(axis.count)).abs() <= 1 + 1e-9 for axis in targets.axes]
    error = (found.rest - left)[inside[0]][:, inside[1]].square().mean()
    assert objective.held == pytest.approx(-10 * float(error.log10()), abs=0.01)


def test_where_the_bound_wins_one_warning_says_what_is_held_and_what_helps():
    truth = rough_truth()
    trainer = make_trainer(truth, resolve({"factor": "spline", "core_size": 1500}), CPU)
    with pytest.warns(UserWarning, match="functions of one coordinate hold the signal to about") as caught:
        field = train(truth, display=silent(), factor="spline", core_size=1500)
    text = str(next(w.message for w in caught if "coordinate" in str(w.message)))
    ranks = " x ".join(map(str, field.config.ranks))
    assert text.startswith(
        f"{ranks} functions of one coordinate hold the signal to about {trainer.objective.held:.1f} dB"
    )
    found = re.search(r" at the training kernel, not to 75: use --core_size (\d+) or a larger half size$", text)
    assert found and int(found[1]) > 1500
    assert train_quietly(truth, factor="spline", core_size=int(found[1])).psnr > 75


def test_features_that_span_too_little_are_named():
    truth = rough_truth()
    spline = make_trainer(truth, resolve({"factor": "spline", "knots": 1.0}), CPU)
    assert rank_shortfall(spline)[1] == "a larger --knots or a larger half size"
    fine = make_trainer(rough_truth(samples=3), resolve({"factor": "spline"}), CPU)
    assert rank_shortfall(fine)[0].endswith("not to 75") and rank_shortfall(fine)[1] == "a larger half size"
    swish = make_trainer(truth, resolve({"num_steps": 1, "num_channels": 16}), CPU)
    assert rank_shortfall(swish)[1].startswith("a larger --num_channels, --factor spline or")
    network = make_trainer(truth, resolve({"field": "mlp", "num_steps": 1, "num_channels": 8}), CPU)
    assert rank_shortfall(network) is None


def test_nothing_is_said_where_the_accuracy_is_held():
    truth = exact_truth(smooth_signal((60, 50), 3), 1, 0.15, 0.3)
    train_quietly(truth, factor="spline")
    train_quietly(rough_truth(), factor="spline", accuracy=40)


def test_small_cores_are_filled_and_larger_ones_only_for_the_accuracy(monkeypatch):
    truth = rough_truth()
    sizes = {}
    for free in (0, 2000, 15_000):
        monkeypatch.setattr(setup, "FREE_SIZE", free)
        field = make_trainer(truth, resolve({"factor": "spline"}), CPU).field
        sizes[free] = field.core.numel()
    assert sizes[0] == sizes[2000] > 2000 and sizes[0] < 0.9 * 15_000 < sizes[15_000] <= 15_000
    asked = make_trainer(truth, resolve({"factor": "spline", "accuracy": 60.0}), CPU).field.core.numel()
    assert asked < sizes[0]
    assert resolve({}).accuracy == -1 and resolve({}).core_size == 1_000_000
    assert (directions.ACCURACY, directions.FREE_SIZE) == (75.0, 50_000)


def test_the_accuracy_is_of_the_range_where_values_leave_the_unit_interval():
    spectra = [torch.tensor([10.0, 1.0, 0.1], dtype=torch.float64)] * 2
    ranks = {}
    for range_ in (1.0, 10.0):
        targets = targets_of(rough_truth(24, 3, range_))
        ranks[range_] = choose_ranks(targets, spectra, (9, 9), 1 << 20, accuracy=37.0)
    # Of 24^2 x 3 values, 37 dB of the range are 0.34 and 34: more than what the third directions hold, or the second.
    assert ranks == {1.0: (2, 2), 10.0: (1, 1)}


def test_finer_knots_are_only_used_where_those_that_are_usual_hold_too_little(monkeypatch):
    rough, smooth = rough_truth(), exact_truth(smooth_signal((60, 50), 3), 1, 0.15, 0.3)
    usual, finer = (
        make_trainer(rough, resolve({"factor": "spline", "knots": k, "accuracy": 80}), CPU) for k in (4.0, 0.0)
    )
    assert usual.objective.held < 80 and finer.objective.held > usual.objective.held + setup.WORTHWHILE
    assert finer.field.config.knots[0] == pytest.approx(1.25 * usual.field.config.knots[0], abs=1)
    kept, same = (make_trainer(smooth, resolve({"factor": "spline", "knots": k}), CPU) for k in (0.0, 4.0))
    assert kept.field.config == same.field.config
    # Finer knots do not help where the core is what limits.
    bound, same = (
        make_trainer(rough, resolve({"factor": "spline", "knots": k, "core_size": 300}), CPU) for k in (0.0, 4.0)
    )
    assert bound.field.config == same.field.config
    # Nor are there any beyond the most that are solved for at once.
    most = max(usual.field.config.knots)
    for limit, able in ((most, False), (1.4 * most, False), (1.6 * most, True)):
        monkeypatch.setattr(setup, "LARGEST_SPLINE", limit)
        tried = make_trainer(rough, resolve({"factor": "spline", "accuracy": 80}), CPU)
        assert tried.field.config == (finer if able else usual).field.config


def silent():
    from training.display import Display

    return Display(shown=False)


def train_quietly(truth, **options):
    """A field of a run that warns of nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        return train(truth, display=silent(), **options)
