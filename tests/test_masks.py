"""Missing samples: results are quotients of two convolutions, and a constant stays itself under any mask."""

import json
from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest
import scipy.io.wavfile
import tifffile
import torch
from builders import noise_signal, smooth_signal
from programs import call, refused

import eval as eval_program
import mc_utils
import nfconv
from kernels import minimal_kernel
from modalities import MODALITIES, find, read_mask
from models.exact import ExactField
from signals import make_ground_truth
from signals.exact import kernel_convolution
from signals.ground_truth import GroundTruth
from signals.masks import divided, masked
from signals.metadata import metadata_entries, parse_metadata

MASK = np.random.default_rng(5).random((14, 12)) > 0.4


def by_hand(signal, mask, kernel):
    """(f m) * g / (m * g) and m * g of two convolutions."""
    weight = mask[..., None].astype(float)
    top = kernel_convolution(replace(signal, values=signal.values * weight), kernel)
    below = kernel_convolution(replace(signal, values=weight), kernel)
    return top / below, below


def test_normalised_convolution_is_the_quotient_of_two(capsys):
    signal, kernel = noise_signal((14, 12), 3), minimal_kernel(1, (0.5, 0.6), 2)
    packed = masked(signal, MASK)
    assert f"{1 - MASK.mean():.1%} of the samples are missing" in capsys.readouterr().err
    found, share = divided(kernel_convolution(packed, kernel), packed.metadata.known)
    wanted, weight = by_hand(signal, MASK, kernel)
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    np.testing.assert_allclose(share, weight, atol=1e-12)
    field = ExactField(packed, 1, 0.7)
    field.origin = replace(field.origin, metadata=packed.metadata)
    result = field.filter(kernel, share=True)
    np.testing.assert_allclose(result, np.concatenate([wanted, weight], -1), atol=1e-5)
    points = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
    at = field.filter(kernel, at=points)
    assert at.shape == (2, 3) and at.requires_grad
    at = field.filter(kernel, at=torch.tensor([[-1.0, -1.0], [1.0, 1.0]]), share=True)
    np.testing.assert_allclose(at, result[[0, -1], [0, -1]], atol=1e-5)
    with pytest.raises(ValueError, match="kernel of mass 1, not of differences"):
        field.filter(nfconv.dog(sigma=0.1))


def test_weights_between_count_as_such_and_nothing_known_gives_the_mean():
    values, known = np.array([[0.3, 0.5], [0.0, 0.0], [1.0, 2.0]]), (2.0,)
    found, share = divided(values, known)
    assert found[:, 0].tolist() == [2.6, 2.0, 2.5] and share[:, 0].tolist() == [0.5, 0.0, 2.0]
    found, _ = divided(torch.as_tensor(values), known)
    assert found[:, 0].tolist() == [2.6, 2.0, 2.5]


@pytest.mark.parametrize("value", [0.1, -3.3, 1e5])
def test_a_constant_stays_itself_under_any_mask(value):
    mask = np.random.default_rng(3).random((14, 12)) ** 3
    signal = replace(noise_signal((14, 12), 2), values=np.full((14, 12, 2), value))
    packed = masked(signal, mask)
    assert not packed.values[..., :-1].any()
    field = nfconv.fit(packed, half_size=0.3, margin=0.3, factor="spline", knots=2)
    np.testing.assert_allclose(field.filter(minimal_kernel(1, 0.4, 2)), value, rtol=1e-7)


@pytest.mark.parametrize(
    "mask, words",
    [(np.ones((14, 11)), "the mask has 14 x 11 samples, not the signal's 14 x 12"), (np.zeros((14, 12)), "no known"),
     (np.full((14, 12), 1.5), "weights from 0"), (np.full((14, 12), np.nan), "weights from 0")],
)  # fmt: skip
def test_wrong_masks_are_refused(mask, words):
    with pytest.raises(ValueError, match=words):
        masked(noise_signal((14, 12), 1), mask)


def test_nan_in_arrays_of_images_tables_and_distances_is_missing(tmp_path):
    pixels = np.random.default_rng(0).random((9, 8, 3)).astype(np.float32)
    pixels[2, 3, 1] = np.nan
    signal = MODALITIES["image"].from_array(pixels)
    assert signal.channels == 4 and signal.values[..., 3].sum() == 71 and len(signal.metadata.known) == 3
    again = masked(signal, np.ones((9, 8)) - np.eye(9, 8))
    assert again.values[..., 3].sum() == 63
    np.testing.assert_allclose(divided(again.values, again.metadata.known)[0][0, 5], pixels[0, 5], atol=1e-6)
    (tmp_path / "gaps.csv").write_text("t,a,b\n0,1,2\n1,,3\n2,2,nan\n3,4,4\n4,3,2\n")
    table = MODALITIES["series"].load(tmp_path / "gaps.csv")
    assert table.values[:, -1].tolist() == [1, 0, 0, 1, 1]
    values, _ = divided(table.values, table.metadata.known)
    np.testing.assert_allclose(table.metadata.original(values)[[0, 3, 4]], [[1, 2], [4, 4], [3, 2]], atol=1e-5)
    grid = np.linalg.norm(np.stack(np.meshgrid(*[np.linspace(-1, 1, 7)] * 3, indexing="ij")), axis=0) - 0.5
    grid[0, 0, 0] = np.nan
    np.save(tmp_path / "grid.npy", grid)
    shape = MODALITIES["geometry"].load(tmp_path / "grid.npy")
    assert shape.channels == 2 and shape.values[..., 1].sum() == 7**3 - 1


