"""The authors' released files against a few independent lines that evaluate them as the authors do."""

import pickletools
import random
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from archives import npy_bytes, rewritten, sentence, written
from authors import JAX_FILES, Network, Runs, kernel, torch_bytes
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import released
from convert import main as convert
from files import ArchiveError, checksum
from kernels import SparseKernel, minimal_kernel, outer
from models.checkpoint import load_checkpoint
from models.convolution import convolve_points
from released import read_field, read_ground_truth, read_kernel
from signals import GroundTruth

# Modality, coordinates, channels, order, filtered axes, activation, normalised encoding.
CASES = {
    "image": (2, 3, 1, (0, 1), "swish", False),
    "image normalised": (2, 3, 1, (0, 1), "swish", True),
    "image sine": (2, 3, 1, (0, 1), "sine", False),
    "geometry": (3, 1, 0, (0, 1, 2), "swish", True),
    "video": (3, 3, 1, (2,), "swish", False),
}
TRUTH = {"res": np.ones((5, 7, 3)), "size": 0.05, "samples": 100}
read_stored = partial(read_kernel, corrected=False)
read_tent = partial(read_ground_truth, order=1)


@pytest.fixture
def file(tmp_path):
    """Writes bytes to a file and gives its path."""
    return partial(written, tmp_path / "file")


def minimal_diracs(order: int, half_size: float) -> tuple[np.ndarray, np.ndarray]:
    """The authors' training kernel along one axis."""
    if order == 0:
        return np.array([-half_size, half_size]), np.array([0.5, -0.5]) / half_size
    return np.array([-half_size, 0.0, half_size]), np.array([1.0, -2.0, 1.0]) / half_size**2


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("case", CASES)
def test_released_fields_filter_as_the_authors_sum(case, legacy, file):
    dim, channels, order, axes, activation, normalised = CASES[case]
    network = Network(dim, channels, activation, normalised)
    field = read_field(file(torch_bytes(network.checkpoint(), legacy)))
    assert (field.origin.modality, field.config.axes, field.config.order) == (case.split()[0], axes, order)
    assert field.origin.released and field.origin.margin == 0 and field.origin.half_size == (0.05,) * len(axes)
    points = np.random.default_rng(0).random((20, dim)) - 0.5
    # Their sum over x + t is a correlation with the Diracs of g; for a box it yields the field they meant to learn
    # up to the sign that n derivatives per axis leave, which their training absorbs.
    truth = network.filtered(points, *minimal_diracs(order, 0.4), axes)
    found = convolve_points(field.double(), minimal_kernel(order, 0.4, dim, axes), torch.as_tensor(points))
    np.testing.assert_allclose(found.numpy(), truth, atol=1e-4 * np.abs(truth).max())


@pytest.mark.parametrize("converted", [False, True])
@pytest.mark.parametrize("half_size", [0.05, 0.1])
def test_stored_weights_on_released_fields_give_the_authors_sum(half_size, converted, tmp_path):
    """With every constant of the field: their weights do not cancel them."""
    network, stored = Network(2, 3), kernel()
    model = written(tmp_path / "model.pth", torch_bytes(network.checkpoint()))
    gaussian = written(tmp_path / "gaussian", torch_bytes(stored))
    field, (sparse, defect) = read_field(model), read_stored(gaussian)
    if converted:
        run(model, "checkpoint", tmp_path / "own.pth")
        run(gaussian, "kernel", tmp_path / "own.npz", "--weights", "stored")
        field, sparse = load_checkpoint(tmp_path / "own.pth")[0], SparseKernel.load(tmp_path / "own.npz")
    assert 1e-4 < defect < 1e-2 and field.origin.released
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 64)] * 2, indexing="ij"), axis=-1)
    weights = stored["ckpt"] / half_size**2
    truth = network.filtered(grid.reshape(-1, 2), half_size * stored["ctrl_pts"], weights, (0, 1)).reshape(64, 64, 3)
    sparse = sparse.scaled(half_size)
    found = field.filter(sparse, shape=(64, 64), precision="64")
    np.testing.assert_allclose(found, truth, atol=1e-6)
    scattered = field.filter(sparse, at=grid[::9, ::9].reshape(-1, 2), precision="64")
    np.testing.assert_allclose(scattered, truth[::9, ::9].reshape(-1, 3), atol=1e-6)
    # Of a picture of full range 1.
    np.testing.assert_allclose(field.filter(sparse, shape=(64, 64)), truth, atol=6e-3)
    # The last bias is a part of it.
    bias = network.layers[-1].bias.detach().numpy() * weights.sum() ** 2
    field.head.bias.zero_()
    without = field.filter(sparse, shape=(64, 64), precision="64")
    np.testing.assert_allclose(found - without, np.broadcast_to(bias, found.shape), atol=1e-6)
    assert np.abs(bias).max() > 1e-4


