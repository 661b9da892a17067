"""eval.py as it is called: the flags people know, the files they get, and one sentence for what is wrong."""

import json
import time
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from builders import field_config, lopsided, random_field
from cases import make_case
from programs import call, refused
from scipy.ndimage import gaussian_filter, map_coordinates

import eval as eval_program
import nfconv
from evaluation.grids import output_shape
from evaluation.kernels import Request, choose_kernel
from kernels import minimal_kernel
from kernels.fit import fit_errors
from modalities import MODALITIES, find
from signals import make_ground_truth
from signals.exact import kernel_convolution, target_convolution
from signals.signal import Signal


def test_filtering_by_the_flags_of_the_release(tmp_path, model):
    kernel = lopsided(6, 1.0)[0]
    kernel.save(tmp_path / "kernel.npz")
    flags = {"model_path": model, "kernel_path": tmp_path / "kernel", "save_path": tmp_path / "out", "modality": 1}
    # The authors give images a depth, which has no effect.
    result = call(eval_program, **flags, width=9, height=5, depth=256, block_size=64, kernel_scale=2.5)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["metrics.json", "output.npy", "output.png"]
    values = np.load(tmp_path / "out" / "output.npy")
    assert values.dtype == np.float32 and values.shape == (5, 9, 3)
    shown = iio.imread(tmp_path / "out" / "output.png")
    assert shown.dtype == np.uint8 and shown.shape == (5, 9, 3)
    np.testing.assert_allclose(values, nfconv.load(model).filter(kernel, (5, 9), scale=0.4), rtol=1e-5, atol=1e-5)
    report = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert report["diracs"] == 36 and report["order"] == 1
    assert report["radius"] == pytest.approx([0.4, 0.4])


@pytest.mark.parametrize("scale, radius", [("4", (0.25, 0.25)), ("2.5", (0.4, 0.4)), ("4,8", (0.25, 0.125))])
def test_scale_is_fractional_and_per_axis(tmp_path, model, scale, radius):
    result = call(eval_program, model_path=model, save_path=tmp_path / "out", kernel_scale=scale)
    assert result.exit_code == 0, result.output
    wanted = nfconv.load(model).filter(minimal_kernel(1, radius, 2))
    np.testing.assert_allclose(np.load(tmp_path / "out" / "output.npy"), wanted, rtol=1e-5, atol=1e-5)


def test_the_time_that_is_reported_is_within_that_of_the_call(tmp_path, model):
    start = time.perf_counter()
    result = call(eval_program, model_path=model, save_path=tmp_path / "out", kernel="tent", half_size=0.2)
    assert result.exit_code == 0, result.output
    assert 0 < report_of(tmp_path / "out")["seconds"] < time.perf_counter() - start