def test_metadata_remembers_the_mask(tmp_path):
    packed = masked(smooth_signal((14, 12), 3), MASK)
    packed = replace(packed, metadata=replace(MODALITIES["image"].from_array(np.ones((4, 4, 3))).metadata,
                                              known=packed.metadata.known))  # fmt: skip
    truth = make_ground_truth(packed, 1, 0.4, 0.2)
    again = GroundTruth.load(truth.save(tmp_path / "truth.npz"))
    assert again.metadata == truth.metadata and again.channels == 4
    entries = metadata_entries(truth.metadata)
    with pytest.raises(ValueError, match=r"invalid metadata.*known must be 2 numbers"):
        parse_metadata("image", entries, (14, 12), 3)
    assert "known" not in metadata_entries(replace(truth.metadata, known=None))


def test_programs_take_masks_and_write_what_is_known(tmp_path, picture):
    mask = np.full((10, 14), 255, np.uint8)
    mask[3:6, 4:9] = 0
    iio.imwrite(tmp_path / "mask.png", mask)
    flags = {"signal": picture, "mask": tmp_path / "mask.png", "kernel": "gaussian", "sigma": 0.2}
    assert call(eval_program, save_path=tmp_path / "out", **flags).exit_code == 0
    share = np.load(tmp_path / "out" / "known.npy")
    assert share.shape == (10, 14, 1) and share[4, 6, 0] < share[9, 0, 0] and share.max() < 1.05
    assert np.load(tmp_path / "out" / "output.npy").shape == (10, 14, 3)
    flags = {"path": picture, "mask": tmp_path / "mask.png", "half_size": 0.3, "preview": tmp_path / "look.png"}
    assert call(mc_utils, save_path=tmp_path / "gt.npz", **flags).exit_code == 0
    assert GroundTruth.load(tmp_path / "gt.npz").channels == 4


@pytest.fixture(scope="module")
def holed(tmp_path_factory):
    """A picture with a hole, its mask and ground truth, the field of it, and what its tent is, in one folder."""
    folder = tmp_path_factory.mktemp("holed")
    pixels = np.rint(255 * smooth_signal((40, 32), 3).values).astype(np.uint8)
    mask = np.full((40, 32), 255, np.uint8)
    mask[12:15, 9:12] = 0
    iio.imwrite(folder / "a.png", pixels)
    iio.imwrite(folder / "mask.png", mask)
    packed = masked(nfconv.read(folder / "a.png"), mask / 255)
    make_ground_truth(packed, 1, 0.2, 0.6).save(folder / "gt.npz")
    nfconv.fit(packed, half_size=0.2, margin=0.6, factor="spline").save(folder / "model.pth")
    signal = replace(packed, values=pixels / 255)
    return folder, *by_hand(signal, mask > 0, minimal_kernel(1, 0.2, 2))


def test_points_of_a_masked_field_have_the_channels_of_its_signal(holed, tmp_path):
    """On samples of the grid, with a size or a covariance each, measured against the masked picture."""
    folder, wanted, weight = holed
    rows = np.random.default_rng(1).integers(0, (40, 32), (50, 2))
    np.save(tmp_path / "at.npy", rows / (39 / 2, 31 / 2) - 1)
    np.save(tmp_path / "sigma.npy", np.tile(np.diag([0.15**2, 0.1**2]), (50, 1, 1)))
    flags = {"model_path": folder / "model.pth", "signal": folder / "a.png", "mask": folder / "mask.png",
             "points": tmp_path / "at.npy"}  # fmt: skip
    for name, more in (("tent", {}), ("gaussians", {"covariance": tmp_path / "sigma.npy"})):
        assert call(eval_program, save_path=tmp_path / name, **flags, **more).exit_code == 0
        found, report = np.load(tmp_path / name / "values.npy"), (tmp_path / name / "metrics.json").read_text()
        assert found.shape == (50, 3) and json.loads(report)["whole"]["psnr"] > 60
        share = np.load(tmp_path / name / "known.npy")
        assert share.shape == (50, 1) and share.min() < 0.99 and share.max() < 1.01
        if name == "tent":
            np.testing.assert_allclose(found, wanted[tuple(rows.T)], atol=3e-3)
            np.testing.assert_allclose(share[:, 0], weight[tuple(rows.T)][:, 0], atol=3e-3)
    del flags["mask"]
    message = "samples of the field's signal are missing: give their --mask with --signal"
    refused(eval_program, folder, message, save_path=tmp_path / "no", **flags)


