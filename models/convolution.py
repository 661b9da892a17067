"""Sparse convolution: (f * g)(x) = sum_i w_i F(x - t_i), at scattered points and on whole grids.

Source: Nsampi et al. 2023, equation 6. On a grid the outputs share their queries: a kernel that is a short
sum of outer products becomes one stencil per axis, so that the cost no longer grows with its Diracs.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from kernels import SparseKernel
from kernels.separate import Term, tensor_terms
from models.bundles import Bundle, filter_bundle, filter_bundle_grid
from models.field import Field, Progress
from models.interpolation import NEIGHBOURS
from models.separable import SeparableField
from models.stencil import Points, Stencil, direct_stencil, shared_stencils
from signals.ground_truth import LARGEST_MARGIN

# Queries of a network per output that shared nodes may cost.
QUERIES_PER_OUTPUT = 1.5
# Nodes this many per knot of the training kernel resolve everything that kernel shows of the field.
NODES_PER_KNOT = 6
# Share of a kernel's L2 norm that the products it is a sum of may leave out.
TOLERANCE = 1e-7


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


def check_reach(field: Field, radius: Sequence[float], outside: Sequence[float] = ()) -> None:
    """Raise KernelError for a kernel of `radius` [d] that reaches further over the border than the field was trained,
    at points in [-1, 1] or up to `outside` [d] beyond.

    Training points covered the field's margin beyond [-1, 1]; their minimal kernels reach that much further.
    """
    margin, place = field.origin.margin, ""
    if outside:
        place = f"points lie up to {max(outside):.3g} outside [-1, 1], and with that "
        radius = [r + x for r, x in zip(radius, outside, strict=True)]
    for axis, half_size in zip(field.config.axes, field.origin.half_size, strict=True):
        # Whole lattices cover up to half a step of the training kernel less than the margin that is asked for.
        missing = field.h[axis] / 2 - half_size
        wanted = math.ceil(1000 * (radius[axis] + missing) - 1e-6) / 1000
        if radius[axis] > margin + half_size + 1e-6:
            advice = f"use a smaller kernel, or train on --margin {wanted:g}"
            if wanted > LARGEST_MARGIN:
                advice = f"use a smaller kernel: no margin lets one of more than {LARGEST_MARGIN - missing:.4g} through"
            raise KernelError(
                f"{place}the kernel has radius {radius[axis]:.4g} but the field, trained with a margin of "
                f"{margin:.4g}, answers up to {margin + half_size:.4g}: {advice}"
            )


def reach_of(field: Field, extent: Sequence[float], radius: Sequence[float]) -> list[float]:
    """How far tables reach: as far as the field was trained, and as points in [-extent_j, extent_j] ask with kernels of
    `radius` [d]."""
    trained = 1.0 + field.origin.margin + max(field.origin.half_size)
    return [max(trained, x + r) for x, r in zip(extent, radius, strict=True)]


@torch.no_grad()
def convolve_grid(
    field: Field,
    kernel: SparseKernel,
    coordinates: Sequence[Tensor],
    block: int = 1 << 16,
    progress: Progress | None = None,
    tolerance: float = TOLERANCE,
) -> Tensor:
    """The signal filtered by `kernel` on the tensor grid of `coordinates` -> [M_1, ..., M_d, c], float64.

    coordinates: positions [M_j] in domain units; `block` bounds the points a network sees at once; `progress`
    receives the share done. A kernel that is no short sum of products, within `tolerance` of its L2 norm, is summed
    Dirac by Dirac.
    """
    extent = [float(x.abs().max()) for x in coordinates]
    coordinates = [torch.as_tensor(x, dtype=torch.float64, device=field.device) for x in coordinates]
    terms = tensor_terms(kernel, tolerance)
    if terms is None:
        points = torch.cartesian_prod(*coordinates).reshape(-1, len(coordinates))
        shape = [len(x) for x in coordinates]
        return convolve_points(field, kernel, points, None, block, progress).reshape(*shape, -1)
    if isinstance(field, SeparableField):
        tables = field.tables(torch.float64, reach_of(field, extent, kernel.radius.tolist()))
        return filter_bundle_grid(field, tables, Bundle.of_terms(kernel, terms, field.device), coordinates)
    return field.grid_sum(grid_stencils(field, kernel, terms, coordinates), block, progress).double()


def convolve_points(
    field: Field,
    kernel: SparseKernel,
    points: Tensor,
    scale: Tensor | None = None,
    block: int = 1 << 16,
    progress: Progress | None = None,
) -> Tensor:
    """The signal filtered by `kernel` at scattered `points` [N, d] -> [N, c], float64.

    `scale` [N, number of filtered axes] stretches the kernel at every point by its own factors, mass kept
    (spatially varying kernels, Nsampi et al. 2023, section 4.3). A network answers K queries a point, at most about
    `block` at once; a separable field reads tables. Differentiable in points and scale; `progress` receives the share
    done.
    """
    return PointFilter(field, kernel, TOLERANCE).at(points, scale, block, progress, torch.float64)


class PointFilter:
    """A kernel made ready for scattered points of a field: what it consists of is on the field's device, once."""

    def __init__(self, field: Field, kernel: SparseKernel, tolerance: float) -> None:
        self.field, self.kernel = field, kernel
        terms = tensor_terms(kernel, tolerance) if field.factored else None
        self.bundle = None if terms is None else Bundle.of_terms(kernel, terms, field.device)
        self.asked = len(kernel) if terms is None else sum(len(positions) for positions, _ in terms[0])
        arrays = (kernel.positions, kernel.weights, np.array(kernel.axes))
        self.t, self.w, self.axes = (torch.tensor(array, device=field.device) for array in arrays)

    def at(
        self, points: Tensor, scale: Tensor | None, block: int, progress: Progress | None, dtype: torch.dtype
    ) -> Tensor:
        """See `convolve_points`; a separable field reads tables of `dtype`."""
        field, kernel = self.field, self.kernel
        points = points.to(field.device, torch.float64)
        scale = torch.ones_like(points[:, : len(kernel.axes)]) if scale is None else scale.to(points)
        if not len(points):
            return points.new_zeros(0, field.config.channels)
        if self.bundle is None:
            answer: Callable[[Tensor, Tensor], Tensor] = self._sum_diracs
        elif isinstance(field, SeparableField):
            radius = kernel.radius * float(scale.detach().max())
            extent = points.detach().abs().amax(dim=0).tolist()
            tables = field.tables(dtype, reach_of(field, extent, radius.tolist()))
            answer = partial(filter_bundle, field, tables, field.core, self.bundle)
        else:
            answer = partial(field.sum_bundle, self.bundle)
        rows, results = max(1, block // self.asked), []
        for x, s in zip(points.split(rows), scale.split(rows), strict=True):
            results.append(answer(x, torch.ones_like(x).index_copy(1, self.axes, s)))
            if progress:
                progress(min(1.0, len(results) * rows / len(points)))
        return torch.cat(results)

    def _sum_diracs(self, x: Tensor, scale: Tensor) -> Tensor:
        """Every Dirac queried for itself; scale [N, d], 1 in axes that are not filtered."""
        weights = self.w / scale.prod(dim=1, keepdim=True) ** self.kernel.n
        return self.field.sum_diracs(x[:, None] - self.t * scale[:, None], weights)


def grid_stencils(
    field: Field, kernel: SparseKernel, terms: Sequence[Term], coordinates: Sequence[Tensor]
) -> list[list[Stencil]]:
    """One list of stencils (one per axis) for each outer product the kernel is a sum of.

    coordinates: positions [M_j] (float64, domain units) of the outputs along every axis.
    """
    nodes = _node_budgets(field, kernel, coordinates)
    rows: list[list[Stencil]] = [[Points(x) for x in coordinates] for _ in terms]
    for index, axis in enumerate(kernel.axes):
        # All terms have their Diracs at the same coordinates, so that their stencils share nodes.
        positions, weights = terms[0][index][0], [term[index][1] for term in terms]
        x = coordinates[axis]
        if field.smooth and len(x) * len(positions) > nodes[axis]:
            found: Sequence[Stencil] = shared_stencils(x, positions, weights, nodes[axis])
        else:
            found = [direct_stencil(x, positions, w) for w in weights]
        for row, stencil in zip(rows, found, strict=True):
            row[axis] = stencil
    return rows


def _node_budgets(field: Field, kernel: SparseKernel, coordinates: Sequence[Tensor]) -> list[int]:
    """Shared nodes per axis: fine enough for what the kernel shows of the field, few enough to pay.

    Errors of interpolation fall with the node distance to the power NEIGHBOURS and grow with sum |w|.
    """
    minimal = np.prod([(2.0 / h) ** kernel.n for h in field.h.values()])
    fineness = float(np.abs(kernel.weights).sum() / minimal) ** (1 / NEIGHBOURS)
    growth = QUERIES_PER_OUTPUT ** (1 / len(kernel.axes))
    budgets = []
    for axis, x in enumerate(coordinates):
        reach = float(x.max() - x.min()) + 2 * kernel.radius[axis]
        step = field.h.get(axis, min(field.h.values())) / (NODES_PER_KNOT * fineness)
        budgets.append(max(int(growth * len(x)), int(reach / step)))
    return budgets
