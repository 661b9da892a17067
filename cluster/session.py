"""A cluster for the length of a program: worker processes of this machine, or a running scheduler."""

import contextlib
import logging
import secrets
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import cloudpickle

from files.inputs import note

# How often a tile's worker may be lost before the tile counts as what ends it; and seconds to wait for a first worker.
FAILURES = 20
PATIENCE = 60
# Memory that glibc keeps for the next tile: returned and asked for again it costs a third of the time.
KEPT_MEMORY = 1 << 28
ENVIRONMENT = {"MALLOC_TRIM_THRESHOLD_": KEPT_MEMORY, "OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1,
               "OPENBLAS_NUM_THREADS": 1}  # fmt: skip
LOST = "the scheduler is lost: the same command goes on with what is missing"
# Ctrl-C goes to all processes of a terminal, and a batch system's SIGTERM to all of a job: the program ends its workers
# itself, and says what is left to do.
DEAF = "import signal\nfor number in (signal.SIGINT, signal.SIGTERM):\n    signal.signal(number, signal.SIG_IGN)\n"
SETTINGS = {
    "distributed.nanny.pre-spawn-environ": ENVIRONMENT,
    "distributed.scheduler.allowed-failures": FAILURES,
    # Tasks wait in the scheduler, not in workers that may be lost.
    "distributed.scheduler.worker-saturation": 1.0,
}


@dataclass(frozen=True)
class Cluster:
    """Workers that jobs are shared out to; `client` is Dask's."""

    client: Any

    def each(self, function: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        """What `function`, which is pickled, returns for every tuple of arguments, in their order; as many at once as
        there are workers.

        A task whose worker is lost is given to another. Raises what a task raises, and ConnectionError where the
        scheduler is lost.
        """
        from cluster.tasks import Job, call

        name = f"job-{secrets.token_hex(4)}"
        futures: list[Any] = []
        try:
            self._announce(Job(name, cloudpickle.dumps(function)), name)
            tasks = list(arguments)
            keys = [f"{name}-{number}" for number in range(len(tasks))]
            futures = self.client.map(call, [name] * len(tasks), tasks, key=keys, pure=False)
            yield from _in_order(futures)
        finally:
            with contextlib.suppress(Exception):
                self.client.cancel(futures)
                self.client.unregister_worker_plugin(name)

    def _announce(self, job: Any, name: str) -> None:
        """Tell all workers of a job, again where one is lost meanwhile; raises ConnectionError."""
        for _ in range(FAILURES):
            try:
                self.client.register_plugin(job, name=name)
                return
            except OSError:
                if self.client.status != "running":
                    break
        raise ConnectionError(LOST)


def _in_order(futures: list[Any]) -> Iterator[Any]:
    """The results of tasks in their order, fetched in batches as they come; raises as `Cluster.each`."""
    from distributed import KilledWorker, as_completed

    place = {future.key: number for number, future in enumerate(futures)}
    ready: dict[int, Any] = {}
    following = 0
    for batch in as_completed(futures, with_results=True, raise_errors=False).batches():
        for future, result in batch:
            if future.status == "error":
                if isinstance(result[1], KilledWorker):
                    raise ValueError(f"a tile ended its worker {FAILURES} times: it may lack memory; use a smaller "
                                     "--tile, or fewer workers on a machine")  # fmt: skip
                raise result[1]
            if future.status != "finished":
                raise ConnectionError(LOST)
            ready[place[future.key]] = result
        while following in ready:
            yield ready.pop(following)
            following += 1


@contextlib.contextmanager
def connected(
    workers: int | None, scheduler: str | None, say: Callable[[str], None] = note
) -> Iterator[Cluster | None]:
    """`workers` processes of one thread on this machine, or those of the `scheduler` at an address; None for neither.

    Says where Dask's dashboard is. Raises ValueError for both, and ConnectionError where there is no scheduler or it
    has no workers.
    """
    if workers is not None and scheduler is not None:
        raise ValueError("--workers starts processes here, --scheduler uses those that are there: leave one out")
    if workers is None and scheduler is None:
        yield None
        return
    import dask
    import distributed  # noqa: F401  # its own settings, before ours are laid over them

    with dask.config.set(SETTINGS), contextlib.ExitStack() as stack:
        stack.enter_context(_quiet())
        client = stack.enter_context(_remote(scheduler) if scheduler else _local(workers or 1, stack))
        say(f"dashboard: {client.dashboard_link}{'' if find_spec('bokeh') else ' (pip install bokeh to see it)'}")
        yield Cluster(client)


def _local(workers: int, stack: contextlib.ExitStack) -> Any:
    from distributed import Client, LocalCluster

    try:
        with _interrupts_ignored():
            local = LocalCluster(
                n_workers=workers, threads_per_worker=1, processes=True, host="127.0.0.1", preload=[DEAF],
                dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL,
            )  # fmt: skip
    except RuntimeError as error:
        raise ConnectionError(
            f"{workers} workers did not start ({error}): use fewer --workers, they may lack memory"
        ) from None
    return Client(stack.enter_context(local))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without Dask's own log, which would only repeat our messages."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """While processes start, which inherit it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _remote(address: str) -> Any:
    from distributed import Client

    try:
        client = Client(address, timeout=PATIENCE)
        client.wait_for_workers(1, timeout=PATIENCE)
    except ValueError:
        raise ValueError(f"--scheduler {address} is no address: give one like tcp://host:8786") from None
    except OSError as error:
        reason = f"no workers at {address} within {PATIENCE} s ({type(error).__name__})"
        raise ConnectionError(f"{reason}: start a scheduler and workers first (docs/cluster.md)") from None
    return client
