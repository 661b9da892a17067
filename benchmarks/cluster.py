"""Measures a cluster on this machine: speed-up, memory, traffic, and that nothing is lost where processes are killed.

python -m benchmarks.cluster --size 4096 --kills 20 --run_kills 10
"""

import hashlib
import os
import random
import re
import signal as signals_of_processes
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
import psutil
import torch

from benchmarks.common import ROOT, circumstances, table
from cluster import connected
from cluster.session import ENVIRONMENT, Cluster
from utils import FILE

HALF_SIZE, MARGIN, SIGMA = 13.0, 39.0, 13.0
DASK = [sys.executable, "-m", "dask"]


def solve_and_filter(cluster: Cluster | None, picture: Path, folder: Path, tile: int) -> str:
    """Fit a picture in tiles and filter it by a Gaussian; a digest of every weight and every result."""
    import nfconv
    from cluster.filtering import filtered
    from cluster.fitting import tile_mapper
    from models.checkpoint import load_checkpoint
    from models.filtering import sparse_kernel
    from models.varying import Filter
    from training import Source
    from training.display import Display
    from training.plan import plan_tiles
    from training.tiles import fit_tiles, tile_options

    signal = nfconv.read(picture, "image")
    unit = 2.0 / (signal.shape[0] - 1)
    source = Source(signal, 1, (HALF_SIZE * unit,) * 2, MARGIN * unit, "clamp")
    plan = plan_tiles(source, tile, tile_options({}).to_dict(), folder / "tiles")
    with tile_mapper(cluster) as mapper:
        field = fit_tiles(plan, source, Display(shown=False), mapper)[0]
    total = hashlib.sha256()
    for path in sorted((folder / "tiles").rglob("*.pth")):
        for value in load_checkpoint(path)[0].state_dict().values():
            total.update(value.numpy().tobytes())
    chosen = Filter((sparse_kernel(field, nfconv.gaussian(sigma=SIGMA * unit)),))
    if cluster is None:
        total.update(np.ascontiguousarray(chosen.apply(field, signal.shape)).data)
    else:
        with filtered(cluster, field, chosen, signal.shape, folder / "out.zarr") as result:
            for start in range(0, len(result), tile):
                total.update(np.ascontiguousarray(result[start : start + tile]).data)
    return total.hexdigest()


