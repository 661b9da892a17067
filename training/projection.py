"""Variable projection for separable fields: only the networks descend, everything linear is solved.

The ground truth is an array T [M_1, ..., M_d, c]. Per filtered axis its leading singular directions
W = U S [M_j, R_j] are what the differenced 1-D features Phi = D^n phi(x) [M_j, H] must span:

    minimise over phi   log min_A sum_l lambda_l || B_l (W - Phi A) ||^2 + epsilon || Phi' A ||^2

B_l sees W through 2^l times the kernel (the residual pyramid), Phi' are the features seen through a narrower
kernel (a prior on what the training kernel cannot see), A [H, R_j] is a linear least-squares problem solved
exactly in every step (Golub & Pereyra 1973), and the core is T seen through the directions U_j
(Tucker 1966; De Lathauwer et al. 2000). Directions of axes that are not filtered are kept as tables.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from models import FieldConfig, SeparableField
from models.stencil import Differences
from training.directions import Decomposition, held
from training.lattice import LatticeTargets, project
from training.objective import Loss
from training.pyramid import levels

# Coarser levels count this much more than the next finer one: their residuals are that much smaller.
LEVEL_WEIGHT = 4.0
# Keeps the normal equations solvable where features coincide; far below any residual of interest.
RIDGE = 1e-12
SMALLEST_FEATURE = 1e-6
# Rows a step looks at per feature. The phases of a lattice are close to each other, so that a few of them,
# others in every step, give as good a gradient as all of them at a third of the cost.
ROWS_PER_FEATURE = 2
# The training kernel does not see frequencies near the zeros of its spectrum, where F could hold anything, but kernels
# with Diracs closer than its own do: what a FINER times narrower kernel sees is kept small as well. It is sampled on
# one lattice for networks and on LATTICES for splines: a single one as coarse as the knots does not see coefficients
# that alternate from knot to knot, and those at the borders would grow.
PRIOR = 2e-5
FINER = 4
LATTICES = 3


@dataclass(frozen=True)
class Direction:
    """What one filtered axis has to span, on P lattices of L points.

    wanted W [P, L, R] and its singular values `sizes` [R]; `forms` [levels, L, L] are the quadratic forms
    B_l' B_l per row of B_l, `form` [L, L] is their weighted sum and `weighed` [P, L, R] is W seen through it.
    """

    axis: int
    stencil: Differences
    wanted: Tensor
    sizes: Tensor
    forms: Tensor
    form: Tensor
    weighed: Tensor

    @classmethod
    def of(cls, axis: int, stencil: Differences, basis: Tensor, sizes: Tensor, count: int) -> "Direction":
        """Of singular vectors `basis` [P L, R] and `sizes` [R], on `count` levels."""
        wanted = (basis * sizes).unflatten(0, (len(stencil.first), stencil.count))
        forms = level_forms(stencil.count, stencil.n, count, wanted)
        weights = LEVEL_WEIGHT ** torch.arange(len(forms), dtype=forms.dtype, device=forms.device)
        form = torch.tensordot(weights, forms, dims=1)
        return cls(axis, stencil, wanted, sizes, forms, form, form @ wanted)

    def at(self, phases: Tensor) -> "Direction":
        """The same direction seen on some of the lattices."""
        stencil = replace(self.stencil, first=self.stencil.first[phases])
        return replace(self, stencil=stencil, wanted=self.wanted[phases], weighed=self.weighed[phases])


class ProjectionObjective:
    """The loss above over all filtered axes of a separable field; see the module's formula.

    `count` is the number of pyramid levels; `held` the PSNR in dB at the training kernel that ranks and knots allow.
    """

    def __init__(self, targets: LatticeTargets, decomposition: Decomposition, count: int) -> None:
        self.targets = targets
        self.decomposition: Decomposition | None = decomposition
        self.spectra = decomposition.sizes
        self.count = count
        self.directions: list[Direction] = []
        self.bases: list[Tensor] = []
        self.core = torch.zeros(0)
        self.held = 0.0

    @torch.no_grad()
    def prepare(self, field: SeparableField, generator: torch.Generator) -> None:
        # As large as the ground truth several times over, and of no use from here on.
        parts, self.decomposition = self.decomposition, None
        assert parts is not None
        field.polynomial.coefficients.copy_(parts.polynomial.coefficients)
        ranks = field.config.ranks
        self.bases = [vectors[:, :rank].clone() for vectors, rank in zip(parts.vectors, ranks, strict=True)]
        self.core = project(parts.rest, self.bases)
        stencils = self.targets.stencils()
        for axis, stencil in enumerate(stencils):
            if isinstance(stencil, Differences):
                sizes = parts.sizes[axis][: ranks[axis]]
                self.directions.append(Direction.of(axis, stencil, self.bases[axis], sizes, self.count))
        self.finish(field)
        seen = self.bases
        if field.config.layers == "spline":
            # Nothing of these descends: they are as near to the directions as they get.
            pairs = zip(field.axis_factors, stencils, strict=True)
            seen = [stencil.combine(factor(stencil.nodes), 0).double() for factor, stencil in pairs]
        self.held = held(self.targets, parts.rest, seen, self.core)

    def loss(self, field: SeparableField, generator: torch.Generator) -> Loss:
        total = torch.zeros((), dtype=torch.float64, device=field.device)
        squares = torch.zeros(max(len(d.forms) for d in self.directions), dtype=torch.float64, device=field.device)
        for whole in self.directions:
            direction = whole.at(draw_phases(whole, ROWS_PER_FEATURE * field.config.width(whole.axis), generator))
            products, _, prior = self._solve(field, direction)
            # A signal that the polynomial part holds leaves nothing to learn, and a logarithm of 0 is no loss.
            total = total + 0.5 * torch.log((direction.form * products).sum() + prior + torch.finfo(total.dtype).tiny)
            means = (direction.forms * products.detach()).sum(dim=(1, 2))
            squares[: len(means)] += means
        points = self.targets.values[..., 0].numel()
        # Sums over the other axes become means, averaged over the filtered axes.
        per_row = sum(points / len(self.bases[d.axis]) for d in self.directions) / len(self.directions)
        squares = squares / (self.targets.channels * per_row)
        return Loss(total, list(squares.clamp_min(0).sqrt()), points)

    def _solve(self, field: SeparableField, direction: Direction) -> tuple[Tensor, Tensor, Tensor]:
        """Mean over the lattices of E E' [L, L], E [L, R] the residual under the best A, A [H, R], and the prior.

        A is a constant to the gradient: at the minimum over A the loss does not change with A. All levels
        are quadratic forms of E, so none of them requires a residual of its own.
        """
        factor: Any = field.factors[direction.axis]
        stencil = direction.stencil
        features = stencil.combine(factor.features(stencil.nodes), 0).double()
        shape = (len(stencil.first), stencil.count)
        narrow = narrow_stencil(stencil, LATTICES if field.config.layers == "spline" else 1)
        fine = narrow.combine(factor.features(narrow.nodes), 0).double()
        prior = prior_weight(field.config) / len(fine)
        with torch.no_grad():
            seen = (direction.form @ features.unflatten(0, shape)).flatten(0, 1)
            gram = features.T @ seen + prior * shape[0] * (fine.T @ fine)
            solution = solve_scaled(gram, features.T @ direction.weighed.flatten(0, 1))
        residual = direction.wanted.flatten(0, 1) - features @ solution
        lattices_last = residual.unflatten(0, shape).transpose(0, 1).flatten(1)
        return lattices_last @ lattices_last.T / shape[0], solution, prior * (fine @ solution).square().sum()

    @torch.no_grad()
    def finish(self, field: SeparableField) -> None:
        """Write the solved heads, the tables and the core into the field."""
        solved = {d.axis: self._solve(field, d)[1] / d.sizes for d in self.directions}
        factors: Any = field.factors
        for axis, factor in enumerate(factors):
            factor.set_heads(solved.get(axis, self.bases[axis]))
        field.core.copy_(self.core)


def solve_scaled(gram: Tensor, right: Tensor) -> Tensor:
    """The solution [H, R] of normal equations, unknowns scaled to unit diagonal and kept small by RIDGE."""
    size = gram.diagonal().sqrt()
    # A spline that hardly a row sees is held to the size of the others.
    size = size.clamp_min((SMALLEST_FEATURE * size.max()).clamp_min(torch.finfo(size.dtype).tiny))
    gram = gram / size / size[:, None]
    gram.diagonal().add_(RIDGE)
    # A GPU is not waited for to tell whether there is a solution: without one, the loss is not finite.
    solution, failed = torch.linalg.solve_ex(gram, right / size[:, None])
    return torch.where(failed == 0, solution, math.nan) / size[:, None]


def prior_weight(config: FieldConfig) -> float:
    """How much the narrower kernel counts; more where splines, less smooth than networks, meet a box's edges."""
    return 10 * PRIOR if config.layers == "spline" and config.order == 0 else PRIOR


