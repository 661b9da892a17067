"""What the tests share: one thread, so that numbers and times do not depend on the machine's load, and some files."""

import multiprocessing
import os
import time
from functools import partial
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from archives import written
from builders import field_config, noise_signal, random_field, undrawn_truth
from hypothesis import settings
from process_cases import run_program

from modalities.image import ImageMetadata
from modalities.render import render
from models.checkpoint import save_checkpoint

TESTS = Path(__file__).resolve().parent

torch.set_num_threads(1)
# The same inputs in every run, unless one asks for others: HYPOTHESIS_PROFILE=default python -m pytest
settings.register_profile("repeatable", derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture
def file(tmp_path):
    """Writes bytes to a file and gives its path."""
    return partial(written, tmp_path / "file")


@pytest.fixture
def picture(tmp_path):
    """A small colour picture, wider than high."""
    pixels = (255 * noise_signal((10, 14), 3).values).astype(np.uint8)
    iio.imwrite(tmp_path / "picture.png", pixels)
    return tmp_path / "picture.png"


@pytest.fixture
def model(tmp_path):
    """An untrained field of 10 x 14 pixels with half size 0.2 and margin 0.3."""
    field = random_field(field_config("separable", 2, 3), shape=(10, 14), metadata=ImageMetadata()).float()
    return field.save(tmp_path / "model.pth")


@pytest.fixture
def saved(tmp_path):
    """A whole checkpoint with training state, in a file."""
    field = random_field(field_config("separable", 2, 3), metadata=ImageMetadata(linear=True))
    training = {
        "step": 3,
        "optimisers": [{"state": {0: {"momentum": torch.randn(2, 2)}}}],
        "generator": torch.arange(9),
    }
    return save_checkpoint(tmp_path / "model.pth", field, training)


@pytest.fixture(scope="module")
def small_pictures():
    """Rendered shapes of a few pixels: each full one takes a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("modalities.geometry.render", lambda grid, camera=None: render(grid, camera, size=40))
        yield


@pytest.fixture(params=["2-D", "grey, order 2", "1-D, order 0", "3-D, order 0", "time alone"])
def truth(request):
    """Exact ground truth of every dimension, order and choice of filtered axes that training is tested on."""
    from training_cases import TRUTHS

    return TRUTHS[request.param]()


@pytest.fixture(scope="session")
def processes():
    """A server that has loaded everything once, so that a process of its own costs no second."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["train", "builders", "process_cases", "torch._dynamo", "kernels.figure"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{TESTS.parent}{os.pathsep}{TESTS}", prepend=os.pathsep)
        warm = context.Process(target=time.sleep, args=(0,))
        warm.start()
        warm.join()
    return context


@pytest.fixture
def training(processes, tmp_path):
    """start(name, *options, largest_file=..., **environment) -> a process that trains in tmp_path/runs/name; see
    `process_cases.ended`.

    Without a name the options are all that train.py is given.
    """
    file = undrawn_truth().save(tmp_path / "truth.npz")
    started = []

    def start(name: str | None, *options: str, largest_file: int | None = None, **environment: str):
        place = ["--monte_carlo", str(file), "--summary", str(tmp_path / "runs"), "--experiment_name", name]
        given = [*options] if name is None else [*place, *options]
        # A pipe, because a bound on the size of files would hold for a log as well.
        output, its_end = processes.Pipe(duplex=False)
        process = processes.Process(target=run_program, args=(given, its_end, largest_file, environment))
        process.start()
        its_end.close()
        process.output = output
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.join()
