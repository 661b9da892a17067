"""The residual pyramid: supervision at 2, 4, 8, ... times the minimal kernel from the same field queries.

B-splines refine: the kernel of half size 2 s is the binomial average of kernels of half size s, h apart.
Smoothing the residual on a lattice with weights C(n, k) / 2^n is therefore the residual at twice the size,
with no further queries and no further ground truth.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def coarser(residual: Tensor, axis: int, n: int, stride: int) -> Tensor:
    """The residual seen through twice the kernel: n averages of neighbours `stride` apart along `axis`."""
    for _ in range(n):
        length = residual.shape[axis] - stride
        residual = (residual.narrow(axis, 0, length) + residual.narrow(axis, stride, length)) * 0.5
    return residual


def levels(residual: Tensor, lattices: Sequence[tuple[int, int]], n: Sequence[int], count: int) -> list[Tensor]:
    """Residuals [..., c] at 1, 2, 4, ... times the kernel, as many of `count` levels as the lattices hold.

    residual [M_1, ..., M_d, c] with M_j = P_j L_j; n [d] differences per axis, 0 where not filtered.
    """
    shape = [size for lattice in lattices for size in lattice]
    pyramid = [residual.reshape(*shape, residual.shape[-1])]
    for level in range(1, count):
        stride = 2 ** (level - 1)
        coarse = pyramid[-1]
        if any(m and coarse.shape[2 * axis + 1] <= m * stride for axis, m in enumerate(n)):
            break
        for axis, m in enumerate(n):
            coarse = coarser(coarse, 2 * axis + 1, m, stride)
        pyramid.append(coarse)
    return pyramid


# The authors' loss; squares; and the logarithm of the rms, with which every level counts equally, whatever its size.
LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "l1": lambda residual: residual.abs().mean(),
    "l2": lambda residual: residual.square().mean(),
    "log": lambda residual: 0.5 * torch.log(residual.square().mean() + 1e-20),
}
