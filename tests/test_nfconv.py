"""The public API: an array, path or signal becomes a field that filters, knows its quality and is kept in a file."""

import numpy as np
import pytest
import torch
from builders import smooth_signal

import nfconv
from files import ArchiveError
from modalities import find
from models.filtering import sparse_kernel
from signals.exact import kernel_convolution
from signals.measures import psnr

QUICK = {"factor": "spline", "device": "cpu"}
IMAGE = smooth_signal((40, 31), 3).values.astype(np.float32)


@pytest.fixture(scope="module")
def field():
    return nfconv.fit(IMAGE, half_size=0.1, margin=0.3, **QUICK)


def test_a_field_of_an_array_filters_as_the_exact_convolution(field, tmp_path):
    signal = nfconv.read(IMAGE)
    for kernel in (nfconv.tent(half_size=0.25), nfconv.gaussian(sigma=0.1), nfconv.minimal_kernel(1, (0.3, 0.2), 2)):
        wanted = kernel_convolution(signal, sparse_kernel(field, kernel))
        found = field.filter(kernel)
        assert psnr(found, wanted) > 50
        again = nfconv.load(field.save(tmp_path / "model.pth"))
        np.testing.assert_array_equal(again.filter(kernel), found)


def test_a_field_knows_what_it_was_made_of(field):
    config, origin = field.config, field.origin
    assert (config.order, config.axes, config.dim, config.channels) == (1, (0, 1), 2, 3)
    assert (origin.half_size, origin.boundary, origin.shape, origin.modality) == (
        (0.1, 0.1),
        "clamp",
        (40, 31),
        "image",
    )
    assert origin.margin >= 0.3 - 0.05
    assert not field.training and field.dtype == torch.float32


def test_quality_is_the_psnr_against_ground_truth(field):
    truth = nfconv.make_ground_truth(nfconv.read(IMAGE), 1, 0.1, 0.3)
    assert field.psnr == pytest.approx(psnr(field.filter(truth.kernel), truth.core), abs=0.1)
    assert 40 < field.psnr < 300 and set(field.origin.psnr) == {1.0, 2.0, 4.0}


def test_paths_arrays_and_signals_are_the_same_signal(tmp_path, field):
    find("image").save(IMAGE, tmp_path, nfconv.read(IMAGE).metadata)
    options = {"half_size": 0.1, "margin": 0.3} | QUICK
    kernel = nfconv.tent(half_size=0.2)
    np.testing.assert_array_equal(nfconv.fit(nfconv.read(IMAGE), **options).filter(kernel), field.filter(kernel))
    from_path = nfconv.fit(tmp_path / "output.png", **options)
    assert from_path.origin.source == "output.png"
    assert np.abs(from_path.filter(kernel) - field.filter(kernel)).max() < 1 / 255


def test_grey_arrays_order_axes_and_half_sizes_of_ones_own():
    grey = IMAGE[..., 0]
    field = nfconv.fit(grey, half_size=(0.1, 0.2), order=0, boundary="reflect", **QUICK)
    assert (field.config.channels, field.config.order) == (1, 0)
    assert (field.origin.half_size, field.origin.boundary) == ((0.1, 0.2), "reflect")
    wanted = kernel_convolution(nfconv.read(grey), nfconv.minimal_kernel(0, (0.2, 0.3), 2), "reflect")
    assert psnr(field.filter(nfconv.minimal_kernel(0, (0.2, 0.3), 2)), wanted) > 40
    along = nfconv.read(grey, axes="x")
    assert along.axes == (1,)
    field = nfconv.fit(along, half_size=0.1, **QUICK)
    assert field.filter(nfconv.minimal_kernel(1, 0.2)).shape == (40, 31, 1)


def test_series_are_fitted_along_time():
    values = np.sin(np.linspace(0, 9, 300))
    field = nfconv.fit(values, half_size=0.05, modality="series", **QUICK)
    signal = nfconv.read(values, "series")
    kernel = nfconv.gaussian(sigma=0.05)
    assert psnr(field.filter(kernel), kernel_convolution(signal, sparse_kernel(field, kernel))) > 50


def test_files_that_are_no_model_or_kernel_are_named(tmp_path):
    (tmp_path / "text.pth").write_text("no model")
    for read in (nfconv.load, nfconv.load_kernel, nfconv.load_ground_truth):
        with pytest.raises(ArchiveError, match=r"text\.pth"):
            read(tmp_path / "text.pth")
        with pytest.raises(FileNotFoundError, match="none"):
            read(tmp_path / "none.npz")


