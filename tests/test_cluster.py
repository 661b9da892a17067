"""Tiles on a cluster: a real scheduler and two worker processes over TCP give the bytes that one process gives."""

import contextlib
import hashlib
import os
import signal as signals_of_processes
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr

import nfconv
from cluster import Cluster, connected
from cluster.filtering import filtered
from cluster.fitting import SAMPLES, tile_mapper
from models.checkpoint import load_checkpoint
from models.filtering import sparse_kernel
from models.tiled import TiledField
from models.varying import CovarianceFilter, Filter
from signals import Signal
from training import Source, resolve
from training.display import Display
from training.plan import plan_tiles
from training.tiles import fit_tiles

ROOT = Path(__file__).parent.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
DASK = [sys.executable, "-m", "dask"]
SHAPE, TILE = (120, 150), 64


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory) -> Iterator[tuple[str, list[subprocess.Popen]]]:
    """The address of a scheduler process and its two worker processes, which no nanny starts again."""
    folder = tmp_path_factory.mktemp("dask")
    address = folder / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": ENVIRONMENT, "cwd": folder}
    first = [*DASK, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", address]
    processes = [subprocess.Popen(first, **quiet)]
    processes += [start_worker(address, quiet) for _ in range(2)]
    deadline = time.monotonic() + 60
    while not address.is_file() or not address.read_text().strip().endswith("}"):
        assert time.monotonic() < deadline and processes[0].poll() is None
        time.sleep(0.05)
    import json

    try:
        yield json.loads(address.read_text())["address"], processes
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


def start_worker(address: Path | str, quiet: dict) -> subprocess.Popen:
    place = ["--scheduler-file", str(address)] if isinstance(address, Path) else [address]
    options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"]
    return subprocess.Popen([*DASK, "worker", *place, *options], **quiet)


@pytest.fixture(scope="module")
def tcp(scheduler) -> Iterator[Cluster]:
    said: list[str] = []
    with connected(None, scheduler[0], said.append) as cluster:
        assert cluster is not None and said[0].startswith("dashboard: ")
        cluster.client.wait_for_workers(2, timeout=60)
        yield cluster


def solved(folder: Path, cluster: Cluster | None, seed: int = 0) -> TiledField:
    """A small picture in twelve tiles and those of coarser levels."""
    generator = np.random.default_rng(seed)
    values = np.cumsum(generator.normal(size=(*SHAPE, 2)), axis=0).astype(np.float32) / 20
    source = Source(Signal(values, (0, 1), "image"), 1, (0.08, 0.06), 0.3, "clamp")
    options = resolve({"factor": "spline", "core_size": 2000, "accuracy": 0.0})
    plan = plan_tiles(source, TILE, options.to_dict(), folder)
    with tile_mapper(cluster) as mapper:
        return fit_tiles(plan, source, Display(shown=False), mapper)[0]


def weights(folder: Path) -> dict[str, bytes]:
    """The weights of every tile, and all of the index."""
    found = {
        path.relative_to(folder).as_posix(): load_checkpoint(path)[0].state_dict() for path in folder.rglob("*.pth")
    }
    tiles = {name: b"".join(value.numpy().tobytes() for value in state.values()) for name, state in found.items()}
    return tiles | {"index": (folder / "tiles.json").read_bytes()}


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> TiledField:
    return solved(tmp_path_factory.mktemp("alone"), None)


def chosen(field: TiledField) -> Filter:
    return Filter((sparse_kernel(field, nfconv.gaussian(sigma=0.05)),))


def test_the_bytes_are_those_of_one_process(tmp_path, alone, tcp):
    field = solved(tmp_path / "tiles", tcp)
    assert weights(tmp_path / "tiles") == weights(alone.folder) and len(weights(alone.folder)) > 7
    assert not (tmp_path / "tiles" / SAMPLES).exists()
    expected = chosen(field).apply(alone, SHAPE)
    with filtered(tcp, field, chosen(field), SHAPE, tmp_path / "out.zarr") as result:
        np.testing.assert_array_equal(np.asarray(result), expected)
    assert {path.name for path in tmp_path.iterdir()} == {"tiles"}


def test_another_grid_is_filtered_in_chunks(tmp_path, alone, tcp, monkeypatch):
    monkeypatch.setattr("files.results.CHUNK", 90)
    shape, shares = (210, 111), []
    with filtered(tcp, alone, chosen(alone), shape, tmp_path / "out.zarr", progress=shares.append) as result:
        np.testing.assert_allclose(np.asarray(result), chosen(alone).apply(alone, shape), rtol=0, atol=1e-6)
    np.testing.assert_allclose(shares, np.arange(1, len(shares) + 1) / len(shares))


def test_maps_of_sizes_and_covariances_are_shared_out_too(tmp_path, alone, tcp):
    sizes = np.linspace(0.8, 2.5, 35).reshape(5, 7, 1)
    sigma = np.linspace(0.02, 0.05, 6).reshape(2, 3, 1, 1) ** 2 * np.array([[1.0, 0.3], [0.3, 0.8]])
    for number, varying in enumerate((Filter(chosen(alone).kernels, sizes), CovarianceFilter(sigma, 1))):
        with filtered(tcp, alone, varying, SHAPE, tmp_path / f"{number}.zarr") as result:
            # Bit by bit with as many threads of BLAS here as a worker has.
            np.testing.assert_allclose(np.asarray(result), varying.apply(alone, SHAPE), rtol=0, atol=1e-6)
    assert not list(tmp_path.iterdir())


def test_a_killed_worker_loses_nothing(tmp_path, scheduler, alone, tcp):
    address, processes = scheduler
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": ENVIRONMENT, "cwd": tmp_path}
    victim = start_worker(address, quiet)
    processes.append(victim)
    tcp.client.wait_for_workers(3, timeout=60)
    killed: list[int] = []

    def each(function, arguments):
        for number, found in enumerate(Cluster.each(tcp, function, arguments)):
            if number == 1 and not killed:
                victim.send_signal(signals_of_processes.SIGKILL)
                killed.append(victim.wait())
            yield found

    shaken = type("Shaken", (), {"each": staticmethod(each), "client": tcp.client})()
    solved(tmp_path / "tiles", shaken)
    assert killed == [-signals_of_processes.SIGKILL] and weights(tmp_path / "tiles") == weights(alone.folder)


RUN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_cluster import connected, solved
if __name__ == "__main__":
    with connected(1, None) as cluster:
        solved(Path(sys.argv[2]), cluster)
"""


def test_a_killed_run_goes_on_with_what_is_missing(tmp_path, alone, tcp):
    """Client, scheduler and worker of `--workers 1` are killed after some tiles."""
    script, folder = tmp_path / "run.py", tmp_path / "tiles"
    script.write_text(RUN)
    run = subprocess.Popen([sys.executable, script, ROOT / "tests", folder], env=ENVIRONMENT, cwd=ROOT,
                           stdout=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    deadline = time.monotonic() + 90
    while len(list(folder.rglob("*.pth"))) < 3:
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(run.pid, signals_of_processes.SIGKILL)
    run.wait()
    made = {path: path.stat().st_mtime_ns for path in folder.rglob("*.pth")}
    assert 3 <= len(made) < len(list(alone.folder.rglob("*.pth")))
    solved(folder, tcp)
    assert weights(folder) == weights(alone.folder)
    assert all(path.stat().st_mtime_ns == before for path, before in made.items())


def test_chunks_of_a_killed_run_are_not_filtered_again(tmp_path, alone, tcp):
    path, written = tmp_path / "out.zarr", []

    def each(function, arguments):
        written.append(len(arguments))
        for number, found in enumerate(Cluster.each(tcp, function, arguments)):
            yield found
            if number == 4 and len(written) == 1:
                raise KeyboardInterrupt

    shaken = type("Shaken", (), {"each": staticmethod(each), "client": tcp.client})()
    with pytest.raises(KeyboardInterrupt), filtered(shaken, alone, chosen(alone), SHAPE, path):
        pass
    (part,) = tmp_path.iterdir()
    assert part.suffix == ".part" and part.name.startswith(".out.zarr.")
    with filtered(shaken, alone, chosen(alone), SHAPE, path) as result:
        np.testing.assert_array_equal(np.asarray(result), chosen(alone).apply(alone, SHAPE))
    assert written[1] <= written[0] - 5 and not list(tmp_path.iterdir())


def test_what_a_task_raises_is_raised_here(tcp):
    with pytest.raises(ValueError, match="invalid literal"):
        list(tcp.each(int, [("12",), ("x",)]))
    assert list(tcp.each(int, [("12",), ("7",)])) == [12, 7]


def test_a_worker_lost_while_it_is_told_of_a_job(tcp, monkeypatch):
    register, lost = tcp.client.register_plugin, [OSError("the worker's connection is closed")] * 2

    def shaken(*arguments, **options):
        register(*arguments, **options)  # the scheduler knows it, and tells those that come later
        if lost:
            raise lost.pop()

    monkeypatch.setattr(tcp.client, "register_plugin", shaken)
    assert list(tcp.each(int, [("3",), ("4",)])) == [3, 4] and not lost


def test_what_cannot_be_shared_out_is_said(tmp_path, alone, tcp):
    field = nfconv.fit(np.random.default_rng(0).random((40, 40)), half_size=0.1, factor="spline", core_size=200)
    with (
        pytest.raises(ValueError, match="kept in tiles"),
        filtered(tcp, field, chosen(field), (40, 40), tmp_path / "a"),
    ):
        pass
    turned = Filter(chosen(alone).kernels * 2, angles=np.zeros((2, 2, 1)))
    with pytest.raises(ValueError, match="in one process"), filtered(tcp, alone, turned, SHAPE, tmp_path / "a"):
        pass
    with pytest.raises(ValueError, match="leave one out"), connected(1, "tcp://127.0.0.1:1"):
        pass


def test_no_scheduler_is_one_sentence(monkeypatch):
    monkeypatch.setattr("cluster.session.PATIENCE", 1)
    with pytest.raises(ConnectionError, match="start a scheduler"), connected(None, "tcp://127.0.0.1:9"):
        pass


def test_one_worker_is_enough(monkeypatch):
    class Alone(contextlib.AbstractContextManager):
        dashboard_link = ""

        def __init__(self, address, timeout):
            pass

        def __exit__(self, *error):
            pass

        def wait_for_workers(self, count, timeout):
            if count > 1:
                raise TimeoutError

    monkeypatch.setattr("distributed.Client", Alone)
    with connected(None, "tcp://127.0.0.1:9") as cluster:
        assert isinstance(cluster.client, Alone)


def test_the_scheduler_and_tasks_need_no_pytorch():
    code = "import sys, cluster.tasks; sys.exit('torch' in sys.modules or 'numpy.linalg' in sys.modules and 0)"
    assert subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, cwd=ROOT).returncode == 0


def test_results_are_whole_files_for_others(tmp_path, alone, tcp):
    """Through the program: `eval.py --scheduler` writes what it writes alone."""
    from click.testing import CliRunner

    from eval import main

    model = ["--model_path", str(alone.folder), "--kernel", "gaussian", "--sigma", "0.05"]
    address = tcp.client.scheduler.address
    for name, more in (("a.zarr", []), ("b.zarr", ["--scheduler", address])):
        result = CliRunner().invoke(main, [*model, "--save_path", str(tmp_path / name), *more])
        assert result.exit_code == 0, result.output
    first, second = (zarr.open_array(tmp_path / name)[:] for name in ("a.zarr", "b.zarr"))
    assert hashlib.sha256(first.tobytes()).digest() == hashlib.sha256(second.tobytes()).digest()
