"""Times, memory, errors and bars: what every part of the benchmark measures with."""

import contextlib
import ctypes
import os
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

Task = Callable[[], Any]
STATM = Path("/proc/self/statm")


@dataclass(frozen=True)
class Settings:
    """How much is measured: `quick` is a smoke test, `long` adds the long trainings; seed of everything random."""

    quick: bool = False
    long: bool = False
    seed: int = 0

    def choose(self, full: Any, quick: Any) -> Any:
        """`full`, or `quick` in a smoke test."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Bar:
    """A figure that was promised: `measured` must be at least, or at most, `wanted`."""

    text: str
    wanted: float
    measured: float
    at_least: bool = True

    @property
    def met(self) -> bool:
        """Whether the promise is kept."""
        return self.measured >= self.wanted if self.at_least else self.measured <= self.wanted

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self) | {"met": self.met}


def interleaved(tasks: Mapping[str, Task], rounds: int) -> dict[str, float]:
    """Median seconds of every task, run in turn (A B A B ...) so that load hits all alike; one round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(rounds + 1):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def peak_memory(task: Task) -> float | None:
    """MB of memory that running `task` takes at most beyond what was taken before; None where no system tells.

    Looked at every millisecond by another thread: torch works without Python's lock.
    """
    if not STATM.is_file():
        return None
    with contextlib.suppress(OSError, AttributeError):
        # Memory that was freed but kept would hide what the task takes.
        ctypes.CDLL(None).malloc_trim(0)
    before, seen, done = _resident(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(1e-3):
            seen[0] = max(seen[0], _resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        task()
    finally:
        done.set()
        watcher.join()
    return round(max(seen[0] - before, 0) / 2**20, 1)


def _resident() -> int:
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def decibels(values: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB, peak 1."""
    error = float(np.mean((np.asarray(values, np.float64) - truth) ** 2))
    return float(-10 * np.log10(max(error, 1e-30)))


def slope(x: np.ndarray, y: np.ndarray) -> float:
    """The exponent a of the best fit y ~ x^a."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])
