"""The table of options: recipes, ranges, resuming, warnings; and the optimisers and rates that follow from it."""

import dataclasses
import json

import pytest
import torch
from training_cases import TRUTHS, generator, trainer_of

from training.muon import Muon, orthogonalise
from training.optimise import FLOOR, descend, gradients, rate
from training.options import PRESETS, RECIPES, Options, resolve, resumed

ENTRIES = dataclasses.fields(Options)


@pytest.mark.parametrize("shape", [(8, 8), (5, 12), (12, 5)])
def test_orthogonalised_updates_are_near_the_polar_factor(shape):
    matrices = torch.randn(3, *shape, generator=generator())
    for matrix, near in zip(matrices, orthogonalise(matrices), strict=True):
        left, sizes, right = torch.linalg.svd(matrix, full_matrices=False)
        # Five quintic steps on the normalised singular values, which leave the directions alone.
        expected = sizes / matrix.norm()
        for _ in range(5):
            expected = 3.4445 * expected - 4.7750 * expected**3 + 2.0315 * expected**5
        torch.testing.assert_close(left.T @ near @ right.T, expected.diag_embed(), atol=1e-4, rtol=1e-4)


def test_muon_moves_each_matrix_by_its_own_orthogonal_update():
    matrices = [torch.nn.Parameter(torch.zeros(4, 6)) for _ in range(2)] + [torch.nn.Parameter(torch.zeros(3, 3))]
    for p in matrices:
        p.grad = torch.randn(p.shape, generator=generator(p.numel()))
    matrices[1].grad = -3.0 * matrices[0].grad
    muon = Muon(matrices, lr=0.1)
    muon.step()
    torch.testing.assert_close(matrices[1].data, -matrices[0].data, atol=1e-5, rtol=1e-4)
    for p in matrices:
        expected = -0.1 * 0.2 * max(p.shape) ** 0.5 * orthogonalise(p.grad[None])[0]
        torch.testing.assert_close(p.data, expected, atol=1e-6, rtol=1e-4)
    first, last = matrices[2].grad, torch.randn(3, 3, generator=generator(1))
    matrices[2].grad, before = last, matrices[2].data.clone()
    muon.step()
    # Nesterov: the gradient, moved 95 % of the way to the running mean of gradients that includes it.
    mean = 0.95 * (0.05 * first) + 0.05 * last
    expected = -0.1 * 0.2 * 3**0.5 * orthogonalise((0.05 * last + 0.95 * mean)[None])[0]
    torch.testing.assert_close(matrices[2].data - before, expected, atol=1e-6, rtol=1e-4)
    with pytest.raises(ValueError, match="matrices"):
        Muon([torch.nn.Parameter(torch.zeros(3))], lr=0.1)


HIDDEN = {"network.layers.1.weight", "network.layers.2.weight"}
NETWORK = {"network.layers.0.weight", "network.layers.0.bias", "network.layers.1.bias", "network.layers.2.bias",
           "head.weight", "polynomial.coefficients"}  # fmt: skip
SPLIT = {"network.products.0.weight", "network.products.1.weight", "network.shared.layers.0.weight"}


@pytest.mark.parametrize(
    "asked, muon, adam",
    [
        ({"field": "mlp", "split": 0}, HIDDEN, NETWORK),
        ({"field": "siren", "split": 0}, HIDDEN, NETWORK),
        ({"field": "siren", "split": 0, "optimizer": "adam"}, set(), NETWORK | HIDDEN),
        ({"field": "mlp", "split": 1}, SPLIT,
         {f"network.axes.{j}.layers.0.{k}" for j in (0, 1) for k in ("weight", "bias")}
         | {f"network.products.{j}.bias" for j in (0, 1)}
         | {"network.shared.layers.0.bias", "head.weight", "polynomial.coefficients"}),
        ({"field": "separable"}, {"factors.0.network.layers.1.weight", "factors.1.network.layers.1.weight"},
         {f"factors.{j}.network.layers.{k}" for j in (0, 1) for k in ("0.weight", "0.bias", "1.bias")}),
        ({"factor": "spline"}, set(), set()),
    ],
)  # fmt: skip
def test_every_parameter_that_descends_has_one_optimiser(asked, muon, adam):
    trainer = trainer_of(TRUTHS["2-D"](), num_layers=2, **asked)
    names = {id(p): name for name, p in trainer.field.named_parameters()}
    given = {type(o).__name__: [names[id(p)] for g in o.param_groups for p in g["params"]] for o in trainer.optimisers}
    assert set(given.get("Muon", [])) == muon
    assert set(given.get("Adam", [])) == adam


