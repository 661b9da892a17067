"""Sparse convolution: (f * g)(x) = sum_i w_i F(x - t_i), at scattered points and on whole grids.

Source: Nsampi et al. 2023, equation 6. On a grid the outputs share their queries: a kernel that is a short
sum of outer products becomes one stencil per axis, so that the cost no longer grows with its Diracs.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from kernels import SparseKernel
from kernels.separate import tensor_terms
from models.field import Field, Progress
from models.interpolation import NEIGHBOURS
from models.stencil import Points, Stencil, direct_stencil, shared_stencils

# Queries per output and axis product that shared nodes may cost, for fields whose grids cost their points.
QUERIES_PER_OUTPUT = 1.5
# Nodes this many per knot of the training kernel resolve everything that kernel shows of the field.
NODES_PER_KNOT = 6
FACTORED_NODES_PER_KNOT = 12
FACTORED_NODES_PER_OUTPUT = 1.5


class KernelError(ValueError):
    """The field cannot answer for this kernel; the message says what to do."""


def check_kernel(field: Field, kernel: SparseKernel) -> None:
    """Refuse a kernel of another order or other axes than the field's; raises KernelError."""
    config = field.config
    if kernel.order != config.order:
        raise KernelError(
            f"the kernel has order {kernel.order} but the field was trained with order {config.order}: "
            f"choose a kernel of order {config.order}, or train a field on ground truth of --order {kernel.order}"
        )
    if kernel.dim != config.dim or kernel.axes != config.axes:
        raise KernelError(
            f"the kernel filters axes {kernel.axes} of {kernel.dim}, the field axes {config.axes} of {config.dim}: "
            "choose a kernel for the field's axes"
        )


def check_reach(field: Field, kernel: SparseKernel) -> None:
    """Raise KernelError for a kernel that reaches further over the border than the field was trained.

    Training points covered the field's margin beyond [-1, 1]; their minimal kernels reach that much further.
    """
    margin = field.origin.margin
    for axis, half_size in zip(field.config.axes, field.origin.half_size, strict=True):
        radius = float(kernel.radius[axis])
        # Whole lattices cover up to half a step of the training kernel less than the margin that is asked for.
        wanted = radius - half_size + field.h[axis] / 2
        if radius > margin + half_size + 1e-6:
            raise KernelError(
                f"the kernel has radius {radius:.4g} but the field, trained with a margin of {margin:.4g}, answers up "
                f"to {margin + half_size:.4g}: use a smaller kernel, or train on --margin {wanted:.3g}"
            )


def grid_stencils(field: Field, kernel: SparseKernel, coordinates: Sequence[Tensor]) -> list[list[Stencil]] | None:
    """One list of stencils (one per axis) for each outer product the kernel is a sum of; None if it is no such sum.

    coordinates: positions [M_j] (float64, domain units) of the outputs along every axis.
    """
    terms = tensor_terms(kernel, tolerance=1e-7)
    if terms is None:
        return None
    nodes = _node_budgets(field, kernel, coordinates)
    rows: list[list[Stencil]] = [[Points(x) for x in coordinates] for _ in terms]
    for index, axis in enumerate(kernel.axes):
        # All terms have their Diracs at the same coordinates, so that their stencils share nodes.
        positions, weights = terms[0][index][0], [term[index][1] for term in terms]
        budget = nodes[axis] if field.smooth else None
        for row, stencil in zip(rows, _axis_stencils(coordinates[axis], positions, weights, budget), strict=True):
            row[axis] = stencil
    return rows


def _axis_stencils(
    x: Tensor, positions: np.ndarray, weights: Sequence[np.ndarray], nodes: int | None
) -> Sequence[Stencil]:
    if nodes is None or len(x) * len(positions) <= nodes:
        return [direct_stencil(x, positions, w) for w in weights]
    return shared_stencils(x, positions, weights, nodes)


def _node_distance(field: Field, kernel: SparseKernel, scale: float = 1.0) -> list[float]:
    """How far apart [d] shared nodes may lie for `kernel`, shrunk to `scale`, to see all that it shows of the field.

    Errors of interpolation fall with the node distance to the power NEIGHBOURS and grow with sum |w|.
    """
    minimal = np.prod([(2.0 * scale / h) ** kernel.n for h in field.h.values()])
    fineness = float(np.abs(kernel.weights).sum() / minimal) ** (1 / NEIGHBOURS)
    per_knot = fineness * (FACTORED_NODES_PER_KNOT if field.factored else NODES_PER_KNOT)
    finest = min(field.h.values())
    return [field.h.get(axis, finest) / per_knot for axis in range(kernel.dim)]


