"""Runs that do not disturb each other: as many at once as there are cores, one thread and one core each."""

import multiprocessing
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from queue import Queue
from typing import TypeVar

import torch
from rich.console import Console
from rich.progress import track

Task = TypeVar("Task")
Result = TypeVar("Result")


def in_turn(work: Callable[[Task], Result], tasks: Iterable[Task], title: str) -> list[Result]:
    """`work` of every task, in their order; each runs in a process that has one core to itself.

    Tasks of about equal length should stand beside each other, so that all of them meet the same load.
    """
    tasks = list(tasks)
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    context = multiprocessing.get_context("spawn")
    free = context.Manager().Queue()
    for core in cores:
        free.put(core)
    with ProcessPoolExecutor(len(cores), context, _take_core, (free,)) as pool:
        found = pool.map(work, tasks)
        return list(track(found, title, total=len(tasks), console=Console(stderr=True)))


def _take_core(free: Queue) -> None:
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {free.get()})
