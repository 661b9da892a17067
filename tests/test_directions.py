"""Directions of a ground truth: how many functions of one coordinate an accuracy or a core takes."""

import numpy as np
import pytest
import torch
from builders import exact_truth, noise_signal
from training_cases import generator, targets_of

from training import setup, train
from training.directions import choose_ranks, decompose, singular_directions


@pytest.mark.parametrize("shape", [(6, 9, 2), (60, 3)])
def test_singular_directions_are_those_of_the_unfolded_arrays(shape):
    many = list(torch.randn(3, *shape, dtype=torch.float64, generator=generator()))
    for axis in range(len(shape) - 1):
        for values, vectors, sizes in zip(many, *singular_directions(many, axis), strict=True):
            unfolded = values.movedim(axis, 0).flatten(1)
            kept = min(unfolded.shape)
            assert vectors.shape == (shape[axis], kept)
            torch.testing.assert_close(sizes, torch.linalg.svdvals(unfolded), rtol=1e-7, atol=1e-9)
            torch.testing.assert_close(vectors.T @ vectors, torch.eye(kept, dtype=torch.float64))
            # Each vector spans as much of the array as its singular value says.
            torch.testing.assert_close((vectors.T @ unfolded).norm(dim=1), sizes, rtol=1e-7, atol=1e-9)


def test_a_signal_of_zeros_has_singular_values_to_divide_by():
    for shape in ((5, 7), (9, 2)):
        _, sizes = singular_directions([torch.zeros(shape, dtype=torch.float64)], 0)
        assert (sizes > 0).all() and (sizes < 1e-100).all()


def test_ground_truths_that_are_decomposed_together_have_the_directions_of_each(truth):
    many = [targets_of(truth), targets_of(truth)]
    many[1].values = many[1].values.flip(0) + 0.3 * many[1].values
    for targets, found in zip(many, decompose(many, 2), strict=True):
        (alone,) = decompose([targets], 2)
        torch.testing.assert_close(found.rest, alone.rest, rtol=0, atol=0)
        for axis, sizes in enumerate(alone.sizes):
            torch.testing.assert_close(found.sizes[axis], sizes, rtol=1e-6, atol=1e-6 * float(sizes[0]))
            # Vectors of equal values may be turned; what all of them make of the array may not.
            seen, wanted = (part.vectors[axis] * part.sizes[axis] for part in (found, alone))
            torch.testing.assert_close(seen @ seen.T, wanted @ wanted.T)


def test_a_decomposition_adds_up_to_the_ground_truth(truth):
    targets = targets_of(truth)
    (found,) = decompose([targets], 2)
    total = found.rest + found.polynomial.grid(targets.stencils()).detach()
    torch.testing.assert_close(total, targets.values, atol=1e-12, rtol=1e-12)
    # The rest has no part in any of the polynomials.
    rest = found.rest
    for stencil, axis in zip(targets.stencils(), targets.axes, strict=True):
        x = axis.positions(torch.arange(axis.count))
        rest = torch.tensordot(rest, x[:, None] ** torch.arange(3), dims=([0], [0]))
        assert len(stencil.nodes)
    assert rest.abs().max() < 1e-7 * targets.values.abs().sum()


@pytest.mark.parametrize("size", [10, 200, 5000])
def test_ranks_fit_the_core_they_are_given(truth, size):
    targets = targets_of(truth)
    spectra = decompose([targets], 2)[0].sizes
    ranks = choose_ranks(targets, spectra, (12,) * truth.dim, size=size)
    assert len(ranks) == truth.dim and min(ranks) >= 1
    assert ranks == (1,) * truth.dim or np.prod(ranks) * truth.channels <= size
    assert all(rank <= 12 for rank, axis in zip(ranks, targets.axes, strict=True) if axis.n)
    # One threshold on all singular values: what is kept is no smaller than what the limits allow but was dropped.
    kept = min(float(s[rank - 1]) for s, rank in zip(spectra, ranks, strict=True) if rank > 1 or len(s) == 1)
    caps = [min(12, len(s)) if axis.n else len(s) for s, axis in zip(spectra, targets.axes, strict=True)]
    dropped = [float(s[rank]) for s, rank, cap in zip(spectra, ranks, caps, strict=True) if rank < cap]
    assert max(dropped, default=0) <= kept or ranks == (1,) * truth.dim
    # A core of exactly that size is allowed, and none that is larger.
    entries = int(np.prod(ranks)) * truth.channels
    assert choose_ranks(targets, spectra, (12,) * truth.dim, size=entries) == ranks
    fewer = choose_ranks(targets, spectra, (12,) * truth.dim, size=entries - 1)
    assert np.prod(fewer) < np.prod(ranks) or ranks == (1,) * truth.dim