def run(path: Path, kind: str, target: Path, *more: str) -> str:
    result = CliRunner().invoke(convert, ["--path", str(path), "--kind", kind, "--save_path", str(target), *more])
    assert result.exit_code == 0, result.output
    return result.output


def test_released_kernels_by_their_stored_or_their_nearest_exact_weights(file):
    path, stored = file(torch_bytes(kernel())), kernel()
    exact, defect = read_kernel(path, corrected=True)
    found, same_defect = read_stored(path)
    # Theirs sum over x + t, so that positions change their signs.
    np.testing.assert_array_equal(found.positions[:, 0], -stored["ctrl_pts"])
    np.testing.assert_array_equal(found.weights, stored["ckpt"])
    moments = [abs(stored["ckpt"].sum()), abs(stored["ckpt"] @ stored["ctrl_pts"])]
    assert defect == same_defect == pytest.approx(max(moments) / np.abs(stored["ckpt"]).sum())
    assert exact.moment_defect() < 1e-9 and 0 < np.abs(exact.weights - found.weights).max() < 0.01
    assert outer(found, found).weights.shape == (169,)


def test_kernels_whose_moments_are_far_off_are_refused(file):
    stored = kernel()
    changed = {**stored, "ckpt": np.abs(stored["ckpt"])}
    assert "moments are off by 1 (relative)" in sentence(read_stored, file(torch_bytes(changed)))


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_kernels_of_tensors_and_columns(file, legacy):
    stored = kernel()
    changed = {**stored, "ckpt": torch.as_tensor(stored["ckpt"])[:, None], "n_ctrl_pts": np.int32(13)}
    np.testing.assert_array_equal(read_stored(file(torch_bytes(changed, legacy)))[0].weights, stored["ckpt"])


@pytest.mark.parametrize("name", JAX_FILES)
def test_ground_truths_with_jax_arrays(file, name):
    truth = read_tent(file(JAX_FILES[name]))
    np.testing.assert_array_equal(truth.values, np.arange(6, dtype=np.float32).reshape(2, 3, 1))
    assert (truth.half_size, truth.samples, truth.order, truth.modality) == ((0.05, 0.05), 50, 1, "image")


