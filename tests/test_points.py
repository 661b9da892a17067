"""eval.py at the points of a file and with maps of covariances, against the field's own filter and dense quadrature."""

import json
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from builders import exact_truth, field_config, random_field, smooth_signal
from programs import call, refused
from test_covariance import quadrature, random_covariances

import eval as eval_program
import nfconv
from evaluation import places
from evaluation.maps import covariances_of
from kernels import minimal_kernel
from modalities import find
from modalities.image import ImageMetadata
from models.exact import ExactField
from models.varying import CovarianceFilter, turned_covariances
from signals.gaussians import gaussian_convolution
from signals.signal import Signal
from training import train


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A picture, the field of splines of it, and the folder both are in."""
    folder = tmp_path_factory.mktemp("points")
    iio.imwrite(folder / "a.png", np.rint(255 * smooth_signal((40, 32), 3).values).astype(np.uint8))
    signal = Signal(iio.imread(folder / "a.png").astype(np.float32) / 255, (0, 1), "image", metadata=ImageMetadata())
    field = train(exact_truth(signal, 1, 0.1, 0.9), signal=signal, factor="spline")
    field.save(folder / "model.pth")
    return signal, field, folder


@pytest.fixture
def files(fitted, tmp_path, monkeypatch):
    """Files of points, sizes and covariances in the current folder, in all forms that are read."""
    monkeypatch.chdir(tmp_path)
    at, sigmas = random_covariances(30)
    np.save("pts.npy", at)
    np.save("sigma.npy", sigmas)
    np.save("flat.npy", np.stack([sigmas[:, 0, 0], sigmas[:, 1, 1], sigmas[:, 0, 1]], axis=1))
    np.save("scale.npy", np.linspace(0.5, 1.5, 30))
    np.save("scales.npy", np.linspace(0.5, 1.5, 60).reshape(30, 2))
    return fitted[2], at, sigmas


def run(folder, **flags) -> str:
    result = call(eval_program, model_path=folder / "model.pth", **flags)
    assert result.exit_code == 0, result.output
    return result.output


def report_of(folder: str) -> dict:
    return json.loads((Path(folder) / "metrics.json").read_text())


@pytest.mark.parametrize("name", ["sigma.npy", "flat.npy"])
def test_gaussians_of_a_covariance_each_at_the_points_of_a_file(files, fitted, monkeypatch, name):
    (folder, at, sigmas), (signal, field, _) = files, fitted
    monkeypatch.setattr(places, "CHUNK", 7)
    printed = run(folder, points="pts.npy", covariance=name, signal=folder / "a.png", save_path="out")
    values, report = np.load("out/values.npy"), report_of("out")
    assert values.dtype == np.float32 and values.shape == (30, 3)
    # Every chunk keeps the ranks that its own thinnest Gaussian shows, to 60 dB.
    np.testing.assert_allclose(values, field.filter(nfconv.gaussian(), at=at, covariance=sigmas), atol=1e-3)
    error = values - quadrature(signal, at, sigmas)
    assert report["whole"] == pytest.approx({
        "mse": np.mean(error**2), "psnr": -10 * np.log10(np.mean(error**2)), "points": 30,
        "snr": report["whole"]["snr"]}, rel=1e-3)  # fmt: skip
    assert report["whole"]["psnr"] > 70 and f"psnr: {report['whole']['psnr']:.6g}" in printed
    assert report["diracs"] == 225 and report["shape"] == [30, 3] and report["interior"] is None
    assert report["radius"] == pytest.approx(3.6 * np.sqrt(np.diagonal(sigmas, axis1=1, axis2=2)).max(axis=0))


@pytest.mark.parametrize("name, axes", [(None, None), ("scale.npy", 1), ("scales.npy", 2)])
def test_kernels_of_a_size_each_at_the_points_of_a_file(files, fitted, monkeypatch, name, axes):
    (folder, at, _), (signal, field, _) = files, fitted
    monkeypatch.setattr(places, "CHUNK", 11)
    sizes = {} if name is None else {"scale": name}
    flags = {"points": "pts.npy", "kernel": "gaussian", "sigma": 0.1, "signal": folder / "a.png"}
    run(folder, save_path="out", **flags, **sizes)
    report, values = report_of("out"), np.load("out/values.npy")
    scale = None if name is None else np.load(name)
    np.testing.assert_allclose(values, field.filter(nfconv.gaussian(sigma=0.1), at=at, scale=scale), atol=1e-5)
    kernel = nfconv.gaussian(sigma=0.1).sparse(1, 2)
    stretch = np.ones((30, 2)) if scale is None else np.ones((30, 2)) * scale.reshape(30, -1)
    exact = ExactField(signal, 1, 0.5)
    truth = [exact.filter(kernel, at=at[i : i + 1], scale=stretch[i])[0] for i in range(30)]
    assert report["whole"]["mse"] == pytest.approx(np.mean((values - truth) ** 2), rel=1e-3)
    assert report["radius"] == pytest.approx([0.3 * stretch.max()] * 2, rel=1e-6) and report["diracs"] == 169
    assert 0 < report["kernel_error"] < 0.05


def test_values_alone_in_a_file(files):
    folder, at, _ = files
    run(folder, points="pts.npy", kernel_scale=5, save_path="values.npy")
    wanted = nfconv.load(folder / "model.pth").filter(minimal_kernel(1, 0.2, 2), at=at)
    np.testing.assert_allclose(np.load("values.npy"), wanted, atol=1e-5)


def test_a_field_is_fitted_for_the_covariances_of_points(files, fitted):
    folder, at, sigmas = files
    flags = {"points": "pts.npy", "covariance": "sigma.npy", "signal": folder / "a.png", "save_path": "out"}
    result = call(eval_program, **flags)
    assert result.exit_code == 0, result.output
    error = np.load("out/values.npy") - quadrature(fitted[0], at, sigmas)
    assert -10 * np.log10(np.mean(error**2)) > 65


@pytest.mark.parametrize("flat", [False, True])
def test_maps_of_covariances_are_resampled_and_measured(files, fitted, flat):
    (folder, _, _), field = files, fitted[1]
    sigmas = random_covariances(12, seed=3)[1].reshape(4, 3, 2, 2)
    np.save("map.npy", sigmas[..., [0, 1, 0], [0, 1, 1]] if flat else sigmas)
    run(folder, covariance_map="map.npy", signal=folder / "a.png", width=5, height=7, save_path="out")
    wide = np.empty((7, 5, 2, 2))
    wide[::2, ::2], wide[1::2, ::2] = sigmas, (sigmas[:-1] + sigmas[1:]) / 2
    wide[:, 1::2] = (wide[:, :-1:2] + wide[:, 2::2]) / 2
    values, report = np.load("out/output.npy"), report_of("out")
    np.testing.assert_allclose(values, field.filter(nfconv.gaussian(), (7, 5), covariance=wide), atol=1e-5)
    assert report["whole"]["points"] == 256 and report["whole"]["psnr"] > 70
    assert report["diracs"] == 225 and report["kernels"] == 1 and report["mass"] == 1


def test_the_anisotropic_gaussian_turns_by_its_covariance(files, fitted, tmp_path):
    (folder, _, _), field = files, fitted[1]
    np.save("map.npy", np.full((4, 4), 0.2))
    flags = {"angle_map": "map.npy", "kernel": "anisotropic", "sigma": 0.15, "sigma_across": 0.06}
    run(folder, save_path="out", signal=folder / "a.png", **flags)
    report = report_of("out")
    assert report["kernels"] == 1 and report["whole"]["psnr"] > 70
    # 0.2 of the half turn is 36 degrees, of the library's kernel too.
    kernel = nfconv.anisotropic(sigma=0.15, sigma_across=0.06, angle=36.0)
    np.testing.assert_allclose(np.load("out/output.npy"), field.filter(kernel), atol=3e-3)
    # A size that the margin does not allow untruncated, but cut at 3 sigma, is blended as before.
    printed = run(folder, save_path="blended", **flags | {"sigma": 0.32, "sigma_across": 0.2})
    assert "warning: blending 12 kernels" in printed and "margin" in printed
    assert report_of("blended")["kernels"] == 12


def test_turned_covariances_are_stretched_along_rows_and_columns():
    found = turned_covariances(np.array([0.0, 0.5, 0.25]), 3.0, 1.0, (1.0, 2.0))
    np.testing.assert_allclose(found[0], [[1, 0], [0, 36]], atol=1e-12)
    np.testing.assert_allclose(found[1], [[9, 0], [0, 4]], atol=1e-12)
    # Counter-clockwise from the columns, rows counting downwards.
    np.testing.assert_allclose(found[2], [[5, -8], [-8, 20]], atol=1e-12)


def test_covariances_are_read_from_variances_and_then_covariances():
    flat = np.array([1.0, 2.0, 3.0, 12.0, 13.0, 23.0])
    np.testing.assert_array_equal(covariances_of(flat, 3, ""), [[1, 12, 13], [12, 2, 23], [13, 23, 3]])
    assert covariances_of(np.zeros((5, 1)), 1, "").shape == (5, 1, 1)
    assert covariances_of(np.zeros((2, 3)), 2, "").shape == (2, 2, 2)
    with pytest.raises(ValueError, match=r"s.npy has shape \(4, 4\): covariances are \[..., 2, 2\], or \[..., 3\]"):
        covariances_of(np.zeros((4, 4)), 2, "s.npy")


def test_filters_by_covariances_know_how_far_they_reach():
    sigmas = np.stack([np.diag([0.04, 0.01]), np.diag([0.01, 0.09])])[:, None]
    assert CovarianceFilter(sigmas, 1).radius == pytest.approx([3.6 * 0.2, 3.6 * 0.3])
    assert CovarianceFilter(sigmas, 1, 90.0).facts["diracs"] == 625
    with pytest.raises(ValueError, match=r"beyond the 0.99"):
        CovarianceFilter(np.array([[[[1, 0.995], [0.995, 1]]]]), 1)


@pytest.mark.parametrize("dim", [2, 3])
def test_maps_of_covariances_are_linear_between_their_samples(dim):
    signal = smooth_signal((9, 8, 7)[:dim], 1)
    ends = np.stack([np.diag([0.01, 0.02, 0.03][:dim]), np.diag([0.05, 0.04, 0.03][:dim])])
    exact, rows = CovarianceFilter(ends.reshape(2, *[1] * (dim - 1), dim, dim), 1).exact(signal, "clamp")
    points = np.stack(np.unravel_index(rows, signal.shape), axis=-1)
    share = points[:, 0, None, None] / 8
    at = 2 * points / (np.array(signal.shape) - 1) - 1
    wanted = gaussian_convolution(signal, at, (1 - share) * ends[0] + share * ends[1], "clamp")
    np.testing.assert_allclose(exact, wanted, atol=1e-9)


# Without the size that all others are called with.
FREE = {"kernel_scale": None}
MISTAKES = {
    "sizes without points": ("give --points, too", {"points": None, "scale": "scale.npy"}),
    "covariances without points": ("give --points, too", {"points": None, "covariance": "sigma.npy"}),
    "sizes and covariances": ("do not go together", {"scale": "scale.npy", "covariance": "sigma.npy"}),
    "another number of sizes": ("one entry for each of the 30 points", {"scale": "few.npy"}),
    "points of other axes": ("3 coordinates, the field 2", {"points": "deep.npy"}),
    "points that are none": ("points are [N, d]", {"points": "scale.npy"}),
    "points that are no numbers": ("0 to 29 hold numbers that are not finite", {"points": "nan.npy"}),
    "points over the border": (
        "up to 1 outside [-1, 1], and with that the kernel has radius 1.3",
        {"points": "far.npy", **FREE, "kernel": "gaussian", "sigma": 0.1},
    ),
    "covariances over the border": ("outside [-1, 1]", {"points": "far.npy", "covariance": "sigma.npy", **FREE}),
    "a size of 0": ("must be positive", {"scale": "zero.npy"}),
    "covariances that are none": ("positive definite", {"covariance": "minus.npy", **FREE}),
    "covariances that are long": ("points 0 to 29: a correlation of 0.99", {"covariance": "long.npy", **FREE}),
    "a map and points": ("--points and --scale_map do not", {"scale_map": "map.npy"}),
    "a width and points": ("--points and --width do not", {"width": 4}),
    "a covariance and a kernel": (
        "leave --kernel and --sigma out",
        {"covariance": "sigma.npy", **FREE, "kernel": "disk", "radius": 0.1},
    ),
    "a covariance and a size": ("a covariance and --kernel_scale do not", {"covariance": "sigma.npy"}),
    "a picture": ("not written as .png: name a file with .npy", {"save_path": "new.png"}),
    "an old file": ("never overwritten", {"save_path": "pts.npy"}),
    "a full folder": ("never overwritten", {"save_path": "."}),
    "a map of three axes": (
        "1 axes before those of its covariances, the field 2",
        {"points": None, "covariance_map": "sigma.npy", **FREE},
    ),
    "two maps": ("do not go together", {"points": None, "covariance_map": "sigma.npy", "scale_map": "map.npy", **FREE}),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_about_points_are_one_sentence_and_change_nothing(files, tmp_path, name):
    at, sigmas = files[1:]
    arrays = {
        "few": np.ones(29),
        "deep": np.zeros((30, 3)),
        "nan": np.where(at > 0.9, np.nan, at),
        "far": 2 * at / np.abs(at).max(),
        "zero": np.linspace(0, 1, 30),
        "minus": -sigmas,
        "map": np.zeros((4, 4)),
        "long": np.repeat(0.01 * np.array([[[1, 0.995], [0.995, 1]]]), 30, axis=0),
    }
    for stem, values in arrays.items():
        np.save(f"{stem}.npy", values)
    words, flags = MISTAKES[name]
    given = {"model_path": files[0] / "model.pth", "points": "pts.npy", "save_path": "out", "kernel_scale": 5} | flags
    refused(eval_program, tmp_path, words, **{flag: value for flag, value in given.items() if value is not None})


def test_one_axis_takes_variances(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = field_config("separable", 1, 2, poly_degree=1)
    metadata = find("series").from_array(np.zeros((30, 2))).metadata
    field = random_field(config, margin=0.9, modality="series", shape=(30,), metadata=metadata)
    field.save("model.pth")
    at, variances = np.linspace(-1, 1, 6)[:, None], np.linspace(0.01, 0.04, 6)
    np.save("pts.npy", at)
    np.save("sigma.npy", variances[:, None])
    run(tmp_path, points="pts.npy", covariance="sigma.npy", save_path="values.npy")
    wanted = field.filter(nfconv.gaussian(sigma=1.0), at=at, scale=np.sqrt(variances))
    np.testing.assert_allclose(np.load("values.npy"), wanted, rtol=1e-4)
    run(tmp_path, covariance_map="sigma.npy", depth=6, save_path="out")
    assert report_of("out")["radius"] == pytest.approx([0.6])
    np.testing.assert_allclose(np.load("out/output.npy"), wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())