@pytest.mark.parametrize("width", [16, 128])
def test_networks_wider_than_their_axis_has_rows_do_not_swing_between_them(width):
    truth = exact_truth(noise_signal((30, 25)), 0, 0.1, 0.4, dtype="float32")
    field = train(truth, num_channels=width, num_steps=100)
    rows = [len(stencil.first) * stencil.count for stencil in targets_of(truth).stencils()]
    assert field.config.widths == tuple(min(width, count) for count in rows)
    assert field.psnr > 30


def test_axes_of_few_rows_get_networks_of_sixteen_features():
    targets = targets_of(exact_truth(noise_signal((9, 40), axes=(1,)), 1, 0.2, 0.3))
    assert setup.widths_for(targets, 128) == (16, targets.axes[1].count)
    assert setup.widths_for(targets, 12) == (12, 12)


def test_a_core_is_filled_as_far_as_its_axes_go():
    targets = targets_of(exact_truth(noise_signal((40, 33), 2), 1, 0.1, 0.3))
    spectra = decompose([targets], 0)[0].sizes
    sizes = [np.prod(choose_ranks(targets, spectra, (30, 20), n)) * targets.channels for n in (50, 200, 800, 1 << 20)]
    assert all(0.6 * size < found <= size for size, found in zip((50, 200, 800), sizes, strict=False))
    assert sizes[-1] == 30 * 20 * targets.channels


def test_directions_that_are_rounding_are_not_kept():
    targets = targets_of(exact_truth(noise_signal((40, 33), 2), 1, 0.1, 0.3))
    spectra = [torch.tensor([1.0, 1e-3, 1.1e-6, 0.9e-6], dtype=torch.float64)] * 2
    assert choose_ranks(targets, spectra, (9, 9), 1 << 20) == (3, 3)
    # Below a millionth of a millionth of the truth all is rounding.
    tiny = 1e-14 * float(targets.values.norm())
    assert choose_ranks(targets, [tiny * s for s in spectra], (9, 9), 1 << 20) == (1, 1)


def test_fewer_directions_keep_the_accuracy_that_is_asked_for():
    targets = targets_of(exact_truth(noise_signal((40, 33), 2), 1, 0.1, 0.3))
    (found,) = decompose([targets], 0)
    inside = [axis.positions(torch.arange(axis.count)).abs() <= 1 for axis in targets.axes]
    sizes = []
    for accuracy in (30.0, 45.0, 60.0):
        ranks = choose_ranks(targets, found.sizes, found.rest.shape[:2], 1 << 20, accuracy)
        left = found.rest
        for axis, rank in enumerate(ranks):
            basis = found.vectors[axis][:, :rank]
            left = torch.tensordot(basis @ basis.T, left, dims=([1], [axis])).movedim(0, axis)
        error = (left - found.rest)[inside[0]][:, inside[1]].square().mean()
        assert accuracy <= -10 * float(error.log10()) < accuracy + 12
        # One direction fewer per axis would exceed the bound.
        allowed = 10 ** (-accuracy / 10) * targets.inside * targets.channels
        assert sum(float(s[r:].square().sum()) for s, r in zip(found.sizes, ranks, strict=True)) <= allowed
        assert sum(float(s[r - 1 :].square().sum()) for s, r in zip(found.sizes, ranks, strict=True)) > allowed
        sizes.append(sum(ranks))
    assert sizes == sorted(set(sizes))


def test_the_smallest_core_has_one_entry():
    with pytest.warns(UserWarning, match="1 x 1 functions of one coordinate hold the signal to"):
        field = train(exact_truth(noise_signal((20, 15)), 1, 0.2, 0.3), factor="spline", core_size=1)
    assert field.core.numel() == 1
