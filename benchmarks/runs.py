"""Training runs as the benchmark makes them: a picture, options and a budget in, a field and its quality out."""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import skimage
import torch

from modalities import find
from models.checkpoint import Checkpoint
from models.field import Field
from signals import Signal
from signals.exact import minimal_convolution
from signals.ground_truth import GroundTruth, pads_for
from training.folder import RunFolder
from training.loop import Hooks, Trainer
from training.options import Options, resolve
from training.setup import make_trainer
from training.validation import Validation

ROOT = Path(__file__).resolve().parent.parent
ASTRONAUT = "astronaut"
# Both come with the wheel of scikit-image.
PACKAGED = ("coffee", "chelsea")
PICTURES = (ASTRONAUT, *PACKAGED)
HALF_SIZE = 0.05
ORDER = 1
MARGIN = 0.4
SIZES = (0.05, 0.1, 0.2, 0.4)


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run: the field, its options, PSNR by half size, and what it cost."""

    field: Field
    options: Options
    psnr: dict[float, float]
    steps: int
    seconds: float
    set_up: float
    parameters: int
    stored: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; psnr in the order of SIZES, stored in bytes."""
        plain = {name: getattr(self, name) for name in ("steps", "parameters", "stored")}
        plain |= {"seconds": round(self.seconds, 2), "set_up": round(self.set_up, 2)}
        return plain | {"psnr": [round(self.psnr[size], 2) for size in SIZES]}


def load_picture(name: str) -> Signal:
    """The shipped photograph, or one that comes with scikit-image."""
    if name == ASTRONAUT:
        return find("image").load(ROOT / "data" / "raw" / "images" / "astronaut.png")
    pixels = iio.imread(Path(skimage.__file__).parent / "data" / f"{name}.png")
    return Signal(pixels[..., :3].astype(np.float32) / np.float32(255), (0, 1), "image", name)


@lru_cache(maxsize=len(PICTURES))
def picture_truth(name: str, half_size: float = HALF_SIZE) -> tuple[Signal, GroundTruth]:
    """The picture and its exact ground truth for tents of `half_size` (domain units)."""
    signal = load_picture(name)
    pads = pads_for(MARGIN, signal.shape, signal.axes)
    values = minimal_convolution(signal, ORDER, [half_size] * 2, "clamp", pads, np.float32)
    facts = (signal.axes, ORDER, half_size, "clamp", pads, "exact", 0, 0, "image", name)
    return signal, GroundTruth(values, *facts)


@lru_cache(maxsize=len(PICTURES))
def picture_validation(name: str) -> Validation:
    """The exact answers for tents of SIZES that every run on the picture is measured against."""
    return Validation(picture_truth(name)[1], len(SIZES))


@contextlib.contextmanager
def trainer_on(picture: str, half_size: float = HALF_SIZE, **asked: Any) -> Iterator[Trainer]:
    """A trainer on a picture, ready for its first step, in a run folder of its own; `asked` as train.py's options."""
    signal, truth = picture_truth(picture, half_size)
    with tempfile.TemporaryDirectory() as folder, RunFolder(folder, "run", resume=False) as run:
        yield make_trainer(truth, resolve(asked), run, torch.device("cpu"), signal)


def train(
    picture: str, change: Callable[[Trainer], None] | None = None, half_size: float = HALF_SIZE, **asked: Any
) -> Run:
    """Train as train.py does, without its display, and measure the result on the whole picture.

    `change` alters the trainer before its first step; what it takes counts as set-up.
    """
    validation = picture_validation(picture)
    start = time.perf_counter()
    with trainer_on(picture, half_size, **asked) as trainer:
        if change:
            change(trainer)
        set_up = time.perf_counter() - start
        trainer.run(Hooks(lambda *_: None, lambda _: None))
        field = trainer.field.requires_grad_(False).eval()
        state = {name: value.float() for name, value in field.state_dict().items()}
        stored = Checkpoint(field.config, trainer.origin, state).save(trainer.folder.final).stat().st_size
    parameters = sum(p.numel() for p in field.parameters())
    quality = validation.measure(field)
    return Run(field, trainer.options, quality, trainer.step, trainer.elapsed, set_up, parameters, stored)
