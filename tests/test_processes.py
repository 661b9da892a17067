"""Faults in real processes: killed, interrupted, out of disk; nothing that was saved is lost."""

import os
import random
import shlex
import signal
import sys
import time
from pathlib import Path

import pytest
from builders import exact_truth, noise_signal
from process_cases import RUNS, ended, same, step_of, the_error, wait_until

from models.checkpoint import load_checkpoint
from signals import GroundTruth

ROOT = Path(__file__).resolve().parent.parent


def write_for_ever(path: Path) -> None:
    """In a process of its own: one ground truth after another to the same file."""
    truth = exact_truth(noise_signal((90, 90), 3))
    while True:
        truth.save(path)


@pytest.mark.parametrize("kind", RUNS)
def test_a_killed_run_resumes_to_the_same_bits(training, tmp_path, kind):
    steps = ["--num_steps", "200"]
    ended(training("whole", *RUNS[kind], *steps))
    rng, runs = random.Random(kind), tmp_path / "runs"
    every_step = ["--save_seconds", "0"]
    process = training("killed", *RUNS[kind], *steps, *every_step)
    for again in (every_step, []):
        before = step_of(runs / "killed")
        wait_until(lambda before=before: step_of(runs / "killed") > before, process)
        time.sleep(rng.uniform(0, 0.05))
        process.kill()
        process.join()
        assert before < step_of(runs / "killed") < 200
        process = training("killed", "--resume", *again)
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
