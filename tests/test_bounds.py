"""Numbers beyond all use, from a command line or a file: one sentence, no overflow and no warning."""

import itertools
import warnings

import numpy as np
import pytest
from builders import field_config
from click.testing import CliRunner

from kernel_optimization import main
from kernels import SparseKernel, library, minimal_kernel, outer
from kernels.fit import fit_kernel
from kernels.recipes import PARAMETERS, RANGES, RECIPES
from kernels.sparse import checked_axes, checked_order
from models.checkpoint import Origin
from models.field import FieldConfig
from models.networks import SineNetwork

SIZES = {"length": (1e-6, 1e-3, 0.1, 1e6), "frequency": (1e-6, 10.0, 1e6), "ratio": (1e-6, 1.0000001, 1e3)}
SHAPES = {"angle": (0.0, 1e6), "lobes": (2, 8), "degree": (0, 8), "axis": (0,)}


@pytest.fixture(autouse=True)
def no_warnings():
    """Whatever NumPy would warn of on a terminal is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "image"])
def test_the_ends_of_every_range_make_a_kernel_or_one_sentence(name):
    recipe = RECIPES[name]
    dim, names = recipe.axes[0], list(recipe.parameters)
    made = 0
    for values in itertools.product(*[SHAPES.get(n) or SIZES[PARAMETERS[n].kind] for n in names]):
        given = dict(zip(names, values, strict=True))
        try:
            kernel = library.build(name, 1, dim, count=7, **given)
            assert np.isfinite(kernel.mass) and library.is_signed(kernel) in (False, True)
            assert library.target(name, dim, **given).dim == dim
            made += 1
        except ValueError as error:
            assert "\n" not in str(error)
    assert made


@pytest.mark.parametrize("value", [1e300, 1e200, 1e-200, 5e-324, float("inf"), float("nan"), -1.0, 10**400])
@pytest.mark.parametrize("name", [name for name, parameter in PARAMETERS.items() if parameter.kind in RANGES])
def test_parameters_out_of_range_are_named(name, value):
    lawful = abs(value) <= 1e6 and PARAMETERS[name].kind == "number"
    if lawful:
        assert PARAMETERS[name].checked(name, value) == value
    else:
        with pytest.raises(ValueError, match=f"^{name} must be"):
            PARAMETERS[name].checked(name, value)


@pytest.mark.parametrize(
    "words",
    [
        "--kernel disk --radius 1e300",
        "--kernel gabor --dim 2 --sigma 1e200 --frequency 1e200",
        "--kernel ring --radius 1 --thickness 1e-6",
        "--kernel motion --length 1e300 --thickness 1",
        "--kernel anisotropic --sigma 1e5 --sigma_across 1e-5",
        "--kernel tent --half_size 1e-320",
        "--kernel dog --sigma 0.1 --ratio 0",
        "--kernel dog --sigma 0.1 --dim 3 --order 0 --count 2",
        "--kernel second_derivative --sigma 0.1 --dim 3 --count 3",
        "--kernel gaussian --sigma 0.1 --count 900000000",
        "--kernel gaussian --sigma 0.1 --dim 3 --count 900",
    ],
)
def test_requests_beyond_all_use_end_in_one_line(tmp_path, words):
    result = CliRunner().invoke(main, [*words.split(), "--save_path", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.output.startswith("Error: ") and result.output.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [1e-300, 1e300, 5e-324, 10**400])
def test_sizes_and_scales_whose_powers_are_no_numbers_are_refused(size):
    with pytest.raises(ValueError, match="half size"):
        minimal_kernel(8, size) if size != 10**400 else minimal_kernel(8, float("inf"))
    with pytest.raises(ValueError, match="scale"):
        minimal_kernel(8, 0.1).scaled(float(size) if size != 10**400 else float("inf"))


def test_kernels_too_strong_to_be_added_up_are_refused():
    strong = minimal_kernel(0, 0.1).times(1e200)
    for make in (lambda: outer(strong, strong), lambda: strong.times(1e100).scaled(1e-9), lambda: strong.times(1e108)):
        with pytest.raises(ValueError, match=r"finite|too large"):
            make()
    with pytest.raises(ValueError, match="too large"):
        SparseKernel(np.array([[-1e200], [1e200]]), np.array([1e200, -1e200]), 0, (0,))


@pytest.mark.parametrize("axes", [(), (0, 0), (1, 0), (2,), (-1,), (0.0,), (None,), "0", np.array([0.5])])
def test_axes_that_fit_nothing_are_refused_everywhere_in_the_same_words(axes):
    with pytest.raises(ValueError, match=r"filtered axes .* do not fit 2 coordinates"):
        checked_axes(axes, 2)
    with pytest.raises(ValueError, match=r"filtered axes .* do not fit 2 coordinates"):
        FieldConfig(**field_config("siren", 2).to_dict() | {"axes": axes})


def test_axes_and_orders_come_back_as_whole_numbers():
    assert checked_axes(np.array([0, 2]), 3) == (0, 2)
    assert [type(axis) for axis in checked_axes(np.array([0, 2]), 3)] == [int, int]
    assert checked_order(np.float64(2.0)) == 2 and type(checked_order(np.int64(2))) is int


@pytest.mark.parametrize("order", [-1, 9, 1.5, float("nan"), float("inf"), 10**400])
def test_orders_that_nothing_has_are_refused_everywhere_in_the_same_words(order):
    for refuse in (
        checked_order,
        lambda p: minimal_kernel(p, 0.1),
        lambda p: fit_kernel(library.target("tent", 1, half_size=1.0), p, 9),
        lambda p: SparseKernel(np.zeros((2, 1)), np.zeros(2), p, (0,)),
    ):
        with pytest.raises(ValueError, match="order must be a whole number from 0 to 8"):
            refuse(order)


@pytest.mark.parametrize(
    "change", [{"half_size": 10**400}, {"half_size": 1e-300}, {"margin": 10**400}, {"margin": -(10**400)}]
)
def test_origins_with_numbers_beyond_floats_are_refused(change):
    facts = {"half_size": 0.1, "margin": 0.3, "boundary": "clamp", "shape": (9, 9), "modality": "image", "source": ""}
    Origin(**facts, digest="")
    with pytest.raises(ValueError, match="out of range"):
        Origin(**facts | change, digest="")


@pytest.mark.parametrize("omega_0", [0.0, 1e-320, 1e-4, 10**400])
def test_sine_layers_keep_to_frequencies_that_can_be_begun_with(omega_0):
    with pytest.raises(ValueError, match="omega_0"):
        FieldConfig(**field_config("siren", 2).to_dict() | {"omega_0": omega_0})
    least = FieldConfig(**field_config("siren", 2).to_dict() | {"omega_0": 1e-3})
    network = SineNetwork(2, 8, 2, least.omega_0)
    assert all(np.isfinite(value.detach().numpy()).all() for value in network.parameters())
