"""What the tests share: one thread, so that numbers and times do not depend on the machine's load, and some files."""

import os
from functools import partial

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from archives import written
from builders import field_config, noise_signal, random_field
from hypothesis import settings

from modalities.image import ImageMetadata
from modalities.render import render
from models.checkpoint import save_checkpoint

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