@pytest.mark.parametrize(
    ("shape", "modality", "axes"),
    [
        ((5, 7), "image", (0, 1)),
        ((5, 7, 4), "image", (0, 1)),
        ((6, 5, 5), "geometry", (0, 1, 2)),
        ((4, 4, 4, 1), "geometry", (0, 1, 2)),
        ((4, 5, 6, 3), "video", (2,)),
    ],
)
@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.uint8])
def test_ground_truths_of_every_modality(shape, modality, axes, dtype, file):
    values = (9 * np.random.default_rng(0).random(shape)).astype(dtype)
    path = file(npy_bytes({"res": values, "size": np.float64(0.1), "samples": np.int64(9), "more": "ignored"}))
    truth = read_tent(path)
    assert (truth.modality, truth.axes, truth.half_size, truth.samples) == (modality, axes, (0.1,) * len(axes), 9)
    assert truth.boundary == "clamp" and truth.margin == 0 and truth.values.dtype == np.float32
    np.testing.assert_array_equal(truth.values, values.astype(np.float32).reshape(truth.values.shape))
    with pytest.raises(ValueError, match="give it by --order"):
        read_ground_truth(path, None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"res": [[1.0]]}, "has res that is not an array of numbers"),
        ({"res": np.zeros((0, 3))}, "neither image, shape nor video"),
        ({"res": np.zeros((1,) * 5)}, "neither image, shape nor video"),
        ({"res": np.array([np.nan])}, "NaN"),
        ({"res": np.array([1j])}, "not an array of numbers"),
        ({"res": np.array(["a"])}, "'U1', not of plain numbers"),
        ({"size": -1.0}, "has size that is not a positive number"),
        ({"size": 0.0}, "not a positive number"),
        ({"size": float("nan")}, "not a positive number"),
        ({"size": 10**400}, "not a positive number"),
        ({"size": "0.05"}, "has size that is not a number"),
        ({"samples": 0}, "has samples that is not a whole number from 1 to 4611686018427387904"),
        ({"samples": 1.5}, "not a whole number"),
    ],
)
def test_ground_truths_that_make_no_sense(file, change, words):
    assert words in sentence(read_tent, file(npy_bytes({**TRUTH, **change})))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_ctrl_pts": 12}, "has n_ctrl_pts 12, but ckpt (13,) and ctrl_pts (13,)"),
        ({"ckpt": np.ones((13, 2))}, "but ckpt (13, 2)"),
        ({"ctrl_pts": np.full(13, np.inf)}, "has ctrl_pts with values that are NaN or infinite"),
        ({"ckpt": np.zeros(13)}, "off by nan"),
    ],
)
def test_kernels_that_make_no_sense(file, change, words):
    assert words in sentence(read_stored, file(torch_bytes({**kernel(), **change})))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layers": 1}, "has 'net.net.3.0.bias', which does not fit"),
        ({"layers": 3}, "lacks 'net.net.4.0.bias', which does not fit"),
        ({"layers": 65}, "has layers that is not a whole number from 1 to 64"),
        ({"channels": 9}, "holds net.net.0.0.weight (16, 14), but its description requires (9, 14)"),
        ({"encodings": 5}, "requires (16, 22)"),
        ({"pe": False}, "requires (16, 2)"),
        ({"include_input": False}, "requires (16, 12)"),
        ({"include_input": False, "encodings": 3.5}, "encodings"),
        ({"pe": 7}, "has pe that is not a whole number from 0 to 1"),
        ({"activation": "gelu"}, "activation that is not supported; swish and sine are"),
        ({"activation": ["swish"]}, "activation"),
        ({"input": None}, "input"),
        ({"ckpt": {1: 2}}, "has no weights under 'ckpt'"),
    ],
)
def test_checkpoints_that_make_no_sense(file, change, words):
    assert words in sentence(read_field, file(torch_bytes(Network(2, 3).checkpoint(**change))))


@pytest.mark.parametrize(
    ("network", "bands", "words"),
    [
        (lambda: Network(4, 3), 3, "has a field of 4 coordinates"),
        (lambda: Network(2, 3), 30, "pe must be a whole number"),
    ],
)
def test_whole_checkpoints_of_no_field_of_ours(file, monkeypatch, network, bands, words):
    monkeypatch.setattr("authors.BANDS", bands)
    assert words in sentence(read_field, file(torch_bytes(network().checkpoint(encodings=bands))))


def test_checkpoints_that_encode_positions_alone(file):
    network = Network(2, 3)
    network.layers[0] = torch.nn.Linear(12, 16)
    stored = network.checkpoint(include_input=False)
    assert "without the positions themselves" in sentence(read_field, file(torch_bytes(stored)))
    sine = Network(2, 3, "sine").checkpoint(include_input=False)
    assert read_field(file(torch_bytes(sine))).config.kind == "siren"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("pe.more", torch.ones(2), "has 'pe.more', which does not fit"),
        ("net.net.0.0.bias", 3, "holds net.net.0.0.bias None, but its description requires (16,)"),
        ("net.net.0.0.bias", torch.full((16,), np.nan), "has net.net.0.0.bias with values that are NaN"),
        ("net.net.0.0.bias", torch.full((16,), 1e300, dtype=torch.float64), "its weights are not finite"),
    ],
)
def test_weights_that_make_no_sense(file, name, value, words):
    stored = Network(2, 3).checkpoint()
    stored["ckpt"][name] = value
    assert words in sentence(read_field, file(torch_bytes(stored)))


def test_checkpoints_of_several_gpus(file):
    stored = Network(2, 3).checkpoint()
    renamed = {f"module.{name}": tensor.double() for name, tensor in stored["ckpt"].items()}
    fields = [read_field(file(torch_bytes({**stored, "ckpt": state}))) for state in (stored["ckpt"], renamed)]
    assert checksum(fields[0].state_dict()) == checksum(fields[1].state_dict())