def test_a_descent_forgets_older_gradients_and_has_its_learning_rate():
    p = torch.nn.Parameter(torch.tensor([3.0]))
    p.grad = torch.tensor([100.0])
    optimisers = [torch.optim.SGD([p], lr=9.0)]
    assert gradients(optimisers, p.square().sum())[0] is p.grad
    descend(optimisers, 0.1)
    assert float(p.detach()) == pytest.approx(3.0 - 0.1 * 6.0)


def test_schedules():
    cosine = resolve({"num_steps": 1000})
    assert rate(cosine, 0, 0.0) == pytest.approx(1 / cosine.warm_up)
    assert rate(cosine, 9, 0.0) == pytest.approx(10 / cosine.warm_up)
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
    assert (options.schedule, options.schedule_step, options.schedule_gamma) == ("step", 10_000, 0.5)
    assert (options.field, options.split, options.poly_degree, options.levels) == ("mlp", 0, 0, 1)
    assert resolve({"num_channels": 32}, "paper").num_channels == 32


def test_recipes_follow_from_the_field():
    separable, siren, mlp = (resolve({"field": kind}) for kind in ("separable", "siren", "mlp"))
    assert resolve({}) == separable
    assert [o.supervision for o in (separable, siren, mlp)] == ["projection", "lattice", "lattice"]
    assert [o.loss for o in (separable, siren, mlp)] == ["l1", "l1", "l2"]
    assert [o.learn_rate for o in (separable, siren, mlp)] == [1e-2, 5e-4, 1e-2]
    assert [o.time_budget for o in (separable, siren, mlp)] == [60.0, 280.0, 280.0]
    assert [(o.split, o.num_layers) for o in (separable, siren, mlp)] == [(0, 2), (2, 3), (1, 2)]
    assert (siren.omega_0, mlp.pe, separable.pe) == (30.0, 7, -1)
    assert resolve({"factor": "sine"}).learn_rate == 1e-4
    assert resolve({"factor": "sine", "field": "mlp"}).learn_rate == 1e-2
    assert resolve({"factor": "sine", "learn_rate": 0.5}).learn_rate == 0.5


@pytest.mark.parametrize("field", RECIPES)
def test_a_budget_that_is_asked_for_replaces_the_recipes(field):
    steps = resolve({"field": field, "num_steps": 10})
    assert (steps.num_steps, steps.time_budget) == (10, 0.0)
    seconds = resolve({"field": field, "time_budget": 5}, "paper" if field == "mlp" else None)
    assert (seconds.num_steps, seconds.time_budget) == (0, 5.0)
    both = resolve({"field": field, "num_steps": 10, "time_budget": 5.0})
    assert (both.num_steps, both.time_budget) == (10, 5.0)
    assert resolve(both.to_dict()) == both == Options(**json.loads(json.dumps(both.to_dict())))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_option_accepts_its_range_and_nothing_beyond(entry):
    budget = {"num_steps": 1, "time_budget": 1.0}
    kinds = {"supervision": {"lattice": "mlp", "points": "mlp", "autodiff": "siren"}, "field": {}}
    if choices := entry.metadata.get("choices"):
        wrong = ["nonsense", None, 7]
        for value in choices:
            together = {}
            if entry.name == "field":
                together = {"supervision": "projection" if value == "separable" else "lattice"}
            if entry.name == "supervision":
                together = {"field": kinds["supervision"].get(value, "separable")}
            assert getattr(Options(**budget | {entry.name: value} | together), entry.name) == value
    else:
        low, high = entry.metadata["range"]
        wrong = [low - 1, high * 1.001 + 1, float("nan"), "many", None] + ([low + 0.5] if entry.type is int else [])
        for value in (low, high):
            assert getattr(Options(**budget | {entry.name: value}), entry.name) == value
            assert type(getattr(Options(**budget | {entry.name: value}), entry.name)) is entry.type
    for value in wrong:
        with pytest.raises(ValueError, match=f"--{entry.name} must be"):
            Options(**budget | {entry.name: value})


