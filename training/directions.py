"""Singular directions of the ground truth: which functions of one coordinate a separable field spans, and how many.

The ground truth is an array T [M_1, ..., M_d, c]; its unfolding along axis j has left singular vectors U_j and singular
values S_j, and T is well approximated by the products of the leading ones (De Lathauwer et al. 2000).
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from training.lattice import LatticeTargets

# Directions smaller than this, relative to the largest, are the rounding of the ground truth's float32.
TOLERANCE = 1e-6
EPSILON = torch.finfo(torch.float64).eps
# Singular values are divided by, even those of a signal that is 0 everywhere.
SMALLEST = 1e-150


def singular_directions(values: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Left singular vectors [M, K] and singular values [K] of `values` [M_1, ..., c] unfolded along `axis`.

    K is M, or the number of columns of the unfolding where there are fewer (a long signal of few channels).
    """
    unfolded = values.movedim(axis, 0).flatten(1)
    if unfolded.shape[1] < unfolded.shape[0]:
        vectors, sizes, _ = torch.linalg.svd(unfolded, full_matrices=False)
        return vectors, sizes.clamp_min(sizes[0] * EPSILON + SMALLEST)
    gram = torch.zeros(values.shape[axis], values.shape[axis], dtype=torch.float64, device=values.device)
    for slab in unfolded.split(1 << 18, dim=1):
        gram += slab @ slab.T
    squares, vectors = torch.linalg.eigh(gram)
    return vectors.flip(1), squares.flip(0).clamp_min(squares[-1] * EPSILON).sqrt() + SMALLEST


def without_polynomial(values: Tensor, targets: LatticeTargets, degree: int) -> Tensor:
    """`values` [M_1, ..., c] less their least-squares fit by products of powers up to `degree` in every axis.

    It is what the polynomial part leaves to the factors: the minimal kernel takes a power to one of the same degree.
    """
    fit = values
    for axis, layout in enumerate(targets.axes):
        x = layout.positions(torch.arange(values.shape[axis], device=values.device))
        basis = torch.linalg.qr(x[:, None] ** torch.arange(degree + 1, device=values.device)).Q
        fit = torch.tensordot(basis @ basis.T, fit, dims=([1], [axis])).movedim(0, axis)
    return values - fit


@lru_cache(maxsize=1)
def unfolded(targets: LatticeTargets, degree: int) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """What a polynomial part of `degree` leaves of the ground truth, float64, and its singular directions per axis.

    Kept for the last targets asked for: the field's shape and its supervision both need them.
    """
    values = without_polynomial(targets.values.double(), targets, degree)
    return values, [singular_directions(values, axis) for axis in range(values.ndim - 1)]


def choose_ranks(
    targets: LatticeTargets, limits: Sequence[int], size: int, accuracy: float = 0.0, degree: int = 0
) -> tuple[int, ...]:
    """Ranks per axis: one threshold on all singular values, as low as a core of `size` entries allows.

    Of what a polynomial part of `degree` leaves. `limits` [d] bound the ranks of filtered axes (their features span
    no more), directions below TOLERANCE of the largest are never kept, and none beyond those that hold the truth to
    `accuracy` dB (peak 1; 0: all), even if all error falls within [-1, 1]^d: the squared error of dropping directions
    is at most the sum of their squared singular values (De Lathauwer et al. 2000).
    """
    spectra = [sizes for _, sizes in unfolded(targets, degree)[1]]
    rows = zip(spectra, limits, targets.axes, strict=True)
    caps = [min(len(s), limit) if axis.n else len(s) for s, limit, axis in rows]
    floor = TOLERANCE * max(max(float(s[0]) for s in spectra), TOLERANCE * float(targets.values.norm()))
    thresholds = torch.cat([s[:cap] for s, cap in zip(spectra, caps, strict=True)]).sort(descending=True).values
    allowed = targets.inside * targets.channels * 10 ** (-accuracy / 10) if accuracy else 0.0
    best = (1,) * len(spectra)
    for threshold in thresholds[thresholds >= floor].tolist():
        ranks = tuple(max(1, int((s[:cap] >= threshold).sum())) for s, cap in zip(spectra, caps, strict=True))
        if math.prod(ranks) * targets.channels > size:
            break
        best = ranks
        dropped = sum(float(s[rank:].square().sum()) for s, rank in zip(spectra, ranks, strict=True))
        if dropped <= allowed:
            break
    return best