def test_files_of_another_kind_are_known_as_such(file):
    for read in (read_stored, read_field):
        for value in ([1, 2], {"a": 1}, torch.ones(3), "text"):
            with pytest.raises(released.OtherKindError, match=r"file (holds a|lacks)"):
                read(file(torch_bytes(value)))
    assert "lacks size: it is another kind" in sentence(read_tent, file(npy_bytes({"res": 1, "samples": 1})))
    assert "array of plain values" in sentence(read_tent, file(npy_bytes(np.ones(3))))
    assert "array of plain values" in sentence(read_tent, file(npy_bytes(np.array([None]))))
    holder = np.empty((), object)
    holder[()] = [1, 2]
    assert "holds a list" in sentence(read_tent, file(npy_bytes(holder)))
    for data in (b"", torch_bytes(kernel()), b"\x93NUMPY\x03\x00" + bytes(9)):
        assert "not an .npy file of a known version" in sentence(read_tent, file(data))


@pytest.mark.parametrize("read", [read_stored, read_field, read_tent])
def test_files_that_do_not_exist(tmp_path, read):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(FileNotFoundError):
            read(path)


def test_payloads_are_not_run(file, tmp_path):
    runs = Runs(tmp_path / "ran")
    for read, data in (
        (read_stored, torch_bytes(kernel() | {"radius": runs})),
        (read_field, torch_bytes(Network(2, 3).checkpoint(epoch=runs))),
        (read_tent, npy_bytes(TRUTH | {"res": runs})),
    ):
        assert "system', which was not run" in sentence(read, file(data))
    assert not (tmp_path / "ran").exists()


def test_convert_writes_files_of_this_program(tmp_path, file):
    path = file(npy_bytes(TRUTH))
    assert run(path, "ground_truth", tmp_path / "truth.npz", "--order", "1").endswith(f"{tmp_path / 'truth.npz'}\n")
    np.testing.assert_array_equal(GroundTruth.load(tmp_path / "truth.npz").values, TRUTH["res"].astype(np.float32))
    output = run(file(torch_bytes(kernel())), "kernel", tmp_path / "kernel.npz")
    assert "corrected weights written" in output and SparseKernel.load(tmp_path / "kernel.npz").moment_defect() < 1e-9
    result = CliRunner().invoke(
        convert, ["--path", str(path), "--kind", "kernel", "--save_path", str(tmp_path / "kernel.npz")]
    )
    assert result.exit_code == 1 and "never overwritten" in result.output


SEEDS = {
    "truth": (read_tent, [npy_bytes(TRUTH | {"res": np.ones((2, 2))}), *JAX_FILES.values()]),
    "kernel": (read_stored, [torch_bytes(kernel(3)), torch_bytes(kernel(3), legacy=True)]),
    "field": (read_field, [torch_bytes(Network(2, 3).checkpoint(optim=None), legacy) for legacy in (False, True)]),
}
INSTRUCTIONS = [op.code.encode("latin1") for op in pickletools.opcodes]


def mutated(data: bytes, source: random.Random) -> bytes:
    """`data` with a few bytes overwritten, inserted or deleted, and now and then cut off."""
    changed = bytearray(data)
    for _ in range(source.choice((1, 1, 1, 2, 4))):
        place = source.randrange(len(changed) + 1)
        new = source.choice((source.randbytes(source.randint(1, 4)), source.choice(INSTRUCTIONS)))
        changed[place : source.choice((place, place + len(new), place + source.randint(0, 9)))] = new
    return bytes(changed[: source.randrange(len(changed)) if source.random() < 0.05 else None])


@pytest.mark.parametrize("kind", SEEDS)
@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(number=st.integers(0, 1 << 32))
def test_mutated_files_end_in_values_or_one_sentence(tmp_path, kind, number):
    source = random.Random(number)
    read, seeds = SEEDS[kind]
    data = source.choice(seeds)
    if data.startswith(b"PK") and number % 4:
        # Past the zip file's own checksums, at the pickle within.
        data = rewritten(data, lambda name, old: mutated(old, source) if name.endswith("data.pkl") else old)
    else:
        data = mutated(data, source)
    try:
        read(written(tmp_path / "mutated", data))
    except ArchiveError as error:
        assert str(error).startswith(str(tmp_path)) and "\n" not in str(error)