def _node_budgets(field: Field, kernel: SparseKernel, coordinates: Sequence[Tensor]) -> list[int]:
    """Shared nodes per axis: fine enough for what the kernel shows of the field, few enough to pay."""
    steps = _node_distance(field, kernel)
    growth = FACTORED_NODES_PER_OUTPUT if field.factored else QUERIES_PER_OUTPUT ** (1 / len(kernel.axes))
    budgets = []
    for axis, x in enumerate(coordinates):
        reach = float(x.max() - x.min()) + 2 * kernel.radius[axis]
        budgets.append(max(int(growth * len(x)), int(reach / steps[axis])))
    return budgets


@torch.no_grad()
def convolve_grid(
    field: Field,
    kernel: SparseKernel,
    coordinates: Sequence[Tensor],
    block: int = 1 << 16,
    progress: Progress | None = None,
) -> Tensor:
    """The signal filtered by `kernel` on the tensor grid of `coordinates` -> [M_1, ..., M_d, c], float64.

    coordinates: positions [M_j] in domain units; `block` bounds the points a network sees at once; `progress`
    receives the share done. Kernels that are no short sum of products are summed Dirac by Dirac.
    """
    coordinates = [torch.as_tensor(x, dtype=torch.float64, device=field.device) for x in coordinates]
    terms = grid_stencils(field, kernel, coordinates)
    if terms is not None:
        return field.grid_sum(terms, block, progress).double()
    points = torch.cartesian_prod(*coordinates).reshape(-1, len(coordinates))
    shape = [len(x) for x in coordinates]
    return convolve_points(field, kernel, points, None, block, progress).reshape(*shape, -1)


@torch.no_grad()
def convolve_points(
    field: Field,
    kernel: SparseKernel,
    points: Tensor,
    scale: Tensor | None = None,
    block: int = 1 << 16,
    progress: Progress | None = None,
) -> Tensor:
    """The signal filtered by `kernel` at scattered `points` [N, d] -> [N, c], float64, K queries a point.

    `scale` [N, number of filtered axes] stretches the kernel at every point by its own factors, mass kept
    (spatially varying kernels, Nsampi et al. 2023, section 4.3). `progress` receives the share done. Factors that
    are asked more often than a table has rows become tables.
    """
    terms = tensor_terms(kernel, tolerance=1e-7) if field.factored else None
    if field.factored and len(points):
        field = _tabulated(field, kernel, points, scale)
    asked = len(kernel) if terms is None else sum(len(positions) for positions, _ in terms[0])
    rows = max(1, block // asked)
    results = []
    for start in range(0, len(points), rows):
        x = points[start : start + rows].to(device=field.device, dtype=torch.float64)
        s = None if scale is None else scale[start : start + rows].to(x)
        if terms is None:
            results.append(_sum_diracs(field, kernel, x, s))
        else:
            results.append(torch.stack([_sum_term(field, kernel, term, x, s) for term in terms]).sum(dim=0))
        if progress:
            progress(min(1.0, (start + rows) / len(points)))
    return torch.cat(results) if results else torch.zeros(0, field.config.channels, dtype=torch.float64)


def _tabulated(field: Field, kernel: SparseKernel, points: Tensor, scale: Tensor | None) -> Field:
    """The field with its factors as tables over all that is asked of them, where that costs fewer queries."""
    least, most = (1.0, 1.0) if scale is None else (float(scale.min()), float(scale.max()))
    reach = torch.as_tensor(kernel.radius * most)
    low, high = points.amin(dim=0).cpu() - reach, points.amax(dim=0).cpu() + reach
    steps = _node_distance(field, kernel, least)
    counts = [2 * NEIGHBOURS + int(extent / step) for extent, step in zip((high - low).tolist(), steps, strict=True)]
    if max(counts) >= len(points):
        return field
    return field.tabulated(list(zip(low.tolist(), high.tolist(), strict=True)), counts)


def _sum_diracs(field: Field, kernel: SparseKernel, x: Tensor, scale: Tensor | None) -> Tensor:
    t = torch.tensor(kernel.positions, device=x.device)
    w = torch.tensor(kernel.weights, device=x.device)
    if scale is None:
        return field.sum_diracs(x[:, None] - t, w)
    stretch = torch.ones_like(x)
    stretch[:, list(kernel.axes)] = scale
    return field.sum_diracs(x[:, None] - t * stretch[:, None], w / scale.pow(kernel.n).prod(dim=1, keepdim=True))


def _sum_term(
    field: Field, kernel: SparseKernel, term: Sequence[tuple[np.ndarray, np.ndarray]], x: Tensor, scale: Tensor | None
) -> Tensor:
    nodes = [x[:, axis, None] for axis in range(x.shape[1])]
    weights = [torch.ones_like(node) for node in nodes]
    for index, (axis, (positions, values)) in enumerate(zip(kernel.axes, term, strict=True)):
        s = torch.ones_like(x[:, :1]) if scale is None else scale[:, index, None]
        nodes[axis] = x[:, axis, None] - s * torch.tensor(positions, device=x.device)
        weights[axis] = torch.tensor(values, device=x.device) / s**kernel.n
    return field.scattered(nodes, weights)
