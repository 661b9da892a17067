"""Field.filter: on grids and at points, with any scale, in the precision that the kernel requires."""

import math
import warnings

import numpy as np
import pytest
import torch
from builders import field_config, lopsided, random_field
from field_cases import brute_force, close, uneven_kernel

from kernels import SparseKernel, library, minimal_kernel, outer
from models import Field
from models.convolution import KernelError
from models.filtering import Settings, grid_points, in_precision, sparse_kernel
from models.precision import estimate_noise

KINDS = {"separable": field_config("separable", 2, 3), "mlp": field_config("mlp", 2, 3)}


@pytest.fixture(params=KINDS)
def field(request):
    return random_field(KINDS[request.param], half_size=(0.1, 0.2), shape=(5, 4))


def reference(field: Field, kernel: SparseKernel, shape, stretch=None) -> np.ndarray:
    """The sum over Diracs at every point of the grid, with a stretch [N, 2] of each, [*shape, c]."""
    y, x = (np.linspace(-1, 1, n) for n in shape)
    points = torch.tensor([[a, b] for a in y for b in x])
    return brute_force(field, kernel, points, stretch).reshape(*shape, -1).numpy()


def test_a_grid_is_the_sum_over_diracs(field):
    kernel = uneven_kernel(field.config)
    found = field.filter(kernel, (6, 7), precision="64")
    assert isinstance(found, np.ndarray) and found.dtype == np.float32 and found.shape == (6, 7, 3)
    close(found, reference(field, kernel, (6, 7)), 1e-6)
    assert field.filter(kernel).shape == (5, 4, 3)


@pytest.mark.parametrize("kind", [np.float32, np.float64, torch.float32, torch.float64, np.int64])
def test_points_in_an_array_or_tensor_give_an_array_or_tensor(field, kind):
    kernel = uneven_kernel(field.config)
    at = np.array([[-1.0, 1.0], [0.0, 0.0], [1.0, -1.0]])
    points = torch.tensor(at, dtype=kind) if isinstance(kind, torch.dtype) else at.astype(kind)
    found = field.filter(kernel, at=points, precision="64")
    assert isinstance(found, torch.Tensor if isinstance(kind, torch.dtype) else np.ndarray)
    assert found.dtype == (np.float64 if kind is np.int64 else kind)
    close(found, brute_force(field, kernel, torch.tensor(at)), 1e-6)


@pytest.mark.parametrize("asked", [{}, {"scale": 0.5}, {"kernel": library.gaussian(), "covariance": 0.01 * np.eye(2)}])
def test_no_points_have_no_values(field, asked):
    found = field.filter(**({"kernel": minimal_kernel(1, 0.2, 2), "at": np.zeros((0, 2), np.float32)} | asked))
    assert found.shape == (0, 3) and found.dtype == np.float32


@pytest.mark.parametrize("scale, stretch", [(0.5, (0.5, 0.5)), ((0.5, 0.9), (0.5, 0.9)), (np.array([0.9]), (0.9, 0.9))])
def test_one_scale_or_one_per_axis(field, scale, stretch):
    kernel = uneven_kernel(field.config)
    everywhere = np.broadcast_to(stretch, (3, 2))
    at = np.array([[-0.3, 0.9], [0.5, 0.1], [0.2, -0.7]])
    wanted = brute_force(field, kernel, torch.tensor(at), everywhere)
    close(field.filter(kernel, at=at, scale=scale, precision="64"), wanted, 1e-7)
    on_grid = reference(field, kernel, (3, 4), np.broadcast_to(stretch, (12, 2)))
    close(field.filter(kernel, (3, 4), scale=scale, precision="64"), on_grid, 1e-6)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_scale_for_every_output(field, channels):
    kernel = uneven_kernel(field.config)
    scale = np.random.default_rng(0).uniform(0.5, 1.0, (3, 4, channels))
    stretch = np.broadcast_to(scale.reshape(12, channels), (12, 2))
    wanted = reference(field, kernel, (3, 4), stretch)
    close(field.filter(kernel, (3, 4), scale=scale, precision="64"), wanted, 1e-6)
    at = grid_points((3, 4))
    found = field.filter(kernel, at=at, scale=torch.tensor(scale).reshape(12, channels), precision="64")
    close(found.reshape(3, 4, 3), wanted, 1e-7)


def test_one_line_is_multiplied_over_the_axes_and_product_kernels_are_embedded():
    field = random_field(field_config("mlp", 3, 1, axes=(0, 2)))
    line, other = lopsided(5, 0.3, 0)[0], lopsided(4, 0.2, 1)[0]
    for kernel, factors in ((line, (line, line)), (outer(line, other), (line, other))):
        found = sparse_kernel(field, kernel)
        wanted = outer(*factors).embedded((0, 2), 3)
        assert found.axes == (0, 2) and found.dim == 3
        np.testing.assert_array_equal(found.positions, wanted.positions)
        np.testing.assert_array_equal(found.weights, wanted.weights)
    alone = random_field(field_config("mlp", 1, 1))
    assert sparse_kernel(alone, line) is line


