"""What a run shows while it lives: TensorBoard scalars, pictures and hyper-parameters."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from models.field import Field
from training.objective import Loss
from training.options import Options
from training.validation import Validation, psnr

# Draws prediction, truth and error as one picture [H, W, 3] in [0, 1]; a modality's business.
Draw = Callable[[np.ndarray, np.ndarray], np.ndarray]
# A picture is followed by this many times as long without one: some take seconds to draw.
PICTURE_PAUSE = 10.0


class Record:
    """Writes a run's TensorBoard events; `draw` turns (prediction, truth) into a picture."""

    def __init__(self, folder: Path, validation: Validation, draw: Draw | None, step: int) -> None:
        self.writer = SummaryWriter(str(folder), purge_step=step or None)
        self.validation = validation
        self.draw = draw
        self.picture_due = 0.0

    def describe(self, options: Options, kernel_picture: np.ndarray, parameters: int) -> None:
        """Hyper-parameters and the training kernel with its Diracs."""
        lines = [f"| {name} | {value} |" for name, value in options.to_dict().items()]
        table = "\n".join(["| option | value |", "|---|---|", *lines, f"| parameters | {parameters} |"])
        self.writer.add_text("options", table)
        self.writer.add_image("kernel", kernel_picture, dataformats="HWC")

    def step(self, step: int, loss: Loss, learn_rate: float, samples_per_second: float) -> None:
        """Scalars of one step."""
        self.writer.add_scalar("loss/total", loss.total.item(), step)
        for level, rms in enumerate(loss.rms):
            self.writer.add_scalar(f"rms/{2**level}x", rms.item(), step)
        self.writer.add_scalar("learn_rate", learn_rate, step)
        self.writer.add_scalar("samples_per_second", samples_per_second, step)

    def validate(self, step: int, field: Field, last: bool = False) -> dict[float, float]:
        """PSNR at every validated half size, half size -> dB; now and then, and at `last`, a picture of the finest."""
        quality = {}
        for index, level in enumerate(self.validation.levels):
            prediction = self.validation.predict(field, level.half_size)
            quality[level.half_size] = psnr(prediction, level.truth)
            self.writer.add_scalar(f"psnr/{level.half_size:g}", quality[level.half_size], step)
            if index == 0 and self.draw and (last or time.monotonic() >= self.picture_due):
                start = time.monotonic()
                self._show(self.draw, prediction, level.truth, step)
                self.picture_due = time.monotonic() + PICTURE_PAUSE * (time.monotonic() - start)
        self.writer.flush()
        return quality

    def _show(self, draw: Draw, prediction: np.ndarray, truth: np.ndarray, step: int) -> None:
        """A picture, or the reason why there is none and will be none: no drawing ends a run."""
        try:
            picture = draw(prediction, truth)
        except ValueError as error:
            self.draw = None
            self.writer.add_text("no picture", str(error), step)
        else:
            self.writer.add_image("prediction, truth, error", picture, step, dataformats="HWC")

    def close(self, options: Options, quality: Mapping[float, float]) -> None:
        """The run's outcome beside its hyper-parameters."""
        metrics: dict[str, Any] = {f"final/psnr_{size:g}": value for size, value in quality.items()}
        self.writer.add_hparams(options.to_dict(), metrics, run_name=".")
        self.writer.close()


@contextlib.contextmanager
def errors_told_once() -> Iterator[None]:
    """Keep TensorBoard's thread from printing a write error that the next call raises in the foreground anyway."""
    before = threading.excepthook
    threading.excepthook = lambda what: None if isinstance(what.exc_value, OSError) else before(what)
    try:
        yield
    finally:
        threading.excepthook = before