@contextmanager
def processes(workers: int, folder: Path, nanny: bool = False) -> Iterator[tuple[str, list[psutil.Process]]]:
    """A scheduler and workers over TCP; its address, and their processes, the scheduler first."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | {name: str(value) for name, value in ENVIRONMENT.items()}
    environment["DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES"] = "100"
    environment["DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION"] = "1.0"
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
    with tempfile.TemporaryDirectory(dir=folder) as own:
        port = random.randrange(20_000, 30_000)
        address = f"tcp://127.0.0.1:{port}"
        first = [*DASK, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
        worker = [*DASK, "worker", address, "--nthreads", "1", "--host", "127.0.0.1", "--no-dashboard",
                  "--local-directory", own, "--nanny" if nanny else "--no-nanny"]  # fmt: skip
        started = [subprocess.Popen(command, cwd=own, **quiet) for command in (first, *[worker] * workers)]
        try:
            yield address, [psutil.Process(process.pid) for process in started]
        finally:
            # Asked to end, a worker whose scheduler goes at the same moment may wait for it for ever.
            for process in reversed(started):
                process.kill()
                process.wait()


def seconds(process: psutil.Process) -> float:
    """Of all processors, so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def most_memory(process: psutil.Process) -> float:
    """GiB that a process has held at most."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 2**20


def measured(workers: int, picture: Path, folder: Path, tile: int) -> tuple[list[Any], float, str]:
    """A row of the table, the CPU seconds of the longest path (the busiest worker), and the digest."""
    folder.mkdir()
    with processes(workers, folder) as (address, found), connected(None, address, lambda _: None) as cluster:
        assert cluster is not None
        cluster.client.wait_for_workers(workers)
        # PyTorch is imported once, whatever the size.
        cluster.client.run(warm)
        sent, before, wall = traffic(address), [seconds(process) for process in found], time.perf_counter()
        digest = solve_and_filter(cluster, picture, folder, tile)
        wall, sent = time.perf_counter() - wall, traffic(address) - sent
        spent = [seconds(process) - start for process, start in zip(found, before, strict=True)]
        tasks = len(list((folder / "tiles").rglob("*.pth"))) + (len(np.load(picture, mmap_mode="r")) // tile) ** 2
        memory = [most_memory(process) for process in found]
    row = [workers, f"{wall:.1f}", f"{max(spent[1:]):.1f}", f"{sum(spent[1:]):.1f}", f"{spent[0]:.1f}",
           f"{max(memory[1:]):.2f}", f"{memory[0]:.2f}", f"{sent / tasks / 1000:.1f}"]  # fmt: skip
    return row, max(spent[1:]), digest


def warm() -> None:
    """Import what a task imports."""
    import cluster.filtering
    import training.tiles

    assert cluster.filtering and training.tiles


def traffic(address: str) -> int:
    """Bytes that the scheduler at an address has sent and received over its connections, as the system counts."""
    port = address.rpartition(":")[2]
    found = subprocess.run(["ss", "-tinH", f"sport = :{port}"], capture_output=True, text=True, check=True).stdout
    return sum(int(number) for number in re.findall(r"bytes_(?:sent|received):(\d+)", found))


def with_kills(kills: int, picture: Path, folder: Path, tile: int, pause: float) -> tuple[str, int]:
    """The digest of a run of two workers of which one is killed at random again and again, and how many were."""
    import threading

    folder.mkdir()
    killed, ended = 0, threading.Event()

    def kill(nannies: Sequence[psutil.Process]) -> None:
        nonlocal killed
        while killed < kills and not ended.wait(random.uniform(0.5, 1.5) * pause):
            children = [child for nanny in nannies for child in nanny.children() if most_memory(child) > 0.1]
            if children:
                random.choice(children).send_signal(signals_of_processes.SIGKILL)
                killed += 1

    with processes(2, folder, nanny=True) as (address, found), connected(None, address, lambda _: None) as cluster:
        assert cluster is not None
        killer = threading.Thread(target=kill, args=(found[1:],))
        killer.start()
        try:
            return solve_and_filter(cluster, picture, folder, tile), killed
        finally:
            ended.set()
            killer.join()


def with_run_kills(kills: int, picture: Path, folder: Path, tile: int, pause: float) -> tuple[str, int]:
    """The digest of a run that is killed, client, scheduler and workers, again and again; and how often it was."""
    folder.mkdir()
    command = [sys.executable, "-m", "benchmarks.cluster", "--once", str(folder), "--picture", str(picture),
               "--tile", str(tile)]  # fmt: skip
    for killed in range(kills + 1):
        run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True)
        try:
            output, _ = run.communicate(timeout=None if killed == kills else random.uniform(0.7, 1.3) * pause)
            return output.decode().split()[-1], killed
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signals_of_processes.SIGKILL)
            run.wait()
    raise AssertionError


@click.command()
@click.option("--size", default=2048, show_default=True, help="Rows and columns of the picture.")
@click.option("--tile", default=512, show_default=True)
@click.option("--kills", default=20, show_default=True, help="Workers that are killed.")
@click.option("--run_kills", default=10, show_default=True, help="Whole runs that are killed.")
@click.option("--pause", default=6.0, show_default=True, help="Seconds from one kill of a worker to the next.")
@click.option("--run_pause", default=25.0, show_default=True, help="Seconds until a run is killed.")
@click.option("--seed", default=0, show_default=True)
@click.option("--picture", type=FILE, help="An .npy file; default: a collage.")
@click.option("--once", type=FILE, hidden=True)
def main(size: int, tile: int, kills: int, run_kills: int, pause: float, run_pause: float, seed: int,
         picture: Path | None, once: Path | None) -> None:  # fmt: skip
    """Print the tables; every digest must be the same."""
    random.seed(seed)
    if once and picture:
        with connected(2, None, lambda _: None) as cluster:
            click.echo(solve_and_filter(cluster, picture, once, tile))
        return
    from benchmarks.collage import collage

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if picture is None:
            picture = folder / "picture.npy"
            np.save(picture, collage(size, seed))
        rows, paths, digests = [], [], []
        for workers in (1, 2):
            row, path, digest = measured(workers, picture, folder / f"measured_{workers}", tile)
            rows.append(row)
            paths.append(path)
            digests.append(digest)
        head = ["workers", "wall, s", "busiest worker, CPU s", "workers, CPU s", "scheduler, CPU s", "worker, GiB",
                "scheduler, GiB", "kB a task through the scheduler"]  # fmt: skip
        click.echo(table(head, rows))
        click.echo(f"speed-up of two workers on the CPU critical path: {paths[0] / paths[1]:.2f}")
        trials = {"workers": (with_kills, kills, pause), "runs": (with_run_kills, run_kills, run_pause)}
        for what, (run, count, wait) in trials.items():
            digest, killed = run(count, picture, folder / what, tile, wait)
            digests.append(digest)
            click.echo(f"{killed} {what} killed: {'same' if digest == digests[0] else 'OTHER'} bytes")
        # As many threads as a worker has: sums of another order have other last bits.
        torch.set_num_threads(1)
        digests.append(solve_and_filter(None, picture, folder / "alone", tile))
        click.echo(f"one process: {'same' if digests[-1] == digests[0] else 'OTHER'} bytes")
    click.echo(circumstances())
    if len(set(digests)) > 1:
        raise click.ClickException("the bytes differ")


if __name__ == "__main__":
    main()
