"""Reading a function of one coordinate off values at even steps: which of them count at a place, and how much.

`first` [...] is the index of the first value that counts, `local` [..., W] holds the weights of W neighbours:
f(place) = sum_j local_j value[first + j], with `place` in steps from the first value.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

# Lagrange interpolation of degree 7 keeps the moments of every order the library knows.
NEIGHBOURS = 8


def lagrange(place: Tensor, width: int) -> Tensor:
    """Weights [..., width] with which samples at 0, 1, ..., width - 1 give the value at `place` [...]."""
    k = torch.arange(width, dtype=place.dtype, device=place.device)
    gaps = place[..., None] - k
    ones = torch.ones_like(gaps[..., :1])
    # Products of all gaps but one: those before it times those after it.
    before = torch.cat([ones, gaps[..., :-1].cumprod(dim=-1)], dim=-1)
    after = torch.cat([gaps[..., 1:].flip(-1).cumprod(dim=-1).flip(-1), ones], dim=-1)
    # The product of k - o over all o but k is k! (width - 1 - k)!, negative for every other k.
    factorials = k.clamp_min(1).cumprod(dim=0)
    return before * after / (factorials * factorials.flip(0) * (1 - 2 * (k.flip(0) % 2)))


def interpolation(place: Tensor, count: int, neighbours: int = NEIGHBOURS) -> tuple[Tensor, Tensor]:
    """(first, local) of interpolation by `neighbours` of `count` samples; places beyond get the nearest sample's."""
    width = min(neighbours, count)
    place = place.clamp(0, count - 1)
    first = (place.floor().long() - (width // 2 - 1)).clamp(0, count - width)
    return first, lagrange(place - first, width)


def bspline(place: Tensor, degree: int, count: int) -> tuple[Tensor, Tensor]:
    """(first, local) of the spline of `degree` with `count` coefficients and a knot at every whole place from 0 on.

    Beyond its count - degree intervals the outermost polynomials continue (de Boor 1978, chapter X).
    """
    first = place.floor().clamp(0, count - degree - 1)
    part = place - first
    local = [torch.ones_like(part)]
    for k in range(1, degree + 1):
        terms = [value / k for value in local]
        rising = [(part + (k - 1 - j)) * term for j, term in enumerate(terms)]
        falling = [(j + 1 - part) * term for j, term in enumerate(terms)]
        inner = [up + down for up, down in zip(rising[:-1], falling[1:], strict=True)]
        local = [falling[0], *inner, rising[-1]]
    return first.long(), torch.stack(local, dim=-1)


def gather(values: Tensor, first: Tensor, local: Tensor) -> Tensor:
    """sum_k,j local_kj values[first_k + j]: values [T, R], first [N, K], local [N, K, W] -> [N, R]."""
    index = first[..., None] + torch.arange(local.shape[-1], device=first.device)
    return F.embedding_bag(index.flatten(1), values, per_sample_weights=local.flatten(1).to(values.dtype), mode="sum")


def gather_grid(values: Tensor, taps: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """Values [T_1, ..., T_d, R] read along all axes at once, by (first [N], local [N, W_j]) of every one -> [N, R]."""
    rows, weights = torch.zeros(1, 1, dtype=torch.long, device=values.device), values.new_ones(1, 1)
    for count, (first, local) in zip(values.shape[:-1], taps, strict=True):
        corners = torch.arange(local.shape[1], device=first.device)
        rows = (rows[:, :, None] * count + first[:, None, None] + corners).flatten(1)
        weights = (weights[:, :, None] * local[:, None]).flatten(1)
    return F.embedding_bag(rows, values.flatten(0, -2), per_sample_weights=weights.to(values.dtype), mode="sum")


def scatter(first: Tensor, local: Tensor, count: int) -> Tensor:
    """The matrix [N, count] that `gather` applies: local [N, K, W] added up at columns first [N, K] + 0..W-1."""
    index = first[..., None] + torch.arange(local.shape[-1], device=first.device)
    matrix = torch.zeros(len(first), count, dtype=local.dtype, device=local.device)
    return matrix.scatter_add_(1, index.flatten(1), local.flatten(1))
