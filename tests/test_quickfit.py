"""One command from a file to a filtered file, and what may stand for a model, a kernel and a result."""

import json
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import soundfile
from builders import noise_signal, smooth_signal
from programs import call, refused
from scipy.ndimage import gaussian_filter, gaussian_filter1d, zoom

import eval as eval_program
import nfconv
from evaluation.quickfit import training_size
from files import ArchiveError
from kernels.library import Kernel


@pytest.fixture
def photo(tmp_path) -> Path:
    """A smooth picture of 60 x 90 pixels."""
    pixels = zoom(noise_signal((8, 11), 3).values, (60 / 8, 90 / 11, 1), order=3)
    iio.imwrite(tmp_path / "photo.png", (255 * np.clip(pixels, 0, 1)).astype(np.uint8))
    return tmp_path / "photo.png"


def run(**flags) -> str:
    result = call(eval_program, **flags)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def test_a_picture_is_filtered_in_one_command(photo):
    printed = run(signal=photo, kernel="gaussian", sigma="5px", save_path=photo.with_name("out.npy"))
    assert "fitting a spline field to photo.png first" in printed and "against the exact kernel, psnr: " in printed
    values = np.load(photo.with_name("out.npy"))
    # Five pixels along both axes, which are of different lengths in domain units; hat functions blur by 1 / 6 more.
    wanted = gaussian_filter(iio.imread(photo) / 255.0, [(25 + 1 / 6) ** 0.5] * 2 + [0], mode="nearest", truncate=3)
    assert np.abs(values - wanted).max() < 2e-3
    assert sorted(path.name for path in photo.parent.iterdir()) == ["out.npy", "photo.png"]
    run(signal=photo, kernel="gaussian", sigma="5px", save_path=photo.with_name("out.png"))
    np.testing.assert_allclose(iio.imread(photo.with_name("out.png")) / 255.0, values, atol=0.51 / 255)


def test_borders_of_a_fit_are_as_good_as_its_interior(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8)
    iio.imwrite(tmp_path / "noise.png", pixels)
    for flags in ({}, {"axes": "rows"}):
        folder = tmp_path / f"out{len(flags)}"
        run(signal=tmp_path / "noise.png", kernel="gaussian", sigma="3px", save_path=folder, **flags)
        report = json.loads((folder / "metrics.json").read_text())["field"]
        assert report["psnr"] > 70


def test_sound_is_filtered_by_its_cutoff_and_by_axes_of_any_name(tmp_path):
    samples = np.sin(2 * np.pi * 200 * np.arange(4000) / 8000)
    soundfile.write(tmp_path / "tone.wav", samples, 8000, subtype="FLOAT")
    flags = {"signal": tmp_path / "tone.wav", "kernel": "gaussian", "sigma": "200Hz", "axes": "Time"}
    run(**flags, save_path=tmp_path / "out.wav")
    filtered, rate = soundfile.read(tmp_path / "out.wav")
    assert rate == 8000 and len(filtered) == 4000
    # A tone at the cutoff keeps half its power, but for the linear interpolation of the samples.
    assert np.std(filtered[500:-500]) / np.std(samples) == pytest.approx(0.5**0.5, rel=0.01)


def test_sizes_per_axis_and_one_axis_alone(photo):
    run(signal=photo, kernel="gaussian", sigma="4px,8px", save_path=photo.with_name("both.npy"))
    values = iio.imread(photo) / 255.0
    wanted = gaussian_filter(values, [4, 8, 0], mode="nearest", truncate=3)
    assert np.abs(np.load(photo.with_name("both.npy")) - wanted).max() < 4e-3
    run(signal=photo, kernel="gaussian", sigma="4px", axes="Columns", save_path=photo.with_name("one.npy"))
    wanted = gaussian_filter1d(values, 4, axis=1, mode="nearest", truncate=3)
    assert np.abs(np.load(photo.with_name("one.npy")) - wanted).max() < 4e-3


def test_filters_of_a_fit_go_to_folders(photo):
    run(signal=photo, filters="tent:6px,gaussian:0.4", save_path=photo.with_name("out"))
    names = sorted(path.name for path in photo.with_name("out").iterdir())
    assert names == ["gaussian_0.4", "tent_6px"]
    report = json.loads((photo.with_name("out") / "tent_6px" / "metrics.json").read_text())
    assert report["radius"] == pytest.approx([12 / 59, 12 / 89]) and report["whole"]["psnr"] > 60


