"""What the shipped models were trained with and how good they are: tables for the READMEs, from their model.json.

python -m benchmarks.shipped
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.report import insert, table
from benchmarks.run import write
from benchmarks.runs import ROOT

MODELS = ROOT / "trained_models"
NAMES = {"tent": "tent", "gaussian": "Gaussian", "dog": "band-pass (DoG)"}

Show = Callable[[float], str]


def decibels(value: float) -> str:
    """A figure in dB."""
    return f"{value:.1f} dB"


@dataclass(frozen=True)
class Columns:
    """Which measures a modality's table shows: (title, name of the measure, how it is written)."""

    folder: str
    shown: tuple[tuple[str, str, Show], ...]


COLUMNS = {
    "image": Columns("images", (("PSNR", "psnr", decibels), ("SSIM", "ssim", "{:.4f}".format))),
    "geometry": Columns(
        "geometry",
        (("IoU", "iou", "{:.4f}".format), ("MSE", "mse", "{:.1e}".format), ("Chamfer", "chamfer", "{:.1e}".format)),
    ),
    "video": Columns("videos", (("PSNR", "psnr", decibels), ("SSIM", "ssim", "{:.3f}".format))),
    "audio": Columns("audio", (("SNR", "snr", decibels), ("PSNR", "psnr", decibels))),
    "motion": Columns(
        "motion",
        (("SNR", "snr", decibels), ("mean angle error", "angle_error", "{:.4f}°".format),
         ("largest", "angle_error_max", "{:.3f}°".format)),
    ),
}  # fmt: skip


def load(modality: str) -> Mapping[str, Any]:
    """The record of the shipped model."""
    return json.loads((MODELS / COLUMNS[modality].folder / "model.json").read_text())


def cost(record: Mapping[str, Any]) -> str:
    """How long the model took to make."""
    steps = f"{record['steps']:,} steps in {record['seconds']:.0f} s" if record["steps"] else "solved without a step"
    return f"prepared in {record['preparation']:.1f} s, {steps}"


def filters(modality: str, record: Mapping[str, Any]) -> str:
    """Size, cost and quality under every shown filter."""
    shown = COLUMNS[modality].shown
    rows = []
    for name, found in record["filters"].items():
        kernel, size = name.rsplit("_", 1)
        values = [write_out(found["whole"][measure]) for _, measure, write_out in shown]
        rows.append([f"{NAMES.get(kernel, kernel)} {size}", found["diracs"], *values])
    head = f"{record['bytes'] / 1e6:.2f} MB, {record['parameters']:,} weights, {cost(record)}, seed "
    head += f"{record['options']['seed']} ({record['machine']}, {record['threads']} threads):"
    return f"{head}\n\n{table(['filter', 'Diracs', *[title for title, _, _ in shown]], rows)}"


def overview() -> str:
    """One row per model: signal, training kernel, size, cost, and quality under the tents."""
    rows = []
    for modality, columns in COLUMNS.items():
        record = load(modality)
        truth = record["ground_truth"]
        title, measure, write_out = columns.shown[0]
        tents = [
            f"{write_out(found['whole'][measure])} at {name.rsplit('_', 1)[1]}"
            for name, found in record["filters"].items()
            if name.startswith("tent_")
        ]
        rows.append([
            f"`{columns.folder}/model.pth`", f"`{truth['signal'].rsplit('/', 1)[1]}`",
            f"{truth['half_size']:g}, order {truth['order']}, margin {truth['margin']:g}",
            f"{record['bytes'] / 1e6:.2f} MB", cost(record), f"{title}: {', '.join(tents)}",
        ])  # fmt: skip
    head = ["model", "signal", "tent it was trained with", "size", "training", "quality against the exact convolution"]
    return table(head, rows)


def main() -> None:
    """Put the tables between the markers of README.md and trained_models/README.md."""
    readme = ROOT / "README.md"
    text = readme.read_text()
    for modality in COLUMNS:
        text = insert(text, filters(modality, load(modality)), modality)
    write(readme, text)
    models = MODELS / "README.md"
    write(models, insert(models.read_text(), overview(), "models"))


if __name__ == "__main__":
    main()
