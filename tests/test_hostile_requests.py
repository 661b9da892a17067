"""Requests to the programs that no field, file or grid meets, found by hostile use."""

import numpy as np
import pytest
from builders import exact_truth, field_config, noise_signal, random_field
from PIL import Image
from programs import call, refused

import eval as eval_program
import mc_utils
import train
from kernels.pictures import read_light


def test_palettes_and_inks_of_a_kernels_picture_are_colours(tmp_path):
    shape = np.zeros((8, 8, 4), np.uint8)
    shape[2:5, 1:7] = 255
    wanted = shape[..., 3] / 255
    Image.fromarray(shape).quantize(4).save(tmp_path / "palette.png")
    np.testing.assert_allclose(read_light(tmp_path / "palette.png"), wanted, atol=1e-6)
    Image.fromarray(shape[..., :3]).convert("CMYK").save(tmp_path / "inks.tif")
    np.testing.assert_allclose(read_light(tmp_path / "inks.tif"), wanted, atol=0.02)


def test_a_kernels_picture_is_turned_upright(tmp_path):
    upright = np.zeros((6, 10), np.uint8)
    upright[:2, :7] = 255
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(np.rot90(upright)).save(tmp_path / "a.png", exif=turned)
    np.testing.assert_allclose(read_light(tmp_path / "a.png"), upright / 255)


@pytest.mark.parametrize("axis", [-1, 2])
def test_derivatives_along_axes_that_are_not_filtered_are_refused(model, tmp_path, axis):
    flags = {"kernel": "derivative", "sigma": 0.1, "axis": axis}
    refused(eval_program, tmp_path, "axis", model_path=model, save_path=tmp_path / "out", **flags)


@pytest.mark.parametrize("channels, boundary", [(1, "clamp"), (3, "reflect")])
def test_ground_truth_of_another_signal_is_no_measure(tmp_path, channels, boundary):
    model = random_field(field_config("separable", 2, 3), shape=(10, 14)).save(tmp_path / "model.pth")
    truth = exact_truth(noise_signal((10, 14), channels), 1, 0.2, 0.3, boundary).save(tmp_path / "truth.npz")
    flags = {"model_path": model, "gt_path": truth, "save_path": tmp_path / "out"}
    refused(eval_program, tmp_path, "same signal", **flags)


def test_kernels_finer_than_samples_are_warned_of_and_far_finer_ones_refused(tmp_path, picture):
    result = call(mc_utils, path=picture, save_path=tmp_path / "a.npz", half_size=0.1)
    assert result.exit_code == 0, result.output
    assert "warning: the samples are 0.222 apart" in result.output
    call(mc_utils, path=picture, save_path=tmp_path / "b.npz", half_size=1e-5)
    refused(
        train, tmp_path, "larger --half_size", monte_carlo=tmp_path / "b.npz", summary=tmp_path / "runs", num_steps=1
    )
