"""Faults in real processes: killed, interrupted, out of disk; nothing that was saved is lost."""

import multiprocessing
import os
import random
import resource
import shlex
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch
from builders import exact_truth, noise_signal, undrawn_truth

from models.checkpoint import load_checkpoint
from signals import GroundTruth

ROOT = Path(__file__).resolve().parent.parent
RUNS = {
    "separable": ["--levels", "2", "--num_channels", "8"],
    "mlp": ["--field", "mlp", "--num_channels", "8", "--batch", "100"],
}


def run_program(arguments: list[str], output: Connection, largest_file: int | None) -> None:
    """In a process of its own: train.py with these arguments, all it says sent to `output`."""
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    # A shell may have switched Ctrl-C off for whatever runs in its background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    if largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    import train

    train.main(arguments)


def write_for_ever(path: Path) -> None:
    """In a process of its own: one ground truth after another to the same file."""
    truth = exact_truth(noise_signal((90, 90), 3))
    while True:
        truth.save(path)


@pytest.fixture(scope="module")
def processes():
    """A server that has loaded everything once, so that a process of its own costs no second."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["train", "builders", "torch._dynamo", "kernels.figure"])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests"), *([before] if before else [])])
    warm = context.Process(target=time.sleep, args=(0,))
    warm.start()
    warm.join()
    yield context
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture
def training(processes, tmp_path):
    """start(name, *options, largest_file=...) -> a process that trains in tmp_path/runs/name; see `ended`.

    Without a name the options are all that train.py is given.
    """
    file = undrawn_truth().save(tmp_path / "truth.npz")
    started = []

    def start(name: str | None, *options: str, largest_file: int | None = None):
        place = ["--monte_carlo", str(file), "--summary", str(tmp_path / "runs"), "--experiment_name", name]
        given = [*options] if name is None else [*place, *options]
        # A pipe, because a bound on the size of files would hold for a log as well.
        output, its_end = processes.Pipe(duplex=False)
        process = processes.Process(target=run_program, args=(given, its_end, largest_file))
        process.start()
        its_end.close()
        process.output = output
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.join()


def wait_until(happened, process=None, seconds: float = 60.0) -> None:
    """Wait for `happened()` to be true, for `process` not to end before, and not for ever."""
    end = time.monotonic() + seconds
    while not happened():
        assert process is None or process.is_alive(), "the process ended before it should"
        assert time.monotonic() < end, "this should have happened long ago"
        time.sleep(0.005)


def step_of(folder: Path) -> int:
    """The step that current.pth holds; 0 where there is none."""
    current = folder / "current.pth"
    return load_checkpoint(current)[1]["step"] if current.is_file() else 0


def ended(process, code: int = 0) -> str:
    """All that a process of `training` said, which must end with this exit code."""
    process.join(120)
    assert process.exitcode is not None, "the process does not end"
    said = os.read(process.output.fileno(), 1 << 16).decode()
    assert process.exitcode == code, said
    return said


def the_error(text: str) -> str:
    """What a program said last: one sentence."""
    message = text[text.index("Error:") :]
    assert "Traceback" not in text
    assert message.count("\n") == 1, message
    return message


def same(first: Path, second: Path) -> bool:
    """Whether two checkpoints hold the same weights and optimisers, bit by bit."""
    (a, training), (b, other) = load_checkpoint(first), load_checkpoint(second)
    weights = all(torch.equal(value, b.state_dict()[name]) for name, value in a.state_dict().items())
    return weights and str(training | {"elapsed": 0}) == str(other | {"elapsed": 0})


@pytest.mark.parametrize("kind", RUNS)
def test_a_killed_run_resumes_to_the_same_bits(training, tmp_path, kind):
    steps = ["--num_steps", "80"]
    ended(training("whole", *RUNS[kind], *steps))
    rng, runs = random.Random(kind), tmp_path / "runs"
    every_step = ["--save_seconds", "0"]
    process = training("killed", *RUNS[kind], *steps, *every_step)
    for _ in range(2):
        before = step_of(runs / "killed")
        wait_until(lambda before=before: step_of(runs / "killed") > before, process)
        time.sleep(rng.uniform(0, 0.05))
        process.kill()
        process.join()
        assert before < step_of(runs / "killed") < 80
        process = training("killed", "--resume", *every_step)
    ended(process)
    assert same(runs / "killed" / "current.pth", runs / "whole" / "current.pth")
    assert same(runs / "killed" / "model_final.pth", runs / "whole" / "model_final.pth")
    assert not list((runs / "killed").glob("*.part")) + list((runs / "killed").glob(".*.part"))


def test_ground_truth_is_whole_whenever_its_writer_is_killed(processes, tmp_path):
    file, rng = tmp_path / "truth.npz", random.Random(1)
    for _ in range(6):
        process = processes.Process(target=write_for_ever, args=(file,))
        process.start()
        wait_until(file.is_file, process)
        time.sleep(rng.uniform(0, 0.06))
        process.kill()
        process.join()
        GroundTruth.load(file)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_how_to_go_on_and_does(training, tmp_path, number):
    steps, runs = ["--num_steps", "60"], tmp_path / "runs"
    process = training("my run", *RUNS["mlp"], *steps, "--save_seconds", "0")
    wait_until(lambda: step_of(runs / "my run") > 3, process)
    os.kill(process.pid, number)
    message = the_error(ended(process, 1))
    assert f"interrupted at step {step_of(runs / 'my run')}," in message
    python, program, *options = shlex.split(message.partition("resume with: ")[2])
    assert (python, program) == (sys.executable, str(ROOT / "train.py"))
    assert options[options.index("--experiment_name") + 1] == "my run"
    assert load_checkpoint(runs / "my run" / "current.pth")[1]["step"] < 60
    if number == signal.SIGINT:
        ended(training(None, *options))
        assert (runs / "my run" / "model_final.pth").is_file()


@pytest.mark.parametrize("left", [0.9, 0.02])
def test_a_full_disk_ends_in_one_sentence_and_spares_the_last_state(training, tmp_path, left):
    runs = tmp_path / "runs"
    process = training("run", *RUNS["mlp"], "--num_steps", "100", "--save_seconds", "0")
    wait_until(lambda: step_of(runs / "run") > 3, process)
    process.kill()
    process.join()
    before = (runs / "run" / "current.pth").read_bytes()
    process = training("run", "--resume", "--save_seconds", "0", largest_file=int(left * len(before)))
    message = the_error(ended(process, 1))
    assert "cannot write" in message and "--resume" in message
    assert (runs / "run" / "current.pth").read_bytes() == before
    assert not list((runs / "run").glob(".*.part"))
