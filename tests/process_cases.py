"""Programs in processes of their own, as a test kills and interrupts them; see the fixture `training`."""

import os
import resource
import signal
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from models.checkpoint import load_checkpoint

# Seconds that a run waits after a save, so that a test on a busy machine can end it before its last step.
PAUSE = 0.02
RUNS = {
    "separable": ["--levels", "2", "--num_channels", "8"],
    "mlp": ["--field", "mlp", "--num_channels", "8", "--batch", "100"],
}


def run_program(
    arguments: list[str], output: Connection, largest_file: int | None, environment: Mapping[str, str]
) -> None:
    """In a process of its own: train.py with these arguments, all it says sent to `output`."""
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    os.environ.update(environment)
    # A shell may have switched Ctrl-C off for whatever runs in its background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    if largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    import train
    from training import kept

    save = kept.save_state

    def save_and_wait(*what) -> None:
        save(*what)
        time.sleep(PAUSE)

    kept.save_state = save_and_wait
    train.main(arguments)


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
