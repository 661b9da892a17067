"""Singular directions of the ground truth: which functions of one coordinate a separable field spans, and how many.

The ground truth is an array T [M_1, ..., M_d, c]; its unfolding along axis j has left singular vectors U_j and singular
values S_j, and T is well approximated by the products of the leading ones (De Lathauwer et al. 2000).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.polynomial import PolynomialPart
from models.products import on_grid
from signals.exact import slabs
from signals.measures import decibels
from training.lattice import LatticeTargets, fit_polynomial, seen_powers

# Directions smaller than this, relative to the largest, are the rounding of the ground truth's float32.
TOLERANCE = 1e-6
EPSILON = torch.finfo(torch.float64).eps
# What ranks hold the truth to by default, dB of PSNR at the training kernel, and entries of a core that cost next to
# nothing and are kept whatever they add.
ACCURACY, FREE_SIZE = 75.0, 50_000
# Points at which the directions are compared with the truth.
CHECKED = 1 << 18
# Singular values are divided by, even those of a signal that is 0 everywhere.
SMALLEST = 1e-150


@dataclass(frozen=True)
class Decomposition:
    """The ground truth as its `polynomial` part and the `rest` [M_1, ..., M_d, c], in its own precision, and the
    singular vectors [M_j, K_j] and singular values [K_j] (float64) of the rest per axis.
    """

    polynomial: PolynomialPart
    rest: Tensor
    vectors: list[Tensor]
    sizes: list[Tensor]


@torch.no_grad()
def decompose(many: Sequence[LatticeTargets], degree: int) -> list[Decomposition]:
    """The least-squares polynomial of `degree` in every axis, and the singular directions of what it leaves, of each of
    `many` ground truths of one shape: a GPU decomposes all their matrices of an axis at once."""
    parts = [without_polynomial(targets, degree) for targets in many]
    rests = [rest for _, rest in parts]
    pairs = [singular_directions(rests, axis) for axis in range(rests[0].ndim - 1)]
    return [Decomposition(*part, [vectors[place] for vectors, _ in pairs], [sizes[place] for _, sizes in pairs])
            for place, part in enumerate(parts)]  # fmt: skip


def without_polynomial(targets: LatticeTargets, degree: int) -> tuple[PolynomialPart, Tensor]:
    """The least-squares polynomial of `degree` in every axis, and the rest [M_1, ..., M_d, c]."""
    values = targets.values
    polynomial = PolynomialPart([axis.n for axis in targets.axes], degree, targets.channels).to(values.device).double()
    fit_polynomial(targets, polynomial)
    first, *others = seen_powers(targets, polynomial)
    rest = torch.empty_like(values)
    for part in slabs(values.shape, 0):
        rest[part] = values[part].double() - on_grid(polynomial.coefficients, [first[part], *others])
    return polynomial, rest


def singular_directions(many: Sequence[Tensor], axis: int) -> tuple[Tensor, Tensor]:
    """Left singular vectors [B, M, K] and values [B, K] of `many` arrays [M_1, ..., c] of one shape, unfolded along
    `axis`.

    K is M, or the number of columns of the unfolding where there are fewer (a long signal of few channels).
    """
    rows = many[0].shape[axis]
    if many[0].numel() // rows < rows:
        unfolded = torch.stack([values.movedim(axis, 0).flatten(1).double() for values in many])
        vectors, sizes, _ = torch.linalg.svd(unfolded, full_matrices=False)
        return vectors, sizes.clamp_min(sizes[:, :1] * EPSILON + SMALLEST)
    squares, vectors = torch.linalg.eigh(torch.stack([gram(values, axis) for values in many]))
    return vectors.flip(2), squares.flip(1).clamp_min(squares[:, -1:] * EPSILON).sqrt() + SMALLEST


def gram(values: Tensor, axis: int) -> Tensor:
    """Inner products [M, M] of the rows of `values` [M_1, ..., c] unfolded along `axis`, summed in float64 slabs."""
    total = torch.zeros((values.shape[axis],) * 2, dtype=torch.float64, device=values.device)
    across = max((other for other in range(values.ndim) if other != axis), key=lambda other: values.shape[other])
    for part in slabs(values.shape, across):
        slab = values.narrow(across, part.start, part.stop - part.start).movedim(axis, 0).flatten(1).double()
        total.addmm_(slab, slab.T)
    return total


def choose_ranks(
    targets: LatticeTargets,
    spectra: Sequence[Tensor],
    limits: Sequence[int],
    size: int,
    accuracy: float = 0.0,
    least: int = 0,
) -> tuple[int, ...]:
    """Ranks per axis: one threshold on all singular values `spectra`, as low as a core of `size` entries allows.

    `limits` [d] bound the ranks of filtered axes (their features span no more), directions below TOLERANCE of the
    largest are never kept, and in a core of more than `least` entries none beyond those that hold the truth to
    `accuracy` dB of PSNR (0: all), even if all error falls within [-1, 1]^d: the squared error of dropping directions
    is at most the sum of their squared singular values (De Lathauwer et al. 2000).
    """
    rows = zip(spectra, limits, targets.axes, strict=True)
    kept = [s[: min(len(s), limit) if axis.n else len(s)] for s, limit, axis in rows]
    tails = [torch.cat([s.square().flip(0).cumsum(0).flip(0), s.new_zeros(1)]) for s in spectra]
    floor = TOLERANCE * max(max(float(s[0]) for s in spectra), TOLERANCE * float(targets.values.norm()))
    thresholds = torch.cat(kept).sort(descending=True).values
    allowed = targets.inside * targets.channels * targets.peak**2 * 10 ** (-accuracy / 10) if accuracy else 0.0
    best, met = (1,) * len(spectra), False
    for threshold in thresholds[thresholds >= floor].tolist():
        ranks = tuple(max(1, int((s >= threshold).sum())) for s in kept)
        if (entries := math.prod(ranks) * targets.channels) > size or (met and entries > least):
            break
        best = ranks
        met = sum(float(tail[rank]) for tail, rank in zip(tails, ranks, strict=True)) <= allowed
    return best


@torch.no_grad()
def held(targets: LatticeTargets, rest: Tensor, bases: Sequence[Tensor], core: Tensor) -> float:
    """PSNR in dB within [-1, 1]^d of directions `bases` [M_j, R_j], joined by `core`, against the `rest` of the truth
    at about CHECKED of its points."""
    thin = math.ceil((targets.inside / CHECKED) ** (1 / len(targets.axes)))
    for axis, layout in enumerate(targets.axes):
        x = layout.positions(torch.arange(layout.count))
        order = x.argsort()
        rows = order[x[order].abs() <= 1 + 1e-9][::thin].to(rest.device)
        rest = rest.index_select(axis, rows)
        bases = [basis[rows] if other == axis else basis for other, basis in enumerate(bases)]
    error = float((rest.double() - on_grid(core, bases)).square().mean())
    return decibels(targets.peak**2, error)