def test_kernels_of_the_library_get_the_order_and_axes_of_the_field():
    field = random_field(field_config("mlp", 3, 1, axes=(0, 2), order=2))
    kernel = sparse_kernel(field, library.bspline(half_size=0.3, degree=2))
    assert (kernel.order, kernel.dim, kernel.axes) == (2, 3, (0, 2))
    assert kernel.radius == pytest.approx([0.3, 0, 0.3]) and kernel.mass == pytest.approx(1)


@pytest.mark.parametrize(
    "asked, words",
    [
        ({"kernel": minimal_kernel(0, 0.2)}, "order 0.*order 1"),
        ({"kernel": minimal_kernel(1, 0.2, 3)}, "axes"),
        ({"kernel": minimal_kernel(1, 0.41, 2)}, "radius 0.41"),
        ({"scale": 2.05}, "radius 0.41"),
        ({"scale": [[[1.0]] * 4] * 4 + [[[2.05]] * 4]}, "radius 0.41"),
        ({"shape": (3,)}, r"shape \(3,\) must have 2 positive numbers"),
        ({"shape": (3, 0)}, r"shape \(3, 0\) must have 2 positive numbers"),
        ({"scale": np.ones((4, 5, 1))}, r"scale \(4, 5, 1\) must be a map of the output's shape \(5, 4\)"),
        ({"scale": np.ones((5, 4, 3))}, r"scale \(5, 4, 3\) must be a map of the output's shape \(5, 4\)"),
        ({"scale": np.ones(3)}, r"scale \(3,\) must be a map of the output's shape \(5, 4\)"),
        ({"at": np.zeros((3, 3))}, r"points must be \[N, 2\], not \[3, 3\]"),
        ({"at": np.zeros(2)}, r"points must be \[N, 2\], not \[2\]"),
        ({"at": np.zeros((3, 2)), "scale": np.ones(4)}, r"must be a number, \[2\], \[3\] or \[3, 2\], not \[4\]"),
        ({"at": np.zeros((3, 2)), "scale": 0.0}, "positive and finite, not from 0 to 0"),
        ({"at": np.zeros((3, 2)), "scale": (1.0, np.inf)}, "positive and finite"),
        ({"at": np.zeros((3, 2)), "shape": (5, 4)}, "shape and out are for grids"),
        ({"precision": 16}, "precision must be auto, 32 or 64, not 16"),
        ({"accuracy": math.nan}, "accuracy must be a number, not nan"),
        ({"tolerance": -1}, "tolerance must be a number of 0 or more, not -1"),
        ({"block": "8"}, "block must be a number of 1 or more, not '8'"),
    ],
)
def test_requests_that_cannot_be_answered_are_refused(asked, words):
    field = random_field(KINDS["mlp"], half_size=(0.1, 0.1), shape=(5, 4))
    kind = KernelError if "radius" in words or "kernel" in asked else ValueError
    with pytest.raises(kind, match=words):
        field.filter(**({"kernel": minimal_kernel(1, 0.2, 2)} | asked))


@pytest.mark.parametrize("kernel", ["gaussian", library.gaussian, None, np.ones((3, 3))])
def test_what_is_no_kernel_or_no_option_is_refused(field, kernel):
    with pytest.raises(TypeError, match="the kernel must be one like"):
        field.filter(kernel)
    with pytest.raises(TypeError, match="filter has no option size"):
        field.filter(minimal_kernel(1, 0.2, 2), size=3)


@pytest.mark.parametrize("kind", ["mlp", "separable"])
def test_a_map_of_sizes_along_one_axis_has_one_number_per_output(kind):
    field, kernel = (
        random_field(field_config(kind, 1), half_size=(0.1,), margin=0.4, shape=(40,)),
        minimal_kernel(1, 0.2),
    )
    sizes = np.linspace(0.5, 1.5, 40)
    wanted = field.filter(kernel, at=np.linspace(-1, 1, 40)[:, None], scale=sizes)
    np.testing.assert_allclose(field.filter(kernel, scale=sizes), wanted, atol=1e-4 * np.abs(wanted).max())


def test_released_fields_answer_beyond_their_margin_with_a_warning():
    field, notes = random_field(KINDS["mlp"], half_size=(0.1, 0.1), margin=0.0, shape=(5, 4), released=True), []
    kernel = minimal_kernel(1, 0.2, 2)
    close(field.filter(kernel, precision="64", notify=notes.append), reference(field, kernel, (5, 4)), 1e-6)
    assert len(notes) == 1 and notes[0].startswith("warning: the authors trained no margin")


@pytest.mark.parametrize("size, warned", [((0.1, 0.2), 0), ((0.2, 0.2), 0), ((0.0999, 0.2), 1), ((0.1, 0.1999), 1),
                                          ((0.05, 0.05), 1)])  # fmt: skip