def test_fits_are_as_fine_as_the_thinnest_and_as_wide_as_the_widest_kernel():
    signal = replace(smooth_signal((101, 201)), modality="image")
    kernels = [nfconv.tent(half_size=0.2), nfconv.gaussian(sigma=0.3)]
    sizes, radii = training_size(signal, kernels, (0.5, 2.0))
    assert sizes == pytest.approx([0.05, 0.05], rel=0.02) and radii == pytest.approx([1.8, 1.8])
    # Not less than two samples.
    sizes, _ = training_size(signal, [Kernel("tent", {"half_size": 0.01}, stretch=(1.0, 2.0))])
    assert sizes == pytest.approx([0.04, 0.02])


@pytest.mark.parametrize(
    "flags, words",
    [
        ({"save_path": "out.gif"}, "image is not written as .gif: name a file with .png, .npy, "),
        ({"save_path": "out.wav"}, "image is not written as .wav"),
        ({"save_path": "photo.png"}, "photo.png exists and is never overwritten"),
        (
            {"save_path": "out.png", "kernel": None, "sigma": None, "filters": "tent:0.1"},
            "--filters writes several results",
        ),
        ({"kernel": None, "sigma": None}, "without one, name a kernel"),
        ({"signal": None}, "--model_path or --signal is missing"),
        ({"workers": 2}, "signals that are fitted first, are filtered in one process: leave --workers"),
        ({"sigma": "5ms"}, "--sigma in ms: axis y is measured in px"),
        ({"sigma": "2"}, "the kernel has radius 6 in domain units"),
        ({"window": 9}, "image has no option --window"),
        ({"axes": "time"}, "image has the axes y, x, not"),
        ({"kernel": "disk", "sigma": None, "radius": "5Hz"}, "axis y is measured in px"),
        ({"kernel": "anisotropic", "sigma_across": "0.1"}, "stretch anisotropic differently along the axes"),
        ({"model_path": "model.pth", "axes": "y"}, "keeps how its signal was read: leave --axes out"),
        ({"model_path": "photo.png"}, "photo.png is a signal (image), not a model: give it as --signal"),
        ({"model_path": "."}, "the folder . has no model_final.pth or model.pth"),
        (
            {"kernel": None, "sigma": None, "kernel_path": "photo.png"},
            "photo.png is a signal (image), not a saved kernel",
        ),
    ],
)
def test_mistakes_are_one_sentence(photo, model, monkeypatch, flags, words):
    model.rename(photo.with_name("model.pth" if flags.get("model_path") != "." else "other.pth"))
    monkeypatch.chdir(photo.parent)
    given = {"signal": "photo.png", "kernel": "gaussian", "sigma": "5px", "save_path": "out"} | flags
    refused(eval_program, photo.parent, words, **{name: value for name, value in given.items() if value is not None})


def test_folders_stand_for_the_model_in_them(tmp_path, model):
    wanted = nfconv.load(model).filter(nfconv.tent(half_size=0.2))
    (tmp_path / "run").mkdir()
    model.rename(tmp_path / "run" / "model.pth")
    np.testing.assert_array_equal(nfconv.load(tmp_path / "run").filter(nfconv.tent(half_size=0.2)), wanted)
    (tmp_path / "run" / "model_final.pth").write_bytes(b"preferred")
    with pytest.raises(ArchiveError, match=r"model_final\.pth"):
        nfconv.load(tmp_path / "run")


def test_sizes_in_units_of_a_model_are_those_in_domain_units(tmp_path, model):
    for folder, flags in (("a", {"kernel": "tent", "half_size": "2px"}), ("b", {"kernel_scale": "2px"}),
                          ("c", {"filters": "tent:2px"}), ("d", {"kernel_scale": "2.25,3.25"})):  # fmt: skip
        run(model_path=model, save_path=tmp_path / folder, **flags)
    results = [np.load(next((tmp_path / folder).rglob("output.npy"))) for folder in "abcd"]
    for found in results[:3]:
        np.testing.assert_allclose(found, results[3], atol=1e-5)


def test_a_picture_that_is_too_large_for_one_field_is_fitted_in_tiles(photo, monkeypatch):
    from training import source

    monkeypatch.setattr(source, "LARGEST_WHOLE", 5000)
    monkeypatch.setitem(source.TILE, 2, 48)
    folder = photo.with_name("out")
    run(signal=photo, kernel="gaussian", sigma="4px", save_path=folder)
    assert json.loads((folder / "metrics.json").read_text())["field"]["psnr"] > 70