def test_kernels_and_ground_truths_come_back(tmp_path):
    kernel = nfconv.minimal_kernel(1, 0.3, 2)
    kernel.save(tmp_path / "kernel.npz")
    for name in ("kernel", "kernel.npz"):
        np.testing.assert_array_equal(nfconv.load_kernel(tmp_path / name).weights, kernel.weights)
    truth = nfconv.make_ground_truth(nfconv.read(IMAGE))
    truth.save(tmp_path / "truth.npz")
    assert nfconv.load_ground_truth(tmp_path / "truth.npz", 1).digest == truth.digest
    with pytest.raises(ValueError, match="made with order 1, not 2"):
        nfconv.load_ground_truth(tmp_path / "truth.npz", 2)


@pytest.mark.parametrize(
    "asked, words",
    [
        ({"half_size": 3.0}, "half size"),
        ({"margin": -1.0}, "margin"),
        ({"modality": "smell"}, "no modality 'smell'"),
        ({"boundary": "wrap"}, "boundary"),
        ({"knots": -1.0}, "knots"),
    ],
)
def test_values_out_of_range_are_refused(asked, words):
    with pytest.raises(ValueError, match=words):
        nfconv.fit(IMAGE, **QUICK | asked)


@pytest.mark.parametrize("dtype", [complex, "M8[s]", [("a", "f4")], "U3", object])
def test_arrays_without_real_numbers_are_refused(dtype):
    with pytest.raises(ValueError, match="is no signal: give real numbers"):
        nfconv.read(np.zeros((4, 5), dtype))


@pytest.mark.parametrize("kind, modality", [("i8", "image"), ("i4", "video"), ("u4", "video"), ("i2", "image")])
def test_wide_integers_that_end_at_255_do_not_say_what_is_white(kind, modality):
    pixels = np.arange(256, dtype=kind).reshape(4, 8, 8)
    with pytest.raises(ValueError, match="does not say what is white, and ends at 255"):
        nfconv.read(pixels, modality)
    largest = np.iinfo(kind).max
    assert nfconv.read(np.array([[[largest]], [[0]]], kind), modality).values.max() == 1


@pytest.mark.parametrize("offset, said", [(0, False), (100, False), (1e6, True), (1e9, True)])
def test_values_that_hardly_vary_for_their_size_get_a_warning(offset, said, capsys):
    ramp = np.linspace(0, 1, 20).reshape(4, 5)
    nfconv.read(ramp + offset)
    assert ("differ by only 1, and fields work in 32-bit floats" in capsys.readouterr().err) == said
    nfconv.read(np.full((4, 5), float(offset)))
    assert not capsys.readouterr().err


@pytest.mark.parametrize("scale", [1e19, 1e-44, 1e-300])
def test_values_whose_squares_no_32_bit_float_holds_are_refused(scale):
    with pytest.raises(ValueError, match="too far from 1 for 32-bit floats: scale them"):
        nfconv.read(np.linspace(0.5, 1, 20).reshape(4, 5) * scale)


def test_tensors_are_signals_whatever_they_carry():
    pixels = torch.rand(4, 5, dtype=torch.float64)
    wanted = nfconv.read(pixels.numpy()).values
    assert np.array_equal(nfconv.read(pixels.requires_grad_()).values, wanted)
    np.testing.assert_allclose(nfconv.read(pixels.bfloat16()).values, wanted, atol=2**-8)


def test_fields_are_fitted_and_asked_in_inference_mode(tmp_path):
    pixels, kernel = np.random.default_rng(0).random((20, 24)), nfconv.tent(half_size=0.3)
    field = nfconv.fit(pixels, 0.2, factor="spline", device="cpu")
    wanted = field.filter(kernel)
    field.save(tmp_path / "model.pth")
    with torch.inference_mode():
        loaded = nfconv.load(tmp_path / "model.pth")
        fitted = nfconv.fit(pixels, 0.2, factor="spline", device="cpu")
        assert all(np.array_equal(one.filter(kernel), wanted) for one in (field, loaded, fitted))
        points = torch.rand(7, 2)
        found = field.filter(kernel, at=points, scale=1 + torch.rand(7) / 2)
    points = points.clone().requires_grad_()
    loaded.filter(kernel, at=points).sum().backward()
    assert len(found) == 7 and points.grad.isfinite().all()


def test_a_margin_that_lattices_do_not_fill_is_a_warning():
    pixels = np.random.default_rng(0).random((64, 64))
    with pytest.warns(UserWarning, match="training ends 0.0.* inside of the border, .* --margin of 0.083 or more"):
        poor = nfconv.fit(pixels, 0.083, margin=0, factor="spline", device="cpu")
    good = nfconv.fit(pixels, 0.083, margin=0.083, factor="spline", device="cpu")
    assert good.psnr > poor.psnr + 20