def test_kernels_finer_than_the_training_kernel_get_one_warning(size, warned):
    field, notes = random_field(KINDS["separable"], half_size=(0.1, 0.2), shape=(5, 4)), []
    field.filter(minimal_kernel(1, size, 2), notify=notes.append)
    assert len(notes) == warned
    wide = minimal_kernel(1, np.multiply(2, size), 2)
    field.filter(wide, scale=np.full((5, 4, 1), 0.5), notify=notes.append)
    assert len(notes) == 2 * warned
    assert all(note.startswith("warning: the kernel's radius") for note in notes)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        field.filter(minimal_kernel(1, size, 2))
    assert len(said) == warned and all(str(one.message).startswith("the kernel's radius") for one in said)


@pytest.mark.parametrize("dtype, found", [(">f8", "f8"), (">f4", "f4"), ("f2", "f4"), ("i4", "f8")])
def test_points_of_any_type_of_numbers(field, dtype, found):
    points = np.array([[0.0, 0.0], [1.0, -1.0], [0.0, 1.0]])
    values = field.filter(minimal_kernel(1, 0.2, 2), at=points.astype(dtype))
    assert values.dtype == found
    np.testing.assert_allclose(values, field.filter(minimal_kernel(1, 0.2, 2), at=points), rtol=1e-4, atol=1e-6)


def test_points_that_no_field_answers_are_refused(field):
    with pytest.raises(ValueError, match="not finite"):
        field.filter(minimal_kernel(1, 0.2, 2), at=np.array([[0.0, np.nan]]))
    reach = field.origin.margin + field.origin.half_size[1] - 0.2
    field.filter(minimal_kernel(1, 0.2, 2), at=np.array([[0.0, 1 + reach - 1e-3]]))
    with pytest.raises(KernelError, match=r"points lie up to .* outside \[-1, 1\]"):
        field.filter(minimal_kernel(1, 0.2, 2), at=np.array([[0.0, 1 + reach + 1e-3]]))


@pytest.mark.parametrize("size", [0.1, 0.4])
def test_points_reach_from_the_training_kernel_to_the_end_of_the_margin(size):
    field, at = random_field(KINDS["separable"], half_size=(0.1, 0.1), margin=0.3), np.zeros((1, 2))
    field.filter(minimal_kernel(1, size, 2), at=at, notify=pytest.fail)
    if size == 0.4:
        with pytest.raises(KernelError, match=r"radius 0\.401"):
            field.filter(minimal_kernel(1, 0.401, 2), at=at)


def reached(field: Field, kernel: SparseKernel) -> float:
    """Decibels that rounding in float32 allows for a signal with a peak of 1, by the definition of PSNR."""
    return 10 * math.log10(1 / estimate_noise(field, kernel) ** 2)


def test_float64_is_chosen_where_float32_misses_the_accuracy():
    field, kernel, notes = random_field(KINDS["mlp"]).float(), minimal_kernel(1, 0.2, 2), []
    exactly = -20 * math.log10(estimate_noise(field, kernel))
    assert exactly == pytest.approx(reached(field, kernel)) and 20 < exactly < 140
    for accuracy in (exactly, reached(field, kernel) - 0.01, -1e3):
        assert in_precision(field, kernel, Settings(accuracy=accuracy, notify=notes.append)) is field
    assert notes == []
    found = in_precision(field, kernel, Settings(accuracy=reached(field, kernel) + 0.01, notify=notes.append))
    assert found.dtype == torch.float64 and field.dtype == torch.float32
    assert notes == [f"float32 would limit this kernel to {exactly:.0f} dB by rounding: using float64"]


def test_a_smaller_kernel_has_more_noise_and_decides_for_a_map_of_scales():
    field, kernel, notes = random_field(KINDS["mlp"], shape=(5, 4)).float(), minimal_kernel(1, 0.2, 2), []
    between = (reached(field, kernel) + reached(field, kernel.scaled(0.5))) / 2
    field.filter(kernel, accuracy=between, notify=notes.append)
    field.filter(kernel, accuracy=between, scale=1.0, notify=notes.append)
    assert notes == []
    scale = np.ones((5, 4, 1))
    scale[2, 1] = 0.5
    field.filter(kernel, accuracy=between, scale=scale, notify=notes.append)
    assert any("float64" in note for note in notes)


def test_noise_that_is_nothing_allows_600_decibels():
    field, kernel, notes = random_field(KINDS["mlp"]).float(), minimal_kernel(1, 0.2, 2), []
    field.head.weight.zero_()
    assert in_precision(field, kernel, Settings(accuracy=600.0, notify=notes.append)) is field
    assert in_precision(field, kernel, Settings(accuracy=600.1, notify=notes.append)).dtype == torch.float64
    assert "600 dB" in notes[0]


@pytest.mark.parametrize("kind, precision, dtype", [("mlp", "32", torch.float32), ("mlp", "64", torch.float64),
                                                    ("separable", "32", torch.float64),
                                                    ("separable", "auto", torch.float64)])  # fmt: skip
def test_the_precision_asked_for_is_used(kind, precision, dtype):
    field = random_field(KINDS[kind]).float()
    found = in_precision(field, minimal_kernel(1, 0.2, 2), Settings(precision, 1e9, notify=pytest.fail))
    assert found.dtype == dtype
    assert in_precision(found, minimal_kernel(1, 0.2, 2), Settings(precision, 1e9, notify=pytest.fail)) is found
