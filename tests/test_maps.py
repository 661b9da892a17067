"""What eval.py says of maps whose samples are not those of the result."""

import numpy as np
import pytest
from builders import field_config, random_field
from programs import call

import eval as eval_program
from modalities.image import ImageMetadata

TURNED = {"kernel": "anisotropic", "sigma": 0.08, "sigma_across": 0.05}
SIGMA = 0.01 * np.eye(2)
KINDS = [
    ("scale_map", 0.5, {"kernel_scale": 5}),
    ("angle_map", 0.5, TURNED),
    ("angle_map", 0.5, TURNED | {"angles": 3}),
    ("covariance_map", SIGMA, {}),
]


@pytest.fixture
def wide(tmp_path):
    """A field of 10 x 14 pixels with room for Gaussians."""
    field = random_field(field_config("separable", 2, 1), shape=(10, 14), margin=0.9, metadata=ImageMetadata())
    return field.save(tmp_path / "wide.pth")


@pytest.mark.parametrize("option, value, flags", KINDS)
def test_a_map_of_another_size_is_said_to_be_resampled(tmp_path, wide, option, value, flags):
    resampled = "the map of {} is resampled to the 10 x 14 of the result"
    for size, said in (((10, 14), None), ((4, 6), "{}\n"), ((14, 10), "warning: {}: it looks transposed\n")):
        np.save(tmp_path / "map.npy", np.broadcast_to(value, (*size, *np.shape(value))))
        folder = tmp_path / str(size)
        result = call(eval_program, model_path=wide, save_path=folder, **flags | {option: tmp_path / "map.npy"})
        assert result.exit_code == 0, result.output
        if said is None:
            assert "resampled" not in result.output
        else:
            assert said.format(resampled.format(f"{size[0]} x {size[1]}")) in result.output
            assert result.output.count("resampled") == 1


def test_a_map_is_compared_with_the_result_that_is_asked_for(tmp_path, wide):
    np.save(tmp_path / "map.npy", np.ones((6, 6)))
    flags = {"model_path": wide, "kernel_scale": 5, "scale_map": tmp_path / "map.npy"}
    for width, said in ((6, False), (7, True)):
        result = call(eval_program, **flags, save_path=tmp_path / str(width), width=width, height=6)
        assert result.exit_code == 0, result.output
        assert ("is resampled to the 6 x 7 of the result" in result.output) == said
        assert "transposed" not in result.output
