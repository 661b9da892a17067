"""What a run shows while it trains: a bar in a terminal or notebook, or nothing."""

import warnings
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from training.objective import Loss
from training.trainer import Trainer

# Reading a loss waits for a GPU, so it is not read in every step.
SHOW_STEPS = 10


def progress_bar(console: Console, shown: bool = True) -> Progress:
    """A bar with a note (rate, loss, PSNR) and the time left; when it ends it leaves no trace."""
    about, note = TextColumn("{task.description}"), TextColumn("{task.fields[note]}")
    columns = (SpinnerColumn(), about, BarColumn(), note, TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, refresh_per_second=2, transient=True, disable=not shown)


class Display:
    """A bar on standard error with rate, residual, PSNR and the time left, gone when the run ends.

    If not `shown`, only warnings are left, as Python warnings.
    """

    def __init__(self, shown: bool = True) -> None:
        self.shown = shown
        self.console = Console(stderr=True)
        self.bar = progress_bar(self.console, shown and (self.console.is_terminal or self.console.is_jupyter))
        self.task = self.bar.add_task("preparing", total=None, note="")
        self.quality = ""

    def __enter__(self) -> "Display":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def warn(self, text: str) -> None:
        """One sentence the user should read."""
        if self.shown:
            self.console.print(f"warning: {text}", markup=False, highlight=False, soft_wrap=True)
        else:
            warnings.warn(text, stacklevel=3)

    def step(self, trainer: Trainer, loss: Loss) -> None:
        """After every step."""
        if self.shown and (trainer.step % SHOW_STEPS == 0 or trainer.spent >= 1.0):
            rate, rms = trainer.step / trainer.elapsed, loss.rms[0].item()
            note = f"step {trainer.step}  {rate:.0f}/s  rms {rms:.2e}{self.quality}"
            self.bar.update(self.task, description="training", total=1.0, completed=min(1.0, trainer.spent), note=note)

    def tiles(self, done: int, total: int) -> None:
        """After every tile of a field in tiles."""
        if self.shown:
            self.bar.update(self.task, description="tiles", total=total, completed=done, note=f"{done} of {total}")

    def validated(self, quality: Mapping[float, float]) -> None:
        """PSNR in dB by half size, in units of the training kernel's."""
        self.quality = f"  PSNR {' '.join(f'{value:.1f}' for value in quality.values())} dB"


class Silence(Display):
    """Shows nothing, not even warnings: another process does."""

    def __init__(self) -> None:
        super().__init__(shown=False)

    def warn(self, text: str) -> None:
        pass
