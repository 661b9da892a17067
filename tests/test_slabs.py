"""What is done slab by slab, against the same at once."""

import numpy as np
import pytest
import torch
from builders import exact_truth, field_config, noise_signal, random_field
from training_cases import targets_of

import models.gridded
from kernels import minimal_kernel
from signals import exact
from signals.exact import minimal_convolution
from signals.signal import spacing
from training.directions import decompose, singular_directions
from training.lattice import project
from training.validation import Validation


@pytest.mark.parametrize("boundary", ["clamp", "reflect", "periodic"])
def test_pictures_are_filtered_and_extended_slab_by_slab(monkeypatch, boundary):
    signal, pads = noise_signal((41, 13), 2, halo=(3, 0)), (9, 2)
    monkeypatch.setattr(exact, "SLAB", 1)
    monkeypatch.setattr(exact, "LEAST_REACHES", 1)
    found = minimal_convolution(signal, 1, [0.1, 0.3], boundary, pads)
    taps = [exact.minimal_taps(1, size, spacing(n)) for size, n in zip((0.1, 0.3), (41, 13), strict=True)]
    wanted = signal.padded([p + len(t) // 2 for p, t in zip(pads, taps, strict=True)], boundary)
    for axis, filter_taps in enumerate(taps):
        wanted = np.apply_along_axis(np.convolve, axis, wanted, filter_taps, mode="valid")
    np.testing.assert_allclose(found, wanted, atol=1e-14)


def test_pictures_of_separable_fields_are_filtered_in_a_few_slabs(monkeypatch):
    field, kernel, seen = random_field(field_config("separable", 2, 3)), minimal_kernel(1, 0.2, 2), []
    whole = field.filter(kernel, (30, 11))
    convolve = models.gridded.convolve_grid
    monkeypatch.setattr(models.gridded, "SLAB", 12)
    monkeypatch.setattr(models.gridded, "convolve_grid", lambda field, kernel, grid, *rest: (
        seen.append(tuple(map(len, grid))), convolve(field, kernel, grid, *rest))[1])  # fmt: skip
    np.testing.assert_allclose(field.filter(kernel, (30, 11)), whole, rtol=1e-6)
    assert seen == [(8, 11), (8, 11), (8, 11), (6, 11)]


def test_resampling_in_slabs_changes_nothing(monkeypatch):
    truth = exact_truth(noise_signal((30, 25, 7), 2, axes=(0, 1)), 1, 0.21, 0.3)
    whole = targets_of(truth).values
    monkeypatch.setattr("signals.exact.SLAB", 100)
    torch.testing.assert_close(targets_of(truth).values, whole, rtol=0, atol=1e-13)


def test_projections_in_slabs_are_those_of_the_whole(monkeypatch):
    values, bases = torch.randn(9, 7, 5, 2, dtype=torch.float64), []
    for n, rank in ((9, 4), (7, 3), (5, 5)):
        bases.append(torch.linalg.qr(torch.randn(n, rank, dtype=torch.float64)).Q)
    wanted = torch.einsum("abcx,ai,bj,ck->ijkx", values, *bases)
    monkeypatch.setattr("signals.exact.SLAB", 100)
    torch.testing.assert_close(project(values, bases), wanted)


@pytest.mark.parametrize("axes", [(0, 1), (1,)])
def test_directions_in_slabs_are_those_of_the_whole(monkeypatch, axes):
    targets = targets_of(exact_truth(noise_signal((30, 25), 2, axes=axes), 1, 0.21, 0.3))
    (whole,) = decompose([targets], 2)
    monkeypatch.setattr("signals.exact.SLAB", 500)
    (parts,) = decompose([targets], 2)
    torch.testing.assert_close(parts.rest, whole.rest, rtol=0, atol=1e-12)
    for axis in range(2):
        for sizes in (parts.sizes[axis], singular_directions([whole.rest], axis)[1][0]):
            torch.testing.assert_close(sizes, whole.sizes[axis], rtol=1e-6, atol=1e-7)


def test_truth_of_larger_kernels_in_slabs_is_that_of_the_whole(monkeypatch):
    truth = exact_truth(noise_signal((30, 25), 2), 1, 0.1, 0.5)
    whole = Validation(truth, 3).levels
    monkeypatch.setattr("signals.exact.SLAB", 100)
    for level, wanted in zip(Validation(truth, 3).levels, whole, strict=True):
        np.testing.assert_allclose(level.truth, wanted.truth, rtol=0, atol=1e-12)
