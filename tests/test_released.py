"""The authors' released files against a few independent lines that evaluate them as the authors do."""

from pathlib import Path

import numpy as np
import pytest
import torch
from archives import npy_bytes, sentence, written
from authors import JAX_FILES, TRUTH, Network, kernel, read_stored, read_tent, torch_bytes
from click.testing import CliRunner

from convert import main as convert
from files import checksum
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


def test_checkpoints_of_several_gpus(file):
    stored = Network(2, 3).checkpoint()
    renamed = {f"module.{name}": tensor.double() for name, tensor in stored["ckpt"].items()}
    fields = [read_field(file(torch_bytes({**stored, "ckpt": state}))) for state in (stored["ckpt"], renamed)]
    assert checksum(fields[0].state_dict()) == checksum(fields[1].state_dict())


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
