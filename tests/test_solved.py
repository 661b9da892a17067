"""Fields that are solved for instead of trained, through the same trainer, files and programs as all others."""

import numpy as np
import pytest
import torch
from builders import exact_truth, noise_signal, smooth_signal
from training_cases import CPU

from kernels import minimal_kernel
from models.checkpoint import Checkpoint
from models.convolution import convolve_grid
from signals.exact import kernel_convolution
from training.folder import RunFolder
from training.loop import Hooks, Trainer
from training.options import resolve
from training.setup import LARGEST_SPLINE, make_trainer
from training.validation import Validation

QUIET = Hooks(lambda *_: None, lambda _: None)


def solved(tmp_path, truth, resume: bool = False, **asked) -> Trainer:
    """A trainer of splines that has run to its end."""
    options = resolve({"factor": "spline", "num_steps": 50} | asked)
    with RunFolder(tmp_path, "run", resume) as folder:
        trainer = make_trainer(truth, options, folder, CPU)
        if resume:
            trainer.restore(Checkpoint.load(folder.current))
        trainer.run(QUIET)
    return trainer


@pytest.mark.parametrize(
    "shape, axes, order, least",
    [((60, 45), None, 1, 60), ((120,), None, 2, 60), ((24, 22, 20), None, 0, 50), ((50, 5, 4), (0,), 1, 60)],
)
def test_splines_hold_the_truth_without_a_step(tmp_path, shape, axes, order, least):
    truth = exact_truth(smooth_signal(shape, 2, axes), order, 0.25, 0.4)
    trainer = solved(tmp_path, truth)
    assert trainer.solved
    assert (trainer.step, trainer.elapsed) == (0, 0.0)
    field = trainer.field.requires_grad_(False)
    for half_size, psnr in Validation(truth, 2).measure(field).items():
        assert psnr > least, half_size


@pytest.mark.parametrize("half_size", [0.2, 0.33, 0.5])
def test_splines_answer_other_kernels_of_rough_signals(tmp_path, half_size):
    signal = noise_signal((64, 50))
    field = solved(tmp_path, exact_truth(signal, 1, 0.2, 0.4)).field.requires_grad_(False)
    kernel = minimal_kernel(1, half_size, 2)
    grid = [torch.linspace(-1, 1, n, dtype=torch.float64) for n in signal.shape]
    error = convolve_grid(field, kernel, grid, 0.2).numpy() - kernel_convolution(signal, kernel)
    assert np.sqrt(np.mean(error**2)) < 2e-3


def test_a_solved_run_can_be_resumed_and_is_the_same(tmp_path):
    truth = exact_truth(smooth_signal((30, 25)), 1, 0.2, 0.3)
    first = {name: value.clone() for name, value in solved(tmp_path, truth).field.state_dict().items()}
    again = solved(tmp_path, truth, resume=True).field.state_dict()
    assert all(torch.equal(value, first[name]) for name, value in again.items())


@pytest.mark.parametrize("per_step", [0.5, 6.0, 64.0])
def test_knots_cover_the_training_queries_and_are_no_finer_than_samples(tmp_path, per_step):
    truth = exact_truth(noise_signal((50, 5, 40), axes=(0, 2)), 1, 0.2, 0.3)
    trainer = solved(tmp_path, truth, knots=per_step)
    targets, config = trainer.objective.targets, trainer.field.config
    for axis in truth.axes:
        nodes = targets.stencils()[axis].nodes
        assert nodes.abs().max() <= 1 + config.reach[axis] + 1e-9
        samples = (2 + 2 * config.reach[axis]) * (truth.shape[axis] - 1) / 2
        assert 8 <= config.knots[axis] <= 1.3 * samples + 8
    assert config.knots[1] == 0


def test_more_knots_than_can_be_solved_for_are_refused(tmp_path):
    truth = exact_truth(noise_signal((LARGEST_SPLINE * 2,)), 0, 0.01, 0.1)
    options = resolve({"factor": "spline", "num_steps": 1, "knots": 64.0})
    with RunFolder(tmp_path, "run", False) as folder, pytest.raises(ValueError, match="--knots"):
        make_trainer(truth, options, folder, CPU)
