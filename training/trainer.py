"""The trainer: a field moved along step by step until its budget is spent, and the state that resuming requires."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from files.inputs import first_line
from models.field import Field
from training.interrupt import Interrupt
from training.objective import Loss, Objective
from training.optimise import build_optimisers, descend, gradients, rate
from training.options import Options
from training.processes import OneProcess

# A GPU runs ahead of Python and is not waited for in every step to tell whether its loss was finite.
GPU_CHECK_STEPS = 10


class DivergedError(RuntimeError):
    """A loss or weights that are not finite."""


class Trainer:
    """A prepared field, its objective and its optimisers; `elapsed` and `prepared` in seconds.

    While `interrupt` is entered, a request to stop takes effect after a step: `stopped` is then set in all `processes`.
    """

    def __init__(
        self, field: Field, objective: Objective, options: Options, processes: OneProcess | None = None
    ) -> None:
        self.field = field
        self.objective = objective
        self.options = options
        self.processes = processes or OneProcess()
        self.interrupt = Interrupt()
        self.stopped = False
        self.generator = torch.Generator(field.device).manual_seed(options.seed)
        self.check_steps = 1 if field.device.type == "cpu" else GPU_CHECK_STEPS
        self._first_bad = torch.tensor(-1, device=field.device)
        self.optimisers = build_optimisers(field, options)
        self.step = 0
        self.elapsed = self.prepared = 0.0
        objective.prepare(field, self.generator)

    @property
    def spent(self) -> float:
        """Share of the budget spent, by steps or by seconds, whichever is nearer its end; 1 where nothing descends."""
        if not self.optimisers:
            return 1.0
        by_steps = self.step / self.options.num_steps if self.options.num_steps else 0.0
        by_time = self.elapsed / self.options.time_budget if self.options.time_budget else 0.0
        return max(by_steps, by_time)

    @property
    def learn_rate(self) -> float:
        """The learning rate of the next step."""
        return self.options.learn_rate * rate(self.options, self.step, self.spent)

    def steps(self) -> Iterator[Loss]:
        """Train until the budget is spent or the run is to end, yielding after every step; what the caller does
        meanwhile costs no budget.

        Raises DivergedError.
        """
        while self.spent < 1.0 and not self.stopped:
            with self.processes.watch:
                loss = self.advance()
            yield loss

    def advance(self) -> Loss:
        """One step; raises DivergedError if a loss was not finite.

        What is drawn follows from seed, process and step alone, so that a resumed run draws what it would have drawn. A
        GPU is waited for after the optimiser's step, so that the clock counts every backward pass.
        """
        self.generator.manual_seed(self.processes.seed(self.options.seed, self.step))
        loss = self.objective.loss(self.field, self.generator)
        slopes = gradients(self.optimisers, loss.total)
        bad = self.processes.share(slopes, ~loss.total.detach().isfinite(), self.interrupt.asked)
        self._first_bad = torch.where((self._first_bad < 0) & bad, self.step, self._first_bad)
        descend(self.optimisers, self.learn_rate)
        self.step += 1
        if (self.step - 1) % self.check_steps == 0 or self.step == self.options.num_steps:
            self._check_loss()
            seconds, self.stopped = self.processes.agreed()
            self.elapsed += seconds
        return loss

    def _check_loss(self) -> None:
        if (step := int(self._first_bad)) >= 0:
            raise self._diverged("the loss is not finite", step)

    def finish(self) -> None:
        """Make the field whole; raises DivergedError where it is not finite, so that it is neither shown nor saved."""
        self._check_loss()
        self.objective.finish(self.field)
        state = self.field.state_dict()
        finite = torch.stack([value.isfinite().all() for value in state.values()]).tolist()
        if bad := [name for name, whole in zip(state, finite, strict=True) if not whole]:
            raise self._diverged(f"{bad[0]} is not finite")

    def _diverged(self, what: str, step: int | None = None) -> DivergedError:
        return DivergedError(f"{what} after {self.step if step is None else step} steps: use a smaller --learn_rate")

    def state(self) -> dict[str, Any]:
        """Everything but the field that resuming requires: plain values and tensors."""
        return {
            "step": self.step,
            "processes": self.processes.count,
            "elapsed": self.elapsed,
            "options": self.options.to_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
        }

    def restore(self, field: Field, state: Mapping[str, Any]) -> None:
        """Go on from the field and the `state` of the same run; raises ValueError for those of another."""
        if (count := state.get("processes", 1)) != self.processes.count:
            raise ValueError(
                "this run was started without torchrun: resume it in one process, or start a new run"
                if count == 1
                else f"this run was started in {count} processes: resume it by torchrun in as many, or start a new run"
            )
        try:
            self.field.load_state_dict(field.state_dict())
            for optimiser, stored in zip(self.optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(stored)
            self.step, self.elapsed = int(state["step"]), float(state["elapsed"])
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise ValueError(
                f"current.pth is not the state of this run ({first_line(error)}): start a new one"
            ) from None