def report_of(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def run(model: Path, folder: Path, **flags) -> str:
    """What the program prints, which must succeed."""
    result = call(eval_program, model_path=model, save_path=folder, **flags)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_known_signal_gives_measures_and_a_comparison(tmp_path, model, picture):
    printed = run(model, tmp_path / "out", kernel_scale=5, signal=picture)
    report = report_of(tmp_path / "out")
    values = iio.imread(picture).astype(np.float64) / 255
    exact = kernel_convolution(Signal(values, (0, 1), "image"), minimal_kernel(1, 0.2, 2))
    error = np.load(tmp_path / "out" / "output.npy") - exact
    assert report["whole"]["mse"] == pytest.approx(np.mean(error**2), rel=1e-4)
    # The kernel of radius 0.2 reaches over 0.9 rows and 1.3 columns.
    assert report["interior"]["mse"] == pytest.approx(np.mean(error[1:-1, 2:-2] ** 2), rel=1e-4)
    assert "ideal" not in report and f"psnr: {report['whole']['psnr']:.6g}" in printed
    assert (tmp_path / "out" / "comparison.png").is_file()


def test_ground_truth_stands_for_the_signal(tmp_path, model, picture):
    signal = find("image").load(picture)
    make_ground_truth(signal, 1, (0.2, 0.1)).save(tmp_path / "truth.npz")
    for folder, measured in (("a", {"gt_path": tmp_path / "truth.npz"}), ("b", {"signal": picture})):
        run(model, tmp_path / folder, kernel_scale="5,10", **measured)
    first, second = report_of(tmp_path / "a"), report_of(tmp_path / "b")
    assert first["whole"] == pytest.approx(second["whole"], rel=1e-4)


def test_kernels_of_the_library_are_measured_against_their_exact_form_too(tmp_path, model, picture):
    printed = run(model, tmp_path / "out", kernel="gaussian", sigma=0.1, signal=picture)
    report = report_of(tmp_path / "out")
    values = iio.imread(picture).astype(np.float32) / 255
    sigmas = 0.1 / (2 / 9), 0.1 / (2 / 13)
    assert report["fit"]["mse"] < 1e-5 < report["field"]["mse"] and report["mass"] == pytest.approx(1, abs=1e-3)
    # A Gaussian over a signal that is linear between samples, by far finer samples.
    fine = [np.interp(np.linspace(0, n - 1, 40 * (n - 1) + 1), np.arange(n), np.arange(n)) for n in (10, 14)]
    places = np.meshgrid(*fine, indexing="ij")
    fine = np.stack([map_coordinates(values[..., c], places, order=1) for c in range(3)], axis=-1)
    ideal = gaussian_filter(fine, [40 * s for s in sigmas] + [0], mode="nearest", truncate=6)[::40, ::40]
    error = np.load(tmp_path / "out" / "output.npy") - ideal
    assert report["whole"] == report["ideal"]
    assert report["whole"]["mse"] == pytest.approx(np.mean(error**2), rel=1e-3)
    assert "against the exact kernel, psnr" in printed and "of that, the fit's own: psnr" in printed


def test_filters_go_to_a_folder_each(tmp_path, model):
    minimal_kernel(1, 1.0).save(tmp_path / "mine.npz")
    run(model, tmp_path / "out", filters=f"tent:0.25,gaussian:0.4,{tmp_path / 'mine'}:0.1")
    names = ["gaussian_0.4", "mine_0.1", "tent_0.25"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert [max(report_of(tmp_path / "out" / name)["radius"]) for name in names] == pytest.approx([0.4, 0.1, 0.25])
    field = nfconv.load(model)
    for name, size in (("tent_0.25", 0.25), ("mine_0.1", 0.1)):
        wanted = field.filter(minimal_kernel(1, size, 2))
        np.testing.assert_allclose(np.load(tmp_path / "out" / name / "output.npy"), wanted, atol=1e-4)


def test_maps_of_sizes_stretch_the_kernel_from_point_to_point(tmp_path, model, picture):
    share = np.linspace(0, 1, 140).reshape(10, 14)
    np.save(tmp_path / "map.npy", share)
    flags = {"kernel_scale": 5, "scale_map": tmp_path / "map.npy", "scale_range": "0.5,1.5", "signal": picture}
    run(model, tmp_path / "out", **flags)
    wanted = nfconv.load(model).filter(minimal_kernel(1, 0.2, 2), scale=(0.5 + share)[..., None])
    np.testing.assert_allclose(np.load(tmp_path / "out" / "output.npy"), wanted, atol=1e-4)
    report = report_of(tmp_path / "out")
    assert report["whole"]["points"] == 140 and report["interior"] is None
    assert report["radius"] == pytest.approx([0.3, 0.3])


def test_maps_of_angles_blend_turned_kernels(tmp_path, model, picture):
    iio.imwrite(tmp_path / "map.png", np.full((4, 4), 51, np.uint8))
    flags = {"kernel": "anisotropic", "sigma": 0.08, "sigma_across": 0.05}
    printed = run(
        model, tmp_path / "out", angle_map=tmp_path / "map.png", angles=2, signal=picture, precision="64", **flags
    )
    # 51 of 255 is 36 degrees; two kernels hold the constant and the cosine of twice the angle.
    share = np.cos(np.radians(36)) ** 2
    kernels = [nfconv.anisotropic(sigma=0.08, sigma_across=0.05, angle=angle) for angle in (0.0, 90.0)]
    parts = [nfconv.load(model).filter(kernel, precision="64") for kernel in kernels]
    found = np.load(tmp_path / "out" / "output.npy")
    np.testing.assert_allclose(found, share * parts[0] + (1 - share) * parts[1], atol=1e-4)
    assert printed.count("2 kernels of") == 1 and report_of(tmp_path / "out")["kernels"] == 2


@pytest.mark.parametrize("half_size", [0.05, 0.1, 1 / 3])
def test_without_a_size_a_kernel_gets_the_training_kernels(half_size, tmp_path):
    field = random_field(field_config("mlp", 3, axes=(0, 2)), half_size=(half_size, 0.2))
    minimal_kernel(1, 1.0).save(tmp_path / "tent.npz")
    for path in ("", str(tmp_path / "tent")):
        kernel = choose_kernel(field, Request(tmp_path, path), {}, "auto")
        wanted = minimal_kernel(1, (half_size, 0.2), 3, (0, 2))
        np.testing.assert_allclose(kernel.positions, wanted.positions, atol=1e-12)
        np.testing.assert_allclose(kernel.weights, wanted.weights)


@pytest.mark.parametrize(
    "released, asked, used",
    [(True, "auto", "stored"), (False, "auto", "corrected"), (True, "corrected", "corrected")],
)
def test_released_kernels_keep_their_weights_on_released_fields(monkeypatch, released, asked, used):
    weights, saved = [], minimal_kernel(1, 1.0)
    monkeypatch.setattr(nfconv, "load_kernel", lambda path, kind, notify: weights.append(kind) or saved)
    field = random_field(field_config("mlp", 2), released=released)
    kernel = choose_kernel(field, Request(Path(), "theirs.pkl", "4,8"), {}, asked)
    assert weights == [used] and kernel.radius == pytest.approx([0.25, 0.125])


@pytest.mark.parametrize("name, asked, shape", [("image", {"width": 3, "height": 4, "depth": 256}, (4, 3)),
                                                ("video", {"depth": 9}, (5, 6, 9)), ("audio", {"depth": 9}, (5, 9)),
                                                ("geometry", {"width": 3, "height": 4, "depth": 2}, (3, 4, 2)),
                                                ("motion", {"depth": 9}, (9,)), ("series", {}, (5,))])  # fmt: skip
def test_sizes_are_those_of_the_axes(name, asked, shape):
    kind = MODALITIES[name]
    native = tuple(range(5, 5 + len(kind.axis_names)))
    field = random_field(field_config("mlp", len(native)), shape=native)
    every = {"width": None, "height": None, "depth": None}
    assert output_shape(kind, field, every | asked) == shape
    if name in ("audio", "motion"):
        with pytest.raises(ValueError, match=f"--width sizes no axis of {name}"):
            output_shape(kind, field, every | {"width": 9})


def test_the_largest_output_is_two_to_the_31():
    field = random_field(field_config("mlp", 2), shape=(9, 9))
    assert output_shape(MODALITIES["image"], field, {"width": 1 << 20, "height": 1 << 11}) == (1 << 11, 1 << 20)
    with pytest.raises(ValueError, match="2049 x 1048576 samples"):
        output_shape(MODALITIES["image"], field, {"width": 1 << 20, "height": (1 << 11) + 1})


@pytest.mark.parametrize("name, words", [("audio", "--depth 2 or more"), ("geometry", "two or more along each axis")])
def test_one_sample_is_too_few(tmp_path, name, words):
    case = make_case(name, tmp_path)
    signal = case.modality.load(case.path, **case.options)
    config = field_config("separable", signal.dim, signal.channels, axes=signal.axes)
    random_field(config, modality=name, shape=signal.shape, metadata=signal.metadata).save(tmp_path / "model.pth")
    sizes = dict.fromkeys(("width", "height", "depth"), 1) if name == "geometry" else {"depth": 1}
    refused(eval_program, tmp_path, words, model_path=tmp_path / "model.pth", save_path=tmp_path / "out", **sizes)


def test_what_a_fit_misses_is_measured_and_said(tmp_path, picture):
    field = random_field(field_config("separable", 2, 3), shape=(10, 14), half_size=(0.1, 0.1), margin=0.4,
                         metadata=find("image").load(picture).metadata).float()  # fmt: skip
    field.save(tmp_path / "model.pth")
    flags = {"kernel": "anisotropic", "sigma": 0.15, "sigma_across": 0.0015, "angle": 30, "signal": picture}
    printed = run(tmp_path / "model.pth", tmp_path / "out", **flags)
    report = report_of(tmp_path / "out")
    kernel = nfconv.anisotropic(sigma=0.15, sigma_across=0.0015, angle=30.0)
    sparse, target = kernel.sparse(1, 2), kernel.target(2)
    assert report["kernel_error"] == pytest.approx(fit_errors(sparse, target).relative_l2)
    assert report["kernel_error"] > 0.1
    signal = find("image").load(picture)
    found, diracs, asked = (np.load(tmp_path / "out" / "output.npy"), kernel_convolution(signal, sparse),
                            target_convolution(signal, target))  # fmt: skip
    for part, (values, truth) in {"whole": (found, asked), "field": (found, diracs), "fit": (diracs, asked)}.items():
        assert report[part]["mse"] == pytest.approx(np.mean((values - truth) ** 2), rel=1e-3)
    assert "warning: across its thinnest direction" in printed
    assert f"by {report['kernel_error']:.0%} (relative L2)" in printed
    # Wide across, it is neither.
    quiet = run(tmp_path / "model.pth", tmp_path / "wide", **flags | {"sigma_across": 0.1})
    assert "warning" not in quiet and report_of(tmp_path / "wide")["kernel_error"] < 0.05