def narrow_stencil(stencil: Differences, lattices: int) -> Differences:
    """Lattices over the same stretch for a kernel FINER times as narrow, shifted evenly against each other."""
    spacing = stencil.spacing / FINER
    moved = torch.arange(lattices, dtype=stencil.first.dtype, device=stencil.first.device) / lattices
    first = stencil.first[:1] + (spacing - stencil.spacing) * (stencil.n / 2) + spacing * moved
    return Differences(first, stencil.n, spacing, FINER * (stencil.count + stencil.n) - stencil.n)


def level_forms(length: int, n: int, count: int, like: Tensor) -> Tensor:
    """The forms B_l' B_l / rows of B_l, [levels, L, L], of a lattice of L points, for at most `count` levels."""
    eye = torch.eye(length, dtype=like.dtype, device=like.device)
    averages = [level.reshape(-1, length) for level in levels(eye, [(1, length)], [n], count)]
    return torch.stack([average.T @ average / len(average) for average in averages])


def draw_phases(direction: Direction, rows: float, generator: torch.Generator) -> Tensor:
    """Evenly spaced lattices from a random first one, about `rows` rows together."""
    count, length = len(direction.stencil.first), direction.stencil.count
    step = min(count, max(1, round(count * length / rows)))
    device = direction.wanted.device
    first = torch.randint(step, (), generator=generator, device=device)
    # As many from any first one: a GPU is not waited for to tell which it drew.
    return (first + step * torch.arange(-(-count // step), device=device)) % count
