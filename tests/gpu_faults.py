"""Faults on purpose in training on the pretended GPU, which must find every one of them."""

import gpu_pretended  # noqa: F401  # first: before torch

# isort: split
from collections.abc import Callable
from typing import Any

import pytest
import torch
from gpu_cases import CUDA, RUNS, started, stepped

from training import projection
from training.autodiff import AutodiffObjective
from training.trainer import Trainer


def injected(spoil: Callable[[pytest.MonkeyPatch, Trainer], None], **asked: Any) -> dict[str, int]:
    """Steps of a trainer with a fault."""
    with pytest.MonkeyPatch.context() as patch:
        trainer = started(**asked)
        trainer.advance()
        spoil(patch, trainer)
        return stepped(trainer, 3)


def constants_on_the_cpu(patch: pytest.MonkeyPatch, trainer: Trainer) -> None:
    trainer.objective.positions = trainer.objective.positions.cpu()


def generator_of_the_cpu(patch: pytest.MonkeyPatch, trainer: Trainer) -> None:
    trainer.generator = torch.Generator()


def global_generator(patch: pytest.MonkeyPatch, trainer: Trainer) -> None:
    patch.setattr(trainer.objective, "draw", lambda generator: AutodiffObjective.draw(trainer.objective, None))


def a_number_read(patch: pytest.MonkeyPatch, trainer: Trainer) -> None:
    solved = projection.solve_scaled
    patch.setattr(projection, "solve_scaled", lambda gram, right: solved(gram * float(gram.max() > 0), right))


def a_checked_solution(patch: pytest.MonkeyPatch, trainer: Trainer) -> None:
    patch.setattr(projection, "solve_scaled", torch.linalg.solve)


def constants_copied(patch: pytest.MonkeyPatch, trainer: Trainer) -> None:
    drawn = trainer.objective.targets.draw_points
    weights = trainer.objective.targets.kernel.weights

    def draw(generator: torch.Generator, count: int) -> Any:
        trainer.objective.weights = torch.tensor(weights, device=CUDA)
        return drawn(generator, count)

    patch.setattr(trainer.objective.targets, "draw_points", draw)


def a_mask(patch: pytest.MonkeyPatch, trainer: Trainer) -> None:
    patch.setattr(trainer.objective, "criterion", lambda residual: residual[residual.abs() > 0].square().mean())


def half_products(patch: pytest.MonkeyPatch, trainer: Trainer) -> None:
    step = trainer.advance

    def advance() -> Any:
        torch.set_float32_matmul_precision("high")
        try:
            return step()
        finally:
            torch.set_float32_matmul_precision("highest")

    patch.setattr(trainer, "advance", advance)


FAULTS: dict[str, Callable[[], dict[str, int]]] = {
    "constants on the CPU": lambda: injected(constants_on_the_cpu, **RUNS["points"]),
    "a generator of the CPU": lambda: injected(generator_of_the_cpu, **RUNS["lattice"]),
    "the global generator": lambda: injected(global_generator, **RUNS["autodiff"]),
    "a number read": lambda: injected(a_number_read),
    "a checked solution": lambda: injected(a_checked_solution),
    "constants copied": lambda: injected(constants_copied, **RUNS["points"]),
    "a mask": lambda: injected(a_mask, **RUNS["lattice"]),
    "half products": lambda: injected(half_products, **RUNS["lattice"]),
}
