"""Pictures that say how they are to be read, and requests that cannot be met, found by hostile use."""

import struct

import numpy as np
import pytest
from builders import checkpoint_of, exact_truth, field_config, noise_signal, random_field
from PIL import Image
from programs import call, refused
from training_cases import CPU

import eval as eval_program
import mc_utils
import train
from kernels.pictures import read_picture
from modalities.image import load
from training.lattice import LatticeTargets

PIXELS = np.random.default_rng(0).integers(0, 256, (7, 9, 4), np.uint8)


def tiff(path, kind: int):
    """An 8-bit RGBA TIFF whose tag 338 says `kind`."""
    Image.fromarray(PIXELS).save(path)
    data = bytearray(path.read_bytes())
    place = data.index(struct.pack("<HHI", 338, 3, 1)) + 8
    data[place : place + 2] = struct.pack("<H", kind)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", [1, 2])
def test_alpha_of_a_tiff_is_multiplied_once(tmp_path, kind):
    values = load(tiff(tmp_path / "a.tif", kind)).values
    colours, alpha = PIXELS[..., :3] / 255, PIXELS[..., 3:] / 255
    wanted = colours * alpha if kind == 2 else colours
    np.testing.assert_allclose(values[..., :3], wanted, atol=0.51 / 255)
    np.testing.assert_allclose(values[..., 3:], alpha, atol=1e-6)


def test_palettes_and_inks_of_a_kernels_picture_are_colours(tmp_path):
    shape = np.zeros((8, 8, 4), np.uint8)
    shape[2:5, 1:7] = 255
    wanted = shape[..., 3] / 255
    Image.fromarray(shape).quantize(4).save(tmp_path / "palette.png")
    np.testing.assert_allclose(read_picture(tmp_path / "palette.png"), wanted, atol=1e-6)
    Image.fromarray(shape[..., :3]).convert("CMYK").save(tmp_path / "inks.tif")
    np.testing.assert_allclose(read_picture(tmp_path / "inks.tif"), wanted, atol=0.02)


def test_a_kernels_picture_is_turned_upright(tmp_path):
    upright = np.zeros((6, 10), np.uint8)
    upright[:2, :7] = 255
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(np.rot90(upright)).save(tmp_path / "a.png", exif=turned)
    np.testing.assert_allclose(read_picture(tmp_path / "a.png"), upright / 255)


@pytest.mark.parametrize("axis", [-1, -2, 2])
def test_axes_that_are_not_filtered_are_not_differentiated_along(model, tmp_path, axis):
    flags = {"kernel": "derivative", "sigma": 0.1, "axis": axis}
    refused(eval_program, tmp_path, f"axis {axis}", model_path=model, save_path=tmp_path / "out", **flags)


@pytest.mark.parametrize("channels, boundary", [(1, "clamp"), (3, "reflect")])
def test_ground_truth_of_another_signal_is_no_measure(tmp_path, channels, boundary):
    model = checkpoint_of(random_field(field_config("separable", 2, 3)), shape=(10, 14)).save(tmp_path / "model.pth")
    truth = exact_truth(noise_signal((10, 14), channels), 1, 0.2, 0.3, boundary).save(tmp_path / "truth.npz")
    flags = {"model_path": model, "gt_path": truth, "save_path": tmp_path / "out"}
    refused(eval_program, tmp_path, "same signal", **flags)


def test_kernels_finer_than_samples_are_told_and_far_finer_ones_refused(tmp_path, picture):
    result = call(mc_utils, path=picture, save_path=tmp_path / "a.npz", half_size=0.1)
    assert result.exit_code == 0
    assert "warning: the samples are 0.222 apart" in result.output
    call(mc_utils, path=picture, save_path=tmp_path / "b.npz", half_size=1e-5)
    refused(
        train, tmp_path, "larger --half_size", monte_carlo=tmp_path / "b.npz", summary=tmp_path / "runs", num_steps=1
    )


def test_the_margin_that_is_advised_is_enough():
    half_size, reach = 0.13, 0.48
    advised = reach - half_size + half_size / 2
    truth = exact_truth(noise_signal((61, 143)), 1, half_size, advised)
    assert LatticeTargets(truth, CPU).margin + half_size >= reach
