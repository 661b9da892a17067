"""Options of a run, and the optimisers and learning rates that follow from them."""

import json

import pytest
import torch
from builders import field_config
from training_cases import generator

from models import build_field
from training.muon import Muon, orthogonalise
from training.optimise import FLOOR, WARM_UP_STEPS, build_optimisers, rate
from training.options import PRESETS, RECIPES, Options, resolve


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
        ({"field": "siren", "optimizer": "adam"}, set(), None),
        ({"field": "siren"}, {"network.layers.1.weight", "network.layers.2.weight"},
         {"network.layers.0.weight", "network.layers.0.bias", "network.layers.1.bias", "network.layers.2.bias",
          "head.weight", "polynomial.coefficients"}),
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


@pytest.mark.parametrize(
    "asked, unread",
    [
        ({}, {"batch", "loss", "omega_0", "knots", "schedule_step", "schedule_gamma"}),
        ({"schedule": "step"}, {"batch", "loss", "omega_0", "knots"}),
        ({"factor": "sine"}, {"batch", "loss", "pe", "norm_exp", "knots", "schedule_step", "schedule_gamma"}),
        ({"field": "mlp"}, {"factor", "knots", "omega_0", "core_size", "accuracy", "schedule_step", "schedule_gamma"}),
        ({"factor": "spline"}, {"batch", "loss", "omega_0", "pe", "norm_exp", "num_channels", "num_layers", "optimizer",
                                "learn_rate", "schedule", "schedule_step", "schedule_gamma", "precision"}),
    ],
)  # fmt: skip
def test_options_that_a_run_never_looks_at_are_known(asked, unread):
    options = resolve(asked | {"num_steps": 1})
    assert set(options.unread(options.to_dict())) == unread


def test_splines_are_not_descended_on():
    with pytest.raises(ValueError, match="--supervision projection"):
        resolve({"factor": "spline", "supervision": "lattice", "num_steps": 1})
