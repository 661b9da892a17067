"""What all sections share: the pictures, what a task costs, tables, and what a measurement was made on."""

import datetime
import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import skimage
import torch

import nfconv
from models import Field
from signals import GroundTruth, Signal
from training import train
from training.display import Display
from training.objective import Loss
from training.trainer import Trainer

ROOT = Path(__file__).resolve().parent.parent
# Both others come with the wheel of scikit-image.
PICTURES = ("astronaut", "coffee", "chelsea")
HALF_SIZE = 0.05
PACKAGES = ("torch", "numpy", "scipy", "opencv-python-headless", "scikit-image")

Task = Callable[[], Any]


@dataclass(frozen=True)
class Settings:
    """Seed of everything random, the folder of figures, and whether this is a `quick` trial of the programs."""

    docs: Path
    quick: bool = False
    seed: int = 0

    def choose(self, full: Any, quick: Any) -> Any:
        """`full`, or `quick` in a trial."""
        return quick if self.quick else full

    def picture(self, name: str = PICTURES[0]) -> Signal:
        """The shipped photograph or one of scikit-image, colours [H, W, 3]; every eighth sample in a trial."""
        path = ROOT / "data" / "raw" / "images" / f"{name}.png"
        pixels = iio.imread(path if path.is_file() else Path(skimage.__file__).parent / "data" / f"{name}.png")
        step = self.choose(1, 8)
        return nfconv.read(pixels[::step, ::step, :3])


@dataclass(frozen=True)
class Cost:
    """Seconds that a task took by the clock, and of all processors together."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{duration(self.wall)} ({duration(self.cpu)})"

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.wall + other.wall, self.cpu + other.cpu)

    def __mul__(self, share: float) -> "Cost":
        return Cost(self.wall * share, self.cpu * share)


def cost_of(task: Task) -> tuple[Any, Cost]:
    """The task's result and what it cost."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = task()
    return result, Cost(time.perf_counter() - wall, time.process_time() - cpu)


def interleaved(tasks: Mapping[str, Task], rounds: int) -> dict[str, Cost]:
    """Median costs of tasks that take turns (A B A B ...), so that load hits all alike; one more round warms up."""
    costs: dict[str, list[Cost]] = {name: [] for name in tasks}
    for _ in range(rounds + 1):
        for name, task in tasks.items():
            costs[name].append(cost_of(task)[1])
    return {
        name: Cost(statistics.median(c.wall for c in found[1:]), statistics.median(c.cpu for c in found[1:]))
        for name, found in costs.items()
    }


class Steps(Display):
    """Shows nothing and counts the steps."""

    count = 0

    def __init__(self) -> None:
        super().__init__(shown=False)

    def step(self, trainer: Trainer, loss: Loss) -> None:
        self.count = trainer.step


def train_quietly(
    truth: GroundTruth, settings: Settings, signal: Signal | None = None, **options: Any
) -> tuple[Field, int, Cost]:
    """Train as `nfconv.fit` does from ground truth on; field, steps, and the cost with preparation and validation."""
    if options.get("factor") != "spline":
        options |= settings.choose({}, {"num_channels": 16, "time_budget": 0.1, "num_steps": 0})
    steps = Steps()
    field, cost = cost_of(lambda: train(truth, signal=signal, display=steps, seed=settings.seed, **options))
    return field, steps.count, cost


@contextmanager
def counted_queries(field: Field) -> Any:
    """A list that receives the number of points of every evaluation of the field's networks or factors."""
    counts: list[int] = []
    # What sees one coordinate costs a grid its axes: of a split network, the shared layers are what is queried.
    modules = getattr(field, "factors", None) or [getattr(field.network, "shared", field.network)]
    hooks = [module.register_forward_pre_hook(lambda _, inputs: counts.append(len(inputs[0]))) for module in modules]
    try:
        yield counts
    finally:
        for hook in hooks:
            hook.remove()


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table: the first column to the left, numbers to the right."""
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def duration(seconds: float) -> str:
    """Three digits, in ms, s or hours."""
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds:.3g} s" if seconds < 1000 else f"{seconds / 3600:,.3g} h"


def processor() -> str:
    """The processor's name, with the family and model that a bare vendor name leaves open, and the number of cores."""
    info = Path("/proc/cpuinfo")
    entries: dict[str, str] = {}
    for line in info.read_text().splitlines() if info.is_file() else ():
        key, _, value = line.partition(":")
        entries.setdefault(key.strip(), value.strip())
    name = entries.get("model name") or platform.processor() or platform.machine()
    if "cpu family" in entries:
        name += f" (family {entries['cpu family']}, model {entries['model']})"
    return f"{name}, {os.cpu_count()} cores"


def circumstances() -> str:
    """Version of this program, machine, threads, load of the last minute, versions and date."""
    own = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"version {own[1] if own else '?'}, {datetime.date.today()}; {processor()}, {torch.get_num_threads()} threads, "
        f"load {os.getloadavg()[0]:.2f}; Python {platform.python_version()}, {packages}"
    )
