"""One run in several processes: equal to one that draws as often, however it is killed, and said once."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from builders import undrawn_truth
from process_cases import RUNS, ended, same, step_of, the_error, wait_until

from models.checkpoint import load_checkpoint
from training import resolve
from training.processes import LostError, ManyProcesses, joined, launcher
from training.setup import make_trainer
from training.trainer import DivergedError, Trainer

ROOT = Path(__file__).resolve().parent.parent
CPU = torch.device("cpu")
NETWORKS = {
    "mlp": {"field": "mlp", "num_channels": 8, "batch": 100},
    "siren": {"field": "siren", "num_channels": 8, "supervision": "points", "batch": 60, "optimizer": "adam"},
}


def flags(asked) -> list[str]:
    return [word for name, value in asked.items() for word in (f"--{name}", str(value))]


def seeded(seed: int, rank: int, step: int) -> torch.Generator:
    word = np.random.SeedSequence((seed, rank, step)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(word[0]))


def two_draws_a_step(asked, steps: int) -> Trainer:
    """One process that averages the gradients of two losses in every step."""
    trainer = make_trainer(undrawn_truth(), resolve(asked | {"num_steps": steps}), CPU)
    for step in range(steps):
        for optimiser in trainer.optimisers:
            optimiser.zero_grad()
            for group in optimiser.param_groups:
                group["lr"] = trainer.learn_rate
        for rank in range(2):
            (trainer.objective.loss(trainer.field, seeded(asked["seed"], rank, step)).total / 2).backward()
        for optimiser in trainer.optimisers:
            optimiser.step()
        trainer.step += 1
    return trainer


def equal(found, wanted) -> bool:
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(equal(found[key], value) for key, value in wanted.items())
    if isinstance(wanted, list | tuple):
        return len(found) == len(wanted) and all(map(equal, found, wanted))
    return torch.equal(found, wanted) if isinstance(wanted, torch.Tensor) else found == wanted


def check_equals_two_draws(current: Path, asked, steps: int) -> None:
    field, training = load_checkpoint(current)
    wanted = two_draws_a_step(asked, steps)
    assert equal(dict(field.state_dict()), dict(wanted.field.state_dict()))
    assert equal(training["optimisers"], [optimiser.state_dict() for optimiser in wanted.optimisers])


@pytest.fixture
def several(training):
    """start(name, *options) -> the two processes of one run, with the store that torchrun keeps and what it says."""
    stores = []

    def start(name: str | None, *options: str):
        stores.append(dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False))
        shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
                  "MASTER_PORT": str(stores[-1].port), "TORCHELASTIC_USE_AGENT_STORE": "True"}  # fmt: skip
        return [training(name, *options, RANK=str(rank), LOCAL_RANK=str(rank), **shared) for rank in range(2)]

    yield start
    stores.clear()


def test_torchrun_takes_the_steps_of_one_process_with_two_draws(tmp_path):
    file, asked = undrawn_truth().save(tmp_path / "truth.npz"), NETWORKS["mlp"] | {"seed": 5}
    words = ["--monte_carlo", str(file), "--summary", str(tmp_path), "--experiment_name", "run", "--num_steps", "40"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "train.py"]
    done = subprocess.run([*command, *words, *flags(asked)], cwd=ROOT, capture_output=True, text=True, timeout=120,
                          env=os.environ | {"OMP_NUM_THREADS": "1"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("device: ") == done.stderr.count("device: 2 processes, cpu (1 threads)") == 1
    assert len(done.stdout.splitlines()) == 3 and "40 steps in" in done.stdout
    check_equals_two_draws(tmp_path / "run" / "current.pth", asked, 40)


def test_points_and_adam_are_shared_alike(several, tmp_path):
    asked = NETWORKS["siren"] | {"seed": 1}
    leader, other = several("run", "--num_steps", "12", *flags(asked))
    assert "12 steps in" in ended(leader) and ended(other) == ""
    check_equals_two_draws(tmp_path / "runs" / "run" / "current.pth", asked, 12)


def test_killed_runs_resume_to_the_same_bits(several, tmp_path):
    runs = tmp_path / "runs"
    for process in several("whole", *RUNS["mlp"], "--num_steps", "200"):
        ended(process)
    pair = several("killed", *RUNS["mlp"], "--num_steps", "200", "--save_seconds", "0")
    for victims in ([1], [0], [0, 1]):
        before = step_of(runs / "killed")
        wait_until(lambda before=before: step_of(runs / "killed") > before, pair[0])
        for rank in victims:
            pair[rank].kill()
        if victims == [1]:
            message = the_error(ended(pair[0], 1))
            assert "another process of this run has ended; resume with: " in message
            words = shlex.split(message.partition("resume with: ")[2])
            assert words[:5] == [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2",
                                 str(ROOT / "train.py")] and words[-1] == "--resume"  # fmt: skip
        elif victims == [0]:
            assert "another process of this run has ended; resume with: " in the_error(ended(pair[1], 1))
        for rank in victims:
            pair[rank].join()
        assert before < step_of(runs / "killed") < 200
        again = [] if victims == [0, 1] else ["--save_seconds", "0"]
        pair = several("killed", "--resume", *again)
    for process in pair:
        ended(process)
    assert same(runs / "killed" / "current.pth", runs / "whole" / "current.pth")
    assert same(runs / "killed" / "model_final.pth", runs / "whole" / "model_final.pth")


def test_a_request_to_one_process_ends_all_after_the_same_step(several, tmp_path):
    run = tmp_path / "runs" / "run"
    leader, other = several("run", *RUNS["mlp"], "--num_steps", "100000", "--save_seconds", "0")
    wait_until(lambda: step_of(run) > 3, leader)
    os.kill(other.pid, signal.SIGTERM)
    message = the_error(ended(leader, 1))
    assert f"interrupted at step {step_of(run)}, nothing lost" in message
    assert ended(other) == ""


MISTAKES = {
    "a separable field": (["--num_steps", "2"], "python train.py --workers 2"),
    "splines": (["--factor", "spline", "--num_steps", "2"], "python train.py --workers 2"),
    "nothing to resume": (["--resume"], "nothing to resume"),
    "no ground truth": (["--monte_carlo", "none.npz"], "none.npz"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_stops_all_processes_is_said_once_and_leaves_nothing(several, tmp_path, name):
    options, words = MISTAKES[name]
    said = [ended(process, 1) for process in several("new", *options)]
    assert words in the_error("".join(said)), said
    assert sum("Error:" in text for text in said) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["truth.npz"]


def shared_trainer(rank: int = 0, **asked) -> Trainer:
    options = resolve(NETWORKS["mlp"] | {"num_steps": 30} | asked)
    return make_trainer(undrawn_truth(), options, CPU, processes=ManyProcesses(rank, 2, CPU))


@pytest.fixture
def from_the_other(monkeypatch):
    """What another process adds to a message: as much again, and these notes in place of its own."""
    notes = torch.zeros(3)

    def summed(message: torch.Tensor) -> None:
        message[:-3] *= 2
        message[-3:] += notes

    monkeypatch.setattr(dist, "all_reduce", summed)
    return notes


def test_a_loss_of_another_process_that_is_no_number_ends_this_one(from_the_other):
    trainer = shared_trainer()
    trainer.advance()
    from_the_other[0] = 1.0
    with pytest.raises(DivergedError, match="the loss is not finite after 1 steps"):
        trainer.advance()


def test_the_clock_is_that_of_the_leading_process(from_the_other):
    follower, leader = shared_trainer(1), shared_trainer(0)
    from_the_other[1] = 2.5
    for trainer in (follower, leader):
        next(trainer.steps())
    assert follower.elapsed == 2.5 < leader.elapsed


def test_steps_end_when_any_process_was_asked(from_the_other):
    trainer, steps = shared_trainer(), 0
    for _ in trainer.steps():
        steps += 1
        from_the_other[2] = float(steps == 3)
    assert (steps, trainer.stopped) == (4, True)


def test_what_a_backend_says_of_a_lost_process_is_one_error(monkeypatch):
    def lost(message: torch.Tensor) -> None:
        raise RuntimeError("[pair.cc:547] Connection closed by peer")

    monkeypatch.setattr(dist, "all_reduce", lost)
    with pytest.raises(LostError, match="another process of this run has ended"):
        shared_trainer().advance()


def test_other_files_in_another_process_are_refused(monkeypatch):
    def broadcast(value: torch.Tensor, source: int) -> None:
        if value.dtype == torch.int64:
            value[0] += 1

    monkeypatch.setattr(dist, "broadcast", broadcast)
    with pytest.raises(ValueError, match="read different files: put the ground truth and --summary on storage"):
        ManyProcesses(1, 2, CPU).align(shared_trainer().field, 3, undrawn_truth().digest)


def test_a_run_resumes_in_as_many_processes_only():
    alone = make_trainer(undrawn_truth(), resolve(NETWORKS["mlp"] | {"num_steps": 30}), CPU)
    shared = shared_trainer()
    with pytest.raises(ValueError, match="started in 2 processes: resume it by torchrun in as many"):
        alone.restore(shared.field, shared.state())
    with pytest.raises(ValueError, match="started without torchrun: resume it in one process"):
        shared.restore(alone.field, alone.state())


@pytest.mark.parametrize("name, rank, words", [("cuda:1", 0, "leave --device out"), ("auto", 2, "--nproc_per_node=2")])
def test_every_process_has_a_card_of_its_own(monkeypatch, name, rank, words):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(dist, "rendezvous", lambda url: iter([(dist.HashStore(), rank, 3)]))
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("LOCAL_RANK", str(rank))
    with pytest.raises(ValueError, match=words), joined(name):
        pass


def test_processes_of_several_machines_start_again_on_as_many(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert launcher()[1:] == ["-m", "torch.distributed.run", "--nnodes=2", "--nproc_per_node=2"]
    monkeypatch.delenv("WORLD_SIZE")
    assert launcher() == [sys.executable]
