"""What a scheduler knows of a task: a job's name and which of its tiles. PyTorch is imported in workers alone."""

import pickle
from collections.abc import Callable
from typing import Any

from distributed import Reschedule, WorkerPlugin

JOBS: dict[str, Callable[..., Any]] = {}


class Job(WorkerPlugin):
    """A function (as `payload`, pickled by the client) that tasks call by its `name`: sent to every worker once, also
    to those that come later, and not with every task."""

    def __init__(self, name: str, payload: bytes) -> None:
        self.name, self.payload = name, payload

    def setup(self, worker: Any) -> None:
        """Make the job known on a worker, where one thread computes: others would change the last bits of results."""
        import torch

        torch.set_num_threads(1)
        JOBS[self.name] = pickle.loads(self.payload)

    def teardown(self, worker: Any) -> None:
        """Forget it."""
        JOBS.pop(self.name, None)


def call(name: str, arguments: tuple[Any, ...]) -> Any:
    """What the job `name` returns for these arguments: numbers."""
    if name not in JOBS:
        raise Reschedule
    return JOBS[name](*arguments)