def test_a_masked_ground_truth_is_compared_as_a_quotient(holed, tmp_path):
    folder, wanted, _ = holed
    flags = {"model_path": folder / "model.pth", "gt_path": folder / "gt.npz", "save_path": tmp_path / "out"}
    assert call(eval_program, **flags).exit_code == 0
    report, found = (
        json.loads((tmp_path / "out" / "metrics.json").read_text()),
        np.load(tmp_path / "out" / "output.npy"),
    )
    assert report["whole"]["mse"] == pytest.approx(np.mean((found - wanted) ** 2), rel=1e-2)
    assert report["whole"]["psnr"] > 60


def test_a_mask_of_a_recording_has_its_samples_and_that_of_a_video_its_frames(tmp_path):
    """Silence that is no silence: what is missing of a constant tone of one value does not pull it down."""
    samples, mask = np.full(3000, 9000, np.int16), np.ones(3000)
    mask[1000:1060], samples[1000:1060] = 0, -20000
    scipy.io.wavfile.write(tmp_path / "a.wav", 8000, samples)
    np.save(tmp_path / "mask.npy", mask)
    flags = {"signal": tmp_path / "a.wav", "mask": tmp_path / "mask.npy", "kernel": "gaussian", "sigma": "5ms"}
    assert call(eval_program, save_path=tmp_path / "out", **flags).exit_code == 0
    found, share = (np.load(tmp_path / "out" / f"{name}.npy") for name in ("output", "known"))
    np.testing.assert_allclose(found, 9000 / 32768, atol=1e-5)
    assert share.shape == (3000, 1) and share[1030] < 0.6 < 0.99 < share[2500]
    np.save(tmp_path / "mask.npy", mask[:-1])
    refused(eval_program, tmp_path, "the mask has 2999 samples, not 3000", save_path=tmp_path / "no", **flags)
    video = nfconv.read(np.random.default_rng(0).random((6, 5, 4, 3)), "video")
    once = np.ones((6, 5))
    once[2, 3] = 0.0
    still, frames = (find("video").masked(video, m) for m in (once, np.repeat(once[..., None], 4, axis=2)))
    np.testing.assert_array_equal(still.values, frames.values)
    assert still.values[2, 3, :, -1].max() == 0 and still.values[..., -1].sum() == 29 * 4


def test_a_mask_is_the_lightness_of_its_colours_and_has_no_holes(tmp_path):
    weights = np.float32([[0, 1], [0.5, 0.25]])
    bands = np.concatenate([np.repeat(weights[..., None], 3, axis=-1), np.full((2, 2, 2), 0.7, np.float32)], axis=-1)
    tifffile.imwrite(tmp_path / "grey.tif", weights)
    tifffile.imwrite(tmp_path / "bands.tif", bands, photometric="rgb", planarconfig="contig")
    for name in ("grey.tif", "bands.tif"):
        np.testing.assert_allclose(read_mask(tmp_path / name), weights)
    tifffile.imwrite(tmp_path / "grey.tif", np.where(weights == 0, np.nan, weights))
    with pytest.raises(ValueError, match=r"grey\.tif has pixels without a value, and a mask requires"):
        read_mask(tmp_path / "grey.tif")


@pytest.mark.parametrize("shape", [(14, 12), (14, 12, 3)])
def test_masked_arrays_of_numpy_hide_what_lies_below(shape):
    values = np.random.default_rng(0).random(shape)
    hidden = np.random.default_rng(1).random(shape) < 0.1
    found = nfconv.read(np.ma.array(np.where(hidden, -9999, values), mask=hidden))
    unknown = hidden if len(shape) == 2 else hidden.any(axis=-1)
    own, share = divided(found.values, found.metadata.known)
    np.testing.assert_array_equal(share[..., 0], ~unknown)
    wanted = values[..., None] if len(shape) == 2 else values
    np.testing.assert_allclose(own[~unknown], wanted[~unknown], atol=1e-6)


def test_what_is_hardly_known_is_the_mean_and_no_share_is_negative():
    share = np.array([[-0.2], [-1e-4], [5e-4], [0.5], [1.0002]], np.float32)
    found, known = divided(np.concatenate([0.1 * share, share], axis=-1), (0.3,))
    np.testing.assert_allclose(found[:, 0], [0.3, 0.3, 0.3, 0.4, 0.4], atol=1e-6)
    np.testing.assert_allclose(known[:, 0], np.clip(share[:, 0], 0, None))
