"""The authors' released files against a few independent lines that evaluate them as the authors do."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from files import ArchiveError
from kernels import minimal_kernel
from kernels.released import load_released as load_kernel
from models.convolution import convolve_points
from models.released import load_checkpoint
from signals.released import load_ground_truth
from utils import load_montecarlo_gt

CASES = [
    ("image", 2, 3, 1, (0, 1), "swish", False),
    ("image", 2, 3, 1, (0, 1), "swish", True),
    ("image", 2, 3, 1, (0, 1), "sine", False),
    ("geometry", 3, 1, 0, (0, 1, 2), "swish", True),
    ("geometry", 3, 1, 0, (0, 1, 2), "sine", False),
    ("video", 3, 3, 1, (2,), "swish", False),
]

BANDS = 3


def write_checkpoint(path: Path, dim: int, channels: int, activation: str, normalised: bool) -> list[torch.nn.Linear]:
    """A checkpoint as the authors write it, and its layers."""
    torch.manual_seed(0)
    bands, width, hidden = BANDS, 16, 2
    first = dim if activation == "sine" else dim * (2 * bands + 1)
    widths = [first, *[width] * (hidden + 1), channels]
    layers = [torch.nn.Linear(a, b).double() for a, b in itertools.pairwise(widths)]
    state = {}
    for index, layer in enumerate(layers):
        state[f"net.net.{index}.0.weight"] = layer.weight.detach().float()
        state[f"net.net.{index}.0.bias"] = layer.bias.detach().float()
    facts = {"input": dim, "output": channels, "channels": width, "layers": hidden, "pe": True, "encodings": bands}
    facts |= {"normalize_pe": normalised, "include_input": True, "activation": activation}
    torch.save({**facts, "ckpt": state, "epoch": 3, "optim": {}}, path)
    return layers


def authors_field(layers: list[torch.nn.Linear], x: torch.Tensor, activation: str, normalised: bool) -> torch.Tensor:
    """Their network at points x [..., d], written out."""
    if activation == "swish":
        parts = [x]
        for band in range(BANDS):
            size = 4.0**band if normalised else 1.0
            parts += [torch.sin(2.0**band * x) / size, torch.cos(2.0**band * x) / size]
        x = torch.cat(parts, dim=-1)
    for index, layer in enumerate(layers):
        x = layer(x)
        if index < len(layers) - 1:
            x = x * torch.sigmoid(x) if activation == "swish" else torch.sin(20.0 * x)
    return x


def authors_diracs(order: int, half_size: float) -> tuple[list[float], list[float]]:
    """Their minimal kernel: positions and weights along one axis."""
    if order == 0:
        return [-half_size, half_size], [0.5 / half_size, -0.5 / half_size]
    return [-half_size, 0.0, half_size], [w / half_size**2 for w in (1.0, -2.0, 1.0)]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0]}-{c[5]}-{c[6]}")
def test_released_fields_filter_as_the_authors_sum(case: tuple, tmp_path: Path) -> None:
    modality, dim, channels, order, axes, activation, normalised = case
    layers = write_checkpoint(tmp_path / "model.pth", dim, channels, activation, normalised)
    checkpoint = load_checkpoint(tmp_path / "model.pth")
    assert (checkpoint.origin.modality, checkpoint.config.axes, checkpoint.config.order) == (modality, axes, order)
    points = torch.rand(20, dim, dtype=torch.float64) - 0.5
    half_size = 0.4
    positions, weights = authors_diracs(order, half_size)
    total = torch.zeros(20, channels, dtype=torch.float64)
    with torch.no_grad():
        for place in np.ndindex(*[len(positions)] * len(axes)):
            shift = torch.zeros(dim, dtype=torch.float64)
            shift[list(axes)] = torch.tensor([positions[i] for i in place], dtype=torch.float64)
            weight = math.prod(weights[i] for i in place)
            total += weight * authors_field(layers, points + shift, activation, normalised)
    # Their sum over x + t is a correlation with the Diracs of g; for a box it yields the field they meant to learn
    # up to the sign that n derivatives per axis leave, which their training absorbs.
    field = checkpoint.build().double()
    found = convolve_points(field, minimal_kernel(order, half_size, dim, axes), points)
    np.testing.assert_allclose(found.numpy(), total.numpy(), atol=1e-4 * float(total.abs().max()))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layers": 0}, "layers that is not a whole number"),
        ({"activation": "relu"}, "activation that is not supported"),
        ({"include_input": False}, "asks for"),
        ({"channels": 1 << 14}, "asks for"),
        ({"pe": False, "encodings": 3}, "asks for"),
        ({"input": 5}, "asks for"),
        ({"ckpt": {}}, "lacks 'net"),
    ],
)
def test_a_released_checkpoint_that_cannot_be_used_says_why(change: dict, words: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    write_checkpoint(path, 2, 3, "swish", True)
    torch.save(torch.load(path) | change, path)
    with pytest.raises(ArchiveError, match=words):
        load_checkpoint(path)


@pytest.mark.parametrize(("dim", "bands", "words"), [(4, 3, "4 coordinates"), (2, 30, "pe must be")])
def test_a_whole_released_checkpoint_of_no_field_of_ours_is_refused(dim, bands, words, tmp_path, monkeypatch) -> None:
    path = tmp_path / "model.pth"
    monkeypatch.setattr("test_released.BANDS", bands)
    write_checkpoint(path, dim, 3, "swish", True)
    with pytest.raises(ArchiveError, match=words):
        load_checkpoint(path)


def test_a_checkpoint_of_neither_kind_is_told_as_one_that_is_not_ours(tmp_path: Path) -> None:
    torch.save({"ckpt": {}, "layers": 2}, tmp_path / "model.pth")
    with pytest.raises(ArchiveError, match="not a checkpoint of this program"):
        load_checkpoint(tmp_path / "model.pth")


def test_released_kernels_get_the_nearest_lawful_weights(tmp_path: Path) -> None:
    positions = np.linspace(-1, 1, 13)
    # Lopsided: theirs sum over x + t, so that positions change their signs.
    weights = np.gradient(np.gradient(np.exp(-4.5 * positions**2) * (1 + 0.8 * positions)))
    weights += 1e-4 * np.random.default_rng(0).standard_normal(13)
    torch.save({"ckpt": weights, "radius": 1.0, "n_ctrl_pts": 13, "ctrl_pts": positions}, tmp_path / "gaussian")
    kernel, defect = load_kernel(tmp_path / "gaussian")
    assert 0 < defect < 0.1
    assert kernel.moment_defect() < 1e-9
    order = np.argsort(kernel.positions[:, 0])
    assert np.abs(kernel.weights[order] - weights[::-1]).max() < 0.1 * np.abs(weights).max()


@pytest.mark.parametrize(
    ("shape", "modality"), [((5, 7, 3), "image"), ((4, 4, 4), "geometry"), ((4, 5, 6, 3), "video")]
)
def test_released_ground_truths_are_read(shape: tuple[int, ...], modality: str, tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((*shape, 1) if modality == "geometry" else shape)
    np.save(tmp_path / "GT.npy", {"res": values, "size": 0.05, "samples": 100}, allow_pickle=True)
    truth = load_ground_truth(tmp_path / "GT.npy", 1)
    assert (truth.modality, truth.half_size, truth.samples) == (modality, 0.05, 100)
    np.testing.assert_allclose(load_montecarlo_gt(tmp_path / "GT.npy"), values, rtol=1e-6)
    with pytest.raises(ValueError, match="--order"):
        load_ground_truth(tmp_path / "GT.npy")
