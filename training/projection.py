"""Variable projection for separable fields: only the networks descend, everything linear is solved.

The ground truth is an array T [M_1, ..., M_d, c]. Per filtered axis its leading singular directions
W = U S [M_j, R_j] are what the differenced 1-D features Phi = D^n phi(x) [M_j, H] must span:

    minimise over phi   log sum_l lambda_l min_A || B_l (W - Phi A) ||^2

B_l sees W through 2^l times the kernel (the residual pyramid), A [H, R_j] is a linear least-squares problem
solved exactly in every step (Golub & Pereyra 1973), and the core is T seen through the directions U_j
(Tucker 1966; De Lathauwer et al. 2000). Directions of axes that are not filtered are kept as tables.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.separable import NetworkFactor, SeparableField, TableFactor
from models.stencil import Differences
from training.lattice import LatticeTargets
from training.objective import Loss, fit_polynomial, polynomial_values
from training.pyramid import levels

# Coarser levels count this much more than the next finer one: their residuals are that much smaller.
LEVEL_WEIGHT = 4.0
# Keeps the normal equations solvable where features coincide; far below any residual of interest.
RIDGE = 1e-12


@dataclass(frozen=True)
class Direction:
    """What one filtered axis has to span: W [P L, R], phase by phase, the stencil that sees it, and S [R]."""

    axis: int
    stencil: Differences
    wanted: list[Tensor]
    sizes: Tensor


class ProjectionObjective:
    """The loss above over all filtered axes of a separable field with a dense core; see the module's formula."""

    def __init__(self, targets: LatticeTargets, count: int) -> None:
        self.targets = targets
        self.count = count
        self.directions: list[Direction] = []
        self.bases: list[Tensor] = []
        self.core = torch.zeros(0)

    @torch.no_grad()
    def prepare(self, field: SeparableField, generator: torch.Generator) -> None:
        fit_polynomial(field, self.targets)
        rest = self.targets.values.double() - polynomial_values(field, self.targets).double()
        ranks = [len(factor.scale) for factor in field.factors]
        spectra = [singular_directions(rest, axis) for axis in range(rest.ndim - 1)]
        self.bases = [basis[:, :rank] for (basis, _), rank in zip(spectra, ranks, strict=True)]
        self.core = rest
        for basis in self.bases:
            self.core = torch.tensordot(self.core, basis, dims=([0], [0]))
        self.core = self.core.movedim(0, -1)
        stencils = self.targets.stencils()
        for axis, (basis, rank) in enumerate(zip(self.bases, ranks, strict=True)):
            if isinstance(stencils[axis], Differences):
                self._add_direction(axis, stencils[axis], basis, spectra[axis][1][:rank])
        self.finish(field)

    def _add_direction(self, axis: int, stencil: Differences, basis: Tensor, sizes: Tensor) -> None:
        order = self.targets.order_of(axis).argsort()
        self.directions.append(Direction(axis, stencil, self._levels(stencil, (basis * sizes)[order]), sizes))

    def _levels(self, stencil: Differences, rows: Tensor) -> list[Tensor]:
        """rows [P L, R] at every level of the pyramid, each [points, R]."""
        lattice = (len(stencil.first), stencil.count)
        return [level.flatten(0, 1) for level in levels(rows, [lattice], [stencil.n], self.count)]

    def loss(self, field: SeparableField, generator: torch.Generator) -> Loss:
        total = torch.zeros((), dtype=field.dtype, device=field.device)
        squares: list[Tensor] = []
        queries = 0
        for direction in self.directions:
            residuals, _ = self._solve(field, direction)
            means = [residual.square().sum() / len(residual) for residual in residuals]
            total = total + 0.5 * torch.log(sum(LEVEL_WEIGHT**k * mean for k, mean in enumerate(means)))
            squares = [a + b for a, b in zip(squares, means, strict=False)] or means
            queries += len(direction.stencil.nodes)
        others = self.core.shape[-1] * self._others()
        rms = [(square.detach() / others).sqrt() for square in squares]
        return Loss(total, rms, self.targets.values[..., 0].numel(), queries)

    def _others(self) -> float:
        """Points per row of an axis, averaged over the filtered axes: turns sums over an axis into means."""
        sizes = [self.targets.values[..., 0].numel() / self.targets.values.shape[d.axis] for d in self.directions]
        return sum(sizes) / len(sizes)

    def _solve(self, field: SeparableField, direction: Direction) -> tuple[list[Tensor], Tensor]:
        """Residuals of every level under the best A, and A [H, R]; A is a constant to the gradient.

        At the minimum over A the loss does not change with A, so its gradient needs no derivative of the solve.
        """
        factor = field.factors[direction.axis]
        features = direction.stencil.combine(factor.network(direction.stencil.nodes.to(field.dtype)[:, None]), 0)
        seen = self._levels(direction.stencil, features)
        size = seen[0].detach().norm(dim=0).clamp_min(torch.finfo(field.dtype).tiny)
        seen = [level / size for level in seen]
        with torch.no_grad():
            gram = sum(LEVEL_WEIGHT**k * (phi.T @ phi) for k, phi in enumerate(seen))
            right = sum(
                LEVEL_WEIGHT**k * (phi.T @ w) for k, (phi, w) in enumerate(zip(seen, direction.wanted, strict=True))
            )
            gram.diagonal().add_(RIDGE * gram.diagonal().mean())
            solution = torch.linalg.solve(gram, right)
        residuals = [w - phi @ solution for phi, w in zip(seen, direction.wanted, strict=True)]
        return residuals, solution / size[:, None]

    @torch.no_grad()
    def finish(self, field: SeparableField) -> None:
        """Write the solved heads, the tables and the core into the field."""
        solved = {d.axis: self._solve(field, d)[1] / d.sizes for d in self.directions}
        for axis, factor in enumerate(field.factors):
            factor.scale.fill_(1.0)
            if isinstance(factor, TableFactor):
                factor.rows.copy_(self.bases[axis])
            elif isinstance(factor, NetworkFactor):
                factor.head.weight.copy_(solved[axis].T)
        field.core.copy_(self.core)


