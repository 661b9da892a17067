"""What a run leaves for TensorBoard: scalars, pictures and hyper-parameters."""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kernels.figure import kernel_picture
from modalities import CAPTIONS, MODALITIES, Modality
from modalities.figures import Comparison, figure_pixels
from models.field import Field
from signals.ground_truth import GroundTruth
from signals.masks import quotient
from signals.measures import psnr
from training.objective import Loss
from training.options import Options
from training.trainer import Trainer
from training.validation import Validation

# Seconds between scalars.
SCALAR_PAUSE = 1.0
# A picture is followed by this many times as long without one: some take seconds to draw.
PICTURE_PAUSE = 10.0


class Record:
    """Writes the TensorBoard events of a run in `folder`, from `step` on."""

    def __init__(self, folder: Path, truth: GroundTruth, validation: Validation, step: int) -> None:
        # Loading TensorBoard takes a second, which a field without a record should not cost.
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder), purge_step=step or None)
        self.truth = truth
        self.validation = validation
        self.modality = MODALITIES.get(truth.modality)
        self.scalars_due = time.monotonic() + SCALAR_PAUSE
        self.picture_due = 0.0

    def describe(self, options: Options, parameters: int) -> None:
        """Hyper-parameters and the training kernel with its Diracs."""
        lines = [f"| {name} | {value} |" for name, value in options.to_dict().items()]
        table = "\n".join(["| option | value |", "|---|---|", *lines, f"| parameters | {parameters} |"])
        self.writer.add_text("options", table)
        self.writer.add_image("kernel", kernel_picture(self.truth.kernel), dataformats="HWC")

    def step(self, trainer: Trainer, loss: Loss) -> None:
        """Scalars of a step, once a second."""
        if time.monotonic() < self.scalars_due:
            return
        self.scalars_due = time.monotonic() + SCALAR_PAUSE
        self.writer.add_scalar("loss/total", loss.total.item(), trainer.step)
        for level, rms in enumerate(loss.rms):
            self.writer.add_scalar(f"rms/{2**level}x", rms.item(), trainer.step)
        self.writer.add_scalar("learn_rate", trainer.learn_rate, trainer.step)
        points = loss.points * trainer.processes.count
        self.writer.add_scalar("samples_per_second", points * trainer.step / trainer.elapsed, trainer.step)

    def validate(self, step: int, field: Field, last: bool = False) -> dict[float, float]:
        """PSNR in dB by half size, in units of the training kernel's; now and then, and at `last`, a picture."""
        quality = {}
        for level in self.validation.levels:
            prediction = self.validation.predict(field, level, last)
            quality[level.factor] = psnr(prediction, level.truth)
            tag = half_size_label(self.truth.half_size, level.factor)
            self.writer.add_scalar(f"psnr/{tag}", quality[level.factor], step)
            if level.factor == 1 and self.modality and (last or time.monotonic() >= self.picture_due):
                start = time.monotonic()
                self._draw(self.modality, prediction, level.truth, step)
                self.picture_due = time.monotonic() + PICTURE_PAUSE * (time.monotonic() - start)
        self.writer.flush()
        return quality

    def _draw(self, modality: Modality, prediction: np.ndarray, truth: np.ndarray, step: int) -> None:
        """A picture, or the reason why there is none and will be none: no drawing ends a run."""
        try:
            known = self.truth.metadata.known
            truth, prediction = quotient(truth, known), quotient(prediction, known)
            shown = Comparison(truth, prediction, truth, ("ground truth", CAPTIONS[1]))
            pixels = figure_pixels(modality.draw(shown, self.truth.metadata))
        except ValueError as error:
            self.modality = None
            self.writer.add_text("no picture", str(error), step)
        else:
            self.writer.add_image("prediction, truth, error", pixels, step, dataformats="HWC")

    def close(self, options: Options, quality: Mapping[str, float]) -> None:
        """The run's outcome, PSNR by half size, beside its hyper-parameters."""
        metrics: dict[str, Any] = {f"final/psnr_{size}": value for size, value in quality.items()}
        self.writer.add_hparams(options.to_dict(), metrics, run_name=".")
        self.writer.close()


def half_size_label(half_size: Sequence[float], factor: float) -> str:
    """`factor` times the half sizes of all axes, as text: one number where they agree."""
    return " x ".join(dict.fromkeys(f"{factor * size:g}" for size in half_size))


@contextlib.contextmanager
def write_errors_raised_once() -> Iterator[None]:
    """Keep TensorBoard's thread from printing a write error that the next call raises in the foreground anyway."""
    before = threading.excepthook
    threading.excepthook = lambda what: None if isinstance(what.exc_value, OSError) else before(what)
    try:
        yield
    finally:
        threading.excepthook = before
