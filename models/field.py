"""The repeated integral field F: what every field answers, whatever it is made of.

D^n F = f in the filtered axes, with n = order + 1 (Nsampi et al. 2023, section 4.2). A field answers two
questions: F at points, and F through one stencil per axis on a tensor grid; each field in its cheapest way.
"""

import copy
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from kernels import SparseKernel, minimal_kernel
from kernels.library import Kernel
from kernels.minimal import knot_spacing
from models.config import FieldConfig, Origin
from models.device import full_float32, ordinary_tensors
from models.polynomial import PolynomialPart
from models.stencil import Stencil

if TYPE_CHECKING:
    from models.bundles import Bundle

# Receives the share of the work that is done, and one sentence the user should read.
Progress = Callable[[float], None]
Notify = Callable[[str], None]
# Kernels of less mass average nothing.
LEAST_MASS = 0.1
# Most cached results computed from the weights: a filter needs ten, and other filters need others, without end.
MOST_KEPT = 32
Kept = TypeVar("Kept")


class Field(nn.Module):
    """A repeated integral field: a network part, given by subclasses, plus a polynomial part.

    `config` fixes its shape, `origin` the kernel, margin and boundary rule it was trained with. Subclasses define
    `network_points` (points [N, d] -> [N, c]), `network_grid` (stencils -> [M_1, ..., M_d, c]) and, where they are
    trained from a random start, `rescale`; `factored` says that a tensor grid costs them its axes, not its points,
    `smooth` that F may be read between samples of it.
    """

    factored = False
    smooth = True

    def __init__(self, config: FieldConfig, origin: Origin) -> None:
        super().__init__()
        self.config = config
        self.origin = origin
        self._kept: dict[Any, Any] = {}
        self._kept_of: tuple[Any, ...] = ()
        self.polynomial = PolynomialPart(config.n, config.poly_degree, config.channels)

    @property
    def dtype(self) -> torch.dtype:
        """The precision the networks work in."""
        return self.polynomial.coefficients.dtype

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.polynomial.coefficients.device

    @property
    def h(self) -> dict[int, float]:
        """Distance between the training kernel's Diracs along every filtered axis, in domain units."""
        pairs = zip(self.config.axes, self.origin.half_size, strict=True)
        return {axis: knot_spacing(self.config.order, size) for axis, size in pairs}

    @property
    def kernel(self) -> SparseKernel:
        """The training kernel: the minimal kernel of the field's order and half sizes."""
        return minimal_kernel(self.config.order, self.origin.half_size, self.config.dim, self.config.axes)

    @property
    def margin(self) -> float:
        """How far beyond [-1, 1] the field was trained, in domain units."""
        return self.origin.margin

    @property
    def psnr(self) -> float:
        """Quality measured after training, at the training kernel, in dB; NaN where it is unknown."""
        return self.origin.psnr.get(1.0, math.nan)

    @ordinary_tensors()
    @full_float32()
    def filter(
        self,
        kernel: Kernel | SparseKernel,
        shape: Sequence[int] | None = None,
        *,
        at: Any = None,
        scale: Any = None,
        covariance: Any = None,
        out: Any = None,
        **settings: Any,
    ) -> Any:
        """The signal filtered by `kernel`, on the regular grid of `shape` (default: the signal's own) or at points.

        Returns [M_1, ..., M_d, c] (float32), or [N, c] for points `at` [N, d] in domain units: an array for an array, a
        tensor for a tensor, differentiable in `at`, `scale` and `covariance`.
        scale: how the kernel is stretched, with its integral kept: a number, one per filtered axis [a], or per output:
        [N] or [N, a] at points, a map [M_1, ..., M_d] or [M_1, ..., M_d, a] on a grid.
        covariance: of the Gaussian, gaussian() without sigma, in square domain units: [a, a], [N, a, a] or a map of it.
        out: receives the values on a grid, `out[rows, columns, ...] = values`, and is returned: an array, a memory map
        or anything else that is written to so.
        settings: precision, "32", "64" or "auto" (float64 where rounding would limit the result to less than accuracy);
        accuracy, dB of PSNR that approximations must not limit (60); tolerance, share of a kernel's L2 norm that may be
        left out (1e-7; 0.1 is a preview of kernels that are no product); block, points that a network sees at once;
        progress, called with the share done; notify, called with what the user should know (default: Python's warnings,
        without those that take time to find out).
        Where samples of the signal are missing, results are weighted means of the known ones (signals/masks.py); with
        share=True their last channel is the share of known weight.
        Raises KernelError for a kernel of another order or other axes, or one that reaches beyond the margin.
        """
        from models.filtering import Settings, check_out, regular_grid
        from models.gridded import filter_grid
        from models.scattered import filter_at

        share = settings.pop("share", False)
        chosen = Settings.of(settings)
        fixed = kernel if covariance is None else None
        if at is not None:
            if out is not None or shape is not None:
                raise ValueError("shape and out are for grids: leave them out with at")
            return self.normalised(filter_at(self, kernel, at, scale, covariance, chosen), fixed, share)
        shape = self.origin.shape if shape is None else shape
        grid = regular_grid(shape, self.config.dim)
        check_out(self, out, shape, share)
        values = self.normalised(filter_grid(self, kernel, grid, scale, covariance, chosen), fixed, share)
        if out is None:
            return values
        out[...] = values
        return out

    def normalised(self, values: Any, kernel: Kernel | SparseKernel | None, share: bool) -> Any:
        """Filtered values divided by the share of known weight, where samples of the signal are missing."""
        known = self.origin.metadata.known
        if known is None:
            if share:
                raise ValueError("no sample of this field's signal is missing: leave share out")
            return values
        from signals.masks import divided

        self.check_averaging(kernel)
        found, weight = divided(values, known)
        if not share:
            return found
        return np.concatenate([found, weight], -1) if isinstance(found, np.ndarray) else torch.cat([found, weight], -1)

    def check_averaging(self, kernel: Kernel | SparseKernel | None) -> None:
        """Raise ValueError for a kernel of differences where samples of the signal are missing."""
        from models.filtering import sparse_kernel

        if self.origin.metadata.known and kernel is not None and sparse_kernel(self, kernel).mass < LEAST_MASS:
            raise ValueError("a signal with missing samples is averaged: use a kernel of mass 1, not of differences")

    def sparse(self, kernel: Kernel) -> SparseKernel:
        """The Diracs of a kernel of the library for this field's order and axes."""
        return kernel.sparse(self.config.order, self.config.dim, self.config.axes)

    def save(self, path: str | Path) -> Path:
        """Write the field to one file, whole or not at all; `nfconv.load` reads it."""
        from models.checkpoint import save_checkpoint

        return save_checkpoint(path, self)

    def kept(self, key: Any, make: Callable[[], Kept]) -> Kept:
        """What `make` computes from the weights, cached under `key` until they change or MOST_KEPT others are used."""
        weights = tuple((value.data_ptr(), value._version) for value in self.state_dict(keep_vars=True).values())
        if weights != self._kept_of:
            self._kept, self._kept_of = {}, weights
        if (found := self._kept.pop(key, None)) is None:
            found = make()
        # The least recently used entry is dropped first.
        self._kept[key] = found
        if len(self._kept) > MOST_KEPT:
            self._kept.pop(next(iter(self._kept)), None)
        return found

    def in_dtype(self, dtype: torch.dtype) -> "Field":
        """The field in another precision; the copy is kept."""
        if self.dtype == dtype:
            return self
        # Without what is kept, which would be copied, too.
        return self.kept(("in_dtype", dtype), lambda: copy.deepcopy(self, {id(self._kept): {}}).to(dtype))

    def forward(self, points: Tensor) -> Tensor:
        """F at points [N, d] in domain units -> [N, c], float64 (differences of large numbers follow)."""
        return self.network_points(points.to(self.dtype)).double() + self.polynomial(points)

    def grid(self, stencils: Sequence[Stencil]) -> Tensor:
        """F through one stencil per axis -> [M_1, ..., M_d, c]."""
        return self.network_grid(stencils) + self.polynomial.grid(stencils)

    def grid_sum(self, terms: Sequence[Sequence[Stencil]], block: int, progress: Progress | None = None) -> Tensor:
        """The sum of `grid` over several lists of stencils, a network seeing at most about `block` points at once."""
        total = self.grid(terms[0])
        for stencils in terms[1:]:
            total = total + self.grid(stencils)
        return total

    def sum_bundle(self, bundle: "Bundle", x: Tensor, scale: Tensor) -> Tensor:
        """The kernels of a bundle at points x [N, d], stretched by `scale` [N, d], where `factored` -> [N, c]."""
        raise NotImplementedError

    def sum_diracs(self, points: Tensor, weights: Tensor) -> Tensor:
        """sum_k w_k F(points_k): points [N, K, d], weights [N, K] or [K] -> [N, c], float64."""
        values = self(points.flatten(0, 1)).unflatten(0, points.shape[:2])
        return (values * weights.double()[..., None]).sum(dim=1)

    def network_points(self, points: Tensor) -> Tensor:
        """The network part at points [N, d] -> [N, c]."""
        raise NotImplementedError

    def network_grid(self, stencils: Sequence[Stencil]) -> Tensor:
        """The network part through one stencil per axis -> [M_1, ..., M_d, c]."""
        raise NotImplementedError

    def rescale(self, stencils: Sequence[Stencil], size: Tensor) -> None:
        """Scale the last layer so that the network part, seen through `stencils`, has rms `size` [c]."""
        raise NotImplementedError