def singular_directions(values: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Left singular vectors [M, K] and singular values [K] of `values` [M_1, ..., c] unfolded along `axis`.

    K is M, or the number of columns of the unfolding where there are fewer (a long signal of few channels).
    """
    unfolded = values.movedim(axis, 0).flatten(1)
    if unfolded.shape[1] < unfolded.shape[0]:
        vectors, sizes, _ = torch.linalg.svd(unfolded, full_matrices=False)
        return vectors, sizes.clamp_min(sizes[0] * torch.finfo(torch.float64).eps)
    gram = torch.zeros(values.shape[axis], values.shape[axis], dtype=torch.float64, device=values.device)
    for slab in unfolded.split(1 << 18, dim=1):
        gram += slab @ slab.T
    squares, vectors = torch.linalg.eigh(gram)
    floor = squares[-1] * torch.finfo(torch.float64).eps
    return vectors.flip(1), squares.flip(0).clamp_min(floor).sqrt()


def choose_ranks(targets: LatticeTargets, limit: int, size: int, tolerance: float = 1e-6) -> tuple[int, ...]:
    """Ranks per axis: one threshold on all singular values, as low as a core of `size` entries allows.

    `limit` bounds the rank of filtered axes (their features span no more); directions below `tolerance`
    of the largest are never kept.
    """
    values = targets.values.double()
    values = values - values.mean(dim=tuple(range(values.ndim - 1)))
    spectra = [singular_directions(values, axis)[1] for axis in range(values.ndim - 1)]
    caps = [min(len(s), limit) if axis.n else len(s) for s, axis in zip(spectra, targets.axes, strict=True)]
    largest = max(float(s[0]) for s in spectra)
    thresholds = torch.cat([s[:cap] for s, cap in zip(spectra, caps, strict=True)]).sort(descending=True).values
    best = (1,) * len(spectra)
    for threshold in thresholds[thresholds >= tolerance * largest].tolist():
        ranks = tuple(max(1, int((s[:cap] >= threshold).sum())) for s, cap in zip(spectra, caps, strict=True))
        entries = targets.channels
        for rank in ranks:
            entries *= rank
        if entries > size:
            break
        best = ranks
    return best
