"""The training loop: steps until the budget is spent, and everything a killed run needs to go on."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from files import ArchiveError
from models.checkpoint import Checkpoint, Origin
from models.field import Field
from training.folder import RunFolder
from training.interrupt import Interrupt
from training.objective import Loss, Objective
from training.optimise import build_optimisers, rate, set_rate
from training.options import Options

SAVE_SECONDS = 30.0
# The clock, the display and TensorBoard are looked at this often, not every step.
REPORT_STEPS = 10
VALIDATIONS = 8

Report = Callable[["Trainer", Loss, float], None]


class DivergedError(RuntimeError):
    """A loss or weights that are not finite; the last good state stays on disk."""


@dataclass(frozen=True)
class Hooks:
    """What happens during training besides training: `report` often, `validate` at a few even shares of the budget."""

    report: Report
    validate: Callable[["Trainer"], None]


class Trainer:
    """A field, its objective and its optimisers, moved along step by step."""

    def __init__(self, field: Field, objective: Objective, options: Options, origin: Origin, folder: RunFolder) -> None:
        self.field = field
        self.objective = objective
        self.options = options
        self.origin = origin
        self.folder = folder
        self.generator = torch.Generator(field.device).manual_seed(options.seed)
        # A GPU runs ahead of Python and is not waited for in every step to tell whether its loss was finite.
        self.look_every = 1 if field.device.type == "cpu" else REPORT_STEPS
        self._first_bad = torch.full((), -1, device=field.device)
        self.optimisers = build_optimisers(field, options)
        self.step = 0
        self.elapsed = 0.0

    @property
    def solved(self) -> bool:
        """Whether nothing descends: all of the field is solved for, and no step is to be taken."""
        return not self.optimisers

    @property
    def spent(self) -> float:
        """Share of the budget spent, by steps or by seconds, whichever is nearer its end."""
        if self.solved:
            return 1.0
        by_steps = self.step / self.options.num_steps if self.options.num_steps else 0.0
        by_time = self.elapsed / self.options.time_budget if self.options.time_budget else 0.0
        return max(by_steps, by_time)

    def run(self, hooks: Hooks, checkpoint_steps: int = 0, save_seconds: float = SAVE_SECONDS) -> None:
        """Train until the budget is spent; current.pth is there from the start and renewed every `save_seconds`.

        Raises KeyboardInterrupt after Ctrl-C or SIGTERM, with everything saved, and DivergedError.
        """
        if not self.folder.current.is_file():
            self.save()
        validated, saved, last = int(self.spent * VALIDATIONS), time.monotonic(), time.monotonic()
        with Interrupt() as interrupt:
            while self.spent < 1.0 and not interrupt.asked:
                loss = self.advance()
                now = time.monotonic()
                self.elapsed, last = self.elapsed + now - last, now
                if self.step % REPORT_STEPS == 0 or self.spent >= 1.0:
                    hooks.report(self, loss, self.elapsed)
                if int(self.spent * VALIDATIONS) > validated and self.spent < 1.0:
                    validated = int(self.spent * VALIDATIONS)
                    self.finish()
                    hooks.validate(self)
                if checkpoint_steps and self.step % checkpoint_steps == 0:
                    self.checkpoint().save(self.folder.numbered(self.step))
                if now - saved > save_seconds:
                    self.save()
                    saved = time.monotonic()
                # Looking, saving and drawing do not count as training.
                last = time.monotonic()
            self.save()
        if interrupt.asked:
            raise KeyboardInterrupt

    def advance(self) -> Loss:
        """One step; raises DivergedError if a loss was not finite (on a CPU before anything is changed)."""
        set_rate(self.optimisers, self.options.learn_rate * rate(self.options, self.step, self.spent))
        try:
            loss = self.objective.loss(self.field, self.generator)
        except torch.linalg.LinAlgError:
            raise self._diverged("a least-squares problem has no solution") from None
        bad = (self._first_bad < 0) & ~loss.total.detach().isfinite()
        self._first_bad = torch.where(bad, self.step, self._first_bad)
        if (self.step + 1) % self.look_every == 0:
            self._check_loss()
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.total.backward()
        for optimiser in self.optimisers:
            optimiser.step()
        self.step += 1
        return loss

    def _check_loss(self) -> None:
        if (step := int(self._first_bad)) >= 0:
            raise self._diverged("the loss is not finite", step)

    def finish(self) -> None:
        """Make the field whole; raises DivergedError where it is not finite, so that it is neither shown nor saved."""
        self._check_loss()
        try:
            self.objective.finish(self.field)
        except torch.linalg.LinAlgError:
            raise self._diverged("a least-squares problem has no solution") from None
        for name, value in self.field.state_dict().items():
            if not torch.isfinite(value).all():
                raise self._diverged(f"{name} is not finite")

    def _diverged(self, what: str, step: int | None = None) -> DivergedError:
        good = f"the last good state is {self.folder.current}" if self.folder.current.is_file() else "nothing was saved"
        steps = self.step if step is None else step
        return DivergedError(f"{what} after {steps} steps; {good}: start anew with a smaller --learn_rate")

    def checkpoint(self) -> Checkpoint:
        """Everything needed to go on."""
        self.finish()
        training: dict[str, Any] = {
            "step": self.step,
            "elapsed": self.elapsed,
            "options": self.options.to_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "generator": self.generator.get_state(),
        }
        return Checkpoint(self.field.config, self.origin, self.field.state_dict(), training)

    def save(self) -> None:
        """Renew current.pth."""
        self.checkpoint().save(self.folder.current)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of the same run; raises ArchiveError for one that is not."""
        training = checkpoint.training
        try:
            self.field.load_state_dict(checkpoint.state)
            for optimiser, state in zip(self.optimisers, training["optimisers"], strict=True):
                optimiser.load_state_dict(state)
            self.generator.set_state(training["generator"])
            self.step, self.elapsed = int(training["step"]), float(training["elapsed"])
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ArchiveError(f"{self.folder.current} is not the state of this run ({reason}): start anew") from None
