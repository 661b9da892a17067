"""Faults in real processes: killed, interrupted, out of disk, out of numbers; nothing that was saved is lost."""

import multiprocessing
import os
import random
import re
import resource
import shlex
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import exact_truth, noise_signal
from click.testing import CliRunner

from models.checkpoint import Checkpoint, Origin
from models.memory import SMALLEST_BLOCK, in_smaller_blocks, is_out_of_memory
from signals.ground_truth import GroundTruth
from training.folder import RunError, RunFolder
from training.lattice import LatticeTargets
from training.loop import DivergedError, Hooks, Trainer
from training.objective import LatticeObjective
from training.options import resolve
from training.setup import make_config, make_field

ROOT = Path(__file__).resolve().parent.parent
HOOKS = Hooks(lambda *_: None, lambda *_: None)
RUNS = {
    "separable": ["--levels", "2", "--num_channels", "8"],
    "mlp": ["--field", "mlp", "--num_channels", "8", "--batch", "100"],
}


# --- processes ---------------------------------------------------------------------------------------------


def run_program(arguments: list[str], log: Path, largest_file: int | None) -> None:
    """In a process of its own: train.py with these arguments, all it says written to `log`."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
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
    """start(name, *options, resume=..., largest_file=...) -> a process that trains in tmp_path/runs/name."""
    # A modality nobody knows draws no pictures, which would take most of the time.
    truth = replace(exact_truth(noise_signal((14, 12)), margin=0.2), modality="test")
    file = truth.save(tmp_path / "truth.npz")
    started = []

    def start(name: str, *options: str, largest_file: int | None = None):
        given = ["--monte_carlo", str(file), "--summary", str(tmp_path / "runs"), "--experiment_name", name]
        process = processes.Process(target=run_program, args=([*given, *options], tmp_path / "log", largest_file))
        process.start()
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
    return Checkpoint.load(current).training["step"] if current.is_file() else 0


def ended(process) -> int:
    process.join(120)
    assert process.exitcode is not None, "the process does not end"
    return process.exitcode


def said(tmp_path: Path) -> str:
    return (tmp_path / "log").read_text()


def same(first: Path, second: Path) -> bool:
    """Whether two checkpoints hold the same weights and optimisers, bit by bit."""
    a, b = Checkpoint.load(first), Checkpoint.load(second)
    weights = all(torch.equal(a.state[name], b.state[name]) for name in a.state)
    drop = {"elapsed"}
    moments = [str({k: v for k, v in c.training.items() if k not in drop}) for c in (a, b)]
    return weights and moments[0] == moments[1]


# --- killed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", RUNS)
def test_a_killed_run_resumes_to_the_same_bits(training, tmp_path, kind):
    steps = ["--num_steps", "80"]
    assert ended(training("whole", *RUNS[kind], *steps)) == 0, said(tmp_path)
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
    assert ended(process) == 0, said(tmp_path)
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


def test_a_run_killed_before_it_wrote_anything_can_start_again(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".lock").touch()
    (folder / ".current.pth.0123abcd.part").write_bytes(b"torn")
    with RunFolder(tmp_path, "run", resume=False):
        assert [path.name for path in folder.iterdir()] == [".lock"]


# --- interrupted -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_how_to_go_on_and_does(training, tmp_path, number):
    steps, runs = ["--num_steps", "60"], tmp_path / "runs"
    process = training("my run", *RUNS["mlp"], *steps, "--save_seconds", "0")
    wait_until(lambda: step_of(runs / "my run") > 3, process)
    os.kill(process.pid, number)
    assert ended(process) == 1
    text = said(tmp_path)
    message = text[text.index("Error:") :]
    assert "Traceback" not in text
    assert message.count("\n") == 1
    assert f"interrupted at step {step_of(runs / 'my run')}," in message
    command = shlex.split(message.partition("go on with: python train.py ")[2])
    options = command[command.index("my run") + 1 :]
    assert options == ["--resume"]
    assert Checkpoint.load(runs / "my run" / "current.pth").training["step"] < 60
    if number == signal.SIGINT:
        assert ended(training("my run", *options)) == 0, said(tmp_path)
        assert (runs / "my run" / "model_final.pth").is_file()


# --- a full disk -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", [0.9, 0.02])
def test_a_full_disk_ends_in_one_sentence_and_spares_the_last_state(training, tmp_path, left):
    runs = tmp_path / "runs"
    process = training("run", *RUNS["mlp"], "--num_steps", "100", "--save_seconds", "0")
    wait_until(lambda: step_of(runs / "run") > 3, process)
    process.kill()
    process.join()
    before = (runs / "run" / "current.pth").read_bytes()
    process = training("run", "--resume", "--save_seconds", "0", largest_file=int(left * len(before)))
    assert ended(process) == 1
    text = said(tmp_path)
    assert "Traceback" not in text
    message = text[text.index("Error:") :]
    assert message.count("\n") == 1
    assert "cannot write" in message and "--resume" in message
    assert (runs / "run" / "current.pth").read_bytes() == before
    assert not list((runs / "run").glob(".*.part"))


# --- two at once -------------------------------------------------------------------------------------------


def test_a_second_run_of_the_same_name_is_refused_while_the_first_lives(tmp_path):
    with RunFolder(tmp_path, "run", resume=False) as first:
        with pytest.raises(RunError, match="another run"):
            RunFolder(tmp_path, "run", resume=False)
        first.write_json("options.json", {})
        first.current.touch()
        with pytest.raises(RunError, match="another run"):
            RunFolder(tmp_path, "run", resume=True)
    with pytest.raises(RunError, match="never overwritten"):
        RunFolder(tmp_path, "run", resume=False)
    with RunFolder(tmp_path, "run", resume=True):
        pass


def test_a_run_that_wrote_nothing_leaves_nothing(tmp_path):
    with RunFolder(tmp_path / "new" / "runs", "run", resume=False):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/tmp"])
def test_names_that_are_no_folder_names_are_refused(tmp_path, name):
    with pytest.raises(RunError, match="--experiment_name"):
        RunFolder(tmp_path, name, resume=False)
    assert not list(tmp_path.iterdir())


# --- numbers that are none ---------------------------------------------------------------------------------


class Poisoned(LatticeObjective):
    """Goes wrong in its 8th step: a loss that is no number, or one whose gradient is none."""

    what = "loss"
    asked = 0

    def loss(self, field, generator):
        loss = super().loss(field, generator)
        self.asked += 1
        if self.asked < 8:
            return loss
        if self.what == "solve":
            torch.linalg.solve(torch.zeros(2, 2), torch.zeros(2))
        if self.what == "loss":
            return replace(loss, total=loss.total * float("nan"))
        # The loss is 0, its gradient 0 * infinity.
        return replace(loss, total=loss.total * 0 + (loss.total - loss.total).sqrt())


def poisoned_trainer(tmp_path: Path, what: str, folder: RunFolder, **asked) -> Trainer:
    truth = exact_truth(noise_signal((14, 12)), margin=0.2)
    targets = LatticeTargets(truth, torch.device("cpu"))
    options = resolve({"field": "mlp", "num_channels": 6, "num_steps": 40} | asked)
    field = make_field(make_config(truth, targets, options), options, torch.device("cpu"))
    objective = Poisoned(targets, 100, "l1", 1)
    objective.what = what
    objective.prepare(field, torch.Generator().manual_seed(0))
    return Trainer(field, objective, options, Origin.of(truth), folder)


@pytest.mark.parametrize("what, step", [("loss", 7), ("gradient", 8), ("solve", 7)])
def test_numbers_that_are_none_stop_the_run_and_are_never_saved(tmp_path, what, step):
    with RunFolder(tmp_path, "run", resume=False) as folder:
        trainer = poisoned_trainer(tmp_path, what, folder)
        with pytest.raises(DivergedError, match=rf"after {step} steps.*current\.pth") as caught:
            trainer.run(HOOKS, checkpoint_steps=1, save_seconds=0)
        assert "\n" not in str(caught.value)
        for file in (folder.current, folder.numbered(7)):
            kept = Checkpoint.load(file)
            assert kept.training["step"] == 7
            kept.build()
        assert not folder.numbered(8).exists()


def test_a_diverged_run_is_one_sentence_on_the_command_line(tmp_path, monkeypatch):
    import train

    file = exact_truth(noise_signal((14, 12)), margin=0.2).save(tmp_path / "truth.npz")
    monkeypatch.setattr(train, "make_objective", lambda targets, options, *_: Poisoned(targets, 100, "l1", 1))
    arguments = ["--monte_carlo", file, "--summary", tmp_path, "--experiment_name", "run", "--field", "mlp"]
    result = CliRunner().invoke(train.main, [*map(str, arguments), "--num_channels", "6", "--num_steps", "40"])
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert re.search(r"Error: the loss is nan after [1-7] steps; .*--learn_rate\n$", result.output), result.output
    assert not (tmp_path / "run" / "model_final.pth").exists()
    assert Checkpoint.load(tmp_path / "run" / "current.pth").training["step"] == 0


# --- clocks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [1e9, -1e9])
def test_a_clock_that_jumps_changes_no_budget(tmp_path, monkeypatch, jump):
    clock = time.time
    jumps = iter(np.arange(10**6) * jump)
    monkeypatch.setattr(time, "time", lambda: clock() + next(jumps))
    with RunFolder(tmp_path, "run", resume=False) as folder:
        trainer = poisoned_trainer(tmp_path, "none", folder, num_steps=0, time_budget=0.3)
        trainer.objective.asked = -(10**9)
        start = time.monotonic()
        trainer.run(HOOKS)
        assert 0.3 <= trainer.elapsed <= time.monotonic() - start + 1e-3
    assert trainer.step > 3


# --- memory ------------------------------------------------------------------------------------------------

SHORTAGES = {
    "NumPy": lambda: np.empty(1 << 60, np.uint8),
    "torch": lambda: torch.empty(1 << 60, dtype=torch.uint8),
    "CUDA": lambda: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory")),
}


def caught(shortage) -> BaseException:
    try:
        SHORTAGES[shortage]()
    except (MemoryError, RuntimeError) as error:
        return error
    raise AssertionError("this machine has more memory than there is")


@pytest.mark.parametrize("shortage", SHORTAGES)
def test_blocks_are_halved_until_memory_suffices(shortage):
    tried, notes = [], []

    def work(block: int) -> int:
        tried.append(block)
        if block > 300:
            raise caught(shortage)
        return block

    assert in_smaller_blocks(work, 1024, notes.append) == 256
    assert tried == [1024, 512, 256]
    assert len(notes) == 2 and "256" in notes[-1]


def test_blocks_are_not_halved_for_ever_nor_for_other_faults():
    tried = []

    def work(block: int) -> None:
        tried.append(block)
        raise MemoryError

    with pytest.raises(MemoryError):
        in_smaller_blocks(work, 1 << 16, lambda _: None)
    assert min(tried) >= SMALLEST_BLOCK // 2
    with pytest.raises(RuntimeError, match="shapes"):
        in_smaller_blocks(lambda _: (_ for _ in ()).throw(RuntimeError("shapes")), 1 << 16, pytest.fail)
    assert not is_out_of_memory(RuntimeError("shapes do not fit"))
