"""Networks of all coordinates: quality in equal processor time, by kind, picture and shape."""

import time
from typing import Any

import torch

import nfconv
from benchmarks.common import PICTURES, Settings, table
from benchmarks.training import SIZES, about, armadillo, decibels, filtered_with_boxes
from models import Field
from signals import GroundTruth
from training import resolve
from training.setup import make_trainer

SECONDS = 60.0
KINDS = ("siren", "mlp")


def descended(truth: GroundTruth, settings: Settings, **options: Any) -> tuple[Field, int]:
    """A field after SECONDS of the processor, of descent alone, whatever else the machine does; and its steps."""
    budget = settings.choose({"time_budget": SECONDS}, {"time_budget": 0.1, "num_channels": 16})
    asked = options | budget | {"seed": settings.seed}
    trainer = make_trainer(truth, resolve(asked), torch.device("cpu"))
    while trainer.spent < 1.0:
        start = time.process_time()
        trainer.advance()
        trainer.elapsed += time.process_time() - start
    trainer.finish()
    return trainer.field.requires_grad_(False).eval(), trainer.step


def networks(settings: Settings) -> str:
    """PSNR of pictures and IoU of a shape, by kind of network."""
    rows = []
    for picture in settings.choose(PICTURES, PICTURES[:1]):
        signal = settings.picture(picture)
        truth = nfconv.make_ground_truth(signal)
        for kind in KINDS:
            field, steps = descended(truth, settings, field=kind)
            found = map("{:.1f}".format, decibels(field, signal, SIZES))
            rows.append([f"{kind}; {picture}", *found, f"{steps:,}", about(field)[0]])
    return "\n\n".join([
        "## Networks of all coordinates",
        f"PSNR in dB for tents of four half sizes after {SECONDS:g} s of descent on one thread. Seconds are of the "
        "processor, which other programs shared; what ran before in this page counts those of the clock.",
        table(["network; picture", *[f"{size:g}" for size in SIZES], "steps", "weights"], rows),
        shape(settings),
    ])  # fmt: skip


def shape(settings: Settings) -> str:
    """A distance field filtered with boxes, order 0."""
    signal, truth = armadillo(settings)
    field, steps = descended(truth, settings, field="mlp")
    cells = filtered_with_boxes(field, signal, SIZES[:3])
    return "\n\n".join([
        f"Signed distances of the armadillo, {' x '.join(map(str, signal.shape))} samples, boxes as training kernels "
        f"(order 0, half size {truth.half_size[0]:g}), in as much time: IoU of the solids, mean squared error.",
        table(
            ["network", *[f"{size:g}" for size in SIZES[:3]], "steps", "weights"],
            [["mlp", *cells, f"{steps:,}", about(field)[0]]],
        ),
    ])  # fmt: skip
