"""The processes of a run: one by itself, or the equal ones that torchrun started.

Each of several draws points of its own. Once a step all of them sum, in one message, their gradients, whether a loss
was not finite, the seconds of the leading process, and whether one was asked to stop: so all step, and end, alike.
"""

import contextlib
import datetime
import os
import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from models.device import pick_device
from models.field import Field
from training.options import Options

# The leading process validates and saves while the others wait for its next step.
LONGEST_WAIT = datetime.timedelta(hours=2)
# In a message, behind the gradients: losses that are not finite, seconds, requests to stop.
NOTES = 3


class LostError(RuntimeError):
    """Another process of the run has ended before its time."""


class Stopwatch:
    """Seconds spent inside of its `with` blocks."""

    def __init__(self) -> None:
        self._kept = 0.0
        self._start: float | None = None

    def __enter__(self) -> "Stopwatch":
        self._start = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self._read()
        self._start = None

    def _read(self) -> None:
        if self._start is not None:
            now = time.monotonic()
            self._kept, self._start = self._kept + now - self._start, now

    def lap(self) -> float:
        """Seconds since the last call."""
        self._read()
        seconds, self._kept = self._kept, 0.0
        return seconds


class OneProcess:
    """A run in one process; `watch` runs during its steps."""

    count, rank = 1, 0

    def __init__(self) -> None:
        self.watch = Stopwatch()
        self._asked = False

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def check(self, options: Options) -> None:
        """Raise ValueError for a run that these processes cannot share."""

    def seed(self, seed: int, step: int) -> int:
        """What the draws of this process in a step follow from, whatever was drawn before."""
        return int(np.random.SeedSequence((seed, self.rank, step)).generate_state(1, np.uint64)[0])

    def align(self, field: Field, step: int, digest: str) -> None:
        """Start from the leading process's weights; raises ValueError where it has another step or ground truth."""

    def share(self, gradients: Sequence[Tensor], bad: Tensor, asked: bool) -> Tensor:
        """Average `gradients` in place over all processes; whether the loss of any is `bad`, on the device."""
        self._asked |= asked
        return bad

    def agreed(self) -> tuple[float, bool]:
        """Seconds since the last call and whether any process was asked to stop, the same in all processes."""
        return self.watch.lap(), self._asked


class ManyProcesses(OneProcess):
    """One of `count` processes, whose tensors are on `device`."""

    def __init__(self, rank: int, count: int, device: torch.device) -> None:
        super().__init__()
        self.rank, self.count = rank, count
        self._notes = torch.zeros(NOTES, dtype=torch.float64, device=device)

    def check(self, options: Options) -> None:
        if options.field == "separable":
            raise ValueError(
                "torchrun shares the steps of --field siren or mlp; a separable field, with splines too, is solved for "
                "in tiles by several processes without torchrun: python train.py --workers "
                f"{self.count} and the same options"
            )

    def align(self, field: Field, step: int, digest: str) -> None:
        mine = torch.tensor([step, int(digest[:15], 16)], device=field.device)
        theirs = mine.clone()
        with lost_explained():
            dist.broadcast(theirs, 0)
            for value in field.state_dict().values():
                dist.broadcast(value, 0)
        if not torch.equal(mine, theirs):
            raise ValueError(
                "the processes have read different files: put the ground truth and --summary on storage that all "
                "machines of the run share"
            )

    def share(self, gradients: Sequence[Tensor], bad: Tensor, asked: bool) -> Tensor:
        notes = gradients[0].new_zeros(NOTES)
        notes[0].copy_(bad)
        # Filled on a GPU, not copied there.
        notes[1].fill_(self.watch.lap() if self.leads else 0.0)
        notes[2].fill_(asked)
        message = torch.cat([*(gradient.flatten() for gradient in gradients), notes])
        with lost_explained():
            dist.all_reduce(message)
        *sums, notes = message.split([*(gradient.numel() for gradient in gradients), NOTES])
        for gradient, total in zip(gradients, sums, strict=True):
            gradient.copy_(total.view_as(gradient)).div_(self.count)
        self._notes += notes
        return notes[0] > 0

    def agreed(self) -> tuple[float, bool]:
        _, seconds, asked = self._notes.tolist()
        self._notes.zero_()
        return seconds, asked > 0


@contextlib.contextmanager
def lost_explained() -> Iterator[None]:
    """Turn what a backend says of a process that is gone into LostError."""
    try:
        yield
    except RuntimeError as error:
        raise LostError("another process of this run has ended") from error


@contextlib.contextmanager
def joined(device: str) -> Iterator[tuple[OneProcess, torch.device]]:
    """The processes of this run, joined until the end of the block, and the device of this one by its name. Several of
    them end with the block.

    If an error stops them all, only the first process that meets it reports it; the others exit with code 1.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) < 2:
        yield OneProcess(), pick_device(device)
        return
    store, rank, count = next(dist.rendezvous("env://"))
    try:
        place = own_device(device)
        backend = "gloo" if place.type == "cpu" else "nccl"
        dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=LONGEST_WAIT)
        yield ManyProcesses(rank, count, place), place
    except Exception:
        # The others learn of it when this process ends, and torchrun ends them, too: nothing is waited for.
        if first_to_fail(store, rank):
            raise
        sys.exit(1)
    # Torn down as usual, one run of six ended in an abort of gloo's threads, with everything done and written.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def first_to_fail(store: "dist.Store", rank: int) -> bool:
    """Whether this process is the first to fail; where the store no longer answers, whether it is the leading one."""
    try:
        return store.add("failed", 1) == 1
    except RuntimeError:
        return rank == 0


def own_device(name: str) -> torch.device:
    """The device of this one of several processes: a CUDA device each, or the CPU; raises ValueError."""
    device = pick_device(name)
    if device.type == "cpu":
        return device
    if device.index is not None:
        raise ValueError(f"--device {name} is one card, and torchrun starts a process for each: leave --device out")
    index, found = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if index >= found:
        raise ValueError(
            f"torchrun started more processes than there are CUDA devices ({found}): use --nproc_per_node={found}, or "
            "--device cpu"
        )
    device = torch.device("cuda", index)
    torch.cuda.set_device(device)
    return device


def launcher() -> list[str]:
    """The words that start this run's program again in as many processes."""
    here, count = os.environ.get("LOCAL_WORLD_SIZE", "1"), int(os.environ.get("WORLD_SIZE", 1))
    if count < 2:
        return [sys.executable]
    nodes = [f"--nnodes={count // int(here)}"] if count > int(here) else []
    return [sys.executable, "-m", "torch.distributed.run", *nodes, f"--nproc_per_node={here}"]
