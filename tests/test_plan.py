"""Plans: which kernel is the widest, which the finest, and what is said of those that ask too much."""

import numpy as np
import pytest
from builders import field_config, noise_signal, random_field

from filtering.choice import Choice, choose_kernel
from filtering.plan import Blended, Constant, Scaled, Setting
from filtering.run import check_fineness
from kernels import minimal_kernel
from signals.exact import kernel_convolution

TENT, LONG = Choice(minimal_kernel(1, 0.2, 2)), Choice(minimal_kernel(1, [0.05, 0.3], 2))
HALVES = np.array([[0.0, 1.0]])[..., None]


@pytest.mark.parametrize(
    "plan, widest, finest, fixed",
    [
        (Constant(LONG), 0.3, 0.05, True),
        (Scaled(TENT, HALVES, (0.5, 2.0)), 0.4, 0.1, False),
        (Blended((TENT, LONG), np.zeros((2, 2, 1))), 0.3, 0.05, False),
    ],
)
def test_plans_know_their_extremes(plan, widest, finest, fixed):
    assert plan.widest.radius.max() == pytest.approx(widest)
    assert plan.finest.radius.min() == pytest.approx(finest)
    assert plan.fixed is fixed


@pytest.mark.parametrize("half_size, warned", [(0.05, False), (0.0501, True), (0.01, False)])
def test_kernels_finer_than_the_training_kernel_are_told(half_size, warned):
    said = []
    check_fineness(LONG.kernel, half_size, said.append)
    assert len(said) == warned
    assert all("0.05" in text for text in said)


@pytest.mark.parametrize("half_size", [0.05, 0.1, 1 / 3])
def test_without_a_size_a_kernel_gets_the_training_kernels(half_size, tmp_path):
    config = field_config("mlp", 3, axes=(0, 2))
    minimal_kernel(1, 1.0).save(tmp_path / "tent.npz")
    for path in ("", str(tmp_path / "tent")):
        kernel = choose_kernel(path, None, {}, config, half_size, pytest.fail).kernel
        wanted = minimal_kernel(1, half_size, 3, (0, 2))
        np.testing.assert_allclose(kernel.positions, wanted.positions, atol=1e-12)
        np.testing.assert_allclose(kernel.weights, wanted.weights)


def test_blends_are_measured_against_the_blend_of_exact_convolutions():
    signal = noise_signal((9, 8), 2)
    plan = Blended((TENT, LONG), np.full((2, 2, 1), 0.125))
    truth = plan.reference(signal, "clamp").truth
    exact = [kernel_convolution(signal, choice.kernel) for choice in (TENT, LONG)]
    np.testing.assert_allclose(truth, 0.75 * exact[0] + 0.25 * exact[1], atol=1e-12)
    field, shares = random_field(field_config("separable", 2, 2)), []
    result = plan.filter(field, (9, 8), Setting(0.05, 1 << 12, pytest.fail, shares.append))
    parts = [Constant(choice).filter(field, (9, 8), Setting(0.05, 1 << 12, pytest.fail)) for choice in (TENT, LONG)]
    np.testing.assert_allclose(result, 0.75 * parts[0] + 0.25 * parts[1], rtol=1e-5)
    assert shares == [0.5, 1.0]


def test_a_network_tells_how_far_it_is():
    field, shares = random_field(field_config("mlp", 2, 2)), []
    Constant(TENT).filter(field, (30, 8), Setting(0.05, 100, pytest.fail, shares.append))
    assert len(shares) > 2
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
