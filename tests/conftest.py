"""What the tests share: one thread, so that numbers and times do not depend on the machine's load, and some files."""

import os
from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from builders import checkpoint_of, field_config, noise_signal, random_field
from hypothesis import settings
from training_cases import TRUTHS

from modalities.render import render

torch.set_num_threads(1)
# The same inputs in every run, unless one asks for others: HYPOTHESIS_PROFILE=default python -m pytest
settings.register_profile("repeatable", derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture
def picture(tmp_path):
    """A small colour picture, wider than high."""
    pixels = (255 * noise_signal((10, 14), 3).values).astype(np.uint8)
    iio.imwrite(tmp_path / "picture.png", pixels)
    return tmp_path / "picture.png"


@pytest.fixture
def model(tmp_path):
    """An untrained field of 10 x 14 pixels with half size 0.2 and margin 0.3."""
    field = random_field(field_config("separable", 2, 3)).float()
    return checkpoint_of(field, shape=(10, 14), meta={"alpha": False}).save(tmp_path / "model.pth")


@pytest.fixture
def saved(tmp_path):
    """A whole checkpoint with training state, in a file."""
    field = random_field(field_config("separable", 2, 3))
    training = {
        "step": 3,
        "optimisers": [{"state": {0: {"momentum": torch.randn(2, 2)}}}],
        "generator": torch.arange(9),
    }
    checkpoint = replace(checkpoint_of(field, meta={"alpha": True}), training=training)
    return checkpoint.save(tmp_path / "model.pth")


@pytest.fixture(scope="module")
def small_pictures():
    """Rendered shapes of a few pixels: each full one takes a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("modalities.geometry.render", lambda grid, camera=None: render(grid, camera, size=40))
        yield


@pytest.fixture(params=TRUTHS)
def truth(request):
    """Exact ground truth of every dimension, order and choice of filtered axes that training is tested on."""
    return TRUTHS[request.param]()
