"""Put a finished run and its figures where the shipped models are: model.pth, and model.json with how it was made.

python -m scripts.ship_model --run logs/shipped_images --results output/images/shipped_images \
    --save_path trained_models/images --command "sh scripts/train_all.sh image" \
    --signal data/raw/images/astronaut.png --order 1 --half_size 0.05 --margin 0.4
"""

import json
import shutil
from pathlib import Path
from typing import Any

import click

from benchmarks.common import processor
from utils import FILE

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
OUTCOME = ("options", "preparation", "seconds", "steps", "threads", "torch", "parameters", "bytes")


def measured(results: Path) -> dict[str, Any]:
    """What eval.py found for every filter in a folder of results: radius (domain units), Diracs, seconds, metrics."""
    found = {}
    for file in sorted(results.glob("*/metrics.json")):
        report = json.loads(file.read_text())
        facts = {"radius": max(report["radius"]), "diracs": report["diracs"], "seconds": round(report["seconds"], 2)}
        found[file.parent.name] = facts | {part: report.get(part) for part in ("whole", "interior")}
    return found


@click.command()
@click.option("--run", required=True, type=FOLDER, help="Folder of the finished run.")
@click.option("--results", required=True, type=FOLDER, help="Folder of its filters, made by eval.py.")
@click.option("--save_path", required=True, type=FILE, help="Folder of the shipped model.")
@click.option("--command", required=True, help="The command that makes the model again.")
@click.option("--signal", required=True, help="The signal it was trained on.")
@click.option("--order", type=int, required=True, help="Order of the training kernel.")
@click.option("--half_size", type=float, required=True, help="Half size of the training kernel, domain units.")
@click.option("--margin", type=float, required=True, help="Margin asked for, domain units.")
def main(run: Path, results: Path, save_path: Path, command: str, **ground_truth: Any) -> None:
    """Copy a run's model and record the command, options, machine, time and quality beside it."""
    outcome = json.loads((run / "metrics.json").read_text())
    save_path.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run / "model_final.pth", save_path / "model.pth")
    record = {
        "command": command,
        "ground_truth": ground_truth,
        "machine": processor(),
        **{name: outcome[name] for name in OUTCOME},
        "filters": measured(results),
    }
    (save_path / "model.json").write_text(json.dumps(record, indent=2) + "\n")
    click.echo(f"{save_path / 'model.pth'}: {outcome['bytes'] / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
