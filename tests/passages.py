"""A small signal's way through mc_utils.py, train.py and eval.py."""

import json
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner, Result

import eval as eval_program
import mc_utils
import train
from modalities import for_path

# Half size and margin of the training kernel on the small signal of each modality, in domain units.
SIZES = {"image": (0.3, 0.3), "geometry": (0.3, 0.3), "video": (0.6, 0.3), "audio": (0.1, 0.2), "motion": (0.3, 0.3),
         "series": (0.3, 0.3)}  # fmt: skip


def ask(program, *arguments: object) -> Result:
    """Run one of the programs in this process; what it raises beside exits fails the test."""
    result = CliRunner().invoke(program.main, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    return result


def asked(program, *arguments: object) -> Result:
    """Run one of the programs, which must succeed."""
    result = ask(program, *arguments)
    assert result.exit_code == 0, result.output
    return result


@dataclass(frozen=True)
class Passage:
    """The files of one passage through the three programs."""

    signal: Path
    truth: Path
    model: Path
    results: Path

    @property
    def metrics(self) -> dict:
        return json.loads((self.results / "metrics.json").read_text())["whole"]


def flags(options: dict) -> list[str]:
    return [part for name, value in options.items() for part in (f"--{name}", str(value))]


def make_truth(signal: Path, folder: Path, options: dict, order: int = 1) -> Path:
    half_size, margin = SIZES[for_path(signal).name]
    truth = folder / "truth.npz"
    asked(mc_utils, "--path", signal, "--save_path", truth, "--order", order, "--half_size", half_size,
          "--margin", margin, *flags(options))  # fmt: skip
    return truth


NETWORKS = ("--num_channels", 48, "--num_steps", 40)
SPLINES = ("--factor", "spline", "--num_steps", 1)


def passage(signal: Path, folder: Path, options: dict | None = None, training: tuple = SPLINES) -> Passage:
    """Ground truth, a tiny field, and the signal filtered by the training kernel, measured against the raw file."""
    truth = make_truth(signal, folder, options or {})
    asked(train, "--monte_carlo", truth, "--summary", folder / "runs", "--experiment_name", "run",
          "--core_size", 30_000, *training)  # fmt: skip
    half_size, _ = SIZES[for_path(signal).name]
    model, results = folder / "runs" / "run" / "model_final.pth", folder / "results"
    asked(eval_program, "--model_path", model, "--kernel_scale", 1 / half_size, "--save_path", results,
          "--signal", signal)  # fmt: skip
    return Passage(signal, truth, model, results)