@pytest.mark.parametrize(
    "asked, preset, words",
    [
        ({"num_steps": 0, "time_budget": 0.0}, None, "give a budget: --num_steps N or --time_budget SECONDS"),
        ({"field": "mlp", "supervision": "projection"}, None, "--supervision projection requires --field separable"),
        ({"supervision": "points"}, None, "--supervision points requires --field mlp or siren"),
        ({"field": "separable"}, "paper", "--supervision points requires --field mlp or siren"),
        ({"num_channels": 0}, None, "--num_channels must be a number from 1 to 8192, not 0"),
        ({"loss": "huber"}, None, "--loss must be one of l1, l2, log, not 'huber'"),
        ({"widht": 3, "a": 1}, None, "unknown training options: a, widht"),
        ({}, "authors", "--preset must be one of paper, not 'authors'"),
    ],
)
def test_options_that_do_not_fit_are_refused_by_name(asked, preset, words):
    with pytest.raises(ValueError) as caught:
        resolve(asked, preset)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    "asked, unread",
    [
        ({}, {"split", "batch", "loss", "omega_0", "knots", "schedule_step", "schedule_gamma"}),
        ({"schedule": "step"}, {"split", "batch", "loss", "omega_0", "knots", "warm_up"}),
        ({"factor": "sine"}, {"split", "batch", "loss", "pe", "norm_exp", "knots", "schedule_step", "schedule_gamma"}),
        ({"field": "mlp"}, {"factor", "knots", "omega_0", "core_size", "accuracy", "schedule_step", "schedule_gamma"}),
        ({"factor": "spline"}, {"split", "batch", "loss", "omega_0", "pe", "norm_exp", "num_channels", "num_layers",
                                "optimizer", "learn_rate", "schedule", "warm_up", "schedule_step", "schedule_gamma",
                                "precision"}),
    ],
)  # fmt: skip
def test_options_that_a_run_never_reads_are_known(asked, unread):
    options = resolve(asked | {"num_steps": 1})
    warnings = options.without_effect(options.to_dict())
    assert {text.split()[0].removeprefix("--") for text in warnings} == unread
    assert len(warnings) == len(unread)
    assert options.without_effect([]) == []


def test_warnings_name_what_switches_an_option_off():
    assert resolve({"field": "mlp"}).without_effect(["knots"]) == ["--knots has no effect with --field mlp"]
    assert resolve({"factor": "sine"}).without_effect(["pe"]) == ["--pe has no effect with --factor sine"]
    assert resolve({}).without_effect(["schedule_step"]) == ["--schedule_step has no effect with --schedule cosine"]
    assert resolve({}).without_effect(["batch"]) == ["--batch has no effect with --field separable"]


def test_a_resumed_run_keeps_its_options():
    options = resolve({"num_steps": 9, "seed": 3})
    assert resumed(options.to_dict(), {"seed": 3, "levels": None}) == options
    with pytest.raises(ValueError, match="other values of --seed, --levels: leave them out"):
        resumed(options.to_dict(), {"seed": 4, "levels": 2})
    for stored in (None, {"widht": 3}):
        with pytest.raises(ValueError, match=r"current\.pth is not the state of a run"):
            resumed(stored, {})


def test_presets_name_known_options():
    for name in PRESETS:
        assert resolve({}, name).to_dict().items() >= PRESETS[name].items()
