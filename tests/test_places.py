"""How far over the border the points of a file may lie."""

import numpy as np
import pytest
from builders import field_config, random_field
from programs import refused

import eval as eval_program
from evaluation.places import Places


def test_points_lie_up_to_the_ends_of_an_axis_that_is_not_filtered():
    field = random_field(field_config("mlp", 3, axes=(0, 1)), margin=0.9)
    for end in (-1.0, 1.0):
        Places(np.array([[0.0, 0.0, end]])).check(field, np.zeros(3))
        with pytest.raises(ValueError, match="along an axis that is not filtered"):
            Places(np.array([[0.0, 0.0, 1.01 * end]])).check(field, np.zeros(3))


def test_gaussians_that_the_finest_kernels_take_too_far_are_refused_before_any_is_filtered(tmp_path):
    """The model answers up to 1: 0.57 outside and 4.5 deviations of 0.1."""
    random_field(field_config("separable", 2), half_size=(0.1, 0.1), margin=0.9).save(tmp_path / "model.pth")
    np.save(tmp_path / "points.npy", np.array([[0.0, 0.0], [0.3, -1.57]]))
    np.save(tmp_path / "sigma.npy", np.stack([0.01 * np.eye(2)] * 2))
    refused(eval_program, tmp_path, "points lie up to 0.57 outside", model_path=tmp_path / "model.pth", accuracy=100,
            points=tmp_path / "points.npy", covariance=tmp_path / "sigma.npy", kernel="gaussian",
            save_path=tmp_path / "out")  # fmt: skip
